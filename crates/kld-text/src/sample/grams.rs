//! Word n-grams as numbers: 64-bit hashes, which agree by chance for one pair in 10¹⁹.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;

use crate::{Result, count::Terms, segment::Cutter};

/// The n-grams of whole documents.
pub(super) struct Grams<'a> {
    cutter: &'a Cutter,
    terms: Terms,
}

impl<'a> Grams<'a> {
    pub(super) fn new(cutter: &'a Cutter, ngram: usize) -> Self {
        Self {
            cutter,
            terms: Terms::new(&cutter.counted(ngram)),
        }
    }

    /// Calls `each` with every n-gram of a document and its number.
    pub(super) fn each(&mut self, text: &str, mut each: impl FnMut(u64, &str)) -> Result<()> {
        self.terms.begin_document();
        self.terms
            .each(text, self.cutter, |gram| each(hash(&gram), &gram))
    }

    /// The numbers of a document's different n-grams, in their order.
    pub(super) fn set(&mut self, text: &str) -> Result<Vec<u64>> {
        let mut set = Vec::new();
        self.each(text, |gram, _| set.push(gram))?;
        set.sort_unstable();
        set.dedup();
        Ok(set)
    }
}

/// The number of an n-gram.
pub(super) fn hash(gram: &str) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(gram.as_bytes());
    hasher.finish()
}
