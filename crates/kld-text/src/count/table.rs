//! The table of counts of one body.

use kld_core::{
    count::{Counts, SampleCard},
    result::{Body, Counted, Pruned, TEXT_COUNTS_SCHEMA, TermCount, TextCounts},
};
use serde::{Deserialize, Serialize};

use super::{parts::PartCounts, term::Term, vocabulary::Vocabulary};
use crate::{Error, Result};

/// How often each term stands in a body of text.
#[derive(Clone, Debug)]
pub struct CountTable {
    pub(super) header: Header,
    pub(super) vocabulary: Vocabulary,
    /// By number of the term.
    pub(super) counts: Vec<PartCounts>,
}

/// Bytes that the terms may take on average before the rarest are left out: without it, a text without any spaces would be held as one long term
/// after the other.
const TERM_BYTES: usize = 32;

/// What is known of a body besides its terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) counted: Counted,
    pub(super) documents: u64,
    pub(super) empty_documents: u64,
    pub(super) bytes: u64,
    pub(super) replaced: u64,
    pub(super) pruned: Pruned,
    /// False where only the totals are known, not how they are spread over documents.
    pub(super) has_parts: bool,
}

impl CountTable {
    /// A table of nothing.
    #[must_use]
    pub fn new(counted: Counted) -> Self {
        let header = Header {
            counted,
            documents: 0,
            empty_documents: 0,
            bytes: 0,
            replaced: 0,
            pruned: Pruned::default(),
            has_parts: true,
        };
        Self {
            header,
            vocabulary: Vocabulary::default(),
            counts: Vec::new(),
        }
    }

    /// What is counted.
    #[must_use]
    pub fn counted(&self) -> &Counted {
        &self.header.counted
    }

    /// Number of documents.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.header.documents
    }

    /// Number of documents without a single term.
    #[must_use]
    pub fn empty_documents(&self) -> u64 {
        self.header.empty_documents
    }

    /// Bytes of text.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.header.bytes
    }

    /// How often something that was not UTF-8 was replaced.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.header.replaced
    }

    /// What was left out.
    #[must_use]
    pub fn pruned(&self) -> Pruned {
        self.header.pruned
    }

    /// Is it known how the counts are spread over documents?
    #[must_use]
    pub fn has_parts(&self) -> bool {
        self.header.has_parts
    }

    /// Number of different terms.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.len()
    }

    /// Number of terms, each as often as it stands there.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(PartCounts::total).sum()
    }

    /// How often one term stands there.
    #[must_use]
    pub fn count(&self, term: &str) -> u64 {
        self.vocabulary
            .find(term)
            .map_or(0, |number| self.counts[number as usize].total())
    }

    /// All terms in the order of their bytes.
    #[must_use]
    pub fn terms(&self) -> impl ExactSizeIterator<Item = Term<'_>> {
        self.vocabulary.sorted().into_iter().map(|number| Term {
            term: self.vocabulary.term(number),
            parts: &self.counts[number as usize],
        })
    }

    /// The body under a name, given its counts.
    pub(crate) fn body(&self, name: &str, counts: &Counts) -> Body {
        Body {
            name: name.to_owned(),
            documents: self.documents(),
            empty_documents: self.empty_documents(),
            bytes: self.bytes(),
            replaced: self.replaced(),
            terms: SampleCard::of(counts),
            pruned: self.pruned(),
        }
    }

    /// The table in short, with its most frequent terms.
    ///
    /// # Errors
    ///
    /// If it has no terms.
    pub fn summary(&self, name: &str, most_frequent: usize) -> Result<TextCounts> {
        let mut terms: Vec<(u64, &str)> =
            self.terms().map(|term| (term.count(), term.term)).collect();
        let counts =
            Counts::new(terms.iter().map(|(count, _)| *count).collect()).map_err(|source| {
                Error::Core {
                    side: "the body",
                    source,
                }
            })?;
        terms.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let most_frequent = terms
            .iter()
            .take(most_frequent)
            .map(|(count, term)| TermCount {
                term: (*term).to_owned(),
                count: *count,
            });
        Ok(TextCounts {
            schema: TEXT_COUNTS_SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            counted: self.counted().clone(),
            body: self.body(name, &counts),
            most_frequent: most_frequent.collect(),
        })
    }

    /// Adds a count of a term in a part.
    pub(super) fn add(&mut self, term: &str, part: u8, count: u64) {
        let number = self.vocabulary.number(term) as usize;
        self.at(number).add(part, count);
    }

    pub(super) fn at(&mut self, number: usize) -> &mut PartCounts {
        if number == self.counts.len() {
            self.counts.push(PartCounts::default());
        }
        &mut self.counts[number]
    }

    /// The table of this body with another one after it.
    ///
    /// # Errors
    ///
    /// If they do not count the same.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.header.counted != other.header.counted {
            return Err(Error::DifferentCounts {
                here: self.header.counted.to_string(),
                there: other.header.counted.to_string(),
            });
        }
        self.take(other, self.header.documents);
        let (here, there) = (&mut self.header, &other.header);
        here.documents += there.documents;
        here.has_parts &= there.has_parts;
        self.settle();
        Ok(())
    }

    /// Adds what has its parts in this body already: a batch of its documents.
    pub(super) fn absorb(&mut self, batch: &Self) {
        self.take(batch, 0);
    }

    /// Adds the counts of another table, with so many documents before it.
    fn take(&mut self, other: &Self, before: u64) {
        for (number, counts) in other.counts.iter().enumerate() {
            let here = self.vocabulary.number(other.vocabulary.term(number as u32)) as usize;
            match before {
                0 => self.at(here).merge(counts),
                _ => self.at(here).merge(&counts.moved(before)),
            }
        }
        let (here, there) = (&mut self.header, &other.header);
        here.empty_documents += there.empty_documents;
        here.bytes += there.bytes;
        here.replaced += there.replaced;
        here.pruned.terms += there.pruned.terms;
        here.pruned.occurrences += there.pruned.occurrences;
        here.pruned.at_most += there.pruned.at_most;
    }

    /// Where there are several documents, blocks of the first one are no parts of their own.
    pub(super) fn settle(&mut self) {
        if self.header.documents > 1 {
            self.counts.iter_mut().for_each(PartCounts::forget_blocks);
        }
    }

    /// Leaves out the rarest terms if there are more than `limit`, or if they take more than [`TERM_BYTES`] for each of so many, so that at most three
    /// quarters of that are left: all whose count is at most the smallest number that does so.
    pub(super) fn prune(&mut self, limit: usize) {
        let byte_limit = limit.saturating_mul(TERM_BYTES);
        if self.vocabulary.len() <= limit && self.vocabulary.bytes() <= byte_limit {
            return;
        }
        let totals: Vec<u64> = self.counts.iter().map(PartCounts::total).collect();
        let mut sorted: Vec<(u64, usize)> = totals
            .iter()
            .enumerate()
            .map(|(number, total)| (*total, self.vocabulary.term(number as u32).len()))
            .collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        let fitting = sorted.iter().take_while(|(_, size)| {
            bytes += size;
            bytes <= byte_limit / 4 * 3
        });
        let at_most = sorted[fitting.count().min(limit * 3 / 4)].0;
        let mut kept = Self::new(self.header.counted.clone());
        kept.header = self.header.clone();
        for (number, (counts, total)) in self.counts.drain(..).zip(totals).enumerate() {
            if total > at_most {
                let new = kept.vocabulary.number(self.vocabulary.term(number as u32)) as usize;
                *kept.at(new) = counts;
            } else {
                kept.header.pruned.terms += 1;
                kept.header.pruned.occurrences += total;
            }
        }
        kept.header.pruned.at_most += at_most;
        *self = kept;
    }
}
