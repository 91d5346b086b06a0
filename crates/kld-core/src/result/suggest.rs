//! The result of `kld suggest`: words that may come next, and how well suggestions follow a history.

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;

/// Everything that one `kld suggest` found; schema `kld.suggest/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggest {
    /// `kld.suggest/1`.
    pub schema: String,
    /// The model without the history.
    pub base: BaseModel,
    /// What it was adapted to; `null` without a history.
    pub adaptation: Option<Adaptation>,
    /// How well the history's tail was foreseen; `null` where there was no history to hold a tail back from.
    pub following: Option<Following>,
    /// What comes next; `null` where no prefix was given.
    pub next: Option<NextWords>,
    /// What to know before trusting the numbers.
    pub warnings: Vec<String>,
    /// Version of `kld`.
    pub version: String,
}

impl Suggest {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.suggest/1";
}

/// The model that suggests where there is no history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseModel {
    /// As it was named.
    pub name: String,
    /// What it is, e.g. `modified Kneser-Ney, order 5`.
    pub kind: String,
    /// Words it was made from; `null` where that is not known.
    pub words: Option<u64>,
    /// Different words that it knows; `null` where it spells words from smaller pieces.
    pub vocabulary: Option<usize>,
}

/// What the base was mixed with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adaptation {
    /// Documents of the history.
    pub documents: usize,
    /// Words learnt from them before the tail.
    pub words: usize,
    /// Words of the tail, on which nothing was fitted.
    pub tail_words: usize,
    /// Words that were known from earlier sessions.
    pub words_before: u64,
    /// Whether half-life and weights were fitted to this history; else they are those of the state, or the usual ones.
    pub fitted: bool,
    /// Words after which what was learnt weighs half.
    #[serde(with = "crate::number")]
    pub half_life: f64,
    /// Weights of base, single words, pairs and triples, by how many of the last three have been seen in the context.
    pub weights: Vec<Vec<f64>>,
}

/// How well the tail of a history was foreseen, word by word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Following {
    /// KL(history ‖ suggestions) in nats per word, the history being certain of each word that came: mean −ln Q(word).
    pub kl: Measure,
    /// Share of words that were the most likely one.
    pub top1: Measure,
    /// Share of words among the three most likely ones.
    pub top3: Measure,
    /// Share of words among the five most likely ones.
    pub top5: Measure,
    /// Share of keystrokes that suggestions save.
    pub keystrokes_saved: Measure,
}

/// A quantity without the history and with it, on the same words.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Of the base alone.
    pub before: Estimate,
    /// Of base and history.
    pub after: Estimate,
    /// After − before; its error knows that both saw the same words.
    pub change: Estimate,
}

/// Words that may come next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextWords {
    /// The text before the cursor.
    pub text: String,
    /// The part of it that begins the word; empty between two words.
    pub prefix: String,
    /// Most likely first.
    pub words: Vec<NextWord>,
    /// What a model of tokens left undecided: no word's probability is too low by more. `null` where the base knows whole words.
    pub undecided: Option<f64>,
}

/// A word that may come next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextWord {
    /// The word.
    pub word: String,
    /// Its probability as the next word, before any letter of it was written.
    pub probability: f64,
    /// The same without the history.
    pub base: f64,
    /// Its share among the known words that begin with the prefix.
    pub given_prefix: f64,
}
