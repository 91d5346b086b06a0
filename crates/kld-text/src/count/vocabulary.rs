//! Terms and their numbers: every term is kept once, in one buffer.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Terms numbered in the order in which they came.
///
/// Most words of a text have at most eight bytes: those are looked up by their bytes as a number, without touching the buffer. And most of these are
/// among a few hundred, which are found where they were found last.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    text: String,
    /// Where each term begins in the text, and where the last one ends.
    bounds: Vec<usize>,
    short: HashTable<Short>,
    /// By the highest bits of the hash, the last term that had them.
    last: Box<[Short; LAST]>,
    long: HashTable<u32>,
    hasher: FixedState,
}

/// Terms found last: 16 kB, which stay in the nearest cache.
const LAST: usize = 1 << LAST_BITS;
const LAST_BITS: u32 = 10;

/// A term of at most eight bytes.
#[derive(Clone, Copy, Debug)]
struct Short {
    packed: u64,
    number: u32,
    length: u8,
}

/// No term is that long.
const NONE: Short = Short {
    packed: 0,
    number: 0,
    length: u8::MAX,
};

impl Default for Vocabulary {
    fn default() -> Self {
        Self {
            text: String::new(),
            bounds: vec![0],
            short: HashTable::new(),
            last: Box::new([NONE; LAST]),
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

    pub(crate) fn term(&self, number: u32) -> &str {
        term(&self.text, &self.bounds, number)
    }

    /// The number of a term, which is a new one if the term is.
    #[inline]
    pub(crate) fn number(&mut self, new: &str) -> u32 {
        let Some(packed) = packed(new) else {
            return self.number_of_long(new);
        };
        let length = new.len() as u8;
        let hash = hash_packed(&self.hasher, packed);
        let same = |known: &Short| known.packed == packed && known.length == length;
        let place = (hash >> (u64::BITS - LAST_BITS)) as usize;
        if same(&self.last[place]) {
            return self.last[place].number;
        }
        let known = if let Some(known) = self.short.find(hash, same) {
            *known
        } else {
            let known = Short {
                packed,
                number: self.push(new),
                length,
            };
            let rehash = |known: &Short| hash_packed(&self.hasher, known.packed);
            *self.short.insert_unique(hash, known, rehash).get()
        };
        self.last[place] = known;
        known.number
    }

    fn number_of_long(&mut self, new: &str) -> u32 {
        let hash = hash(&self.hasher, new);
        let same = |number: &u32| term(&self.text, &self.bounds, *number) == new;
        if let Some(number) = self.long.find(hash, same) {
            return *number;
        }
        let number = self.push(new);
        self.long.insert_unique(hash, number, |&number| {
            self::hash(&self.hasher, term(&self.text, &self.bounds, number))
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
    pub(crate) fn find(&self, known: &str) -> Option<u32> {
        if let Some(packed) = packed(known) {
            let same =
                |other: &Short| other.packed == packed && usize::from(other.length) == known.len();
            let found = self.short.find(hash_packed(&self.hasher, packed), same);
            return found.map(|found| found.number);
        }
        let same = |&number: &u32| self.term(number) == known;
        self.long.find(hash(&self.hasher, known), same).copied()
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

#[inline]
fn hash_packed(hasher: &FixedState, packed: u64) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write_u64(packed);
    hasher.finish()
}

/// The bytes of a term of at most eight as a number, the first one lowest.
#[inline]
fn packed(term: &str) -> Option<u64> {
    let bytes = term.as_bytes();
    match (bytes, bytes) {
        // The first four and the last four, which may overlap.
        (&[a, b, c, d, ..], &[.., w, x, y, z]) if bytes.len() <= 8 => {
            let (first, last) = (
                u32::from_le_bytes([a, b, c, d]),
                u32::from_le_bytes([w, x, y, z]),
            );
            let beyond = u64::from(last) >> (8 * (8 - bytes.len()));
            Some(u64::from(first) | beyond << 32)
        }
        (few, _) if few.len() < 4 => Some(
            few.iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_term_has_one_number_and_is_found_by_it(terms in prop::collection::vec("[ab\0é世]{0,5}|[a-c]{6,12}", 0..60)) {
            let mut vocabulary = Vocabulary::default();
            let numbers: Vec<u32> = terms.iter().map(|term| vocabulary.number(term)).collect();
            for (term, number) in terms.iter().zip(numbers) {
                prop_assert_eq!(vocabulary.term(number), term);
                prop_assert_eq!(vocabulary.find(term), Some(number));
                prop_assert_eq!(vocabulary.number(term), number);
            }
            let different: std::collections::BTreeSet<_> = terms.iter().collect();
            prop_assert_eq!(vocabulary.len(), different.len());
            prop_assert_eq!(vocabulary.find("none of them"), None);
        }
    }

    #[test]
    fn short_terms_are_numbers() {
        let expected = |term: &str| {
            let mut bytes = [0; 8];
            bytes[..term.len()].copy_from_slice(term.as_bytes());
            Some(u64::from_le_bytes(bytes))
        };
        for length in 0..=8 {
            let term = &"abcdefgh"[..length];
            assert_eq!(packed(term), expected(term));
        }
        assert_eq!(packed("abcdefghi"), None);
    }
}
