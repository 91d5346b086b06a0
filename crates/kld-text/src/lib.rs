//! Bodies of text without a model: how far one is from another and where, how varied and how good a generated one is, and
//! what somebody will write next given what they wrote before.
//!
//! The flow: sources → documents ([`read`]) → units such as words ([`segment`]) → counts → a comparison, whose result is plain
//! data in `kld-core`.

pub mod compare;
pub mod count;
mod error;
pub mod pairs;
pub mod quality;
pub mod read;
pub mod segment;

pub use error::{Error, Result};
