//! Counts the terms of pieces of text, one after the other.

use kld_core::result::Counted;

use super::table::CountTable;
use crate::{Result, segment::Cutter};

/// A table in the making.
///
/// Within a piece a term costs one look-up and one addition; only at its end are the counts put to their part.
pub(super) struct Tally {
    pub(super) table: CountTable,
    /// Counts of this piece, by number of the term.
    here: Vec<u32>,
    /// The terms of this piece.
    touched: Vec<u32>,
    grams: Grams,
}

impl Tally {
    pub(super) fn new(counted: Counted) -> Self {
        let grams = Grams::new(&counted);
        Self {
            table: CountTable::new(counted),
            here: Vec::new(),
            touched: Vec::new(),
            grams,
        }
    }

    /// Terms do not go from one document into the next.
    pub(super) fn begin_document(&mut self) {
        self.grams.clear();
    }

    /// Goes through a text without counting, so that terms that begin in it are complete.
    pub(super) fn warm_up(&mut self, text: &str, cutter: &Cutter) -> Result<()> {
        if self.grams.size > 1 {
            cutter.each(text, |unit| self.grams.push(unit))?;
        }
        Ok(())
    }

    /// Counts the terms of a text into a part; returns how many there were.
    pub(super) fn count(&mut self, text: &str, part: u8, cutter: &Cutter) -> Result<u64> {
        let Self {
            table,
            here,
            touched,
            grams,
        } = self;
        let mut add = |term: &str| {
            let number = table.vocabulary.number(term);
            if number as usize == here.len() {
                here.push(0);
            }
            let count = &mut here[number as usize];
            if *count == 0 {
                touched.push(number);
            }
            *count += 1;
        };
        if grams.size == 1 {
            cutter.each(text, add)?;
        } else {
            cutter.each(text, |unit| {
                grams.push(unit);
                if let Some(gram) = grams.last() {
                    add(gram);
                }
            })?;
        }
        let mut total = 0;
        for number in touched.drain(..) {
            let count = u64::from(std::mem::take(&mut here[number as usize]));
            table.at(number as usize).add(part, count);
            total += count;
        }
        Ok(total)
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
