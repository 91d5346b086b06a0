//! Where templates expect Python: how values print, `tojson`, `raise_exception`.
//!
//! The engine's own printing of a list is neither Python's nor does it pay fuel before the list is printed; lists can be short to
//! write and endless to print, so both walks here pay as they go and stop at [`MAX_DEPTH`].

use std::fmt::Write as _;

use minijinja::{
    Error, ErrorKind, Output, State, escape_formatter,
    value::{Kwargs, Value, ValueKind},
};

/// Values nested deeper than this are not written; a value that contains itself is infinitely deep.
const MAX_DEPTH: usize = 100;

/// Prints a value into the text as Python's `str` does: `True`, `None`, `['a', 1]`.
pub(super) fn print(output: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Bool
        | ValueKind::None
        | ValueKind::Map
        | ValueKind::Seq
        | ValueKind::Iterable => {
            let mut writer = Writer {
                state,
                spelling: Spelling::Python,
                indent: None,
                text: String::new(),
            };
            writer.value(value, 0)?;
            Ok(output.write_str(&writer.text)?)
        }
        _ => escape_formatter(output, state, value),
    }
}

/// The function by which a template refuses messages.
pub(super) fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

/// `json.dumps` with the spacing of Python and without escapes for HTML; `indent` as there.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands filters their options by value"
)]
pub(super) fn to_json(state: &State, value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let _: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let indent = indent.map(|width| width.min(16));
    let mut writer = Writer {
        state,
        spelling: Spelling::Json,
        indent,
        text: String::new(),
    };
    writer.value(value, 0)?;
    Ok(writer.text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Json,
    Python,
}

/// Writes a value with all that is in it.
struct Writer<'a, 'template, 'environment> {
    state: &'a State<'template, 'environment>,
    spelling: Spelling,
    indent: Option<usize>,
    text: String,
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            let reason = format!("values nested more than {MAX_DEPTH} deep are not written");
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        self.state.consume_fuel(1)?;
        let json = self.spelling == Spelling::Json;
        match value.kind() {
            ValueKind::Undefined if json => {
                return Err(Error::new(
                    ErrorKind::UndefinedError,
                    "tojson of an undefined value",
                ));
            }
            ValueKind::Undefined => {}
            ValueKind::None => self.text.push_str(if json { "null" } else { "None" }),
            ValueKind::Bool => self.text.push_str(match (json, value.is_true()) {
                (true, true) => "true",
                (true, false) => "false",
                (false, true) => "True",
                (false, false) => "False",
            }),
            ValueKind::Map => {
                let entries = value
                    .try_iter()?
                    .map(|key| value.get_item(&key).map(|item| (Some(key), item)));
                self.entries(entries, ('{', '}'), depth)?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                self.entries(
                    value.try_iter()?.map(|item| Ok((None, item))),
                    ('[', ']'),
                    depth,
                )?;
            }
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            // Numbers are spelt alike by all three.
            _ => self.text.push_str(&value.to_string()),
        }
        Ok(())
    }

    fn entries(
        &mut self,
        entries: impl Iterator<Item = Result<(Option<Value>, Value), Error>>,
        brackets: (char, char),
        depth: usize,
    ) -> Result<(), Error> {
        self.text.push(brackets.0);
        let mut first = true;
        for entry in entries {
            let (key, item) = entry?;
            if !first {
                self.text
                    .push_str(if self.indent.is_some() { "," } else { ", " });
            }
            first = false;
            self.new_line(depth + 1);
            match key {
                // Keys of JSON are strings, whatever they were.
                Some(key) if self.spelling == Spelling::Json => self.string(&key.to_string())?,
                Some(key) => self.value(&key, depth + 1)?,
                None => {
                    self.value(&item, depth + 1)?;
                    continue;
                }
            }
            self.text.push_str(": ");
            self.value(&item, depth + 1)?;
        }
        if !first {
            self.new_line(depth);
        }
        self.text.push(brackets.1);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(width) = self.indent {
            self.text.push('\n');
            self.text.push_str(&" ".repeat(width * depth));
        }
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.state
            .consume_fuel(u64::try_from(text.len() / 64).unwrap_or(u64::MAX))?;
        match self.spelling {
            Spelling::Python => python_string(text, &mut self.text),
            Spelling::Json => {
                let quoted = serde_json::to_string(text);
                self.text.push_str(
                    &quoted.map_err(|error| {
                        Error::new(ErrorKind::BadSerialization, error.to_string())
                    })?,
                );
            }
        }
        Ok(())
    }
}

/// A string as Python's `repr` writes it: in single quotes, unless it has only those.
fn python_string(text: &str, output: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    output.push(quote);
    for character in text.chars() {
        match character {
            '\n' => output.push_str("\\n"),
            '\r' => output.push_str("\\r"),
            '\t' => output.push_str("\\t"),
            '\\' => output.push_str("\\\\"),
            _ if character == quote => output.extend(['\\', quote]),
            _ if character.is_control() => {
                let _ = write!(output, "\\x{:02x}", u32::from(character));
            }
            _ => output.push(character),
        }
    }
    output.push(quote);
}
