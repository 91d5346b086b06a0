//! The result of `kld text A B`: two bodies of text by how often each term stands in them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::TextFragments;
use crate::{
    count::{Bootstrap, EstimatorResult, SampleCard, Warning},
    estimate::Estimate,
    number,
    smoothing::Smoothing,
};

/// The name and version of the JSON form of [`TextComparison`]; documented in `docs/text.md`.
pub const TEXT_SCHEMA: &str = "kld.text/1";

/// The name and version of the JSON form of [`TextCounts`].
pub const TEXT_COUNTS_SCHEMA: &str = "kld.text-counts/1";

/// Two bodies of text. P is how often each term stands in the reference, Q how often in the candidate; all in nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextComparison {
    /// [`TEXT_SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// What was counted.
    pub counted: Counted,
    /// A, whose terms are P.
    pub reference: Body,
    /// B, whose terms are Q.
    pub candidate: Body,
    /// The divergences, by several estimators.
    pub estimators: Vec<EstimatorResult>,
    /// The divergences of the smoothed distributions; `None` unless the user asked.
    pub smoothed: Option<SmoothedResult>,
    /// How errors and intervals were made.
    pub redrawn: Redrawn,
    /// The terms that carry the divergence.
    pub contributors: Contributors,
    /// Terms that never stand in the candidate: they make the plug-in D(P‖Q) infinite.
    pub only_in_reference: OneSidedTerms,
    /// Terms that never stand in the reference: they make the plug-in D(Q‖P) infinite.
    pub only_in_candidate: OneSidedTerms,
    /// The fragments of the candidate one by one; `None` unless the user asked.
    #[serde(default)]
    pub fragments: Option<TextFragments>,
    /// Why there may be too little text to say.
    pub warnings: Vec<Warning>,
}

/// The counts of one body, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextCounts {
    /// [`TEXT_COUNTS_SCHEMA`].
    pub schema: String,
    /// The version of the program.
    pub version: String,
    /// What was counted.
    pub counted: Counted,
    /// The body.
    pub body: Body,
    /// The most frequent terms.
    pub most_frequent: Vec<TermCount>,
}

/// What is counted; only counts of the same are merged and compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The unit.
    pub unit: CountedUnit,
    /// Upper and lower case are the same.
    pub fold_case: bool,
    /// All numbers are the same.
    pub fold_numbers: bool,
    /// How many units in a row make a term.
    pub ngram: usize,
    /// Which tokenizer made the tokens, where those are the unit.
    pub tokenizer: Option<String>,
}

/// A unit of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedUnit {
    /// Words.
    Words,
    /// Characters as a reader sees them.
    Chars,
    /// The tokens of a language model.
    Tokens,
}

impl CountedUnit {
    /// The name in the plural.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Chars => "characters",
            Self::Tokens => "tokens",
        }
    }

    /// What stands between the units of an n-gram.
    #[must_use]
    pub fn separator(self) -> &'static str {
        match self {
            Self::Words | Self::Tokens => " ",
            Self::Chars => "",
        }
    }
}

impl Counted {
    /// What the terms are called, in the plural: `words`, `2-grams`.
    #[must_use]
    pub fn terms(&self) -> String {
        match self.ngram {
            1 => self.unit.name().to_owned(),
            n => format!("{n}-grams"),
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ngram > 1 {
            write!(f, "{}-grams of ", self.ngram)?;
        }
        f.write_str(self.unit.name())?;
        if let Some(tokenizer) = &self.tokenizer {
            write!(f, " by {tokenizer}")?;
        }
        let folded = match (self.fold_case, self.fold_numbers) {
            (true, true) => ", case and numbers folded",
            (true, false) => ", case folded",
            (false, true) => ", numbers folded",
            (false, false) => "",
        };
        f.write_str(folded)
    }
}

/// One body of text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// How the user named it.
    pub name: String,
    /// Number of documents.
    pub documents: u64,
    /// Number of documents without a single term.
    pub empty_documents: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// How often something that was not UTF-8 was replaced.
    pub replaced: u64,
    /// Its terms as a sample.
    pub terms: SampleCard,
    /// What was left out to bound memory.
    pub pruned: Pruned,
}

/// What was left out because the vocabulary would have grown beyond its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// How many terms were left out; one that came again afterwards and was left out again is counted again.
    pub terms: u64,
    /// How often they stood in the text.
    pub occurrences: u64,
    /// By how much the count of a term that is still there can be too low, at most.
    pub at_most: u64,
}

/// The divergences of two smoothed distributions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmoothedResult {
    /// How they were smoothed.
    pub smoothing: Smoothing,
    /// D(P‖Q).
    pub kl: Estimate,
    /// D(Q‖P).
    pub reverse_kl: Estimate,
    /// Jensen–Shannon divergence.
    pub js: Estimate,
}

/// How intervals were made: parts of both bodies were redrawn, all the text of a part together, because its terms are not independent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redrawn {
    /// How often, and with which random numbers.
    #[serde(flatten)]
    pub bootstrap: Bootstrap,
    /// Parts of the reference.
    pub reference: Parts,
    /// Parts of the candidate.
    pub candidate: Parts,
}

/// What a body is redrawn by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// What they are.
    pub kind: PartKind,
    /// How many there are.
    pub number: usize,
}

/// What a part of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// A document.
    Document,
    /// One of a number of groups into which the documents are dealt in turn.
    Group,
    /// Blocks of the only document.
    Block,
    /// Unknown: only totals were given.
    Unknown,
}

/// The terms that carry the divergence, and what all others add.
///
/// The parts of all terms add up to the whole: those listed on both sides and `others` to D(P‖Q), and likewise to D(Q‖P) and JS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contributors {
    /// Whose sum the parts are: `zhang_grabchak` (then the parts of JS are those of the plug-in) or `smoothed`.
    pub parts_of: PartsOf,
    /// More frequent in the reference, largest part of D(P‖Q) first.
    pub more_in_reference: Vec<Contributor>,
    /// More frequent in the candidate, largest part of D(Q‖P) first.
    pub more_in_candidate: Vec<Contributor>,
    /// All others together.
    pub others: Others,
}

/// Which estimate the parts of contributors add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartsOf {
    /// Zhang and Grabchak's, which is finite without smoothing.
    ZhangGrabchak,
    /// The one of the smoothed distributions.
    Smoothed,
}

/// A term and its signed parts of the divergences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contributor {
    /// The term.
    pub term: String,
    /// How often it stands in the reference.
    pub reference: u64,
    /// How often it stands in the candidate.
    pub candidate: u64,
    /// Its part of D(P‖Q): above 0 where it is more frequent in the reference, else mostly below.
    pub kl: Estimate,
    /// Its part of D(Q‖P).
    pub reverse_kl: Estimate,
    /// Its part of JS, never below 0.
    pub js: Estimate,
}

/// The terms that are not listed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Others {
    /// How many.
    pub terms: usize,
    /// Their part of D(P‖Q).
    #[serde(with = "number")]
    pub kl: f64,
    /// Their part of D(Q‖P).
    #[serde(with = "number")]
    pub reverse_kl: f64,
    /// Their part of JS.
    #[serde(with = "number")]
    pub js: f64,
}

/// Terms that one body has and the other has not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneSidedTerms {
    /// How many there are.
    pub terms: usize,
    /// Their share of the text that has them.
    pub share: f64,
    /// The most frequent of them.
    pub most_frequent: Vec<TermCount>,
}

/// A term and how often it stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermCount {
    /// The term.
    pub term: String,
    /// Its count.
    pub count: u64,
}
