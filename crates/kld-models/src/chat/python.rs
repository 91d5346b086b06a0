//! Where templates expect Python: how values print, `tojson`, `raise_exception`.

use minijinja::{
    Error, ErrorKind, Output, State, escape_formatter,
    value::{Kwargs, Value, ValueKind},
};

/// Prints a value into the text; `True`, `False` and `None` as Python spells them.
pub(super) fn print(output: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Bool => Ok(output.write_str(if value.is_true() { "True" } else { "False" })?),
        ValueKind::None => Ok(output.write_str("None")?),
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
    let mut writer = Json {
        state,
        indent: indent.map(|width| width.min(16)),
        text: String::new(),
    };
    writer.value(value, 0)?;
    Ok(writer.text)
}

struct Json<'a, 'template, 'environment> {
    state: &'a State<'template, 'environment>,
    indent: Option<usize>,
    text: String,
}

impl Json<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > 100 {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "tojson: nested more than 100 deep",
            ));
        }
        self.state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::Undefined => {
                return Err(Error::new(
                    ErrorKind::UndefinedError,
                    "tojson of an undefined value",
                ));
            }
            ValueKind::None => self.text.push_str("null"),
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
            // Numbers and truth values are spelt alike by JSON and by the engine.
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
            if let Some(key) = key {
                self.string(&key.to_string())?;
                self.text.push_str(": ");
            }
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
        let quoted = serde_json::to_string(text)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
        self.text.push_str(&quoted);
        Ok(())
    }
}
