//! The result of `kld text USER SYSTEM --pairs`: texts in pairs, such as what somebody wrote and what was suggested to them.

use serde::{Deserialize, Serialize};

use super::{FeatureSource, MauveResult, QualityBody, TextComparison};

/// The name and version of the JSON form of [`Pairs`]; documented in `docs/pairs.md`.
pub const PAIRS_SCHEMA: &str = "kld.pairs/1";

/// Pairs of texts, the first of each in the reference, the second in the candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pairs {
    /// [`PAIRS_SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// The first texts.
    pub reference: QualityBody,
    /// The second texts.
    pub candidate: QualityBody,
    /// Pairs left out because one of the two has no word.
    pub left_out: usize,
    /// The words of both sides as two bodies, with the terms that the second over- and under-represents.
    pub words: TextComparison,
    /// Do the words of both sides come from one distribution?
    pub words_test: SwapTest,
    /// Have the two texts of a pair more words in common than two texts of different pairs?
    pub words_link: LinkTest,
    /// The same in meaning; `None` without features.
    pub meaning: Option<PairMeaning>,
    /// What the pairs are ranked by.
    pub ranked_by: RankedBy,
    /// The pairs, those that fit least first.
    pub pairs: Vec<Pair>,
}

/// Pairs by features of their texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairMeaning {
    /// Where the features came from.
    pub features: FeatureSource,
    /// How alike the two sides are as bodies.
    pub mauve: MauveResult,
    /// Do the buckets of both sides come from one distribution?
    pub test: SwapTest,
    /// Are the two texts of a pair nearer to each other than two texts of different pairs?
    pub link: LinkTest,
}

/// A permutation test of "both sides come from one distribution": within each pair the two texts change sides or not, by chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwapTest {
    /// The plug-in Jensen–Shannon divergence of the two sides, in nats.
    pub js: f64,
    /// Its mean over the permutations: what sides of this size show that do not differ.
    pub js_of_chance: f64,
    /// (1 + permutations with at least the divergence) / (1 + permutations).
    pub p_value: f64,
    /// Permutations.
    pub permutations: usize,
}

/// A permutation test of "it does not matter who is paired with whom": the second texts are dealt out anew.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkTest {
    /// Mean distance of the two texts of a pair: Jensen–Shannon divergence of their words in nats, or 1 − cosine of their features.
    pub distance: f64,
    /// Its mean over the permutations.
    pub distance_of_chance: f64,
    /// (1 + permutations with at most the distance) / (1 + permutations).
    pub p_value: f64,
    /// Permutations.
    pub permutations: usize,
}

/// What pairs are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankedBy {
    /// The divergence of their words.
    Words,
    /// The distance of their features.
    Meaning,
}

/// A pair of texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Its number in the input, from 1.
    pub number: usize,
    /// How the first text begins.
    pub reference: String,
    /// How the second text begins.
    pub candidate: String,
    /// Jensen–Shannon divergence of their words, in nats; ln 2 where they share none.
    pub words_js: f64,
    /// 1 − cosine of their features, about the mean of all; `None` without features.
    pub distance: Option<f64>,
    /// Are both in one bucket, under the first quantization? `None` without features.
    pub same_bucket: Option<bool>,
}
