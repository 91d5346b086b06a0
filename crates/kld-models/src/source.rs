//! The seam between evaluation and whatever engine computes logits.

use std::ops::Range;

use kld_core::ModelCard;

use crate::{Result, Tokenizer};

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
    /// If the engine fails.
    ///
    /// # Panics
    ///
    /// If `positions` reaches beyond [`positions`](Self::positions).
    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()>;
}
