//! Terms and their numbers: every term is kept once, in one buffer.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::segment::Span;

/// Terms numbered in the order in which they came.
///
/// Nearly all words of a text have at most 15 bytes: those are looked up by their bytes as a number, without touching the buffer.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    text: String,
    /// Where each term begins in the text, and where the last one ends.
    bounds: Vec<usize>,
    short: HashTable<Short>,
    long: HashTable<u32>,
    hasher: FixedState,
}

/// A term of at most 15 bytes.
#[derive(Clone, Copy, Debug)]
struct Short {
    /// See [`Span::packed`].
    packed: [u64; 2],
    number: u32,
}

impl Default for Vocabulary {
    fn default() -> Self {
        Self {
            text: String::new(),
            bounds: vec![0],
            short: HashTable::new(),
            long: HashTable::new(),
            // Always the same, so that the same text takes the same time; nothing depends on the order of hashes.
            hasher: FixedState::default(),
        }
    }
}

impl Vocabulary {
    pub(crate) fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Bytes of all terms together.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn term(&self, number: u32) -> Span<'_> {
        term(&self.text, &self.bounds, number)
    }

    /// The number of a term, which is a new one if the term is.
    pub(crate) fn number(&mut self, new: Span<'_>) -> u32 {
        let Some(packed) = new.packed() else {
            return self.number_of_long(&new);
        };
        let hash = hash_packed(&self.hasher, packed);
        let same = |known: &Short| known.packed == packed;
        if let Some(known) = self.short.find(hash, same) {
            return known.number;
        }
        let number = self.push(&new);
        let rehash = |known: &Short| hash_packed(&self.hasher, known.packed);
        let known = Short { packed, number };
        self.short.insert_unique(hash, known, rehash);
        number
    }

    fn number_of_long(&mut self, new: &str) -> u32 {
        let hash = hash(&self.hasher, new);
        let same = |&number: &u32| *term(&self.text, &self.bounds, number) == *new;
        if let Some(number) = self.long.find(hash, same) {
            return *number;
        }
        let number = self.push(new);
        self.long.insert_unique(hash, number, |&number| {
            self::hash(&self.hasher, &term(&self.text, &self.bounds, number))
        });
        number
    }

    /// `CountTable` keeps the vocabulary far below the range of numbers.
    fn push(&mut self, new: &str) -> u32 {
        let number = self.len() as u32;
        self.text.push_str(new);
        self.bounds.push(self.text.len());
        number
    }

    /// The number of a term that is there.
    pub(crate) fn find(&self, known: Span<'_>) -> Option<u32> {
        let Some(packed) = known.packed() else {
            let same = |&number: &u32| *self.term(number) == *known;
            return self.long.find(hash(&self.hasher, &known), same).copied();
        };
        let same = |other: &Short| other.packed == packed;
        let found = self.short.find(hash_packed(&self.hasher, packed), same);
        found.map(|found| found.number)
    }

    /// The numbers of all terms in the order of their bytes.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.len() as u32).collect();
        numbers.sort_unstable_by(|&a, &b| self.term(a).cmp(&self.term(b)));
        numbers
    }
}

fn term<'a>(text: &'a str, bounds: &[usize], number: u32) -> Span<'a> {
    Span::new(text, bounds[number as usize]..bounds[number as usize + 1])
}

#[inline]
fn hash(hasher: &FixedState, term: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(term.as_bytes());
    hasher.finish()
}

/// The hash of a short term.
#[inline]
pub(super) fn hash_packed(hasher: &FixedState, [low, high]: [u64; 2]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u128((u128::from(high) << u64::BITS) | u128::from(low));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_term_has_one_number_and_is_found_by_it(terms in prop::collection::vec("[ab\0é世]{0,5}|[a-c]{12,18}", 0..60)) {
            let mut vocabulary = Vocabulary::default();
            let numbers: Vec<u32> = terms.iter().map(|term| vocabulary.number(term.as_str().into())).collect();
            for (term, number) in terms.iter().zip(numbers) {
                prop_assert_eq!(&*vocabulary.term(number), term);
                prop_assert_eq!(vocabulary.find(term.as_str().into()), Some(number));
                prop_assert_eq!(vocabulary.number(term.as_str().into()), number);
            }
            let different: std::collections::BTreeSet<_> = terms.iter().collect();
            prop_assert_eq!(vocabulary.len(), different.len());
            prop_assert_eq!(vocabulary.find("none of them".into()), None);
        }
    }
}
