//! The result of `kld text A --expected MODEL`: what a text does against what a language model expects.

use serde::{Deserialize, Serialize};

use super::{FrequencyKl, ProtocolRecord, RunRecord, Score};
use crate::ModelCard;

/// The name and version of the JSON form of [`TextExpectation`].
pub const TEXT_EXPECTED_SCHEMA: &str = "kld.text-expected/1";

/// A body of text against a model. P is how often each token stands in the text, Q how often the model expected it there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextExpectation {
    /// [`TEXT_EXPECTED_SCHEMA`].
    pub schema: String,
    /// How the user named the body.
    pub reference: String,
    /// The model.
    pub model: ModelCard,
    /// How the text was cut.
    pub protocol: ProtocolRecord,
    /// Tokens that were looked at.
    pub positions: u64,
    /// The whole body.
    pub frequency: FrequencyKl,
    /// Its documents, the largest excess of D(P‖Q) over its floor first.
    pub documents: Vec<ExpectedDocument>,
    /// What to know before believing it.
    pub warnings: Vec<String>,
    /// How it was run.
    pub run: RunRecord,
}

/// One document against what the model expected over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpectedDocument {
    /// Its name: file, or file and record.
    pub name: String,
    /// Tokens that were looked at.
    pub positions: u64,
    /// Its token frequencies against what the model expected.
    pub frequency: FrequencyKl,
}

impl TextExpectation {
    /// Takes from a score what is about frequencies.
    #[must_use]
    pub fn of_score(reference: &str, score: Score) -> Self {
        let mut documents: Vec<ExpectedDocument> = score
            .fragments
            .into_iter()
            .map(|fragment| ExpectedDocument {
                name: fragment.name,
                positions: fragment.positions,
                frequency: fragment.frequency,
            })
            .collect();
        documents.sort_by(|a, b| b.frequency.excess().total_cmp(&a.frequency.excess()));
        Self {
            schema: TEXT_EXPECTED_SCHEMA.to_owned(),
            reference: reference.to_owned(),
            model: score.model,
            protocol: score.protocol,
            positions: score.positions,
            frequency: score.frequency,
            documents,
            warnings: score.warnings,
            run: score.run,
        }
    }
}

impl FrequencyKl {
    /// D(P‖Q) less what samples of Q of the same size show: comparable among texts of different length.
    #[must_use]
    pub fn excess(&self) -> f64 {
        self.kl - self.sampling_floor
    }
}
