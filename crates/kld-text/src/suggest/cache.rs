//! What was written lately: counts of the words after the last two, one and no symbols, older ones weighing less.
//!
//! A count that was made when the history had `t` words weighs `2^(t/half-life)` beside others. The relative weights after a context
//! are a distribution of the next word, as sharp and as blind as the history is short; the [mixture](super::mixture) tempers it.

use std::{array, collections::HashMap};

use foldhash::fast::RandomState;

use super::{
    ngram::{START, Symbol},
    words::UNKNOWN,
};

/// Orders of the cache: the next word by itself, after one symbol, and after two.
pub const ORDERS: usize = 3;

/// No symbol: pads contexts that are shorter than the longest.
const NONE: Symbol = Symbol::MAX;

/// The last symbols before a word, [`NONE`] where there are fewer.
type Key = [Symbol; ORDERS - 1];

/// Counts that fade, under `N` half-lives at once.
#[derive(Clone, Debug)]
pub struct Cache<const N: usize = 1> {
    half_lives: [f64; N],
    followers: HashMap<Key, Followers<N>, RandomState>,
}

/// What came after one context.
#[derive(Clone, Debug, Default)]
struct Followers<const N: usize> {
    total: Faded<N>,
    /// In the order of their numbers. New words have the highest, so they mostly come last.
    words: Vec<(Symbol, Faded<N>)>,
}

/// Weights as they were at a moment.
#[derive(Clone, Copy, Debug)]
struct Faded<const N: usize> {
    weights: [f64; N],
    at: u64,
}

impl<const N: usize> Default for Faded<N> {
    fn default() -> Self {
        Self {
            weights: [0.0; N],
            at: 0,
        }
    }
}

impl<const N: usize> Followers<N> {
    fn word(&self, word: Symbol) -> Option<&Faded<N>> {
        let at = self.words.binary_search_by_key(&word, |of| of.0).ok()?;
        Some(&self.words[at].1)
    }

    fn word_mut(&mut self, word: Symbol) -> &mut Faded<N> {
        let at = self.words.binary_search_by_key(&word, |of| of.0);
        let at = at.unwrap_or_else(|at| {
            self.words.insert(at, (word, Faded::default()));
            at
        });
        &mut self.words[at].1
    }

    /// A word's part of the total. Both fade alike, so it is taken as of the last time that something was learnt here: however
    /// long ago that is, no weight has faded to nothing.
    fn shares(&self, of: &Faded<N>, half_lives: &[f64; N]) -> [f64; N] {
        let weights = of.at(self.total.at, half_lives);
        array::from_fn(|i| weights[i] / self.total.weights[i])
    }
}

impl<const N: usize> Faded<N> {
    fn at(&self, now: u64, half_lives: &[f64; N]) -> [f64; N] {
        let passed = now.saturating_sub(self.at) as f64;
        if passed == 0.0 {
            return self.weights;
        }
        array::from_fn(|i| self.weights[i] * (-passed / half_lives[i]).exp2())
    }

    fn add(&mut self, count: f64, now: u64, half_lives: &[f64; N]) {
        self.weights = self.at(now, half_lives).map(|weight| weight + count);
        self.at = now;
    }
}

impl Cache {
    /// An empty cache whose counts halve every `half_life` words; +∞ is never.
    #[must_use]
    pub fn new(half_life: f64) -> Self {
        Self::with_half_lives([half_life])
    }

    /// The half-life in words.
    #[must_use]
    pub fn half_life(&self) -> f64 {
        self.half_lives[0]
    }

    /// Adds `weights[order]` times the distribution of each order to `out`.
    pub fn add_distributions(&self, context: &[Symbol], weights: &[f64], out: &mut [f64]) {
        for (order, weight) in weights.iter().enumerate() {
            let Some(after) = self.after(context, order) else {
                return;
            };
            for (word, of) in &after.words {
                let [share] = after.shares(of, &self.half_lives);
                out[*word as usize] += weight * share;
            }
        }
    }
}

impl<const N: usize> Cache<N> {
    /// An empty cache that keeps the counts as they are under each of these half-lives.
    #[must_use]
    pub fn with_half_lives(half_lives: [f64; N]) -> Self {
        Self {
            half_lives,
            followers: HashMap::default(),
        }
    }

    /// Learns that a word came after `context` (its last symbols, at most two, count) when the history had `now` words.
    pub fn learn(&mut self, context: &[Symbol], word: Symbol, now: u64) {
        for order in 0..ORDERS {
            if let Some(key) = key(context, order) {
                self.add(key, word, 1, now);
            }
        }
    }

    /// Learns a counted n-gram: the context as it is, whose length says the order.
    pub fn learn_counted(&mut self, context: &[Symbol], word: Symbol, count: u64, now: u64) {
        if let Some(key) = key(context, context.len()) {
            self.add(key, word, count, now);
        }
    }

    fn add(&mut self, key: Key, word: Symbol, count: u64, now: u64) {
        let followers = self.followers.entry(key).or_default();
        followers.total.add(count as f64, now, &self.half_lives);
        let of = followers.word_mut(word);
        of.add(count as f64, now, &self.half_lives);
    }

    /// For how many orders, from the lowest, something has come after this context.
    #[must_use]
    pub fn orders_seen(&self, context: &[Symbol]) -> usize {
        (0..ORDERS)
            .take_while(|order| self.after(context, *order).is_some())
            .count()
    }

    /// The share of a word after the context under each half-life, at each order that [has seen it](Self::orders_seen).
    #[must_use]
    pub fn shares(&self, context: &[Symbol], word: Symbol) -> Vec<[f64; N]> {
        let share = |after: &Followers<N>| match after.word(word) {
            Some(of) => after.shares(of, &self.half_lives),
            None => [0.0; N],
        };
        (0..ORDERS)
            .map_while(|order| self.after(context, order).map(share))
            .collect()
    }

    fn after(&self, context: &[Symbol], order: usize) -> Option<&Followers<N>> {
        self.followers.get(&key(context, order)?)
    }
}

/// The last `order` symbols of a context as a key; `None` where it is shorter, reaches over the start of a passage, or has a word
/// that nobody knows.
fn key(context: &[Symbol], order: usize) -> Option<Key> {
    let from = context.len().checked_sub(order)?;
    let last = &context[from..];
    if last.iter().skip(1).any(|symbol| *symbol == START) || last.contains(&UNKNOWN) {
        return None;
    }
    let mut key = [NONE; ORDERS - 1];
    key[ORDERS - 1 - order..].copy_from_slice(last);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Symbol = 20;
    const B: Symbol = 21;

    #[test]
    fn shares_are_those_of_the_counts_while_nothing_fades() {
        let mut cache = Cache::new(f64::INFINITY);
        for (now, word) in [(0, A), (1, B), (2, A), (1000, A)] {
            cache.learn(&[START, A], word, now);
        }
        assert_eq!(cache.shares(&[START, A], A), [[0.75]; 3]);
        assert_eq!(cache.shares(&[B, A], B), [[0.25]; 2]);
        assert_eq!(cache.shares(&[B], B), [[0.25]]);
        assert_eq!(cache.orders_seen(&[]), 1);
        assert_eq!(Cache::new(1.0).orders_seen(&[A]), 0);
    }

    #[test]
    fn after_a_half_life_a_count_weighs_half() {
        let mut cache = Cache::new(100.0);
        cache.learn(&[A], A, 0);
        cache.learn(&[A], B, 100);
        let [share] = cache.shares(&[A], A)[1];
        assert!((share - 1.0 / 3.0).abs() < 1e-15, "{share}");
    }

    #[test]
    fn half_lives_side_by_side_are_those_of_caches_of_their_own() {
        let half_lives = [3.0, 40.0, f64::INFINITY];
        let (mut all, mut own) = (
            Cache::with_half_lives(half_lives),
            half_lives.map(Cache::new),
        );
        for now in 0..200_u32 {
            let (context, word) = ([16 + now % 3, 16 + now % 5], 16 + now % 7);
            all.learn(&context, word, u64::from(now));
            for own in &mut own {
                own.learn(&context, word, u64::from(now));
            }
            for (order, shares) in all.shares(&context, 17).iter().enumerate() {
                assert_eq!(
                    *shares,
                    own.each_ref().map(|own| own.shares(&context, 17)[order][0])
                );
            }
        }
    }

    #[test]
    fn nothing_fades_away_altogether() {
        let mut cache = Cache::new(1.0);
        cache.learn(&[A], A, 0);
        cache.learn(&[B], B, 1_000_000);
        assert_eq!(cache.shares(&[A], A), [[0.0], [1.0]]);
    }

    #[test]
    fn distributions_sum_to_their_weights() {
        let mut cache = Cache::new(50.0);
        for now in 0..300_u32 {
            cache.learn(&[16 + now % 3, 16 + now % 5], 16 + now % 7, u64::from(now));
        }
        let mut out = vec![0.0; 30];
        cache.add_distributions(&[16, 17], &[0.1, 0.2, 0.3], &mut out);
        assert!((out.iter().sum::<f64>() - 0.6).abs() < 1e-12);
        for word in 16..23 {
            let shares = cache.shares(&[16, 17], word);
            let mixed: f64 = shares
                .iter()
                .zip([0.1, 0.2, 0.3])
                .map(|([p], w)| p * w)
                .sum();
            assert!((out[word as usize] - mixed).abs() < 1e-15);
        }
    }
}
