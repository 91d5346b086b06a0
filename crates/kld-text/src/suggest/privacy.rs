//! Counts under differential privacy: whether one passage was in the history or not hardly changes what is published.
//!
//! **Neighbours** are two histories of which one has one passage more (a paragraph of a text, a record of a `.jsonl` file). The
//! mechanism `M` promises, for both orders of neighbours `H`, `H′` and every set `S` of outcomes,
//! `P(M(H) ∈ S) ≤ e^ε · P(M(H′) ∈ S) + δ`. What a person repeats in many passages is protected less: `k` passages together with `k·ε`.
//!
//! ```text
//! each passage   chooses at random at most C of its distinct n-grams, and counts each once
//! each n-gram g  that was chosen by n_g > 0 passages gets noise X with P(X = x) ∝ exp(−|x|·ε/C)
//! published are  those n_g + X that reach τ, the least with C · P(1 + X ≥ τ) ≤ δ; nothing else
//! ```
//!
//! Why that keeps the promise: choices of different passages are independent, so let those of all others be the same on both sides. The
//! additional passage moves at most `C` counts by 1 each. A count that was there before has noise, which hides a move by 1 up to a
//! factor e^(ε/C), and C of them up to e^ε. An n-gram that only the additional passage has is published with a probability of at
//! most δ/C, so any of them with at most δ; else the outcome is as if it were not there. (A. Korolova and others, WWW 2009; R. Wilson and
//! others, `PoPETs` 2020.)
//!
//! The noise is drawn in whole numbers throughout, without the rounding of floats through which the plain Laplace mechanism leaks
//! (I. Mironov, CCS 2012), as C. Canonne, G. Kamath and T. Steinke do it (`NeurIPS` 2020). What is computed from the published counts
//! alone, such as suggestions, keeps the promise. Every further release from the same history spends its ε again.

use std::collections::{BTreeMap, BTreeSet};

use rand::{CryptoRng, RngExt, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::{
    cache::ORDERS,
    state::{Span, State},
    words::{START_NAME, Token, mark_name},
};

/// What is promised, and how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// ε: how much one passage may change the probability of any outcome, as a power of e.
    pub epsilon: f64,
    /// δ: the probability that is let off.
    pub delta: f64,
    /// C: how many n-grams one passage counts, at most.
    pub contribution: u32,
}

/// Parts of one that ε is counted in, so that noise can be drawn in whole numbers.
const PARTS: u64 = 1_000_000;

impl Promise {
    /// A promise that can be kept.
    ///
    /// # Errors
    ///
    /// What is wrong: ε must be from 10⁻⁶ to 100, δ above 0 and below 1, the contribution from 1 to 10 000.
    pub fn new(epsilon: f64, delta: f64, contribution: u32) -> Result<Self, &'static str> {
        match () {
            () if !(1e-6..=100.0).contains(&epsilon) => Err("ε is expected from 0.000001 to 100"),
            () if !(delta > 0.0 && delta < 1.0) => Err("δ is expected above 0 and below 1"),
            () if !(1..=10_000).contains(&contribution) => {
                Err("the contribution of a passage is expected from 1 to 10000 n-grams")
            }
            () => Ok(Self {
                epsilon,
                delta,
                contribution,
            }),
        }
    }

    /// τ: the least count that is published. P(X ≥ m) = q^m/(1 + q) with q = exp(−ε/C), for m > 0.
    #[must_use]
    pub fn threshold(&self) -> u64 {
        let (c, q) = (f64::from(self.contribution), self.decay());
        let margin = ((c / (self.delta * (1.0 + q))).ln() / -q.ln()).ceil();
        1 + margin.max(1.0) as u64
    }

    /// exp(−ε/C), with the ε that the noise is drawn for.
    fn decay(&self) -> f64 {
        let (up, down) = self.exponent();
        (-(up as f64) / down as f64).exp()
    }

    /// ε/C as a fraction; ε is rounded down to whole [`PARTS`], which only makes the promise stronger.
    fn exponent(&self) -> (u64, u64) {
        let up = (self.epsilon * PARTS as f64) as u64;
        (up.max(1), PARTS * u64::from(self.contribution))
    }

    /// A state of published counts, made from the words and marks of documents at a time such as `2026-11-25T20:15:00Z`.
    ///
    /// `random` has to be unpredictable: who knows the noise knows the counts.
    pub fn release<'a, D>(
        &self,
        documents: impl IntoIterator<Item = D>,
        time: &str,
        random: &mut impl CryptoRng,
    ) -> State
    where
        D: IntoIterator<Item = Token<'a>>,
    {
        let mut chosen = BTreeMap::new();
        for passage in documents.into_iter().flat_map(passages) {
            let mut grams: Vec<String> = passage.into_iter().collect();
            let (counted, _) = grams.partial_shuffle(random, self.contribution as usize);
            for gram in counted {
                *chosen.entry(std::mem::take(gram)).or_insert(0_u64) += 1;
            }
        }
        let threshold = self.threshold();
        let noisy = chosen.into_iter().map(|(gram, count)| {
            let noise = two_sided_geometric(self.exponent(), random);
            (gram, count.saturating_add_signed(noise))
        });
        let counts: BTreeMap<String, u64> =
            noisy.filter(|(_, count)| *count >= threshold).collect();
        let words = counts
            .iter()
            .filter(|(gram, _)| !gram.contains(' '))
            .map(|(_, count)| count)
            .sum();
        let span = Span {
            from: time.to_owned(),
            until: time.to_owned(),
            words,
            counts,
        };
        State {
            private: Some(*self),
            spans: vec![span],
            ..State::default()
        }
    }
}

/// The distinct n-grams of each passage, as they are written in a state.
fn passages<'a>(document: impl IntoIterator<Item = Token<'a>>) -> Vec<BTreeSet<String>> {
    let mut passages = vec![BTreeSet::new()];
    let mut before = vec![START_NAME];
    for token in document {
        let (name, is_word) = match token {
            Token::Word(word) => (word, true),
            Token::Mark(mark) => (mark_name(mark), false),
        };
        if name == START_NAME {
            before.clear();
            passages.push(BTreeSet::new());
        } else if is_word && let Some(passage) = passages.last_mut() {
            for order in 0..=before.len().min(ORDERS - 1) {
                let context = before[before.len() - order..].iter().copied();
                passage.insert(context.chain([name]).collect::<Vec<_>>().join(" "));
            }
        }
        before.push(name);
    }
    passages
}

/// X with P(X = x) ∝ exp(−|x|·up/down), exactly.
fn two_sided_geometric((up, down): (u64, u64), random: &mut impl CryptoRng) -> i64 {
    loop {
        let rest = random.random_range(0..down);
        if !bernoulli_exp(rest, down, random) {
            continue;
        }
        let mut wholes = 0;
        while bernoulli_exp(1, 1, random) {
            wholes += 1;
        }
        let magnitude = ((rest + down * wholes) / up).cast_signed();
        // Zero has no sign: half of its draws are given back.
        match (random.random::<bool>(), magnitude) {
            (true, 0) => {}
            (true, _) => return -magnitude,
            (false, _) => return magnitude,
        }
    }
}

/// True with probability exp(−up/down), exactly, for up ≤ down: the terms of the exponential's series as a race.
fn bernoulli_exp(up: u64, down: u64, random: &mut impl CryptoRng) -> bool {
    let mut rounds = 1;
    while random.random_range(0..down * rounds) < up {
        rounds += 1;
    }
    rounds % 2 == 1
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::{super::words::each_token, *};

    fn release(promise: &Promise, history: &str, random: &mut StdRng) -> State {
        let mut tokens = Vec::new();
        each_token(history, |token| tokens.push(token));
        promise.release([tokens], "2026-11-25T20:00:00Z", random)
    }

    #[test]
    fn noise_has_the_distribution_that_the_promise_needs() {
        let mut random = StdRng::seed_from_u64(1);
        let (draws, exponent) = (200_000, (2, 5));
        let mut counts = BTreeMap::new();
        for _ in 0..draws {
            *counts
                .entry(two_sided_geometric(exponent, &mut random))
                .or_insert(0_u32) += 1;
        }
        let q = (-0.4_f64).exp();
        for x in -8..=8_i64 {
            let p = (1.0 - q) / (1.0 + q) * q.powi(x.abs() as i32);
            let expected = p * f64::from(draws);
            let found = f64::from(counts.get(&x).copied().unwrap_or(0));
            assert!(
                (found - expected).abs() < 5.0 * expected.sqrt(),
                "{x}: {found} {expected}"
            );
        }
    }

    #[test]
    fn the_threshold_is_the_least_that_keeps_delta() {
        for (epsilon, delta, contribution) in [
            (1.0, 1e-6, 1),
            (1.0, 1e-6, 32),
            (0.1, 1e-3, 4),
            (50.0, 0.4, 1),
        ] {
            let promise = Promise::new(epsilon, delta, contribution).unwrap();
            let q = (-epsilon / f64::from(contribution)).exp();
            // C · P(1 + X ≥ τ), by adding up the tail.
            let leaked = |threshold: u64| -> f64 {
                let tail = (threshold - 1..threshold + 20_000)
                    .map(|x| q.powi(x as i32))
                    .sum::<f64>();
                f64::from(contribution) * (1.0 - q) / (1.0 + q) * tail
            };
            let threshold = promise.threshold();
            assert!(
                leaked(threshold) <= delta * (1.0 + 1e-9),
                "{promise:?} {threshold}"
            );
            assert!(
                threshold == 2 || leaked(threshold - 1) > delta,
                "{promise:?} {threshold}"
            );
        }
    }

    #[test]
    fn promises_that_cannot_be_kept_are_refused() {
        for (epsilon, delta, contribution) in [
            (0.0, 0.1, 1),
            (f64::NAN, 0.1, 1),
            (1.0, 0.0, 1),
            (1.0, 1.0, 1),
            (1.0, 0.1, 0),
        ] {
            assert!(Promise::new(epsilon, delta, contribution).is_err());
        }
    }

    /// How often each outcome came.
    fn outcomes(
        promise: &Promise,
        history: &str,
        rounds: u32,
        random: &mut StdRng,
    ) -> BTreeMap<Vec<(String, u64)>, f64> {
        let mut outcomes = BTreeMap::new();
        for _ in 0..rounds {
            let mut state = release(promise, history, random);
            let published = state.spans.swap_remove(0).counts.into_iter().collect();
            *outcomes.entry(published).or_insert(0.0) += 1.0 / f64::from(rounds);
        }
        outcomes
    }

    /// By how much the promise is broken on the worst set of outcomes: Σ max(0, P − e^ε·P′).
    fn broken_by(
        epsilon: f64,
        p: &BTreeMap<Vec<(String, u64)>, f64>,
        q: &BTreeMap<Vec<(String, u64)>, f64>,
    ) -> f64 {
        let beyond = |(outcome, p): (&Vec<(String, u64)>, &f64)| {
            p - epsilon.exp() * q.get(outcome).copied().unwrap_or(0.0)
        };
        p.iter().map(beyond).filter(|beyond| *beyond > 0.0).sum()
    }

    #[test]
    fn neighbours_are_told_apart_no_better_than_promised() {
        let promise = Promise::new(1.0, 0.05, 2).unwrap();
        let common = "a a\n\n".repeat(6);
        // One passage more, with an n-gram that others have and one that none has.
        let with = format!("{common}a b");
        let mut random = StdRng::seed_from_u64(2);
        let rounds = 60_000;
        let without = outcomes(&promise, &common, rounds, &mut random);
        let with = outcomes(&promise, &with, rounds, &mut random);
        for (p, q) in [(&with, &without), (&without, &with)] {
            let broken = broken_by(1.0, p, q);
            assert!(broken <= 0.05, "{broken}");
        }
        // The measure is not blind: a promise that is kept by hiding everything would leave it near 0.
        let seen = broken_by(0.05, &with, &without);
        assert!(seen > 0.04, "{seen}");
    }

    #[test]
    fn a_passage_counts_a_bounded_number_of_n_grams_and_what_few_wrote_is_not_published() {
        let promise = Promise::new(100.0, 1e-9, 3).unwrap();
        let mut random = StdRng::seed_from_u64(3);
        let history = "we all write this\n\n".repeat(400) + "my Passw0rd is secret";
        let state = release(&promise, &history, &mut random);
        let counts = &state.spans[0].counts;
        let total: u64 = counts.values().sum();
        assert!((1150..1250).contains(&total), "{total}");
        assert!(counts.contains_key("write") && counts.contains_key("¶ we"));
        assert!(
            counts.keys().all(|gram| !gram.contains("Passw0rd")),
            "{counts:?}"
        );
    }
}
