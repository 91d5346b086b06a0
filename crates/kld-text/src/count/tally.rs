//! Counts the terms of pieces of text, one after the other.

use kld_core::result::Counted;

use super::table::{CountTable, Header};
use crate::{Result, segment::Cutter};

/// A table in the making.
///
/// Within a part a term costs one look-up and one addition; only at its end are the counts put to it.
pub(super) struct Tally {
    table: CountTable,
    pub(super) terms: Terms,
    part: u8,
    /// Counts of this part, by number of the term.
    here: Vec<u32>,
    /// The terms of this part.
    touched: Vec<u32>,
}

impl Tally {
    pub(super) fn new(counted: Counted) -> Self {
        Self {
            terms: Terms::new(&counted),
            table: CountTable::new(counted),
            part: 0,
            here: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Counts the terms of a text into a part; returns how many there were.
    pub(super) fn count(&mut self, text: &str, part: u8, cutter: &Cutter) -> Result<u64> {
        if part != self.part {
            self.end_part();
            self.part = part;
        }
        let Self {
            table,
            terms,
            here,
            touched,
            ..
        } = self;
        let mut total = 0;
        terms.each(text, cutter, |term| {
            let number = table.vocabulary.number(term);
            if number as usize == here.len() {
                here.push(0);
            }
            let count = &mut here[number as usize];
            if *count == 0 {
                touched.push(number);
            }
            *count += 1;
            total += 1;
        })?;
        Ok(total)
    }

    fn end_part(&mut self) {
        for number in self.touched.drain(..) {
            let count = std::mem::take(&mut self.here[number as usize]);
            self.table
                .at(number as usize)
                .add(self.part, u64::from(count));
        }
    }

    pub(super) fn header(&mut self) -> &mut Header {
        &mut self.table.header
    }

    /// The table of all that was counted.
    pub(super) fn finish(mut self) -> CountTable {
        self.end_part();
        self.table
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
        mut each: impl FnMut(&str),
    ) -> Result<()> {
        if self.grams.size == 1 {
            return cutter.each(text, each);
        }
        cutter.each(text, |unit| {
            self.grams.push(unit);
            if let Some(gram) = self.grams.last() {
                each(gram);
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
