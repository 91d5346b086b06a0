//! How much each part of a suggestion weighs: P(w) = λ₀·base(w) + Σ λₖ·cacheₖ(w).
//!
//! There is one set of weights for each number `m` of cache orders that have seen the context: `m + 1` weights that sum to 1. They
//! are those that minimise KL(history ‖ suggestions) on a held-back part of the history, which is its cross-entropy
//! `−(1/n)·Σ ln P(w)` less a constant that no weight changes. That is convex in the weights, so that expectation maximisation
//! (λₖ ← mean of λₖ·pₖ / Σ λⱼ·pⱼ) comes to the one minimum from anywhere inside: F. Jelinek and R. L. Mercer, 1980.
//!
//! The held-back part counts as having one position more, at which a word came that the cache has never seen: λ₀ stays above 0,
//! so that no word becomes impossible because the held-back part happened not to need the base.

use kld_core::sum::sum;
use serde::{Deserialize, Serialize};

use super::cache::ORDERS;

/// Weights of base and cache, by how many orders of the cache have seen the context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    weights: [Vec<f64>; ORDERS + 1],
}

/// The probabilities that the parts gave to the word that came: the base's first, then the cache's, lowest order first.
pub type Parts = Vec<f64>;

/// EM stops when a step gains less than this, in nats per position.
const ENOUGH: f64 = 1e-10;
const MOST_STEPS: usize = 10_000;

impl Default for Mixture {
    /// Weights for a history of which nothing can be held back; rounded from those that fitting one novel to others gave.
    fn default() -> Self {
        Self {
            weights: [
                vec![1.0],
                vec![0.9, 0.1],
                vec![0.8, 0.1, 0.1],
                vec![0.7, 0.1, 0.1, 0.1],
            ],
        }
    }
}

impl Mixture {
    /// The weights where `orders` orders of the cache have seen the context; the base's is the first.
    #[must_use]
    pub fn weights(&self, orders: usize) -> &[f64] {
        &self.weights[orders]
    }

    /// All sets of weights, for 0, 1, … orders of the cache.
    #[must_use]
    pub fn all(&self) -> &[Vec<f64>] {
        &self.weights
    }

    /// Probability of a word from its probability under each part.
    #[must_use]
    pub fn probability(&self, parts: &[f64]) -> f64 {
        mixed(self.weights(parts.len() - 1), parts)
    }

    /// The weights that minimise the cross-entropy of held-back positions. Where a set of weights has no position, it stays at
    /// its default.
    #[must_use]
    pub fn fitted(positions: &[Parts]) -> Self {
        let mut mixture = Self::default();
        for orders in 1..=ORDERS {
            let mut of: Vec<Parts> = positions
                .iter()
                .filter(|p| p.len() == orders + 1)
                .cloned()
                .collect();
            if !of.is_empty() {
                of.push(only_the_base(orders));
                mixture.weights[orders] = fit(&of, &mixture.weights[orders]);
            }
        }
        mixture
    }

    /// Whether the weights are such: as many as there are parts, none below 0, the base's above it, summing to 1.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let sound = |(orders, w): (usize, &Vec<f64>)| {
            w.len() == orders + 1
                && w.iter().all(|w| *w >= 0.0)
                && w[0] > 0.0
                && (w.iter().sum::<f64>() - 1.0).abs() < 1e-6
        };
        self.weights.iter().enumerate().all(sound)
    }

    /// Σ −ln P over positions, in nats.
    #[must_use]
    pub fn nll(&self, positions: &[Parts]) -> f64 {
        sum(positions.iter().map(|parts| -self.probability(parts).ln()))
    }
}

fn only_the_base(orders: usize) -> Parts {
    let mut parts = vec![0.0; orders + 1];
    parts[0] = 1.0;
    parts
}

fn mixed(weights: &[f64], parts: &[f64]) -> f64 {
    weights.iter().zip(parts).map(|(w, p)| w * p).sum()
}

fn fit(positions: &[Parts], start: &[f64]) -> Vec<f64> {
    let mut weights = start.to_vec();
    let mut before = f64::NEG_INFINITY;
    for _ in 0..MOST_STEPS {
        let mut shares = vec![0.0; weights.len()];
        let mut likelihood = 0.0;
        for parts in positions {
            let p = mixed(&weights, parts);
            likelihood += p.ln();
            for ((share, weight), part) in shares.iter_mut().zip(&weights).zip(parts) {
                *share += weight * part / p;
            }
        }
        let n = positions.len() as f64;
        weights = shares.iter().map(|share| share / n).collect();
        if likelihood / n - before < ENOUGH {
            break;
        }
        before = likelihood / n;
    }
    weights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_parts_that_never_agree_share_by_how_often_each_is_right() {
        let positions: Vec<Parts> = (0..99)
            .map(|i| {
                if i % 4 == 0 {
                    vec![0.0, 1.0]
                } else {
                    vec![1.0, 0.0]
                }
            })
            .collect();
        let weights = Mixture::fitted(&positions).weights(1).to_vec();
        assert!(
            (weights[0] - 0.75).abs() < 1e-9 && (weights[1] - 0.25).abs() < 1e-9,
            "{weights:?}"
        );
    }

    #[test]
    fn the_base_is_never_given_up() {
        let fitted = Mixture::fitted(&vec![vec![0.01, 0.9]; 200]);
        assert!(
            (fitted.weights(1)[0] - 1.0 / 201.0).abs() < 2e-4,
            "{fitted:?}"
        );
        assert!(fitted.is_sound() && Mixture::default().is_sound());
    }

    proptest! {
        #[test]
        fn no_other_weights_are_better(
            parts in prop::collection::vec(prop::collection::vec(0.001..1.0_f64, 3), 5..40),
            to in (0.01..1.0_f64, 0.01..1.0_f64, 0.01..1.0_f64),
        ) {
            let fitted = Mixture::fitted(&parts);
            let total = to.0 + to.1 + to.2;
            let mut other = fitted.clone();
            other.weights[2] = vec![to.0 / total, to.1 / total, to.2 / total];
            let mut all = parts;
            all.push(only_the_base(2));
            prop_assert!(fitted.nll(&all) <= other.nll(&all) + 1e-4 * all.len() as f64);
        }
    }
}
