//! The result of `kld text sample`: which fragments of a corpus were taken, which were not and why, and how well they stand for it.

use serde::{Deserialize, Serialize};

use super::TextComparison;
use crate::number;

/// The name and version of the JSON form of [`TextSample`].
pub const TEXT_SAMPLE_SCHEMA: &str = "kld.text-sample/1";

/// A sample of whole documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextSample {
    /// [`TEXT_SAMPLE_SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// What was asked for.
    pub settings: SampleSettings,
    /// Documents of the corpus.
    pub documents: u64,
    /// Documents of the sample.
    pub taken: u64,
    /// Documents that were drawn and have no words.
    pub without_words: u64,
    /// The strata, in the order of their values; one without a value where there are none.
    pub strata: Vec<Stratum>,
    /// Documents that were drawn and left out as near-duplicates, in the order in which they were drawn.
    pub near_duplicates: Vec<NearDuplicate>,
    /// Documents that were drawn and left out for what they share with the training text, in the order in which they were drawn.
    pub overlaps: Vec<Overlap>,
    /// Documents of the sample with fewer words than an n-gram of the training text: no overlap could be seen.
    pub too_short_to_tell: u64,
    /// What D(Q‖P) of the comparison, after Zhang and Grabchak, would be on average of as many words drawn from the corpus one by one.
    #[serde(with = "number")]
    pub floor: f64,
    /// The corpus (P) and its sample (Q) by how often each word stands in them.
    pub comparison: TextComparison,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleSettings {
    /// Documents of the sample.
    pub number: u64,
    /// Seed of the random keys.
    pub seed: u64,
    /// The field whose values are the strata.
    pub stratify: Option<String>,
    /// How documents are allotted to strata.
    pub allocation: Allocation,
    /// What a near-duplicate is.
    pub near: NearRule,
    /// What an overlap with the training text is; `None` without one.
    pub exclude: Option<OverlapRule>,
}

/// How documents are allotted to strata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allocation {
    /// As many of each as its share of the corpus is.
    #[default]
    Proportional,
    /// The same number of each, as far as it has them.
    Equal,
}

/// When two documents are near-duplicates: their sets of word n-grams have at least this Jaccard similarity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearRule {
    /// n; shorter documents are compared as a whole.
    pub ngram: usize,
    /// Shared n-grams over all n-grams of both, from 0 to 1.
    pub similarity: f64,
}

/// When a document overlaps with training text: at least this share of its different word n-grams stands there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverlapRule {
    /// The training text.
    pub sources: Vec<String>,
    /// n.
    pub ngram: usize,
    /// The share, from 0 to 1.
    pub share: f64,
}

/// The documents with one value of the field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stratum {
    /// The value.
    pub value: Option<String>,
    /// How many there are in the corpus.
    pub documents: u64,
    /// How many were allotted.
    pub allotted: u64,
    /// How many were taken.
    pub taken: u64,
}

/// A document left out for being nearly another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearDuplicate {
    /// Its name.
    pub name: String,
    /// The document of the sample.
    pub of: String,
    /// Their Jaccard similarity.
    pub similarity: f64,
}

/// A document left out for what it shares with the training text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Its name.
    pub name: String,
    /// The share of its different n-grams that stands in the training text.
    pub share: f64,
    /// The first of them.
    pub example: String,
    /// The document of the training text where that stands first.
    pub seen_in: String,
}
