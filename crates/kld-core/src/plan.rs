//! What is compared with what, on which windows: all that a result needs beside the rows themselves.
//!
//! A plan and the rows of its windows make the [`Comparison`](crate::result::Comparison); so a result can be made where the
//! rows were measured, on another machine, or years later from a run folder, with the same bits.

use serde::{Deserialize, Serialize};

use crate::{ModelCard, result::ProtocolRecord, transcript::Transcript};

/// The plan of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The reference P.
    pub reference: ModelCard,
    /// The candidates Q, in the order given.
    pub candidates: Vec<ModelCard>,
    /// How the text is cut and scored.
    pub protocol: ProtocolRecord,
    /// The text, window by window.
    pub transcript: Transcript,
    /// The windows in the order in which they are visited; each number once.
    pub order: Vec<u32>,
    /// What the user should know of how the text was prepared.
    pub warnings: Vec<String>,
}
