//! A text that a learning model goes on with, token by token, from its weights as they are.
//!
//! ```
//! use kld_models::{Tokenizer, native::DifferentiableModel};
//!
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/models/llama").as_ref();
//! let model = DifferentiableModel::open(folder, Tokenizer::from_folder(folder)?)?;
//! let mut text = model.continuation();
//! let logits = text.feed(&[1, 2, 3])?; // about the fourth token
//! assert_eq!(logits.len(), 96);
//! # Ok::<(), kld_models::Error>(())
//! ```

use super::tape::continuation::Past;
use super::{DifferentiableModel, check_window};
use crate::{Error, LogitSource, Result};

/// See the module's documentation.
#[derive(Debug)]
pub struct Continuation<'a> {
    model: &'a DifferentiableModel,
    past: Past,
    logits: Vec<f32>,
}

impl DifferentiableModel {
    /// The beginning of a text.
    #[must_use]
    pub fn continuation(&self) -> Continuation<'_> {
        Continuation {
            model: self,
            past: Past::default(),
            logits: Vec::new(),
        }
    }
}

impl Continuation<'_> {
    /// Goes on with some tokens; gives the logits of the one after them.
    ///
    /// # Errors
    ///
    /// If a token is outside the vocabulary, there is none, or the text gets longer than the model's context.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<&[f32]> {
        let card = self.model.card();
        check_window(tokens, card)?;
        let length = self.past.positions() + tokens.len();
        if length > card.context_length {
            let (name, limit) = (&card.name, card.context_length);
            let what = format!("the text has {length} tokens, {name} was made for {limit} at most");
            return Err(Error::Window { what });
        }
        self.model
            .after(&mut self.past, tokens)?
            .rows(tokens.len() - 1..tokens.len(), &mut self.logits);
        Ok(&self.logits)
    }
}
