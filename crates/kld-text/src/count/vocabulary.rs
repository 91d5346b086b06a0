//! Terms and their numbers: every term is kept once, in one buffer.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Terms numbered in the order in which they came.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    text: String,
    /// Where each term begins in the text, and where the last one ends.
    bounds: Vec<usize>,
    numbers: HashTable<u32>,
    hasher: FixedState,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self {
            text: String::new(),
            bounds: vec![0],
            numbers: HashTable::new(),
            // Always the same, so that the same text takes the same time; nothing depends on the order of hashes.
            hasher: FixedState::default(),
        }
    }
}

impl Vocabulary {
    pub(crate) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    pub(crate) fn term(&self, number: u32) -> &str {
        term(&self.text, &self.bounds, number)
    }

    /// The number of a term, which is a new one if the term is.
    #[inline]
    pub(crate) fn number(&mut self, new: &str) -> u32 {
        let Self {
            text,
            bounds,
            numbers,
            hasher,
        } = self;
        let hash = hash(hasher, new);
        if let Some(number) = numbers.find(hash, |&number| term(text, bounds, number) == new) {
            return *number;
        }
        // `CountTable` keeps the vocabulary far below the range of numbers.
        let number = (bounds.len() - 1) as u32;
        text.push_str(new);
        bounds.push(text.len());
        numbers.insert_unique(hash, number, |&number| {
            self::hash(hasher, term(text, bounds, number))
        });
        number
    }

    /// The number of a term that is there.
    pub(crate) fn find(&self, known: &str) -> Option<u32> {
        let found = |&number: &u32| self.term(number) == known;
        self.numbers.find(hash(&self.hasher, known), found).copied()
    }

    /// The numbers of all terms in the order of their bytes.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.len() as u32).collect();
        numbers.sort_unstable_by(|&a, &b| self.term(a).cmp(self.term(b)));
        numbers
    }
}

fn term<'a>(text: &'a str, bounds: &[usize], number: u32) -> &'a str {
    &text[bounds[number as usize]..bounds[number as usize + 1]]
}

#[inline]
fn hash(hasher: &FixedState, term: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(term.as_bytes());
    hasher.finish()
}
