//! What somebody will write next, given what they wrote before.
//!
//! ```text
//! text    ─► words and marks ─► n-grams (Kneser–Ney) over spellings ─► base ──┐
//!   or a model of tokens ─► expansion into words ────────────────────► base ──┤
//! history ─► words and marks ─► counts that fade ─► cache, orders 1 to 3 ─────┴─► mixture ─► suggestions
//! ```
//!
//! The weights of the mixture minimise KL(history ‖ suggestions) on a held-back part of the history; how much that gains is measured
//! on its tail, which no weight has seen.

pub mod cache;
pub mod expand;
pub mod history;
pub mod mixture;
pub mod ngram;
pub mod privacy;
pub mod session;
pub mod spelling;
pub mod state;
pub mod vocabulary;
pub mod word_model;
pub mod words;

use crate::{Error, Result};

pub use expand::{Effort, Expanded, TokenModel, Words};
pub use history::History;
pub use session::{Context, Session, Suggestion};
pub use state::State;
pub use word_model::{Trainer, WordModel};
