//! The result of `kld score`: a model against the text itself.

use serde::{Deserialize, Serialize};

use super::{ProtocolRecord, RunRecord};
use crate::{
    ModelCard,
    estimate::{ClusterUnit, Estimate},
};

/// Everything that one `kld score` found; schema `kld.score/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// `kld.score/1`.
    pub schema: String,
    /// The model.
    pub model: ModelCard,
    /// How the text was cut and scored.
    pub protocol: ProtocolRecord,
    /// Scored positions that entered the means.
    pub positions: u64,
    /// Scored positions left out because they were not finite.
    pub not_finite: u64,
    /// What the standard errors are clustered by.
    pub errors_clustered_by: ClusterUnit,
    /// Number of clusters with scored positions.
    pub clusters: usize,
    /// As many clusters of equal size say as much: (Σ n)² / Σ n².
    pub effective_clusters: f64,
    /// Bytes of text that the scored tokens stand for; special tokens stand for none.
    pub bytes: u64,
    /// Mean negative log-likelihood of the text's tokens, in nats per token.
    pub cross_entropy: Estimate,
    /// exp(cross-entropy).
    pub perplexity: Estimate,
    /// Σ nll / (bytes · ln 2) over tokens that are text: nearly independent of the tokenizer.
    pub bits_per_byte: Estimate,
    /// Mean entropy of the predicted distributions, in nats.
    pub entropy: Estimate,
    /// Share of positions where the most likely token came.
    pub top1_hit_rate: Estimate,
    /// The text's token frequencies against what the model expected.
    pub frequency: FrequencyKl,
    /// Confidence against hit rate.
    pub calibration: Calibration,
    /// Mean probability on columns of the head that are no tokens, cut off before scoring.
    pub padding_mass: f64,
    /// By fragment, largest cross-entropy first.
    pub fragments: Vec<FragmentScore>,
    /// What the user should know before trusting the numbers.
    pub warnings: Vec<String>,
    /// How the run went.
    pub run: RunRecord,
}

impl Score {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.score/1";
}

/// P: how often each token stands at the scored positions. Q: the mean of the distributions predicted there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrequencyKl {
    /// D(P‖Q) in nats.
    #[serde(with = "crate::number")]
    pub kl: f64,
    /// D(Q‖P): +∞ as soon as the model can expect a token that the text does not have, which is nearly always.
    #[serde(with = "crate::number")]
    pub reverse_kl: f64,
    /// Jensen–Shannon divergence.
    pub js: f64,
    /// Mean D(P̂‖Q) of samples of the same size drawn from Q itself: what `kl` would be if the text agreed with the model.
    #[serde(with = "crate::number")]
    pub sampling_floor: f64,
    /// How sure this is; not where there is one window alone, nor for a single fragment of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<FrequencyErrors>,
    /// Tokens that the text has more often than the model expected, largest contribution first.
    pub under_predicted: Vec<TokenShare>,
    /// Tokens that the text has less often than the model expected, largest contribution first.
    pub over_predicted: Vec<TokenShare>,
}

/// How sure a [`FrequencyKl`] is: by the delete-a-group jackknife over at most 20 groups of fragments, or of windows of the only fragment.
///
/// `kl` and `js` are those of the sample, so their intervals tell what another such text of this length would show; `excess` is the one
/// to compare with 0, or with that of a text of another length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrequencyErrors {
    /// What the groups are made of.
    pub clustered_by: ClusterUnit,
    /// Number of groups, each left out once.
    pub groups: usize,
    /// D(P‖Q) in nats.
    pub kl: Estimate,
    /// Jensen–Shannon divergence.
    pub js: Estimate,
    /// `kl` less `sampling_floor`.
    pub excess: Estimate,
}

/// A token's share of the text and of the expectation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenShare {
    /// The token's number.
    pub token: u32,
    /// The token as readable text.
    pub text: String,
    /// How often it stands in the scored text.
    pub count: u64,
    /// How often the model expected it: Q · positions.
    pub expected: f64,
    /// Its part of the divergence, p·ln(p/q) − p + q ≥ 0, in nats; these parts add up to D(P‖Q).
    #[serde(with = "crate::number")]
    pub contribution: f64,
    /// The same with its error, where the [`FrequencyKl`] has errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

/// How far the model's confidence can be believed: confidence is the probability of its most likely token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Expected calibration error: Σ (share of positions) · |hit rate − mean confidence| over the bins.
    pub expected_calibration_error: f64,
    /// Mean confidence − hit rate over all positions: above zero is over-confident.
    pub overconfidence: Estimate,
    /// Ten bins of equal width; empty ones are left out.
    pub bins: Vec<CalibrationBin>,
}

/// Positions whose confidence lies in one bin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Number of positions.
    pub positions: u64,
    /// Mean confidence.
    pub confidence: f64,
    /// Share of positions where the most likely token came.
    pub hit_rate: f64,
}

/// One fragment of the text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FragmentScore {
    /// Its number in the order of the text, from 0.
    pub index: u32,
    /// Its name: file, or file and record.
    pub name: String,
    /// Scored positions that entered the means.
    pub positions: u64,
    /// Scored positions left out because they were not finite.
    pub not_finite: u64,
    /// Bytes of text that the scored tokens stand for; special tokens stand for none.
    pub bytes: u64,
    /// Mean negative log-likelihood per token, in nats; the error is clustered by the fragment's windows.
    pub cross_entropy: Estimate,
    /// exp(cross-entropy).
    pub perplexity: Estimate,
    /// Σ nll / (bytes · ln 2).
    pub bits_per_byte: Estimate,
    /// The fragment's token frequencies against what the model expected over it.
    pub frequency: FrequencyKl,
}
