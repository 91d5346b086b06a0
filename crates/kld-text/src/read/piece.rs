//! A piece of a document: raw bytes, cheap to hand to another thread, and what they say.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use super::{Document, ReadOptions};
use crate::{Error, Result};

/// A part of a document, or the whole of it, as it stands in the file.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The number of the document in the body, from 0.
    pub document: u64,
    /// The number of the piece in its document, from 0.
    pub number: u64,
    /// Where it stands.
    pub origin: Origin,
    pub(super) content: Content,
}

/// Where a piece stands.
#[derive(Clone, Debug)]
pub struct Origin {
    file: Arc<str>,
    line: Option<u64>,
    /// The byte of the document with which the piece begins; 0 in the first piece.
    pub offset: u64,
    /// Is it the last piece of its document?
    pub last: bool,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Text.
    Text(Vec<u8>),
    /// A record in JSON.
    Record(Vec<u8>),
    /// Text from a column, with the value of the field kept beside it.
    Value { text: Vec<u8>, by: Option<String> },
}

impl Origin {
    pub(super) fn new(file: &Arc<str>, line: Option<u64>, offset: u64, last: bool) -> Self {
        Self {
            file: Arc::clone(file),
            line,
            offset,
            last,
        }
    }

    /// The name of the document: the file, or file and line.
    #[must_use]
    pub fn name(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file),
            None => self.file.to_string(),
        }
    }
}

impl Content {
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Record(bytes) => bytes.len(),
            Self::Value { text, .. } => text.len(),
        }
    }
}

impl Piece {
    /// Number of bytes, as they stand in the file.
    #[must_use]
    pub fn size(&self) -> usize {
        self.content.size()
    }

    /// The piece as text.
    ///
    /// # Errors
    ///
    /// If it is not UTF-8 (unless replacements were asked for), holds a zero byte, or is a record without text.
    pub fn read(self, options: &ReadOptions) -> Result<Document> {
        let Self {
            origin, content, ..
        } = self;
        match content {
            Content::Text(bytes) => {
                let (text, replaced) = utf8(bytes, &origin, options)?;
                let text = if origin.offset == 0 {
                    without_mark(text)
                } else {
                    text
                };
                Ok(Document {
                    name: origin.name(),
                    text,
                    by: None,
                    replaced,
                })
            }
            Content::Value { text, by } => {
                let (text, replaced) = utf8(text, &origin, options)?;
                Ok(Document {
                    name: origin.name(),
                    text,
                    by,
                    replaced,
                })
            }
            Content::Record(bytes) => {
                let (json, replaced) = utf8(bytes, &origin, options)?;
                let (text, by) = record(&json, options).map_err(|problem| Error::BadRecord {
                    name: origin.name(),
                    problem,
                })?;
                Ok(Document {
                    name: origin.name(),
                    text,
                    by,
                    replaced,
                })
            }
        }
    }
}

/// Bytes as text, and how many things were replaced.
fn utf8(bytes: Vec<u8>, origin: &Origin, options: &ReadOptions) -> Result<(String, u64)> {
    if bytes.contains(&0)
        && let Some(at) = bytes.iter().position(|byte| *byte == 0)
    {
        return Err(Error::Binary {
            name: origin.name(),
            offset: origin.offset + at as u64,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, 0)),
        Err(error) if options.lossy => {
            let invalid = error
                .as_bytes()
                .utf8_chunks()
                .filter(|chunk| !chunk.invalid().is_empty())
                .count();
            Ok((
                String::from_utf8_lossy(error.as_bytes()).into_owned(),
                invalid as u64,
            ))
        }
        Err(error) => Err(Error::NotUtf8 {
            name: origin.name(),
            offset: origin.offset + error.utf8_error().valid_up_to() as u64,
        }),
    }
}

/// A text without the byte-order mark that some programs put before it.
fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text)
}

/// The text of a record, and the value of the field kept beside it.
fn record(json: &str, options: &ReadOptions) -> Result<(String, Option<String>), String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let fields = Wanted(options)
        .deserialize(&mut deserializer)
        .and_then(|fields| deserializer.end().map(|()| fields))
        .map_err(|error| format!("no record in JSON: {error}"))?;
    let text = match (fields.text, fields.messages) {
        (Some(Value::String(text)), _) => text,
        (Some(other), _) => {
            return Err(format!(
                "field {:?} is {}, expected text",
                options.field,
                kind(&other)
            ));
        }
        (None, Some(messages)) => messages
            .into_iter()
            .map(|message| message.content)
            .collect::<Vec<_>>()
            .join("\n"),
        (None, None) => {
            return Err(format!(
                "has neither {:?} nor \"messages\"; {}",
                options.field,
                others(&fields.others)
            ));
        }
    };
    match (&options.by, fields.by) {
        (Some(by), None) => Err(format!("has no field {by:?}; {}", others(&fields.others))),
        (_, by) => Ok((text, by)),
    }
}

/// What is read of a record; all else is passed over without being built.
#[derive(Default)]
struct Fields {
    text: Option<Value>,
    messages: Option<Vec<Message>>,
    by: Option<String>,
    others: Vec<String>,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

struct Wanted<'a>(&'a ReadOptions);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
        let mut fields = Fields::default();
        while let Some(Name(name)) = map.next_key()? {
            let is_by = self.0.by.as_deref() == Some(&name);
            if name == self.0.field {
                let value: Value = map.next_value()?;
                if is_by {
                    fields.by = Some(plain(&value));
                }
                fields.text = Some(value);
            } else if is_by {
                fields.by = Some(plain(&map.next_value()?));
            } else if name == "messages" {
                fields.messages = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                fields.others.push(name.into_owned());
            }
        }
        Ok(fields)
    }
}

/// A name that is borrowed from the record where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Text without its quotes, and everything else as JSON has it.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn others(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!(
        "its other fields are {} (choose one with --field)",
        names.join(", ")
    )
}
