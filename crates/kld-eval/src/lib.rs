//! Evaluation: text → fragments → windows → paired rows → summaries.
//!
//! [`compare`](compare::compare) measures candidates against a reference, [`score`](score::score) a model against the text
//! itself; [`explain`](explain::explain) finds the matrices that make the difference. The first two take anything that is a [`LogitSource`](kld_models::LogitSource).

pub mod compare;
pub mod conclude;
pub mod deal;
mod error;
pub mod explain;
pub mod features;
pub mod frequency;
pub mod prepare;
pub mod record;
pub mod run;
pub mod score;
pub mod text;
mod warning;
pub mod window;

pub use compare::Work;
pub use error::{Error, Result};
pub use run::Run;
pub use text::{Content, Fragment, read_fragments};
pub use window::{Cut, Protocol, Scored};
