//! The search for words: the hypothesis of the greatest mass goes on first.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap, HashMap},
};

use kld_core::sum::sum;
use rayon::prelude::*;

use super::{Cursor, Expanded, Fate, Words, Written};
use crate::Result;

/// A beginning of a word.
#[derive(Clone, Debug)]
struct Hypothesis {
    mass: f64,
    /// The hypothesis that it goes on from, by its number among those that were expanded.
    from: usize,
    token: u32,
}

/// A search under way.
pub(super) struct Search<'w, 'm> {
    words: &'w Words<'m>,
    cursor: &'w Cursor,
    open: BinaryHeap<Hypothesis>,
    found: BTreeMap<String, f64>,
    /// Those that were expanded.
    written: Vec<Written>,
    /// What the model gave behind hypotheses whose turn has not come.
    ahead: HashMap<(usize, u32), Vec<f64>>,
}

impl<'w, 'm> Search<'w, 'm> {
    /// Begins with nothing written, and what the model gives behind it.
    pub(super) fn new(words: &'w Words<'m>, cursor: &'w Cursor, first: &[f64]) -> Self {
        let mut search = Self {
            words,
            cursor,
            open: BinaryHeap::new(),
            found: BTreeMap::new(),
            written: Vec::new(),
            ahead: HashMap::new(),
        };
        search.take(Written::default(), 1.0, first);
        search
    }

    /// Hypotheses that were expanded.
    pub(super) fn passes(&self) -> usize {
        self.written.len()
    }

    /// Whether as many words as are wanted have more mass than any hypothesis.
    pub(super) fn is_decided(&self, wanted: usize) -> bool {
        let Some(best) = self.open.peek() else {
            return true;
        };
        let ahead = self.found.values().filter(|mass| **mass >= best.mass);
        ahead.count() >= wanted
    }

    /// Expands the best hypothesis, if there is one; while the model is asked about it, so many in all are asked about.
    pub(super) fn go_on(&mut self, at_once: usize) -> Result<bool> {
        let Some(best) = self.open.pop() else {
            return Ok(false);
        };
        let next = match self.ahead.remove(&(best.from, best.token)) {
            Some(next) => next,
            None => self.ask(&best, at_once)?,
        };
        self.take(self.write(&best), best.mass, &next);
        Ok(true)
    }

    /// What the model gives behind a hypothesis, and behind the next best ones, whose turn is likely to come.
    fn ask(&mut self, best: &Hypothesis, at_once: usize) -> Result<Vec<f64>> {
        let mut asked = vec![best.clone()];
        let mut others = Vec::new();
        while asked.len() < at_once
            && let Some(other) = self.open.pop()
        {
            if !self.ahead.contains_key(&(other.from, other.token)) {
                asked.push(other.clone());
            }
            others.push(other);
        }
        self.open.extend(others);
        let this = &*self;
        let ask = |hypothesis: &Hypothesis| this.words.behind(this.cursor, &this.write(hypothesis));
        let rows: Vec<Result<Vec<f64>>> = asked.par_iter().map(ask).collect();
        let mut rows = rows.into_iter();
        let next = rows
            .next()
            .unwrap_or_else(|| unreachable!("one was asked about"));
        for (other, row) in asked[1..].iter().zip(rows) {
            self.ahead.insert((other.from, other.token), row?);
        }
        next
    }

    fn write(&self, hypothesis: &Hypothesis) -> Written {
        self.written[hypothesis.from].with(hypothesis.token, self.words.model.pieces())
    }

    /// Takes up what may stand behind a hypothesis.
    fn take(&mut self, written: Written, mass: f64, next: &[f64]) {
        let (from, gap) = (self.written.len(), self.cursor.gap);
        self.words
            .each_fate(self.cursor, &written, next, |token, p, fate, bytes| {
                let mass = mass * p;
                match fate {
                    Fate::Open => self.open.push(Hypothesis { mass, from, token }),
                    Fate::Word(end) => {
                        let word = String::from_utf8_lossy(&bytes[gap..gap + end]);
                        *self.found.entry(word.into_owned()).or_default() += mass;
                    }
                    Fate::Other => {}
                }
            });
        self.written.push(written);
    }

    /// What was found, given the mass of all words.
    pub(super) fn end(self, any: f64) -> Expanded {
        let passes = self.passes();
        let found = self.found.into_iter();
        let mut words: Vec<(String, f64)> = found.map(|(word, mass)| (word, mass / any)).collect();
        words.sort_by(|a, b| b.1.total_cmp(&a.1));
        let open = sum(self.open.into_sorted_vec().into_iter().map(|of| of.mass)) / any;
        Expanded {
            words,
            open,
            passes,
        }
    }
}

impl Ord for Hypothesis {
    /// By mass; which comes first among equals is settled, so that every run expands the same.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_mass = self.mass.total_cmp(&other.mass);
        by_mass.then((other.from, other.token).cmp(&(self.from, self.token)))
    }
}

impl PartialOrd for Hypothesis {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hypothesis {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hypothesis {}
