//! Results as plain data: what `kld` writes as JSON and what `kld-report` renders.
//!
//! Everything is in nats. The JSON is documented in `docs/json.md`; a field may be added, but one that changes its meaning
//! raises the number behind the schema's name.

mod compare;
mod explain;
mod info;
mod pairs;
mod quality;
mod recording;
mod score;
mod suggest;
mod text;
mod text_expected;
mod text_fragments;
mod text_sample;
mod train;
mod watch;

pub use compare::{
    Candidate, Comparison, DeltaP, Divergence, FragmentComparison, NoiseFloor, Perplexities,
    Position, Slice, WorstToken,
};
pub use explain::{Effect, Explanation, Group, Step};
pub use info::{INFO_SCHEMA, Info, InfoModel, Shape, TensorCard, TokenizerCard};
pub use pairs::{LinkTest, PAIRS_SCHEMA, Pair, PairMeaning, Pairs, RankedBy, SwapTest};
pub use quality::{
    Diversity, DiversityKind, DiversityMeasure, FeatureCard, FeatureSource, FrontierPoint,
    FrontierScores, Halved, MauveResult, Measured, ModelOnBoth, PerplexityOverlap, QUALITY_SCHEMA,
    Quality, QualityBody, Quantiles, Quantization, RepeatedSpan, Verdict,
};
pub use recording::RecordingInfo;
pub use score::{
    Calibration, CalibrationBin, FragmentScore, FrequencyErrors, FrequencyKl, Score, TokenShare,
};
pub use suggest::{Adaptation, BaseModel, Following, Measure, NextWord, NextWords, Suggest};
pub use text::{
    Body, Contributor, Contributors, Counted, CountedUnit, OneSidedTerms, Others, PartKind, Parts,
    PartsOf, Pruned, Redrawn, SmoothedResult, TEXT_COUNTS_SCHEMA, TEXT_SCHEMA, TermCount,
    TextComparison, TextCounts,
};
pub use text_expected::{ExpectedDocument, TEXT_EXPECTED_SCHEMA, TextExpectation};
pub use text_fragments::{FragmentKind, OwnSpread, TextFragment, TextFragments};
pub use text_sample::{
    Allocation, NearDuplicate, NearRule, Overlap, OverlapRule, SampleSettings, Stratum,
    TEXT_SAMPLE_SCHEMA, TextSample,
};
pub use train::{CurvePoint, Ended, Gauge, OwnText, Training};
pub use watch::Watch;

use serde::{Deserialize, Serialize};

/// How the text was cut and which positions were scored; two results compare only where this is equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRecord {
    /// `kld` or `llama.cpp`.
    pub name: String,
    /// Tokens per window.
    pub context: usize,
    /// `second-half` or `all`.
    pub scored: String,
    /// Number of fragments of the text that have scored positions.
    pub fragments: usize,
    /// Number of windows.
    pub windows: usize,
    /// Number of tokens fed to each model, over all windows.
    pub tokens: usize,
    /// SHA-256 over the windows: their tokens as fed and as observed, and their scored ranges.
    pub token_stream_sha256: String,
    /// Windows left out by `--max-windows`.
    pub windows_left_out: usize,
    /// Seed of the order in which windows were chosen; `null` where they were taken from the start.
    pub seed: Option<u64>,
}

/// How a result came to be: what does not change its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of `kld`.
    pub version: String,
    /// Version of the way quantities are computed.
    pub metrics: u32,
    /// Instruction set of the kernels.
    pub isa: String,
    /// Worker threads.
    pub threads: usize,
    /// Wall time in seconds.
    pub elapsed_s: f64,
    /// Windows that were done.
    pub windows_done: usize,
    /// False where the run was stopped before all windows were done.
    pub complete: bool,
}

/// Version of the way quantities are computed; raised whenever a number would change.
pub const METRICS_VERSION: u32 = 1;
