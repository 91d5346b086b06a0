//! What is compared with what, on which windows: all that a result needs beside the rows themselves.
//!
//! A plan and the rows of its windows make the [`Comparison`](crate::result::Comparison); so a result can be made where the
//! rows were measured, on another machine, or years later from a run folder, with the same bits.

use serde::{Deserialize, Serialize};

use crate::{
    ModelCard, Summary, result::ProtocolRecord, sequential::StopRule, transcript::Transcript,
};

/// The plan of a comparison; or of a score, which has no candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The reference P; of a score, the model.
    pub reference: ModelCard,
    /// The candidates Q, in the order given; where there is a noise floor, what it is measured by comes last.
    pub candidates: Vec<ModelCard>,
    /// Whether the last of `candidates` is P itself, computed in another equally valid way.
    #[serde(default)]
    pub noise_floor: bool,
    /// How the text is cut and scored.
    pub protocol: ProtocolRecord,
    /// The text, window by window.
    pub transcript: Transcript,
    /// The windows in the order in which they are visited; each number once.
    pub order: Vec<u32>,
    /// Where to stop before the last window.
    #[serde(default)]
    pub stop: Option<StopRule>,
    /// What the user should know of how the text was prepared.
    pub warnings: Vec<String>,
}

impl Plan {
    /// May the run stop here? To be asked after each window *in the order of the plan*, with the summaries of exactly the windows up to it:
    /// then a run stops at the same window however it was threaded, dealt out or resumed.
    #[must_use]
    pub fn is_enough(&self, summaries: &[Summary]) -> bool {
        let (candidates, _) = self.without_floor(summaries);
        self.stop.is_some_and(|rule| rule.is_met_by(candidates))
    }

    /// Of what there is one of for each of `candidates`: those of the candidates proper, and that of the noise floor.
    #[must_use]
    pub fn without_floor<'a, T>(&self, of: &'a [T]) -> (&'a [T], Option<&'a T>) {
        match of.split_last() {
            Some((floor, candidates)) if self.noise_floor => (candidates, Some(floor)),
            _ => (of, None),
        }
    }
}
