//! The key–value part of a GGUF file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The metadata of a GGUF file: keys like `llama.block_count`, each with a typed [`Value`].
///
/// The getters answer three things apart: the key is absent (`Ok(None)`), it is there (`Ok(Some(_))`), or it is
/// there with another type than asked for (an error that names file and key).
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    path: PathBuf,
    entries: BTreeMap<String, Value>,
}

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are the types of GGUF")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array of the metadata; its values have one type.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are the types of GGUF")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Metadata {
    /// The metadata of the file at `path`, to be filled with [`insert`](Self::insert).
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            entries: BTreeMap::new(),
        }
    }

    /// Reads the metadata of a GGUF file, without its tensors.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not a sound GGUF file.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(super::Header::read(path)?.metadata)
    }

    /// The file it came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value under a key, whatever its type.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Keys and values in the order of the keys.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// Puts a value under a key and returns the one that stood there.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) -> Option<Value> {
        self.entries.insert(key.into(), value)
    }

    /// The string under a key.
    ///
    /// # Errors
    ///
    /// If the value is no string.
    pub fn str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The flag under a key.
    ///
    /// # Errors
    ///
    /// If the value is no bool.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a bool", |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    }

    /// The non-negative integer under a key, of whatever width.
    ///
    /// # Errors
    ///
    /// If the value is no integer or does not fit.
    pub fn usize(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a non-negative integer", |value| {
            usize::try_from(value.integer()?).ok()
        })
    }

    /// The 32-bit unsigned integer under a key, of whatever width: token ids.
    ///
    /// # Errors
    ///
    /// If the value is no integer or does not fit.
    pub fn u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "a 32-bit unsigned integer", |value| {
            u32::try_from(value.integer()?).ok()
        })
    }

    /// The number under a key, of whatever type.
    ///
    /// # Errors
    ///
    /// If the value is no number.
    pub fn f64(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::number)
    }

    /// The array of strings under a key.
    ///
    /// # Errors
    ///
    /// If the value is no such array.
    pub fn strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Array(Array::String(items)) => Some(items.as_slice()),
            _ => None,
        })
    }

    /// The array of integers under a key, of whatever width.
    ///
    /// # Errors
    ///
    /// If the value is no such array or an entry does not fit.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>> {
        self.typed(key, "an array of integers", |value| match value {
            Value::Array(array) => array.integers(),
            _ => None,
        })
    }

    /// The array of numbers under a key, of whatever type.
    ///
    /// # Errors
    ///
    /// If the value is no such array.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        self.typed(key, "an array of numbers", |value| match value {
            Value::Array(array) => array.numbers(),
            _ => None,
        })
    }

    /// What a getter found, or the error that the key is missing: `metadata.required(key, metadata.str(key))`.
    ///
    /// # Errors
    ///
    /// If the getter failed or found nothing.
    pub fn required<T>(&self, key: &str, found: Result<Option<T>>) -> Result<T> {
        found?.ok_or_else(|| Error::malformed(&self.path, format!("metadata lacks '{key}'")))
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.entries.get(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| {
            Error::malformed(
                &self.path,
                format!(
                    "metadata '{key}' should be {wanted}, is {}",
                    value.describe()
                ),
            )
        })
    }
}

impl Value {
    fn integer(&self) -> Option<i128> {
        Some(match self {
            Self::U8(x) => i128::from(*x),
            Self::I8(x) => i128::from(*x),
            Self::U16(x) => i128::from(*x),
            Self::I16(x) => i128::from(*x),
            Self::U32(x) => i128::from(*x),
            Self::I32(x) => i128::from(*x),
            Self::U64(x) => i128::from(*x),
            Self::I64(x) => i128::from(*x),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::String(_) | Self::Array(_) => {
                return None;
            }
        })
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::F32(x) => Some(f64::from(*x)),
            Self::F64(x) => Some(*x),
            _ => self.integer().map(|x| x as f64),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::String(text) => {
                format!("the string '{}'", text.chars().take(40).collect::<String>())
            }
            Self::Array(array) => format!("an array of {}", array.len()),
            Self::Bool(flag) => flag.to_string(),
            _ => self.number().map_or_else(String::new, |x| x.to_string()),
        }
    }
}

impl Array {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(items) => items.len(),
            Self::I8(items) => items.len(),
            Self::U16(items) => items.len(),
            Self::I16(items) => items.len(),
            Self::U32(items) => items.len(),
            Self::I32(items) => items.len(),
            Self::F32(items) => items.len(),
            Self::Bool(items) => items.len(),
            Self::String(items) => items.len(),
            Self::U64(items) => items.len(),
            Self::I64(items) => items.len(),
            Self::F64(items) => items.len(),
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn integers(&self) -> Option<Vec<i64>> {
        match self {
            Self::U8(items) => Some(items.iter().map(|&x| x.into()).collect()),
            Self::I8(items) => Some(items.iter().map(|&x| x.into()).collect()),
            Self::U16(items) => Some(items.iter().map(|&x| x.into()).collect()),
            Self::I16(items) => Some(items.iter().map(|&x| x.into()).collect()),
            Self::U32(items) => Some(items.iter().map(|&x| x.into()).collect()),
            Self::I32(items) => Some(items.iter().map(|&x| x.into()).collect()),
            Self::U64(items) => items.iter().map(|&x| x.try_into().ok()).collect(),
            Self::I64(items) => Some(items.clone()),
            Self::F32(_) | Self::Bool(_) | Self::String(_) | Self::F64(_) => None,
        }
    }

    fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::F32(items) => Some(items.iter().map(|&x| x.into()).collect()),
            Self::F64(items) => Some(items.clone()),
            Self::U64(items) => Some(items.iter().map(|&x| x as f64).collect()),
            _ => self
                .integers()
                .map(|items| items.iter().map(|&x| x as f64).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Metadata {
        let mut metadata = Metadata::new(Path::new("x.gguf"));
        metadata.insert("name", Value::String("tiny".into()));
        metadata.insert("layers", Value::U32(3));
        metadata.insert("negative", Value::I8(-1));
        metadata.insert("theta", Value::F32(0.5));
        metadata.insert("types", Value::Array(Array::I32(vec![1, -3])));
        metadata
    }

    #[test]
    fn getters_tell_absent_from_wrong() {
        let metadata = sample();
        assert_eq!(metadata.str("name").unwrap(), Some("tiny"));
        assert_eq!(metadata.str("nothing").unwrap(), None);
        let message = metadata.str("layers").unwrap_err().to_string();
        assert_eq!(
            message,
            "x.gguf: metadata 'layers' should be a string, is 3"
        );
        assert!(
            metadata
                .required("k", metadata.u32("k"))
                .unwrap_err()
                .to_string()
                .contains("lacks 'k'")
        );
    }

    #[test]
    fn integers_of_any_width_are_read_and_checked() {
        let metadata = sample();
        assert_eq!(metadata.usize("layers").unwrap(), Some(3));
        assert!(metadata.u32("negative").is_err());
        assert!(metadata.usize("theta").is_err());
        assert_eq!(metadata.integers("types").unwrap().unwrap(), [1, -3]);
    }

    #[test]
    fn every_number_reads_as_f64() {
        let metadata = sample();
        assert_eq!(metadata.f64("theta").unwrap(), Some(0.5));
        assert_eq!(metadata.f64("layers").unwrap(), Some(3.0));
        assert_eq!(metadata.numbers("types").unwrap().unwrap(), [1.0, -3.0]);
    }
}
