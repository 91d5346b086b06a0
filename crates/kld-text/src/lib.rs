//! Bodies of text without a model: how far one is from another and where, how varied and how good a generated one is, and
//! what somebody will write next given what they wrote before.
//!
//! The flow: sources → documents ([`read`]) → units such as words ([`segment`]) → counts → a comparison, whose result is plain
//! data in `kld-core`.

pub mod compare;
pub mod count;
mod error;
pub mod fragments;
pub mod pairs;
pub mod quality;
pub mod read;
pub mod sample;
pub mod segment;
pub mod suggest;

pub use error::{Error, Result};
