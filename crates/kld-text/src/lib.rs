//! Bodies of text without a model: how far one is from another and where, how varied and how good a generated one is, and
//! what somebody will write next given what they wrote before.

mod error;
pub mod quality;

pub use error::{Error, Result};
