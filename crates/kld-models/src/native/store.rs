//! The stored tensors of a model, mapped into memory and turned into f32 a piece at a time.
//!
//! Whatever the container, a tensor here is a name, a shape (outermost first), a [`BlockType`] and a range of
//! bytes that is known to lie inside its file. Nothing is read before it is asked for. A store can be had
//! [with](Store::with) some of its tensors replaced by others that lie in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::{QStorage, QTensor};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use crate::gguf::{BlockType, Header};
use crate::{Error, Result};

/// The weight files of a model and the directory of what is in them.
#[derive(Debug)]
pub(crate) struct Store {
    files: Arc<Vec<(PathBuf, Mmap)>>,
    tensors: BTreeMap<String, Stored>,
}

/// Where and how a tensor is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: BlockType,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File {
        file: usize,
        bytes: Range<usize>,
    },
    /// In memory, as blocks of a type that may be wider than the one that the tensor is meant to be stored in.
    Memory {
        bytes: Arc<[u8]>,
        blocks: BlockType,
    },
}

/// Values turned into f32 at a time: keeps the copy on the way small and in cache.
const VALUES_AT_ONCE: usize = 1 << 18;

impl Store {
    /// The tensors of a GGUF file whose header has been read.
    pub(crate) fn gguf(path: &Path, header: &Header) -> Result<Self> {
        let mut store = Self {
            files: Arc::new(vec![(path.to_owned(), map(path)?)]),
            tensors: BTreeMap::new(),
        };
        for tensor in &header.tensors {
            let bytes = usize::try_from(tensor.bytes.start)
                .ok()
                .zip(usize::try_from(tensor.bytes.end).ok());
            let bytes = bytes.filter(|&(_, end)| end <= store.files[0].1.len());
            let Some((start, end)) = bytes else {
                return Err(Error::malformed(
                    path,
                    "the file became shorter while it was read",
                ));
            };
            let stored = Stored {
                shape: tensor.shape.clone(),
                dtype: tensor.dtype,
                place: Place::File {
                    file: 0,
                    bytes: start..end,
                },
            };
            store.insert(&tensor.name, stored)?;
        }
        Ok(store)
    }

    /// The tensors of one or several safetensors files.
    pub(crate) fn safetensors(paths: &[PathBuf]) -> Result<Self> {
        let map_one = |path: &PathBuf| Ok((path.clone(), map(path)?));
        let files = paths.iter().map(map_one).collect::<Result<Vec<_>>>()?;
        let mut store = Self {
            files: Arc::new(files),
            tensors: BTreeMap::new(),
        };
        for (file, (path, bytes)) in Arc::clone(&store.files).iter().enumerate() {
            for (name, stored) in directory(path, bytes, file)? {
                store.insert(&name, stored)?;
            }
        }
        Ok(store)
    }

    /// The one tensor called `name` that lies at `bytes` of a file.
    pub(crate) fn single(
        path: &Path,
        name: &str,
        dtype: BlockType,
        shape: Vec<usize>,
        bytes: Range<usize>,
    ) -> Result<Self> {
        let mut store = Self {
            files: Arc::new(vec![(path.to_owned(), map(path)?)]),
            tensors: BTreeMap::new(),
        };
        let fits = bytes.end <= store.files[0].1.len();
        let stored = Stored {
            shape,
            dtype,
            place: Place::File { file: 0, bytes },
        };
        let needed = dtype.bytes_for(stored.values() as u64);
        if !fits || needed != Some(stored.size() as u64) {
            let what = format!(
                "{} bytes of {dtype} cannot be '{name}' of shape {:?}",
                stored.size(),
                stored.shape
            );
            return Err(Error::malformed(path, what));
        }
        store.insert(name, stored)?;
        Ok(store)
    }

    /// Tensors that lie in memory.
    pub(crate) fn in_memory(tensors: BTreeMap<String, Stored>) -> Self {
        Self {
            files: Arc::default(),
            tensors,
        }
    }

    /// The same files with these tensors alone.
    pub(crate) fn of(&self, tensors: BTreeMap<String, Stored>) -> Self {
        Self {
            files: Arc::clone(&self.files),
            tensors,
        }
    }

    /// The same files with other tensors in the place of those of the same names.
    pub(crate) fn with(&self, others: impl IntoIterator<Item = (String, Stored)>) -> Self {
        let mut tensors = self.tensors.clone();
        tensors.extend(others);
        Self {
            files: Arc::clone(&self.files),
            tensors,
        }
    }

    /// The tensor of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&Stored> {
        self.tensors.get(name)
    }

    /// The tensor of this name, which must have this shape.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<&Stored> {
        let Some(stored) = self.tensors.get(name) else {
            return Err(Error::malformed(
                self.path(),
                format!("there is no tensor '{name}' (shape {shape:?})"),
            ));
        };
        if stored.shape != shape {
            let what = format!(
                "tensor '{name}' has shape {:?}, the configuration says {shape:?}",
                stored.shape
            );
            return Err(Error::malformed(self.path(), what));
        }
        Ok(stored)
    }

    /// Names and tensors in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.tensors
            .iter()
            .map(|(name, stored)| (name.as_str(), stored))
    }

    /// The first weight file; stands for the model in messages.
    pub(crate) fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |(path, _)| path)
    }

    /// The weight files in the order they were given.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.files
            .iter()
            .map(|(path, bytes)| (path.as_path(), &bytes[..]))
    }

    /// All values of a tensor as f32.
    pub(crate) fn read(&self, stored: &Stored) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(stored.values());
        self.for_each_chunk(stored, 0..stored.rows(), |_, chunk| {
            out.extend_from_slice(chunk);
        })?;
        Ok(out)
    }

    /// Gives some rows of a tensor as f32 to `visit`, a few whole rows at a time: the number of the first, and their values.
    pub(crate) fn for_each_chunk(
        &self,
        stored: &Stored,
        rows: Range<usize>,
        mut visit: impl FnMut(usize, &[f32]),
    ) -> Result<()> {
        let bytes = self.bytes(stored);
        let row_bytes = bytes.len() / stored.rows();
        let step = (VALUES_AT_ONCE / stored.columns()).max(1);
        let mut values = Vec::new();
        for first in rows.clone().step_by(step) {
            let last = rows.end.min(first + step);
            widen(
                &bytes[first * row_bytes..last * row_bytes],
                stored.blocks(),
                &mut values,
            )?;
            visit(first, &values);
        }
        Ok(())
    }

    /// Refuses tensors of a type that cannot be turned into numbers.
    pub(crate) fn check_readable(&self) -> Result<()> {
        let unreadable = |stored: &Stored| stored.dtype.readable().is_none();
        let Some((name, stored)) = self.iter().find(|(_, stored)| unreadable(stored)) else {
            return Ok(());
        };
        let what = format!(
            "tensor '{name}' is stored as {}, which this program cannot read",
            stored.dtype
        );
        let hint = if stored.dtype.is_of_gguf() {
            "convert the original model to F16, BF16, Q8_0 or a K-quant, or requantize this file to Q8_0 with llama-quantize"
        } else {
            "save the model as F32, F16 or BF16"
        };
        Err(Error::unsupported(self.path_of(stored), what, hint))
    }

    /// Tells the system that the mapped pages are not needed now, so that they do not count as memory in use.
    pub(crate) fn release(&self) {
        for (_, file) in self.files.iter() {
            release(file);
        }
    }

    /// A tensor's bytes, as blocks of [`Stored::blocks`].
    pub(crate) fn bytes<'a>(&'a self, stored: &'a Stored) -> &'a [u8] {
        match &stored.place {
            Place::File { file, bytes } => &self.files[*file].1[bytes.clone()],
            Place::Memory { bytes, .. } => bytes,
        }
    }

    fn path_of(&self, stored: &Stored) -> &Path {
        match stored.place {
            Place::File { file, .. } => &self.files[file].0,
            Place::Memory { .. } => self.path(),
        }
    }

    fn insert(&mut self, name: &str, stored: Stored) -> Result<()> {
        if self.tensors.insert(name.to_owned(), stored).is_some() {
            return Err(Error::malformed(
                self.path(),
                format!("tensor '{name}' is in two of the weight files"),
            ));
        }
        Ok(())
    }
}

impl Stored {
    /// A tensor in memory; `blocks` is what `bytes` are, `dtype` what a file would have them in.
    pub(crate) fn in_memory(
        shape: Vec<usize>,
        dtype: BlockType,
        bytes: Arc<[u8]>,
        blocks: BlockType,
    ) -> Self {
        let place = Place::Memory { bytes, blocks };
        Self {
            shape,
            dtype,
            place,
        }
    }

    /// The type of the blocks that its bytes are.
    pub(crate) fn blocks(&self) -> BlockType {
        match self.place {
            Place::File { .. } => self.dtype,
            Place::Memory { blocks, .. } => blocks,
        }
    }

    /// Bytes that it takes in memory; 0 where it stays in its file.
    pub(crate) fn bytes_in_memory(&self) -> u64 {
        match &self.place {
            Place::File { .. } => 0,
            Place::Memory { bytes, .. } => bytes.len() as u64,
        }
    }

    /// Number of values.
    pub(crate) fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// Length of the innermost dimension.
    pub(crate) fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Number of rows of [`columns`](Self::columns) values.
    pub(crate) fn rows(&self) -> usize {
        self.values() / self.columns()
    }

    /// Bytes in a file.
    pub(crate) fn size(&self) -> usize {
        match &self.place {
            Place::File { bytes, .. } => bytes.len(),
            Place::Memory { .. } => {
                let bytes = self.dtype.bytes_for(self.values() as u64);
                bytes.map_or(0, |bytes| bytes as usize)
            }
        }
    }
}

/// Turns whole blocks into f32; `out` is cleared first.
pub(crate) fn widen(bytes: &[u8], dtype: BlockType, out: &mut Vec<f32>) -> Result<()> {
    out.clear();
    match dtype {
        BlockType::F32 => out.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
        BlockType::F16 => out.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| half::f16::from_le_bytes(b).to_f32()),
        ),
        BlockType::BF16 => out.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| half::bf16::from_le_bytes(b).to_f32()),
        ),
        _ => out.extend_from_slice(&dequantize(bytes, dtype)?),
    }
    Ok(())
}

fn dequantize(bytes: &[u8], dtype: BlockType) -> Result<Vec<f32>> {
    let unreadable = || candle_core::Error::Msg(format!("blocks of {dtype} cannot be read"));
    let known = dtype.readable().ok_or_else(unreadable)?;
    let values = bytes.len() / known.type_size() * known.block_size();
    let storage = QStorage::from_data(bytes.into(), &Device::Cpu, known)?;
    Ok(QTensor::new(storage, values)?
        .dequantize(&Device::Cpu)?
        .to_vec1()?)
}

/// The tensors that a safetensors header describes; the format's own library has checked that they lie in the file.
fn directory(path: &Path, bytes: &[u8], file: usize) -> Result<Vec<(String, Stored)>> {
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|e| Error::malformed(path, format!("not a sound safetensors file: {e}")))?;
    let mut found = Vec::new();
    for (name, view) in tensors.iter() {
        let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
        let dtype = block_type(view.dtype());
        let shape = view.shape().to_vec();
        if shape.contains(&0) {
            return Err(Error::malformed(
                path,
                format!("tensor '{name}' of shape {shape:?} is empty"),
            ));
        }
        found.push((
            name.to_owned(),
            Stored {
                shape,
                dtype,
                place: Place::File {
                    file,
                    bytes: start..start + view.data().len(),
                },
            },
        ));
    }
    Ok(found)
}

fn block_type(dtype: Dtype) -> BlockType {
    match dtype {
        Dtype::F32 => BlockType::F32,
        Dtype::F16 => BlockType::F16,
        Dtype::BF16 => BlockType::BF16,
        Dtype::F8_E4M3 => BlockType::foreign("F8_E4M3"),
        Dtype::F8_E5M2 => BlockType::foreign("F8_E5M2"),
        Dtype::F64 => BlockType::foreign("F64"),
        Dtype::I8 => BlockType::foreign("I8"),
        Dtype::I16 => BlockType::foreign("I16"),
        Dtype::I32 => BlockType::foreign("I32"),
        Dtype::I64 => BlockType::foreign("I64"),
        Dtype::U8 => BlockType::foreign("U8"),
        Dtype::BOOL => BlockType::foreign("BOOL"),
        _ => BlockType::foreign("a type of other formats"),
    }
}

#[expect(
    unsafe_code,
    reason = "a file is mapped, so that models larger than memory can be read"
)]
pub(crate) fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    // SAFETY: the map is read-only, and only as bytes, of which every pattern is valid. If another process cuts
    // the file while it is used, the system ends this one (SIGBUS); a model file is not written to while in use.
    unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, e))
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "the advice drops pages")]
fn release(file: &Mmap) {
    // SAFETY: dropping the pages of a read-only map of a file loses nothing; they are read again when touched.
    // The advice may be refused, which costs memory and nothing else.
    let _ = unsafe { file.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
}

#[cfg(not(unix))]
fn release(_: &Mmap) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_every_readable_type_become_numbers() {
        for id in 0..64 {
            let Some(dtype) = BlockType::from_id(id).filter(|t| t.readable().is_some()) else {
                continue;
            };
            let mut out = Vec::new();
            let bytes = vec![0; usize::try_from(dtype.bytes_for(512).unwrap()).unwrap()];
            widen(&bytes, dtype, &mut out).unwrap();
            assert_eq!(out, vec![0.0; 512], "{dtype}");
        }
    }
}
