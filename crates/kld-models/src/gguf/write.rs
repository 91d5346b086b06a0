//! Writing GGUF files: header first, then tensors one after the other, so that no more than one is in memory.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::{Array, BlockType, Metadata, Value};
use crate::tensor_file::whole;
use crate::{Error, Result};

/// A tensor to be written; its bytes come later.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Outermost first.
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: BlockType,
}

const VERSION: u32 = 3;
const DEFAULT_ALIGNMENT: u64 = 32;

/// Writes a file beside `path` and renames it when it is whole; `fill` writes the bytes of the tensor with this number.
///
/// The same input gives the same bytes.
pub(crate) fn write(
    path: &Path,
    metadata: &Metadata,
    entries: &[Entry],
    fill: impl FnMut(usize, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    whole(path, |draft| write_in_place(draft, metadata, entries, fill))
}

fn write_in_place(
    path: &Path,
    metadata: &Metadata,
    entries: &[Entry],
    mut fill: impl FnMut(usize, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    let io = |e| Error::io(path, e);
    let alignment = metadata
        .u32("general.alignment")?
        .map_or(DEFAULT_ALIGNMENT, u64::from);
    let (header, sizes) = header(path, metadata, entries, alignment)?;
    let mut file = BufWriter::new(File::create(path).map_err(io)?);
    file.write_all(&header).map_err(io)?;
    for (index, size) in sizes.into_iter().enumerate() {
        let mut counted = Counted {
            file: &mut file,
            bytes: 0,
        };
        fill(index, &mut counted)?;
        assert_eq!(
            counted.bytes, size,
            "a tensor is as long as its type and shape say"
        );
        pad(&mut file, size, alignment).map_err(io)?;
    }
    let file = file.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)
}

/// Everything before the tensors' bytes, and the sizes of the tensors.
fn header(
    path: &Path,
    metadata: &Metadata,
    entries: &[Entry],
    alignment: u64,
) -> Result<(Vec<u8>, Vec<u64>)> {
    let mut out = Vec::new();
    out.extend(b"GGUF");
    out.extend(VERSION.to_le_bytes());
    out.extend((entries.len() as u64).to_le_bytes());
    out.extend((metadata.iter().len() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        string(&mut out, key);
        put(&mut out, value);
    }
    let mut offset = 0u64;
    let mut sizes = Vec::new();
    for entry in entries {
        let too_large = || {
            Error::malformed(
                path,
                format!(
                    "tensor '{}' cannot be stored as {}",
                    entry.name, entry.dtype
                ),
            )
        };
        let values = entry.shape.iter().map(|&n| n as u64).product();
        let size = entry.dtype.bytes_for(values).ok_or_else(too_large)?;
        string(&mut out, &entry.name);
        out.extend((entry.shape.len() as u32).to_le_bytes());
        entry
            .shape
            .iter()
            .rev()
            .for_each(|&n| out.extend((n as u64).to_le_bytes()));
        out.extend(entry.dtype.id().to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset = (offset + size).next_multiple_of(alignment);
        sizes.push(size);
    }
    let length = out.len() as u64;
    pad(&mut out, length, alignment).map_err(|e| Error::io(path, e))?;
    Ok((out, sizes))
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put(out: &mut Vec<u8>, value: &Value) {
    out.extend(kind(value).to_le_bytes());
    match value {
        Value::U8(x) => out.push(*x),
        Value::I8(x) => out.extend(x.to_le_bytes()),
        Value::U16(x) => out.extend(x.to_le_bytes()),
        Value::I16(x) => out.extend(x.to_le_bytes()),
        Value::U32(x) => out.extend(x.to_le_bytes()),
        Value::I32(x) => out.extend(x.to_le_bytes()),
        Value::F32(x) => out.extend(x.to_le_bytes()),
        Value::Bool(x) => out.push(u8::from(*x)),
        Value::String(text) => string(out, text),
        Value::Array(array) => put_array(out, array),
        Value::U64(x) => out.extend(x.to_le_bytes()),
        Value::I64(x) => out.extend(x.to_le_bytes()),
        Value::F64(x) => out.extend(x.to_le_bytes()),
    }
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    let (kind, length) = (array_kind(array), array.len() as u64);
    out.extend(kind.to_le_bytes());
    out.extend(length.to_le_bytes());
    match array {
        Array::U8(items) => out.extend(items),
        Array::I8(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::U16(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I16(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::U32(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I32(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::F32(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::Bool(items) => items.iter().for_each(|&x| out.push(u8::from(x))),
        Array::String(items) => items.iter().for_each(|text| string(out, text)),
        Array::U64(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I64(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::F64(items) => items.iter().for_each(|x| out.extend(x.to_le_bytes())),
    }
}

/// The number of a value's type in the format.
fn kind(value: &Value) -> u32 {
    match value {
        Value::U8(_) => 0,
        Value::I8(_) => 1,
        Value::U16(_) => 2,
        Value::I16(_) => 3,
        Value::U32(_) => 4,
        Value::I32(_) => 5,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::String(_) => 8,
        Value::Array(_) => 9,
        Value::U64(_) => 10,
        Value::I64(_) => 11,
        Value::F64(_) => 12,
    }
}

/// The number of the type of an array's entries.
fn array_kind(array: &Array) -> u32 {
    match array {
        Array::U8(_) => 0,
        Array::I8(_) => 1,
        Array::U16(_) => 2,
        Array::I16(_) => 3,
        Array::U32(_) => 4,
        Array::I32(_) => 5,
        Array::F32(_) => 6,
        Array::Bool(_) => 7,
        Array::String(_) => 8,
        Array::U64(_) => 10,
        Array::I64(_) => 11,
        Array::F64(_) => 12,
    }
}

fn pad(out: &mut impl Write, length: u64, alignment: u64) -> std::io::Result<()> {
    let zeros = length.next_multiple_of(alignment) - length;
    (0..zeros).try_for_each(|_| out.write_all(&[0]))
}

/// Counts what goes through.
struct Counted<'a, W> {
    file: &'a mut W,
    bytes: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::gguf::Header;

    #[test]
    fn what_is_written_is_read_again() {
        let mut metadata = Metadata::new(Path::new("x"));
        let values = [
            Value::U8(200),
            Value::I8(-7),
            Value::U16(60_000),
            Value::I16(-300),
            Value::U32(4_000_000_000),
            Value::I32(-5),
            Value::F32(0.1),
            Value::Bool(true),
            Value::String("ü".into()),
            Value::U64(u64::MAX),
            Value::I64(i64::MIN),
            Value::F64(1e300),
            Value::Array(Array::U8(vec![1, 2])),
            Value::Array(Array::I8(vec![-1])),
            Value::Array(Array::U16(vec![3])),
            Value::Array(Array::I16(vec![-3])),
            Value::Array(Array::U32(vec![4, 5, 6])),
            Value::Array(Array::I32(vec![])),
            Value::Array(Array::F32(vec![0.5])),
            Value::Array(Array::Bool(vec![false, true])),
            Value::Array(Array::String(vec!["a".into(), String::new()])),
            Value::Array(Array::U64(vec![7])),
            Value::Array(Array::I64(vec![-7])),
            Value::Array(Array::F64(vec![2.5])),
        ];
        for (index, value) in values.iter().enumerate() {
            metadata.insert(format!("key.{index}"), value.clone());
        }
        let entry = |name: &str, shape: &[usize], dtype: &str| Entry {
            name: name.into(),
            shape: shape.to_vec(),
            dtype: BlockType::from_name(dtype).unwrap(),
        };
        let entries = [entry("odd", &[3], "F32"), entry("blocks", &[2, 64], "Q4_0")];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gguf");
        let bytes = [vec![1u8; 12], vec![2u8; 72]];
        write(&path, &metadata, &entries, |i, out| {
            out.write_all(&bytes[i]).map_err(|e| Error::io(&path, e))
        })
        .unwrap();

        let header = Header::read(&path).unwrap();
        for (index, value) in values.iter().enumerate() {
            assert_eq!(header.metadata.get(&format!("key.{index}")), Some(value));
        }
        let file = fs::read(&path).unwrap();
        for (tensor, (entry, bytes)) in header.tensors.iter().zip(entries.iter().zip(&bytes)) {
            assert_eq!(
                (&tensor.name, &tensor.shape, tensor.dtype),
                (&entry.name, &entry.shape, entry.dtype)
            );
            assert_eq!(
                &file[tensor.bytes.start as usize..tensor.bytes.end as usize],
                bytes
            );
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no partial file is left"
        );
    }
}
