//! The header of a GGUF file, read from a file that may lie.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Array, BlockType, Metadata, Value};
use crate::{Error, Result};

/// Everything of a GGUF file but the tensors' bytes; what it says of them has been checked against the file's size.
#[derive(Clone, Debug)]
pub struct Header {
    /// The version of the format: 2 or 3.
    pub version: u32,
    /// The keys and values.
    pub metadata: Metadata,
    /// The tensors in the order of the file; no two have one name or share a byte.
    pub tensors: Vec<TensorInfo>,
}

/// One tensor of a GGUF file.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Its name, e.g. `blk.0.attn_q.weight`.
    pub name: String,
    /// Its sizes, outermost first (rows, columns): the reverse of the order in the file.
    pub shape: Vec<usize>,
    /// How its values are stored.
    pub dtype: BlockType,
    /// Where its bytes lie in the file.
    pub bytes: Range<u64>,
}

const MAGIC: [u8; 4] = *b"GGUF";
/// More dimensions than ggml has.
const MAX_DIMENSIONS: u32 = 4;
/// Longer keys or tensor names are lies: the format allows 65,535 bytes for keys and 64 for tensors.
const MAX_NAME_BYTES: u64 = 65_535;
/// The longest string value; chat templates and licences stay far below.
const MAX_STRING_BYTES: u64 = 1 << 26;
/// Entries are allocated in steps of so many, however long an array says it is.
const FIRST_CAPACITY: usize = 1 << 12;
const DEFAULT_ALIGNMENT: u64 = 32;
/// Blocks hold values of up to four bytes, which are read where they lie.
const LEAST_ALIGNMENT: u64 = 8;

impl Header {
    /// Reads the header of the file at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a GGUF file of version 2 or 3, is cut short, or describes something
    /// that is not in it.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let length = file.metadata().map_err(|e| Error::io(path, e))?.len();
        Self::parse(BufReader::new(file), length, path)
    }

    /// Reads a header from a stream of `length` bytes; `path` is for messages.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn parse(stream: impl Read, length: u64, path: &Path) -> Result<Self> {
        let mut reader = Reader {
            stream,
            length,
            position: 0,
            path: path.to_owned(),
        };
        let version = reader.version()?;
        let tensors = reader.u64("the number of tensors")?;
        let entries = reader.u64("the number of metadata entries")?;
        let metadata = reader.metadata(entries)?;
        let tensors = reader.tensors(tensors, alignment(&metadata)?)?;
        Ok(Self {
            version,
            metadata,
            tensors,
        })
    }

    /// The tensor with this name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

impl TensorInfo {
    /// Number of values.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }
}

fn alignment(metadata: &Metadata) -> Result<u64> {
    let alignment = metadata
        .u32("general.alignment")?
        .map_or(DEFAULT_ALIGNMENT, u64::from);
    if alignment.is_power_of_two() && alignment >= LEAST_ALIGNMENT {
        return Ok(alignment);
    }
    Err(Error::malformed(
        metadata.path(),
        format!("the alignment {alignment} is no power of two from {LEAST_ALIGNMENT} on"),
    ))
}

/// A stream that knows how many bytes it can still give.
struct Reader<R> {
    stream: R,
    length: u64,
    position: u64,
    path: PathBuf,
}

/// A directory entry before its place in the file is known.
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: BlockType,
    offset: u64,
    size: u64,
}

impl<R: Read> Reader<R> {
    fn version(&mut self) -> Result<u32> {
        let magic = self.bytes::<4>("the magic")?;
        if magic != MAGIC {
            return Err(self.wrong(format!(
                "not a GGUF file: it starts with {magic:02x?}, not with 'GGUF'"
            )));
        }
        match self.u32("the version")? {
            version @ (2 | 3) => Ok(version),
            version if matches!(version.swap_bytes(), 2 | 3) => Err(Error::unsupported(
                &self.path,
                "a big-endian GGUF file",
                "convert it to little-endian with `gguf-convert-endian`",
            )),
            version => Err(Error::unsupported(
                &self.path,
                format!("GGUF version {version}; versions 2 and 3 are read"),
                "convert the model again with a current converter",
            )),
        }
    }

    fn metadata(&mut self, entries: u64) -> Result<Metadata> {
        // The smallest entry is a length, a type and one byte.
        self.check_count(entries, 13, "metadata entries")?;
        let mut metadata = Metadata::new(&self.path);
        for _ in 0..entries {
            let key = self.string(MAX_NAME_BYTES, "a metadata key")?;
            let kind = self.u32(&key)?;
            let value = self.value(kind, &key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(self.wrong(format!("the metadata has '{key}' twice")));
            }
        }
        Ok(metadata)
    }

    fn value(&mut self, kind: u32, key: &str) -> Result<Value> {
        Ok(match kind {
            0 => Value::U8(self.bytes::<1>(key)?[0]),
            1 => Value::I8(i8::from_le_bytes(self.bytes(key)?)),
            2 => Value::U16(u16::from_le_bytes(self.bytes(key)?)),
            3 => Value::I16(i16::from_le_bytes(self.bytes(key)?)),
            4 => Value::U32(self.u32(key)?),
            5 => Value::I32(i32::from_le_bytes(self.bytes(key)?)),
            6 => Value::F32(f32::from_le_bytes(self.bytes(key)?)),
            7 => Value::Bool(self.bool(key)?),
            8 => Value::String(self.string(MAX_STRING_BYTES, key)?),
            9 => Value::Array(self.array(key)?),
            10 => Value::U64(self.u64(key)?),
            11 => Value::I64(i64::from_le_bytes(self.bytes(key)?)),
            12 => Value::F64(f64::from_le_bytes(self.bytes(key)?)),
            _ => return Err(self.wrong(format!("metadata '{key}' has the unknown type {kind}"))),
        })
    }

    fn array(&mut self, key: &str) -> Result<Array> {
        let kind = self.u32(key)?;
        let count = self.u64(key)?;
        Ok(match kind {
            0 => Array::U8(self.items(count, 1, key, |r| Ok(r.bytes::<1>(key)?[0]))?),
            1 => Array::I8(self.items(count, 1, key, |r| Ok(i8::from_le_bytes(r.bytes(key)?)))?),
            2 => Array::U16(self.items(count, 2, key, |r| Ok(u16::from_le_bytes(r.bytes(key)?)))?),
            3 => Array::I16(self.items(count, 2, key, |r| Ok(i16::from_le_bytes(r.bytes(key)?)))?),
            4 => Array::U32(self.items(count, 4, key, |r| r.u32(key))?),
            5 => Array::I32(self.items(count, 4, key, |r| Ok(i32::from_le_bytes(r.bytes(key)?)))?),
            6 => Array::F32(self.items(count, 4, key, |r| Ok(f32::from_le_bytes(r.bytes(key)?)))?),
            7 => Array::Bool(self.items(count, 1, key, |r| r.bool(key))?),
            8 => Array::String(self.items(count, 8, key, |r| r.string(MAX_STRING_BYTES, key))?),
            10 => Array::U64(self.items(count, 8, key, |r| r.u64(key))?),
            11 => Array::I64(self.items(count, 8, key, |r| Ok(i64::from_le_bytes(r.bytes(key)?)))?),
            12 => Array::F64(self.items(count, 8, key, |r| Ok(f64::from_le_bytes(r.bytes(key)?)))?),
            9 => return Err(self.wrong(format!("metadata '{key}' is an array of arrays"))),
            _ => {
                return Err(self.wrong(format!(
                    "metadata '{key}' is an array of the unknown type {kind}"
                )));
            }
        })
    }

    fn items<T>(
        &mut self,
        count: u64,
        bytes_each: u64,
        key: &str,
        read: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.check_count(count, bytes_each, key)?;
        let mut items = Vec::with_capacity(count.min(FIRST_CAPACITY));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    fn tensors(&mut self, count: u64, alignment: u64) -> Result<Vec<TensorInfo>> {
        // The smallest entry is a length, a number of dimensions, one dimension, a type and an offset.
        let count = self.check_count(count, 32, "tensors")?;
        let mut entries = Vec::with_capacity(count.min(FIRST_CAPACITY));
        for _ in 0..count {
            entries.push(self.entry(alignment)?);
        }
        let start = self.position.checked_next_multiple_of(alignment);
        let tensors = entries
            .into_iter()
            .map(|entry| self.place(entry, start))
            .collect::<Result<Vec<_>>>()?;
        self.check_names(&tensors)?;
        self.check_overlap(&tensors)?;
        Ok(tensors)
    }

    fn entry(&mut self, alignment: u64) -> Result<Entry> {
        let name = self.string(MAX_NAME_BYTES, "a tensor's name")?;
        let shape = self.shape(&name)?;
        let id = self.u32(&name)?;
        let offset = self.u64(&name)?;
        let Some(dtype) = BlockType::from_id(id) else {
            return Err(Error::unsupported(
                &self.path,
                format!("tensor '{name}' has the unknown type number {id}"),
                "requantize the model to Q8_0 or F16 with the tool that made it",
            ));
        };
        if !offset.is_multiple_of(alignment) {
            return Err(self.wrong(format!(
                "tensor '{name}' starts at {offset}, which is not on the alignment {alignment}"
            )));
        }
        let size = self.size(&name, &shape, dtype)?;
        Ok(Entry {
            name,
            shape,
            dtype,
            offset,
            size,
        })
    }

    fn shape(&mut self, name: &str) -> Result<Vec<usize>> {
        let dimensions = self.u32(name)?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(self.wrong(format!(
                "tensor '{name}' has {dimensions} dimensions, 1 to {MAX_DIMENSIONS} are possible"
            )));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = self.u64(name)?;
            let size = usize::try_from(size).ok().filter(|&n| n > 0);
            shape.push(
                size.ok_or_else(|| self.wrong(format!("tensor '{name}' has an impossible size")))?,
            );
        }
        shape.reverse();
        Ok(shape)
    }

    /// Bytes of a tensor of whole rows of whole blocks.
    fn size(&self, name: &str, shape: &[usize], dtype: BlockType) -> Result<u64> {
        let columns = shape.last().map_or(0, |&n| n as u64);
        if !columns.is_multiple_of(dtype.block_values()) {
            return Err(self.wrong(format!(
                "tensor '{name}' has rows of {columns}, which are not whole blocks of {dtype}"
            )));
        }
        let values = shape
            .iter()
            .try_fold(1u64, |product, &n| product.checked_mul(n as u64));
        let size = values.and_then(|values| dtype.bytes_for(values));
        size.ok_or_else(|| {
            self.wrong(format!(
                "tensor '{name}' of shape {shape:?} is larger than any file"
            ))
        })
    }

    fn place(&self, entry: Entry, start: Option<u64>) -> Result<TensorInfo> {
        let begin = start.and_then(|start| start.checked_add(entry.offset));
        let bytes = begin.and_then(|begin| Some(begin..begin.checked_add(entry.size)?));
        match bytes {
            Some(bytes) if bytes.end <= self.length => {
                Ok(TensorInfo { name: entry.name, shape: entry.shape, dtype: entry.dtype, bytes })
            }
            _ => Err(self.wrong(format!(
                "tensor '{}' ({} bytes at offset {}) reaches beyond the end of the file ({} bytes): cut short?",
                entry.name, entry.size, entry.offset, self.length
            ))),
        }
    }

    fn check_names(&self, tensors: &[TensorInfo]) -> Result<()> {
        let mut names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(self.wrong(format!("two tensors are called '{}'", pair[0]))),
            None => Ok(()),
        }
    }

    fn check_overlap(&self, tensors: &[TensorInfo]) -> Result<()> {
        let mut sorted: Vec<&TensorInfo> = tensors.iter().collect();
        sorted.sort_by_key(|tensor| tensor.bytes.start);
        match sorted
            .windows(2)
            .find(|pair| pair[0].bytes.end > pair[1].bytes.start)
        {
            Some(pair) => Err(self.wrong(format!(
                "tensors '{}' and '{}' share bytes",
                pair[0].name, pair[1].name
            ))),
            None => Ok(()),
        }
    }

    /// A count is possible only if the rest of the file can hold so many of the smallest things of the kind.
    fn check_count(&self, count: u64, bytes_each: u64, of: &str) -> Result<usize> {
        let most = (self.length - self.position) / bytes_each;
        if count > most {
            return Err(self.wrong(format!(
                "{of}: {count} are announced, the file can hold {most} at most"
            )));
        }
        usize::try_from(count)
            .map_err(|_| self.wrong(format!("{of}: {count} are too many for this machine")))
    }

    fn string(&mut self, limit: u64, of: &str) -> Result<String> {
        let length = self.u64(of)?;
        let most = limit.min(self.length - self.position);
        if length > most {
            return Err(self.wrong(format!(
                "{of}: a string of {length} bytes, {most} are possible here"
            )));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut bytes, of)?;
        String::from_utf8(bytes)
            .map_err(|_| self.wrong(format!("{of}: a string that is not UTF-8")))
    }

    fn bool(&mut self, of: &str) -> Result<bool> {
        match self.bytes::<1>(of)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.wrong(format!("{of}: a bool with the value {other}"))),
        }
    }

    fn u32(&mut self, of: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(of)?))
    }

    fn u64(&mut self, of: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(of)?))
    }

    fn bytes<const N: usize>(&mut self, of: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, of)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], of: &str) -> Result<()> {
        let end = self.position.checked_add(bytes.len() as u64);
        let Some(end) = end.filter(|&end| end <= self.length) else {
            return Err(self.wrong(format!("the file ends within {of}")));
        };
        self.stream
            .read_exact(bytes)
            .map_err(|e| Error::io(&self.path, e))?;
        self.position = end;
        Ok(())
    }

    fn wrong(&self, what: String) -> Error {
        Error::malformed(&self.path, what)
    }
}
