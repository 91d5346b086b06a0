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
/// Most terms cost one look-up and one addition. Counts are put to their terms at the end, all of a term at once.
pub(super) struct Tally {
    pub(super) terms: Terms,
    counts: Counts,
}

/// What was counted, and what is being counted.
struct Counts {
    table: CountTable,
    part: u8,
    recent: Recent,
    /// What is no longer among the recent ones, and not put to its term yet.
    noted: Vec<Noted>,
}

/// A count of a term in a part; there may be several.
struct Noted {
    number: u32,
    count: u32,
    part: u8,
}

impl Noted {
    /// `None` where there is nothing to note.
    fn new(number: u32, count: u32, part: u8) -> Option<Self> {
        (count > 0).then_some(Self {
            number,
            count,
            part,
        })
    }
}

impl Tally {
    pub(super) fn new(counted: Counted) -> Self {
        Self {
            terms: Terms::new(&counted),
            counts: Counts {
                table: CountTable::new(counted),
                part: 0,
                recent: Recent::default(),
                noted: Vec::new(),
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
        self.counts.put();
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
        self.noted.extend(Noted::new(number, count, self.part));
    }

    fn end_part(&mut self) {
        let (noted, part) = (&mut self.noted, self.part);
        self.recent
            .drain(|number, count| noted.extend(Noted::new(number, count, part)));
    }

    /// Puts what was noted to its terms.
    fn put(&mut self) {
        let terms = self.table.vocabulary.len();
        // Of each term where the next of its counts goes: first where they begin, at last where they end.
        let mut places = vec![0; terms + 1];
        for noted in &self.noted {
            places[noted.number as usize + 1] += 1;
        }
        for term in 0..terms {
            places[term + 1] += places[term];
        }
        let mut sorted = vec![(0, 0); self.noted.len()];
        for noted in self.noted.drain(..) {
            let place: &mut usize = &mut places[noted.number as usize];
            sorted[*place] = (noted.part, noted.count);
            *place += 1;
        }
        let mut begin = 0;
        for (term, &end) in places[..terms].iter().enumerate() {
            let counts = self.table.at(term);
            for &(part, count) in &sorted[begin..end] {
                counts.add(part, u64::from(count));
            }
            begin = end;
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
