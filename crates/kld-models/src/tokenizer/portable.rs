//! A tokenizer apart from the model it came with: the engine as `tokenizer.json` and what that file does not say.

use serde::{Deserialize, Serialize};

use super::{Parts, Tokenizer, checked, engine_error};
use crate::Result;

/// What `tokenizer.json` leaves out of a [`Tokenizer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beside {
    origin: String,
    kind: String,
    bos: Option<String>,
    eos: Option<String>,
    chat_template: Option<String>,
    /// Number of ids up to the last token that is not padding.
    tokens: u32,
}

impl Tokenizer {
    /// The text of a `tokenizer.json`, and the rest.
    pub(crate) fn to_portable(&self) -> Result<(String, Beside)> {
        let json = self.engine.to_string(false);
        let json = json.map_err(|e| engine_error(&self.origin, "saving", &e.to_string()))?;
        let name = |id: Option<u32>| id.and_then(|id| self.token(id)).map(str::to_owned);
        let style = format!(", {}", self.style.name());
        let beside = Beside {
            origin: self.origin.clone(),
            kind: self
                .kind
                .strip_suffix(&style)
                .unwrap_or(&self.kind)
                .to_owned(),
            bos: name(self.bos),
            eos: name(self.eos),
            chat_template: self.chat_template.clone(),
            tokens: self.tokens.len() as u32,
        };
        Ok((json, beside))
    }

    /// Reads what [`to_portable`](Self::to_portable) gave, with the suspicion that any `tokenizer.json` meets.
    pub(crate) fn from_portable(json: &str, beside: Beside) -> Result<Self> {
        let (engine, _) = checked::engine(json, &beside.origin)?;
        Self::from_parts(Parts {
            engine,
            origin: beside.origin,
            kind: beside.kind,
            bos: beside.bos,
            eos: beside.eos,
            chat_template: beside.chat_template,
            padding_from: Some(beside.tokens),
        })
    }
}
