//! JSON inputs: an array of numbers, or an object of name → number.
//!
//! JSON has no infinity, so `"inf"` and `"-inf"` stand for it, as in what `kld` writes. A name that stands twice is an error: JSON
//! libraries silently keep the last, and mass would be lost.

use std::fmt;

use anyhow::{Context as _, Result};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::table::{Precision, Table};

/// Reads a whole document.
///
/// # Errors
///
/// If it is not JSON, is something else than an array of numbers or an object of numbers, or names something twice.
pub(crate) fn read(bytes: &[u8]) -> Result<Table> {
    match serde_json::from_slice(bytes).context("not the JSON that was expected")? {
        Document::Array(numbers) => Ok(Table::unnamed(numbers, Precision::Double)),
        Document::Object(entries) => Table::named(entries),
    }
}

enum Document {
    Array(Vec<f64>),
    Object(Vec<(String, f64)>),
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers or an object of name to number")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Document, A::Error> {
        let mut numbers = Vec::new();
        while let Some(Written(number)) = array.next_element()? {
            numbers.push(number);
        }
        Ok(Document::Array(numbers))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Document, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, Written(number))) = object.next_entry()? {
            entries.push((name, number));
        }
        Ok(Document::Object(entries))
    }
}

/// A number, or a name of infinity.
struct Written(f64);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl Visitor<'_> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"inf\" or \"-inf\"")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Written, E> {
        Ok(Written(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Written, E> {
        Ok(Written(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Written, E> {
        Ok(Written(number as f64))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Written, E> {
        match name {
            "inf" => Ok(Written(f64::INFINITY)),
            "-inf" => Ok(Written(f64::NEG_INFINITY)),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        format!("{:#}", read(text.as_bytes()).map(|_| ()).unwrap_err())
    }

    #[test]
    fn arrays_and_objects_are_read_to_the_last_digit() {
        let array = read(b"[0.1, 2, -3, \"-inf\", 0.30000000000000004]").unwrap();
        assert_eq!(
            array.numbers,
            [0.1, 2.0, -3.0, f64::NEG_INFINITY, 0.1 + 0.2]
        );
        let object = read(br#"{"b": 0.25, "a": 0.75}"#).unwrap();
        assert_eq!(
            (object.names.unwrap(), object.numbers),
            (vec!["b".into(), "a".into()], vec![0.25, 0.75])
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(
            refused(r#"{"a": 0.5, "b": 0.1, "a": 0.4}"#)
                .contains("`a` stands twice, at [0] and [2]")
        );
        assert!(refused("[0.5, [0.5]]").contains("expected a number"));
        assert!(refused(r#"{"probs": [0.5, 0.5]}"#).contains("expected a number"));
        assert!(refused("[0.5, null]").contains("expected a number"));
        assert!(refused("[NaN]").contains("line 1"));
        assert!(refused("[0.5, 0.5").contains("EOF"));
        assert!(refused("[0.5] [0.5]").contains("trailing"));
        assert!(refused("7").contains("expected an array of numbers or an object"));
        assert!(refused("[1e999]").contains("out of range"));
        assert!(!refused(&"[".repeat(100_000)).is_empty());
    }
}
