//! The words of `kld`: rows of per-token quantities, distributions, divergences, estimators, mergeable
//! statistics, and results as plain data.
//!
//! This crate does no I/O, knows no tensors and no files, and cannot fail once its values are built.
//! The flow through it: a `TokenRow` per scored position → a summary that merges →
//! a result, which `kld-report` renders and never recomputes.

mod as_text;
pub mod card;
pub mod count;
pub mod detailed;
pub mod digits;
pub mod dist;
pub mod distribution;
mod error;
pub mod estimate;
pub mod excerpt;
pub mod gate;
pub mod histogram;
pub mod number;
pub mod observer;
pub mod pick;
pub mod plan;
pub mod quantile;
pub mod ranking;
pub mod result;
pub mod row;
pub mod sequential;
pub mod series;
pub mod smoothing;
pub mod sum;
pub mod summary;
pub mod transcript;

pub use card::{Fallback, LogProbFloor, ModelCard, Quantized, Recorded, RecordingLoss};
pub use detailed::Detailed;
pub use error::{Error, Result};
pub use observer::Observer;
pub use plan::Plan;
pub use row::{Place, RowOutcome, TokenRow, WindowRows};
pub use summary::Summary;
pub use transcript::Transcript;
