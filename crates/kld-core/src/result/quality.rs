//! The result of `kld text HUMAN MACHINE --quality`: how good and how varied a body of generated text is beside one that people wrote.

use serde::{Deserialize, Serialize};

use super::{Counted, Score};
use crate::{estimate::Estimate, number};

/// The name and version of the JSON form of [`Quality`]; documented in `docs/quality.md`.
pub const QUALITY_SCHEMA: &str = "kld.quality/1";

/// Generated text, the candidate, beside a reference that people wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// [`QUALITY_SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// What people wrote.
    pub reference: QualityBody,
    /// What was generated.
    pub candidate: QualityBody,
    /// Where the features came from; `None` without features.
    pub features: Option<FeatureSource>,
    /// How alike they are in meaning; `None` without features.
    pub mauve: Option<MauveResult>,
    /// How varied they are.
    pub diversity: Diversity,
    /// What a model makes of both; `None` unless one was named.
    pub model: Option<ModelOnBoth>,
}

/// A body of documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityBody {
    /// How the user named it.
    pub name: String,
    /// Documents with at least one word.
    pub documents: usize,
    /// Documents without a word; they are left out.
    pub empty_documents: usize,
    /// How often something that was not UTF-8 was replaced.
    pub replaced: u64,
    /// Words.
    pub words: usize,
}

/// Where features came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSource {
    /// The model, or the files.
    pub name: String,
    /// As many tokens of a document the model has read at most; `None` where features were given.
    pub context: Option<usize>,
    /// Documents of which the model has not read the end.
    pub shortened: usize,
}

/// What a model makes of both bodies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelOnBoth {
    /// The reference under the model.
    pub reference: Score,
    /// The candidate under the model.
    pub candidate: Score,
    /// How the perplexities of the documents lie.
    pub perplexities: PerplexityOverlap,
}

/// The perplexities of the documents of two bodies under one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerplexityOverlap {
    /// Quantiles of the reference at 5, 25, 50, 75 and 95 %.
    pub reference: Quantiles,
    /// The same of the candidate.
    pub candidate: Quantiles,
    /// 1 − sup |F − G| of the two distribution functions: the overlap of the densities where those cross once.
    pub overlap: Estimate,
    /// How likely a document of the candidate has the higher perplexity, ties by half.
    pub candidate_higher: Estimate,
    /// How often documents were redrawn.
    pub resamples: usize,
}

/// Five quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Documents.
    pub count: usize,
    /// At 5 %.
    #[serde(with = "number")]
    pub p5: f64,
    /// At 25 %.
    #[serde(with = "number")]
    pub p25: f64,
    /// At 50 %.
    #[serde(with = "number")]
    pub p50: f64,
    /// At 75 %.
    #[serde(with = "number")]
    pub p75: f64,
    /// At 95 %.
    #[serde(with = "number")]
    pub p95: f64,
}

/// How varied two bodies are, measured on about the same number of words of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// What is counted as a word.
    pub counted: Counted,
    /// What was measured of the reference.
    pub reference: Measured,
    /// What was measured of the candidate.
    pub candidate: Measured,
    /// Seed of the choice of documents.
    pub seed: u64,
    /// The measures.
    pub measures: Vec<DiversityMeasure>,
    /// The longest runs of words that stand in the reference more than once, longest first.
    pub repeated_in_reference: Vec<RepeatedSpan>,
    /// The same in the candidate.
    pub repeated_in_candidate: Vec<RepeatedSpan>,
}

/// The part of a body that was measured: all of it, or of the larger one documents drawn at random until they had as many words as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Documents.
    pub documents: usize,
    /// Words.
    pub words: usize,
    /// Groups of documents, of which each was left out once for errors.
    pub groups: usize,
}

/// One measure of both bodies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiversityMeasure {
    /// Which.
    pub measure: DiversityKind,
    /// Of the reference.
    pub reference: Estimate,
    /// Of the candidate.
    pub candidate: Estimate,
    /// candidate − reference.
    pub difference: Estimate,
    /// The chance of such a difference, or a larger one, between equally varied bodies, corrected by Holm's method for the number of measures;
    /// `None` where there is no error.
    pub p_value: Option<f64>,
    /// What follows at 5 %.
    pub verdict: Verdict,
}

/// What a test says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The candidate repeats more.
    CandidateRepeatsMore,
    /// The candidate is more varied.
    CandidateVariesMore,
    /// The difference may be chance.
    NoDifference,
    /// There is no error to hold the difference against.
    Untested,
}

/// A measure of diversity or repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiversityKind {
    /// Different words / words.
    Distinct1,
    /// The same of pairs.
    Distinct2,
    /// The same of triples.
    Distinct3,
    /// Different words / as many as equally likely words would be expected to show.
    ExpectedDistinct1,
    /// The same of pairs.
    ExpectedDistinct2,
    /// The same of triples.
    ExpectedDistinct3,
    /// Entropy of the words' frequencies, in nats.
    Entropy,
    /// The same after Miller and Madow.
    EntropyCorrected,
    /// Moving-average type-token ratio over 100 words.
    Mattr,
    /// Expected type-token ratio of 42 words drawn at random.
    HdD,
    /// Mean BLEU-4 of a document against all others.
    SelfBleu,
    /// Share of a document's pairs that stand in it before.
    Rep2,
    /// The same of triples.
    Rep3,
    /// The same of runs of four.
    Rep4,
    /// Share of a document's runs of four words that stand in another document.
    Shared4,
    /// Slope of log frequency over log rank, its sign turned.
    Zipf,
    /// Bytes / bytes after compression.
    CompressionRatio,
}

impl DiversityKind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 17] = [
        Self::Distinct1,
        Self::Distinct2,
        Self::Distinct3,
        Self::ExpectedDistinct1,
        Self::ExpectedDistinct2,
        Self::ExpectedDistinct3,
        Self::Entropy,
        Self::EntropyCorrected,
        Self::Mattr,
        Self::HdD,
        Self::SelfBleu,
        Self::Rep2,
        Self::Rep3,
        Self::Rep4,
        Self::Shared4,
        Self::Zipf,
        Self::CompressionRatio,
    ];

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Distinct1 => "distinct-1",
            Self::Distinct2 => "distinct-2",
            Self::Distinct3 => "distinct-3",
            Self::ExpectedDistinct1 => "distinct-1, of expected",
            Self::ExpectedDistinct2 => "distinct-2, of expected",
            Self::ExpectedDistinct3 => "distinct-3, of expected",
            Self::Entropy => "entropy of words (nats)",
            Self::EntropyCorrected => "entropy, Miller-Madow",
            Self::Mattr => "MATTR (100 words)",
            Self::HdD => "HD-D (42 words)",
            Self::SelfBleu => "self-BLEU",
            Self::Rep2 => "rep-2 within texts",
            Self::Rep3 => "rep-3 within texts",
            Self::Rep4 => "rep-4 within texts",
            Self::Shared4 => "4-grams of other texts",
            Self::Zipf => "Zipf coefficient",
            Self::CompressionRatio => "compression ratio",
        }
    }

    /// Does it grow with repetition? The others grow with variety.
    #[must_use]
    pub fn grows_with_repetition(self) -> bool {
        matches!(
            self,
            Self::SelfBleu
                | Self::Rep2
                | Self::Rep3
                | Self::Rep4
                | Self::Shared4
                | Self::Zipf
                | Self::CompressionRatio
        )
    }
}

/// A run of words that stands in a body more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedSpan {
    /// Its words.
    pub words: usize,
    /// How often it stands there.
    pub times: usize,
    /// In how many documents.
    pub documents: usize,
    /// What it says.
    pub text: String,
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
