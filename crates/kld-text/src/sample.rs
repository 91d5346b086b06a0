//! An evaluation set out of any amount of text: whole documents drawn at random, none twice, none that the model was trained on.
//!
//! Every document has a random key, which depends on the seed and its number alone; the documents with the smallest keys are drawn. In the order of their
//! keys they are taken into the sample, save those that have no words, that are near-duplicates of one taken before, that overlap with the training text,
//! or whose stratum is full. So the same seed over the same corpus gives the same sample, whatever the number of threads.
//!
//! The corpus is read as often as is needed: once to count it and its strata, once to fetch what was drawn, and again with twice as many if too few of
//! them could be taken. In memory are the vocabulary of the corpus, a stratum and a key for each document, and the texts that were drawn; of the training
//! text only what it shares with them.

mod draw;
mod grams;
mod overlap;
mod select;

use std::path::PathBuf;

use kld_core::{
    Observer,
    result::{
        Allocation, NearRule, OverlapRule, SampleSettings, Stratum, TEXT_SAMPLE_SCHEMA, TextSample,
    },
};

use self::{draw::Strata, overlap::overlaps, select::Selection};
use crate::{
    Error, Result,
    compare::{CompareOptions, compare},
    count::{CountOptions, count, count_texts},
    fragments::floor::Floor,
    read::Document,
};

/// What is drawn, and what is left out.
#[derive(Clone, Debug)]
pub struct SampleOptions {
    /// How text is read and cut into words.
    pub count: CountOptions,
    /// Documents of the sample.
    pub number: u64,
    /// Seed of the random keys.
    pub seed: u64,
    /// The field whose values are strata.
    pub stratify: Option<String>,
    /// How documents are allotted to strata.
    pub allocation: Allocation,
    /// What a near-duplicate is.
    pub near: NearRule,
    /// The training text.
    pub exclude: Vec<PathBuf>,
    /// n of the n-grams by which overlap with it is measured.
    pub overlap_ngram: usize,
    /// The share of shared n-grams from which on a document is left out.
    pub overlap_share: f64,
    /// How sample and corpus are compared.
    pub compare: CompareOptions,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self {
            count: CountOptions::default(),
            number: 1000,
            seed: 0,
            stratify: None,
            allocation: Allocation::default(),
            near: NearRule {
                ngram: 5,
                similarity: 0.8,
            },
            exclude: Vec::new(),
            overlap_ngram: 8,
            overlap_share: 0.2,
            compare: CompareOptions::default(),
        }
    }
}

/// Draws a sample of a corpus that is called `name`; the documents come in the order of the corpus.
///
/// # Errors
///
/// If a source cannot be read or is standard input, which can be read only once; if the corpus has fewer documents than are asked for, or not one
/// of them can be taken; and where the observer has asked to stop.
pub fn sample(
    name: &str,
    corpus: &[PathBuf],
    options: &SampleOptions,
    observer: &dyn Observer,
) -> Result<(Vec<Document>, TextSample)> {
    let table = count(corpus, &options.count, observer)?;
    let mut options = options.clone();
    options.count.read.by.clone_from(&options.stratify);
    let options = &options;
    let strata = Strata::of(corpus, options, observer)?;
    let documents = strata.documents();
    if options.number > documents {
        return Err(Error::SmallCorpus {
            documents,
            asked: options.number,
        });
    }
    let mut drawn = options.number + SPARE.max(options.number / 4);
    let selection = loop {
        let candidates = strata.draw(corpus, drawn, options, observer)?;
        let overlaps = overlaps(&candidates, options, observer)?;
        let selection = Selection::new(candidates, overlaps, &strata, options)?;
        if selection.is_full(&strata) || drawn >= documents {
            break selection;
        }
        drawn *= 2;
    };
    if selection.taken.is_empty() {
        return Err(Error::NothingTaken { documents });
    }
    let texts = selection
        .taken
        .iter()
        .map(|document| document.text.as_str());
    let sampled = count_texts(texts, &options.count)?;
    let comparison = compare((name, &table), ("the sample", &sampled), &options.compare)?;
    let result = TextSample {
        schema: TEXT_SAMPLE_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings: settings(options),
        documents,
        taken: selection.taken.len() as u64,
        without_words: selection.without_words,
        strata: strata_of(&strata, &selection),
        near_duplicates: selection.near_duplicates,
        overlaps: selection.overlaps,
        too_short_to_tell: selection.too_short_to_tell,
        floor: Floor::new(&table).of(sampled.total()),
        comparison,
    };
    Ok((selection.taken, result))
}

/// So many more than asked for are drawn at least, for those that cannot be taken.
const SPARE: u64 = 64;

fn settings(options: &SampleOptions) -> SampleSettings {
    let sources = options
        .exclude
        .iter()
        .map(|path| path.display().to_string());
    let rule = OverlapRule {
        sources: sources.collect(),
        ngram: options.overlap_ngram,
        share: options.overlap_share,
    };
    SampleSettings {
        number: options.number,
        seed: options.seed,
        stratify: options.stratify.clone(),
        allocation: options.allocation,
        near: options.near,
        exclude: (!options.exclude.is_empty()).then_some(rule),
    }
}

fn strata_of(strata: &Strata, selection: &Selection) -> Vec<Stratum> {
    let all = strata.values.iter().zip(&selection.by_stratum);
    all.map(|(stratum, taken)| Stratum {
        value: stratum.value.clone(),
        documents: stratum.documents,
        allotted: stratum.allotted,
        taken: *taken,
    })
    .collect()
}
