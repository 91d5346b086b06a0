//! Texts in pairs: what somebody wrote, and what a system made of it or suggested.
//!
//! Three questions, each of words and, with features, of meaning:
//!
//! 1. How far are the second texts from the first ones, taken as two bodies? Divergence, the terms that carry it, MAUVE.
//! 2. Is that more than chance? Under "both sides come from one distribution" the two texts of a pair could as well stand the other way round, so
//!    each pair is turned or not by chance, again and again, and the divergence computed anew (a permutation test for pairs).
//! 3. Has the second text of a pair to do with the first? Its distance to it is held against its distance to the first texts of others.

mod sparse;

use kld_core::result::{LinkTest, SwapTest};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use rayon::prelude::*;

pub use sparse::PairedCounts;

use crate::quality::Features;

/// How permutations are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permutations {
    /// How many.
    pub number: usize,
    /// Seed of their random numbers.
    pub seed: u64,
}

impl Default for Permutations {
    fn default() -> Self {
        Self {
            number: 999,
            seed: 0,
        }
    }
}

impl Permutations {
    /// A statistic of the data as they are and of every permutation, made by `permuted` from random numbers of its own.
    fn p_value(
        self,
        found: f64,
        permuted: impl Fn(&mut Xoshiro256PlusPlus) -> f64 + Sync,
        as_extreme: impl Fn(f64, f64) -> bool,
    ) -> (f64, f64) {
        // 2⁶⁴ over the golden ratio, as seeds are usually spread.
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let values: Vec<f64> = (0..self.number as u64)
            .into_par_iter()
            .map(|number| {
                let seed = self.seed ^ MIX.wrapping_mul(number + 1);
                permuted(&mut Xoshiro256PlusPlus::seed_from_u64(seed))
            })
            .collect();
        // Sums in another order may differ in the last bits: what is equal but for them counts as extreme.
        let extreme = values
            .iter()
            .filter(|value| as_extreme(**value, found))
            .count();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        ((1 + extreme) as f64 / (1 + values.len()) as f64, mean)
    }

    /// Do both sides come from one distribution? By counts of whatever the texts are made of.
    #[must_use]
    pub fn swap_test(self, counts: &PairedCounts) -> SwapTest {
        let js = counts.js(|_| false);
        let (p_value, js_of_chance) = self.p_value(
            js,
            |random| {
                let turned: Vec<bool> = (0..counts.pairs()).map(|_| random.random()).collect();
                counts.js(|pair| turned[pair])
            },
            |permuted, found| permuted >= found * (1.0 - 1e-12),
        );
        SwapTest {
            js,
            js_of_chance,
            p_value,
            permutations: self.number,
        }
    }

    /// Does it matter who is paired with whom? By the distance between the first text of one pair and the second of another.
    #[must_use]
    pub fn link_test(
        self,
        pairs: usize,
        distance: impl Fn(usize, usize) -> f64 + Sync,
    ) -> LinkTest {
        let mean = |partner: &[usize]| {
            let distances = partner
                .iter()
                .enumerate()
                .map(|(here, there)| distance(here, *there));
            distances.sum::<f64>() / pairs as f64
        };
        let own: Vec<usize> = (0..pairs).collect();
        let found = mean(&own);
        let (p_value, distance_of_chance) = self.p_value(
            found,
            |random| {
                let mut partner = own.clone();
                partner.shuffle(random);
                mean(&partner)
            },
            |permuted, found| permuted <= found * (1.0 + 1e-12),
        );
        LinkTest {
            distance: found,
            distance_of_chance,
            p_value,
            permutations: self.number,
        }
    }
}

/// 1 − cosine between two rows, 1 where one of them is 0.
///
/// # Panics
///
/// If there are no such rows.
#[must_use]
pub fn cosine_distance(features: &Features, a: usize, b: usize) -> f64 {
    let (a, b) = (features.row(a), features.row(b));
    let product = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let norms = (product(a, a) * product(b, b)).sqrt();
    if norms > 0.0 {
        1.0 - product(a, b) / norms
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Cutter;

    fn counts(pairs: &[(&str, &str)]) -> PairedCounts {
        let (first, second): (Vec<&str>, Vec<&str>) = pairs.iter().copied().unzip();
        PairedCounts::of_texts(&first, &second, &Cutter::default()).unwrap()
    }

    const EXAMPLE: [(&str, &str); 4] = [
        ("a b", "b c"),
        ("a a", "a c"),
        ("d", "d d d"),
        ("a e", "f c"),
    ];

    #[test]
    fn divergences_of_pairs_and_of_the_whole_are_known() {
        let counts = counts(&EXAMPLE);
        let ln2 = std::f64::consts::LN_2;
        assert!((counts.js_between(0, 0) - 0.5 * ln2).abs() < 1e-12);
        assert!(counts.js_between(2, 2).abs() < 1e-12);
        assert!((counts.js_between(3, 3) - ln2).abs() < 1e-12);
        // First: a 4/7, b 1/7, d 1/7, e 1/7; second: a 1/9, b 1/9, c 3/9, d 3/9, f 1/9.
        let (p, q) = ([4., 1., 0., 1., 1., 0.], [1., 1., 3., 3., 0., 1.]);
        let term = |x: f64, m: f64| if x > 0.0 { x * (x / m).ln() } else { 0.0 };
        let expected: f64 = (0..6)
            .map(|i| {
                let (p, q) = (p[i] / 7.0, q[i] / 9.0);
                0.5 * (term(p, 0.5 * (p + q)) + term(q, 0.5 * (p + q)))
            })
            .sum();
        assert!((counts.js(|_| false) - expected).abs() < 1e-12);
        assert!((counts.js(|_| true) - expected).abs() < 1e-12);
    }

    #[test]
    fn a_test_over_few_pairs_is_that_over_all_of_their_turns() {
        let counts = counts(&EXAMPLE);
        let found = counts.js(|_| false);
        let all = (0..16).filter(|turns| counts.js(|pair| turns >> pair & 1 == 1) >= found - 1e-12);
        let exact = all.count() as f64 / 16.0;
        let test = Permutations {
            number: 4000,
            seed: 1,
        }
        .swap_test(&counts);
        // Four standard errors of a share of 4000.
        assert!(
            (test.p_value - exact).abs() < 4.0 * (0.25_f64 / 4000.0).sqrt(),
            "{test:?} {exact}"
        );
    }

    #[test]
    fn partners_that_belong_together_are_told_from_others() {
        let texts: Vec<String> = (0..12).map(|i| format!("w{i} x{i} and")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let counts = PairedCounts::of_texts(&texts, &texts, &Cutter::default()).unwrap();
        let test = Permutations::default().link_test(12, |a, b| counts.js_between(a, b));
        assert_eq!(test.p_value, 0.001);
        assert!(test.distance < 1e-12 && test.distance_of_chance > 0.3);
        // Both sides have the same words: turning pairs changes nothing.
        assert_eq!(Permutations::default().swap_test(&counts).p_value, 1.0);
    }
}
