//! The result of `kld text HUMAN MACHINE --quality`: how good and how varied a body of generated text is beside one that people wrote.

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;

/// The name and version of the JSON form of [`Quality`]; documented in `docs/quality.md`.
pub const QUALITY_SCHEMA: &str = "kld.quality/1";

/// Generated text, the candidate, beside a reference that people wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// [`QUALITY_SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// How the user named the reference.
    pub reference: String,
    /// How the user named the candidate.
    pub candidate: String,
    /// How alike they are in meaning; `None` without features.
    pub mauve: Option<MauveResult>,
}

/// MAUVE and the frontier integral of two sets of features.
///
/// Scores are means over several quantizations; their errors come from redrawing documents, each time under another quantization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MauveResult {
    /// Rows and columns of the features.
    pub features: FeatureCard,
    /// How they were quantized.
    pub quantization: Quantization,
    /// The factor c of divergences in the exponents of the curve.
    pub scaling: f64,
    /// Scores of the relative frequencies of buckets.
    pub plain: FrontierScores,
    /// Scores after half a count was added to every bucket (Krichevsky and Trofimov), often written with a star.
    pub smoothed: FrontierScores,
    /// Standard deviation of the plain MAUVE over quantizations; `None` where there was one only.
    pub deviation_over_seeds: Option<f64>,
    /// How often documents were redrawn for errors and intervals.
    pub resamples: usize,
    /// The curve of the relative frequencies, each point a mean over quantizations.
    pub curve: Vec<FrontierPoint>,
    /// The same with half the documents; `None` where that were too few.
    pub halved: Option<Halved>,
}

/// What features there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureCard {
    /// Documents of the reference.
    pub reference_documents: usize,
    /// Documents of the candidate.
    pub candidate_documents: usize,
    /// Features of a document.
    pub width: usize,
}

/// How features became buckets: divided by their norm, along principal components, by k-means.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// The share of the variance that the components explain.
    pub variance: f64,
    /// As many components as that takes.
    pub components: usize,
    /// Buckets.
    pub buckets: usize,
    /// Starts of k-means, of which the tightest was kept.
    pub starts: usize,
    /// Quantizations, each with random numbers of its own.
    pub seeds: usize,
    /// The first seed.
    pub seed: u64,
}

/// What is read off a frontier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierScores {
    /// The area under it: 1 where both are the same, 0 where they share nothing.
    pub mauve: Estimate,
    /// The frontier integral: 0 where both are the same, 1 where they share nothing.
    pub frontier_integral: Estimate,
}

/// A mixture λP + (1−λ)Q = R on the frontier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontierPoint {
    /// λ, the weight of the reference P.
    pub weight: f64,
    /// e^(−c·KL(Q‖R)): near 1 where R has all that the candidate has.
    pub of_candidate: f64,
    /// e^(−c·KL(P‖R)): near 1 where R has all that the reference has.
    pub of_reference: f64,
}

/// The plain MAUVE with half the documents: how much of the score is made by their number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Halved {
    /// Half of each side.
    pub both: f64,
    /// One half of the reference against its other half: what no candidate can be expected to beat with so few documents.
    pub reference_with_itself: f64,
    /// The score falls as documents are added, by more than its error: more of them would give a lower one still.
    pub falls_with_size: bool,
}
