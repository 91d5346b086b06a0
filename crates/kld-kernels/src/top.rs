//! The k largest entries of a row, kept while the row streams by.

use crate::row::{Likely, NAMED};

/// The largest [`PairOptions::top_k`](crate::PairOptions::top_k): the lists live on the stack.
pub const MAX_TOP_K: usize = 64;

/// The `k` largest entries seen so far, largest first; among equals the one offered first stays ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Top {
    k: usize,
    len: usize,
    values: [f32; MAX_TOP_K],
    entries: [u32; MAX_TOP_K],
}

impl Top {
    /// An empty list for the `k` largest entries.
    pub(crate) fn new(k: usize) -> Top {
        assert!(
            k <= MAX_TOP_K,
            "top_k is {k}, but at most {MAX_TOP_K} are kept"
        );
        Top {
            k,
            len: 0,
            values: [f32::NEG_INFINITY; MAX_TOP_K],
            entries: [0; MAX_TOP_K],
        }
    }

    /// How many entries are kept.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// What an entry must exceed to be taken in.
    pub(crate) fn bar(&self) -> f32 {
        match self.k {
            0 => f32::INFINITY,
            k => self.values[k - 1],
        }
    }

    /// Takes `value` in, if it exceeds the bar. Entries must be offered in ascending order.
    pub(crate) fn offer(&mut self, entry: u32, value: f32) {
        if value > self.bar() {
            self.len = self.k.min(self.len + 1);
            let mut place = self.len - 1;
            while place > 0 && self.values[place - 1] < value {
                self.values[place] = self.values[place - 1];
                self.entries[place] = self.entries[place - 1];
                place -= 1;
            }
            self.values[place] = value;
            self.entries[place] = entry;
        }
    }

    /// The largest entry and its value, if one above −∞ was offered.
    pub(crate) fn first(&self) -> Option<(u32, f32)> {
        (self.len > 0).then(|| (self.entries[0], self.values[0]))
    }

    /// The first entries, with the probability that `prob` gives to a value.
    pub(crate) fn likely(&self, prob: impl Fn(f32) -> f64) -> [Likely; NAMED] {
        std::array::from_fn(|place| {
            if place < self.len {
                Likely {
                    token: self.entries[place],
                    prob: prob(self.values[place]) as f32,
                }
            } else {
                Likely::default()
            }
        })
    }

    /// How many entries both lists hold.
    pub(crate) fn overlap(&self, other: &Top) -> u32 {
        let theirs = &other.entries[..other.len];
        self.entries[..self.len]
            .iter()
            .filter(|entry| theirs.contains(entry))
            .count() as u32
    }
}
