//! Who gives logits: native models on candle, recordings of them, their tokenizers, and where models are found.
//!
//! The seam is [`LogitSource`]: *give me a window of tokens, I give you logits for every position.*

pub mod chat;
mod error;
pub mod gguf;
pub mod hub;
pub mod llama_cpp;
pub mod native;
pub mod recording;
pub mod source;
pub mod tensor_file;
pub mod tokenizer;

pub use error::{Error, Result};
pub use recording::Recording;
pub use source::{LogitSource, Script, ScriptText, Window, WindowLogits};
pub use tokenizer::Tokenizer;
