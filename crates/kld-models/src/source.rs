//! The seam between evaluation and whatever engine computes logits.

use std::ops::Range;

use kld_core::{ModelCard, result::ProtocolRecord};
use serde::{Deserialize, Serialize};

use crate::{Result, Tokenizer, gguf::BlockType};

/// Somebody who gives the logits of a causal language model for every position of a window.
///
/// Windows are dealt to threads, so one source is used from several threads at once; an implementation
/// computes one window with one thread.
pub trait LogitSource: Send + Sync + std::fmt::Debug {
    /// Who this is and how it computes; stands in every result.
    fn card(&self) -> &ModelCard;

    /// The tokenizer that belongs to the model.
    fn tokenizer(&self) -> &Tokenizer;

    /// Columns of a row of logits, padding included.
    fn vocabulary(&self) -> usize {
        self.card().vocabulary
    }

    /// Runs the model over one window, starting from an empty context.
    ///
    /// # Errors
    ///
    /// If a token is outside the vocabulary, the window is empty or longer than the model's context, or the engine fails.
    fn forward(&self, tokens: &[u32]) -> Result<Box<dyn WindowLogits + '_>>;

    /// What makes logits of hidden states; `None` for a source that gives logits only.
    fn head(&self) -> Option<OutputHead<'_>> {
        None
    }

    /// The only windows that this source can give, where it replays; `None` for a model, which takes any.
    fn script(&self) -> Option<&Script> {
        None
    }
}

/// What a forward pass left behind: rows of logits, made when they are asked for.
pub trait WindowLogits {
    /// Number of positions, i.e. of tokens in the window.
    fn positions(&self) -> usize;

    /// Writes the logits of `positions` into `out`, row after row; `out` is cleared first and ends with
    /// `positions.len() * vocabulary` entries. Row *i* is about the token at *i* + 1.
    ///
    /// # Errors
    ///
    /// If the engine fails, or a recording does not have the rows.
    ///
    /// # Panics
    ///
    /// If `positions` reaches beyond [`positions`](Self::positions).
    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()>;

    /// What is known of the row at `position` where only the most likely tokens were kept, and [`rows`](Self::rows) makes up the rest;
    /// `None` where rows are whole.
    fn kept(&self, _position: usize) -> Option<KeptRow<'_>> {
        None
    }

    /// The final hidden states of `positions`, row after row: what the output head takes. `None` where the engine, or a
    /// recording, has logits only.
    ///
    /// # Panics
    ///
    /// If `positions` reaches beyond [`positions`](Self::positions).
    fn hidden(&self, _positions: Range<usize>) -> Option<&[f32]> {
        None
    }
}

/// The most likely tokens of a row, and how much all others have together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeptRow<'a> {
    /// Columns, lowest first.
    pub ids: &'a [u32],
    /// Their natural log-probs.
    pub log_probs: &'a [f32],
    /// ln of the probability that all other columns share; −∞ if that is none.
    pub log_tail: f64,
}

/// The output head as its file stores it: a row of `width` values for every column of the logits.
#[derive(Clone, Debug)]
pub struct OutputHead<'a> {
    /// The model file, or its folder.
    pub path: &'a std::path::Path,
    /// How the values are stored.
    pub dtype: BlockType,
    /// Columns of the logits.
    pub columns: usize,
    /// Values of a hidden state.
    pub width: usize,
    /// The rows.
    pub bytes: &'a [u8],
    /// What is done to its product with a hidden state.
    pub transform: HeadTransform,
}

/// What becomes of the products of hidden states with the output head before they are logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadTransform {
    /// They are multiplied by it.
    pub scale: f32,
    /// Then x becomes c · tanh(x / c), which keeps logits between −c and c.
    pub soft_cap: Option<f32>,
}

impl Default for HeadTransform {
    /// Nothing is done.
    fn default() -> Self {
        Self {
            scale: 1.0,
            soft_cap: None,
        }
    }
}

impl HeadTransform {
    /// Makes logits of products.
    pub fn apply(self, logits: &mut [f32]) {
        if self.scale != 1.0 {
            for x in logits.iter_mut() {
                *x *= self.scale;
            }
        }
        if let Some(cap) = self.soft_cap {
            for x in logits.iter_mut() {
                *x = cap * (*x / cap).tanh();
            }
        }
    }
}

/// What a replaying source is bound to: a text, how it was cut, and which of its windows it can give.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// How the text was cut.
    pub protocol: ProtocolRecord,
    /// The fragments as they were tokenized; empty where the source knows tokens only.
    pub texts: Vec<ScriptText>,
    /// All windows of the protocol.
    pub windows: Vec<Window>,
    /// So many of them, from the first, can be given; fewer than all where a recording was not finished.
    pub recorded: usize,
}

/// A fragment's text, rendered where it was a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptText {
    /// The fragment's name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Whether names of special tokens in it stand for the tokens.
    pub marked_up: bool,
}

/// What a model is fed at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The fragment it is cut from.
    pub fragment: u32,
    /// The tokens as fed.
    pub input: Vec<u32>,
    /// The first token as the text has it, where the protocol replaced it by BOS in `input`.
    pub replaced: Option<u32>,
    /// The rows that are scored; row *i* predicts token *i* + 1.
    pub scored: Range<usize>,
}

impl Window {
    /// The token that row `row` should predict.
    #[must_use]
    pub fn observed(&self, row: usize) -> u32 {
        self.input[row + 1]
    }
}
