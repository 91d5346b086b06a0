//! A copy of a GGUF file with its matrices in another type.

use std::io::Write;
use std::path::Path;

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};

use super::write::{Entry, write};
use super::{BlockType, Header, Value};
use crate::native::store::{Store, Stored};
use crate::{Error, Result};

/// What became of the tensors of a requantized file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requantized {
    /// Matrices in the type that was asked for.
    pub matrices: usize,
    /// Vectors (norms, biases), which stay F32.
    pub vectors: usize,
    /// Matrices whose rows are not whole blocks of that type, with the type they got instead: `Q8_0`, or `F16` where
    /// rows are not whole blocks of 32 either.
    pub fallbacks: Vec<(String, BlockType)>,
}

/// Writes `target`: the model of `source`, with every matrix in `dtype`.
///
/// Values are dequantized to f32 and quantized again by candle, without an importance matrix; what the source has
/// lost stays lost. Metadata is kept, the tokenizer included. The same source gives the same bytes; `target` is
/// written beside its place and renamed.
///
/// # Errors
///
/// If `source` is no sound GGUF file, if `dtype` is not a type that can be made, if values do not fit it, or if
/// `target` cannot be written.
pub fn requantize(source: &Path, target: &Path, dtype: BlockType) -> Result<Requantized> {
    let Some(file_type) = file_type(dtype) else {
        return Err(Error::unsupported(
            target,
            format!("writing matrices as {dtype}"),
            "types that can be made: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K",
        ));
    };
    let header = Header::read(source)?;
    let store = Store::gguf(source, &header)?;
    store.check_readable()?;
    let mut metadata = header.metadata.clone();
    metadata.insert("general.file_type", Value::U32(file_type));
    let mut done = Requantized::default();
    let entries: Vec<Entry> = header
        .tensors
        .iter()
        .map(|tensor| Entry {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: done.choose(&tensor.name, &tensor.shape, dtype),
        })
        .collect();
    write(target, &metadata, &entries, |index, out| {
        let entry = &entries[index];
        let stored = store.get(&entry.name, &entry.shape)?;
        convert(&store, stored, entry, target, out)?;
        store.release();
        Ok(())
    })?;
    Ok(done)
}

impl Requantized {
    fn choose(&mut self, name: &str, shape: &[usize], wanted: BlockType) -> BlockType {
        let columns = shape.last().map_or(0, |&n| n as u64);
        let fits = |dtype: &BlockType| columns.is_multiple_of(dtype.block_values());
        if shape.len() < 2 {
            self.vectors += 1;
            return BlockType::F32;
        }
        if fits(&wanted) {
            self.matrices += 1;
            return wanted;
        }
        let instead = Some(BlockType::Q8_0).filter(fits).unwrap_or(BlockType::F16);
        self.fallbacks.push((name.to_owned(), instead));
        instead
    }
}

fn convert(
    store: &Store,
    stored: &Stored,
    entry: &Entry,
    target: &Path,
    out: &mut dyn Write,
) -> Result<()> {
    let mut outcome = Ok(());
    store.for_each_chunk(stored, 0..stored.rows(), |_, values| {
        if outcome.is_ok() {
            outcome = narrow(values, stored.columns(), entry, target)
                .and_then(|bytes| out.write_all(&bytes).map_err(|e| Error::io(target, e)));
        }
    })?;
    outcome
}

/// Whole rows of values as bytes of the entry's type.
fn narrow(values: &[f32], columns: usize, entry: &Entry, target: &Path) -> Result<Vec<u8>> {
    let beyond = |limit: f32| values.iter().any(|x| x.is_finite() && x.abs() > limit);
    if entry.dtype == BlockType::F16 && beyond(half::f16::MAX.to_f32()) {
        let what = format!("tensor '{}' has values beyond the range of F16", entry.name);
        return Err(Error::unsupported(target, what, "use BF16 or F32"));
    }
    Ok(match entry.dtype {
        BlockType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        BlockType::F16 => values
            .iter()
            .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
            .collect(),
        BlockType::BF16 => values
            .iter()
            .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
            .collect(),
        _ => quantize(values, columns, entry.dtype)?,
    })
}

fn quantize(values: &[f32], columns: usize, dtype: BlockType) -> Result<Vec<u8>> {
    let unknown = || candle_core::Error::Msg(format!("{dtype} cannot be made"));
    let known = dtype.readable().ok_or_else(unknown)?;
    let rows = Tensor::from_slice(values, (values.len() / columns, columns), &Device::Cpu)?;
    Ok(QTensor::quantize(&rows, known)?.data()?.into_owned())
}

/// The number that `general.file_type` has for a model of mostly this type; `None` for types that are not made.
fn file_type(dtype: BlockType) -> Option<u32> {
    Some(match dtype.name() {
        "F32" => 0,
        "F16" => 1,
        "Q4_0" => 2,
        "Q4_1" => 3,
        "Q8_0" => 7,
        "Q5_0" => 8,
        "Q5_1" => 9,
        "Q2_K" => 10,
        "Q3_K" => 11,
        "Q4_K" => 14,
        "Q5_K" => 16,
        "Q6_K" => 18,
        "BF16" => 32,
        _ => return None,
    })
}
