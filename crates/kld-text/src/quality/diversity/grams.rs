//! Two bodies of documents as numbers: words, and runs of words, each with a number that both bodies share.

use std::{hash::Hash, ops::Range};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::bleu::self_bleu;
use crate::{Result, segment::Cutter};

/// The longest runs that are counted.
pub(super) const LONGEST: usize = 4;

/// Both bodies, the documents of the reference first.
#[derive(Debug)]
pub struct Corpus<'a> {
    documents: Vec<Numbered<'a>>,
    split: usize,
    /// How many different runs of 1, 2, … words there are.
    different: [usize; LONGEST],
    words: Vec<String>,
}

/// A document.
#[derive(Debug)]
pub(super) struct Numbered<'a> {
    pub(super) text: &'a str,
    /// The numbers of its runs of 1, 2, … words, in order.
    pub(super) grams: [Vec<u32>; LONGEST],
    /// The same sorted by number, with how often each stands in the document.
    pub(super) counts: [Vec<(u32, u32)>; LONGEST],
}

impl<'a> Corpus<'a> {
    /// Cuts the documents of both bodies into words.
    ///
    /// # Errors
    ///
    /// If a tokenizer fails.
    pub fn new(reference: &[&'a str], candidate: &[&'a str], cutter: &Cutter) -> Result<Self> {
        let mut words = Numbers::default();
        let mut runs: [Numbers<(u32, u32)>; LONGEST - 1] = Default::default();
        let mut documents = Vec::new();
        for text in reference.iter().chain(candidate) {
            let mut grams: [Vec<u32>; LONGEST] = Default::default();
            cutter.each(text, |word| grams[0].push(words.of_word(word)))?;
            for n in 1..LONGEST {
                // A run is the run that is shorter by its last word, and that word.
                let shorter = grams[n - 1].iter().zip(grams[0].iter().skip(n));
                grams[n] = shorter
                    .map(|(run, word)| runs[n - 1].of((*run, *word)))
                    .collect();
            }
            documents.push(Numbered {
                text,
                counts: grams.each_ref().map(|grams| counted(grams)),
                grams,
            });
        }
        let mut different = [words.numbers.len(); LONGEST];
        for (different, runs) in different[1..].iter_mut().zip(&runs) {
            *different = runs.numbers.len();
        }
        let mut named = vec![String::new(); words.numbers.len()];
        for (word, number) in words.numbers {
            named[number as usize] = word;
        }
        Ok(Self {
            documents,
            split: reference.len(),
            different,
            words: named,
        })
    }

    /// The numbers of the reference's documents.
    #[must_use]
    pub fn reference(&self) -> Range<usize> {
        0..self.split
    }

    /// The numbers of the candidate's documents.
    #[must_use]
    pub fn candidate(&self) -> Range<usize> {
        self.split..self.documents.len()
    }

    /// Words in some documents.
    #[must_use]
    pub fn words(&self, documents: &[usize]) -> usize {
        documents
            .iter()
            .map(|&d| self.documents[d].grams[0].len())
            .sum()
    }

    /// Mean BLEU-4 of each of some documents against all others of them; NaN with less than two.
    #[must_use]
    pub fn self_bleu(&self, documents: &[usize]) -> f64 {
        self_bleu(&Chosen::new(self, documents))
    }

    pub(super) fn document(&self, number: usize) -> &Numbered<'a> {
        &self.documents[number]
    }

    /// What the words of some numbers are, with spaces between them.
    pub(super) fn spelled(&self, words: &[u32]) -> String {
        let words: Vec<&str> = words
            .iter()
            .map(|&w| self.words[w as usize].as_str())
            .collect();
        words.join(" ")
    }
}

/// Some documents of a corpus.
pub(super) struct Chosen<'a> {
    pub(super) documents: Vec<&'a Numbered<'a>>,
    pub(super) different: [usize; LONGEST],
}

impl<'a> Chosen<'a> {
    pub(super) fn new(corpus: &'a Corpus<'a>, documents: &[usize]) -> Self {
        Self {
            documents: documents.iter().map(|&d| corpus.document(d)).collect(),
            different: corpus.different,
        }
    }

    /// How often each run of `n` words stands in all documents together, by its number.
    pub(super) fn totals(&self, n: usize) -> Vec<u64> {
        let mut totals = vec![0; self.different[n - 1]];
        for (gram, count) in self.counts(n).flatten() {
            totals[*gram as usize] += u64::from(*count);
        }
        totals
    }

    /// The counts of runs of `n` words, document by document.
    pub(super) fn counts(&self, n: usize) -> impl Iterator<Item = &[(u32, u32)]> {
        self.documents
            .iter()
            .map(move |d| d.counts[n - 1].as_slice())
    }
}

/// Numbers for things, in the order in which they come.
#[derive(Debug)]
struct Numbers<K> {
    numbers: HashMap<K, u32, FixedState>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self {
            numbers: HashMap::default(),
        }
    }
}

impl<K: Hash + Eq> Numbers<K> {
    fn of(&mut self, thing: K) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(thing).or_insert(next)
    }
}

impl Numbers<String> {
    fn of_word(&mut self, word: &str) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry_ref(word).or_insert(next)
    }
}

fn counted(grams: &[u32]) -> Vec<(u32, u32)> {
    let mut sorted = grams.to_vec();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.map(|run| (run[0], run.len() as u32)).collect()
}
