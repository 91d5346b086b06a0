//! Counts the terms of pieces of text, one after the other.

use kld_core::result::Counted;

use super::{
    recent::Recent,
    table::{CountTable, Header},
};
use crate::{
    Result,
    segment::{Cutter, Span},
};

/// A table in the making.
///
/// Within a part a term costs one look-up and one addition; only at its end are the counts put to it.
pub(super) struct Tally {
    pub(super) terms: Terms,
    counts: Counts,
}

/// What was counted, and what is being counted.
struct Counts {
    table: CountTable,
    part: u8,
    /// Counts of this part.
    recent: Recent,
    others: Others,
}

/// Counts of the terms of a part that are not among the recent ones.
#[derive(Default)]
struct Others {
    /// By number of the term.
    counts: Vec<u32>,
    /// The terms whose count is not 0.
    touched: Vec<u32>,
}

impl Tally {
    pub(super) fn new(counted: Counted) -> Self {
        Self {
            terms: Terms::new(&counted),
            counts: Counts {
                table: CountTable::new(counted),
                part: 0,
                recent: Recent::default(),
                others: Others::default(),
            },
        }
    }

    /// Counts the terms of a text into a part; returns how many there were.
    pub(super) fn count(&mut self, text: &str, part: u8, cutter: &Cutter) -> Result<u64> {
        let Self { terms, counts } = self;
        counts.go_to(part);
        let mut total = 0;
        terms.each(text, cutter, |term| {
            total += 1;
            if !counts.recent.count(term) {
                counts.add(term);
            }
        })?;
        Ok(total)
    }

    pub(super) fn header(&mut self) -> &mut Header {
        &mut self.counts.table.header
    }

    /// The table of all that was counted.
    pub(super) fn finish(mut self) -> CountTable {
        self.counts.end_part();
        self.counts.table
    }
}

impl Counts {
    fn go_to(&mut self, part: u8) {
        if part != self.part {
            self.end_part();
            self.part = part;
        }
    }

    /// Counts a term that is not among the recent ones.
    #[inline(never)]
    fn add(&mut self, term: Span<'_>) {
        let number = self.table.vocabulary.number(term);
        let (number, count) = self.recent.put(term, number);
        self.others.add(number, count);
    }

    fn end_part(&mut self) {
        self.recent
            .drain(|number, count| self.others.add(number, count));
        self.others.drain(|number, count| {
            let counts = self.table.at(number as usize);
            counts.add(self.part, u64::from(count));
        });
    }
}

impl Others {
    fn add(&mut self, number: u32, count: u32) {
        if count == 0 {
            return;
        }
        let at = number as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        if self.counts[at] == 0 {
            self.touched.push(number);
        }
        self.counts[at] += count;
    }

    /// Hands on every number with its count, which is 0 afterwards.
    fn drain(&mut self, mut each: impl FnMut(u32, u32)) {
        for number in self.touched.drain(..) {
            each(number, std::mem::take(&mut self.counts[number as usize]));
        }
    }
}

/// Cuts the pieces of documents into terms, one piece after the other.
pub(crate) struct Terms {
    grams: Grams,
}

impl Terms {
    pub(crate) fn new(counted: &Counted) -> Self {
        Self {
            grams: Grams::new(counted),
        }
    }

    /// Terms do not go from one document into the next.
    pub(crate) fn begin_document(&mut self) {
        self.grams.clear();
    }

    /// Goes through a text without giving its terms, so that those that begin in it are complete.
    pub(crate) fn warm_up(&mut self, text: &str, cutter: &Cutter) -> Result<()> {
        if self.grams.size > 1 {
            cutter.each(text, |unit| self.grams.push(unit))?;
        }
        Ok(())
    }

    /// Calls `each` with every term that ends in a text.
    pub(crate) fn each(
        &mut self,
        text: &str,
        cutter: &Cutter,
        mut each: impl FnMut(Span<'_>),
    ) -> Result<()> {
        if self.grams.size == 1 {
            return cutter.each_span(text, each);
        }
        cutter.each(text, |unit| {
            self.grams.push(unit);
            if let Some(gram) = self.grams.last() {
                each(gram.into());
            }
        })
    }
}

/// The last units, as many as make a term.
struct Grams {
    size: usize,
    separator: &'static str,
    text: String,
    /// Where each of the last units begins in the text.
    begins: std::collections::VecDeque<usize>,
}

/// Text kept before the part that is no longer needed is taken off.
const SLACK: usize = 1 << 12;

impl Grams {
    fn new(counted: &Counted) -> Self {
        Self {
            size: counted.ngram.max(1),
            separator: counted.unit.separator(),
            text: String::new(),
            begins: std::collections::VecDeque::new(),
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.begins.clear();
    }

    fn push(&mut self, unit: &str) {
        if self.begins.len() == self.size {
            self.begins.pop_front();
        }
        if let Some(&first) = self.begins.front()
            && first > SLACK
        {
            self.text.drain(..first);
            self.begins.iter_mut().for_each(|begin| *begin -= first);
        }
        if !self.text.is_empty() {
            self.text.push_str(self.separator);
        }
        self.begins.push_back(self.text.len());
        self.text.push_str(unit);
    }

    /// The last term, once there are enough units for one.
    fn last(&self) -> Option<&str> {
        let complete = self.begins.len() == self.size;
        self.begins
            .front()
            .filter(|_| complete)
            .map(|&begin| &self.text[begin..])
    }
}
