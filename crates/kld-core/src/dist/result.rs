//! The result of `kld dist`: what was given, what was done with it, and every number, as it stands in JSON.

use serde::{Deserialize, Serialize, Serializer};

use super::{Contribution, Divergences, GeneralizedKl, OneSided};
use crate::{count::CountEstimates, number, smoothing::Smoothing};

/// The name and version of the JSON form of [`DistResult`]; documented in `docs/dist.md`.
pub const SCHEMA: &str = "kld.dist/1";

/// What `kld dist` found. All quantities of information are in nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DistResult {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// What was compared.
    pub kind: Kind,
    /// P.
    pub reference: Input,
    /// Q.
    pub candidate: Input,
    /// What was done to give mass to entries without; `None` unless the user asked.
    pub smoothing: Option<Smoothing>,
    /// The divergences, beside each other at the top level of the JSON.
    #[serde(flatten)]
    pub values: Values,
    /// The entries that carry most of D(P‖Q), largest first.
    pub contributions: Vec<Contribution>,
    /// The entries that make D(P‖Q) infinite.
    pub only_in_reference: OneSided,
    /// The entries that make D(Q‖P) infinite.
    pub only_in_candidate: OneSided,
    /// Estimates of the distributions behind two samples; `None` unless the inputs are samples.
    pub estimates: Option<CountEstimates>,
    /// What the user should know, in words.
    pub warnings: Vec<String>,
}

/// What two inputs are compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two distributions.
    Distributions,
    /// Two measures that need not sum to 1.
    Measures,
    /// Two samples; the divergences are those of their relative frequencies.
    Samples,
}

/// One side, as it was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// How the user named it.
    pub name: String,
    /// What its numbers were taken for.
    pub scale: Scale,
    /// Number of entries, those included that only the other side names.
    pub entries: usize,
    /// Entries with mass > 0.
    pub positive: usize,
    /// The sum of the numbers (of their exponentials for log-probs) before anything was done to them; `None` for logits.
    #[serde(with = "number::option")]
    pub sum: Option<f64>,
    /// Whether the user asked to divide by the sum, however far from 1.
    pub normalized: bool,
}

/// What numbers are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Probabilities.
    Probs,
    /// Natural logarithms of probabilities.
    LogProbs,
    /// Logits, to be put through softmax.
    Logits,
    /// Masses of whatever sum.
    Masses,
    /// Counts of a sample.
    Counts,
}

/// The divergences, of distributions or of measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// Every divergence.
    Distributions(Divergences),
    /// Only the generalized KL: the others are `null` in JSON, as they need distributions.
    #[serde(serialize_with = "with_nulls")]
    Measures(GeneralizedKl),
}

/// Writes the keys that [`Divergences`] has and measures lack, so that a reader finds `null` and not a gap.
fn with_nulls<S: Serializer>(values: &GeneralizedKl, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WithNulls<'a> {
        #[serde(flatten)]
        values: &'a GeneralizedKl,
        js: (),
        js_distance: (),
        generalized_js: (),
        skew_kl: (),
        renyi: (),
        total_variation: (),
        hellinger: (),
        chi_square: (),
        reverse_chi_square: (),
        cross_entropy: (),
        reverse_cross_entropy: (),
        entropy_reference: (),
        entropy_candidate: (),
    }
    WithNulls {
        values,
        js: (),
        js_distance: (),
        generalized_js: (),
        skew_kl: (),
        renyi: (),
        total_variation: (),
        hellinger: (),
        chi_square: (),
        reverse_chi_square: (),
        cross_entropy: (),
        reverse_cross_entropy: (),
        entropy_reference: (),
        entropy_candidate: (),
    }
    .serialize(serializer)
}
