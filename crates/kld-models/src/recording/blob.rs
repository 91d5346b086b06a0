//! Payloads: each frame holds one whole safetensors file, so that any program that knows the format can read it.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::{Error, Result};

/// A tensor to be written.
pub(super) struct Tensor<'a> {
    pub(super) name: &'static str,
    /// As safetensors names it.
    pub(super) dtype: &'static str,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: &'a [u8],
}

/// The header of a safetensors file with one entry of metadata; the tensors' bytes follow it in their order.
///
/// The library's own writer keeps metadata in a hash map and copies all tensors together; here the same content has
/// to give the same bytes, and a head of gigabytes is not to be copied.
pub(super) fn header(metadata: (&str, &str), tensors: &[Tensor]) -> Vec<u8> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let mut json = format!(
        "{{\"__metadata__\":{{{}:{}}}",
        text(metadata.0),
        text(metadata.1)
    );
    let mut at = 0;
    for tensor in tensors {
        let end = at + tensor.bytes.len();
        json += &format!(
            ",{}:{{\"dtype\":\"{}\",\"shape\":{:?},\"data_offsets\":[{at},{end}]}}",
            text(tensor.name),
            tensor.dtype,
            tensor.shape
        );
        at = end;
    }
    json.push('}');
    // The format wants the tensors to begin at a multiple of eight.
    let length = json.len().next_multiple_of(8);
    json.extend(std::iter::repeat_n(' ', length - json.len()));
    [&(length as u64).to_le_bytes(), json.as_bytes()].concat()
}

/// A payload that has been read.
pub(super) struct Blob<'a> {
    path: &'a Path,
    what: String,
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl<'a> Blob<'a> {
    /// Reads a payload, called `what` in messages.
    pub(super) fn read(path: &'a Path, what: impl Into<String>, bytes: &'a [u8]) -> Result<Self> {
        let what = what.into();
        let unsound =
            |e| Error::malformed(path, format!("the {what} is not sound safetensors: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unsound)?;
        Ok(Self {
            tensors: SafeTensors::deserialize(bytes).map_err(unsound)?,
            metadata: header.metadata().clone().unwrap_or_default(),
            path,
            what,
        })
    }

    pub(super) fn text(&self, key: &str) -> Result<&str> {
        let text = self.metadata.get(key).map(String::as_str);
        text.ok_or_else(|| self.wrong(format!("has no '{key}' in its metadata")))
    }

    /// The bytes of a tensor and its shape.
    pub(super) fn tensor(&self, name: &str, dtype: Dtype) -> Result<(&'a [u8], Vec<usize>)> {
        let tensor = self.tensors.tensor(name);
        let tensor = tensor.map_err(|_| self.wrong(format!("has no tensor '{name}'")))?;
        if tensor.dtype() != dtype {
            let what = format!("has '{name}' as {:?}, expected {dtype:?}", tensor.dtype());
            return Err(self.wrong(what));
        }
        Ok((tensor.data(), tensor.shape().to_vec()))
    }

    pub(super) fn f32s(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let bytes = self.shaped(name, Dtype::F32, shape)?;
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect())
    }

    pub(super) fn f64s(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let bytes = self.shaped(name, Dtype::F64, shape)?;
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|&b| f64::from_le_bytes(b))
            .collect())
    }

    pub(super) fn u32s(&self, name: &str, shape: &[usize]) -> Result<Vec<u32>> {
        let bytes = self.shaped(name, Dtype::U32, shape)?;
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|&b| u32::from_le_bytes(b))
            .collect())
    }

    fn shaped(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8]> {
        let (bytes, found) = self.tensor(name, dtype)?;
        if found == shape {
            return Ok(bytes);
        }
        Err(self.wrong(format!(
            "has '{name}' of shape {found:?}, expected {shape:?}"
        )))
    }

    /// An error about this payload.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::malformed(self.path, format!("the {} {what}", self.what))
    }
}

/// The little-endian bytes of numbers.
pub(super) fn bytes_of<T: Copy, const N: usize>(values: &[T], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| bytes(value)).collect()
}
