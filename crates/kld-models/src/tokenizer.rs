//! Text to token ids and back.

/// The tokenizer of a model.
#[derive(Debug)]
pub struct Tokenizer {}
