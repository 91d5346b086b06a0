//! Estimates of entropy and divergence from samples, given as counts.
//!
//! Two samples of *n* and *m* draws show the distributions behind them only roughly, and the obvious estimate, the
//! divergence of the relative frequencies, is too large on average: under P = Q with *K* outcomes by
//! (K − 1)(1/n + 1/m)/2 nats. [`Estimator`] has that one and its corrections, [`estimate`] adds bootstrap intervals and says
//! when the samples are too small.
//!
//! ```
//! use kld_core::count::{Counts, Estimator};
//! let (p, q) = (Counts::new(vec![30, 50, 20])?, Counts::new(vec![25, 60, 15])?);
//! assert!(Estimator::MillerMadow.kl(&p, &q) < Estimator::PlugIn.kl(&p, &q));
//! # Ok::<(), kld_core::Error>(())
//! ```

mod bootstrap;
mod estimate;
mod estimator;
mod method;

pub use bootstrap::{Bootstrap, ENOUGH_RESAMPLES, estimate_from_redrawn, quantile};
pub use estimate::{
    CountEstimates, ENOUGH_COVERAGE, ENOUGH_DRAWS, EstimatorResult, SampleCard, Warning, estimate,
};
pub use estimator::Estimator;
pub use method::{Compared, Divergence, Method};

use crate::{Error, Result};

/// The largest count: up to here every whole number is an exact `f64`.
pub const LARGEST_COUNT: u64 = 1 << 53;

/// How often each outcome was seen in a sample; an outcome known but not seen has count 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    seen: Vec<u64>,
    total: u64,
    observed: usize,
    singletons: usize,
}

impl Counts {
    /// Takes the counts of one sample.
    ///
    /// # Errors
    ///
    /// If there are none, all are zero, or they sum to more than [`LARGEST_COUNT`].
    pub fn new(counts: Vec<u64>) -> Result<Self> {
        if counts.is_empty() {
            return Err(Error::Empty);
        }
        let total = counts
            .iter()
            .try_fold(0_u64, |total, &count| total.checked_add(count));
        match total {
            Some(0) => Err(Error::NoMass),
            Some(total) if total <= LARGEST_COUNT => Ok(Self::tallied(counts, total)),
            _ => Err(Error::Overflow),
        }
    }

    fn tallied(counts: Vec<u64>, total: u64) -> Self {
        let observed = counts.iter().filter(|&&count| count > 0).count();
        let singletons = counts.iter().filter(|&&count| count == 1).count();
        Self {
            seen: counts,
            total,
            observed,
            singletons,
        }
    }

    /// Takes counts that came as floating-point numbers.
    ///
    /// # Errors
    ///
    /// If one is not a whole number ≥ 0, and as [`new`](Self::new).
    pub fn from_numbers(numbers: &[f64]) -> Result<Self> {
        let is_count = |x: f64| (0.0..=LARGEST_COUNT as f64).contains(&x) && x.fract() == 0.0;
        if let Some(index) = numbers.iter().position(|&x| !is_count(x)) {
            return Err(Error::NotACount {
                index,
                value: numbers[index],
            });
        }
        Self::new(numbers.iter().map(|&x| x as u64).collect())
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.seen
    }

    /// The size of the sample.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Number of outcomes known, seen or not.
    #[must_use]
    pub fn known(&self) -> usize {
        self.seen.len()
    }

    /// Number of outcomes seen.
    #[must_use]
    pub fn observed(&self) -> usize {
        self.observed
    }

    /// Number of outcomes seen exactly once.
    #[must_use]
    pub fn singletons(&self) -> usize {
        self.singletons
    }

    /// Good–Turing coverage: an estimate, 1 − f₁/n, of the probability that the next draw shows an outcome already seen.
    ///
    /// If every draw was an outcome of its own, f₁ = n − 1 stands in for f₁ = n, so that the coverage is 1/n and not 0
    /// (as usual with Chao and Shen's estimator).
    ///
    /// I. J. Good, "The population frequencies of species and the estimation of population parameters", Biometrika 40 (1953).
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let n = self.total as f64;
        let singletons = (self.singletons as f64).min(n - 1.0);
        1.0 - singletons / n
    }

    /// Relative frequency of one outcome.
    fn frequency(&self, index: usize) -> f64 {
        self.seen[index] as f64 / self.total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_are_counts() {
        let refused = |numbers: &[f64]| Counts::from_numbers(numbers).unwrap_err();
        assert_eq!(
            refused(&[1.0, 0.5]),
            Error::NotACount {
                index: 1,
                value: 0.5
            }
        );
        assert_eq!(
            refused(&[-1.0]),
            Error::NotACount {
                index: 0,
                value: -1.0
            }
        );
        assert!(matches!(refused(&[f64::NAN]), Error::NotACount { .. }));
        assert!(matches!(refused(&[1e300]), Error::NotACount { .. }));
        assert_eq!(refused(&[0.0]), Error::NoMass);
        assert_eq!(Counts::new(vec![u64::MAX, 1]).unwrap_err(), Error::Overflow);
        assert_eq!(Counts::from_numbers(&[3.0, 0.0]).unwrap().counts(), [3, 0]);
    }

    #[test]
    fn coverage_is_what_good_and_turing_say() {
        assert_eq!(Counts::new(vec![8, 1, 1]).unwrap().coverage(), 0.8);
        assert_eq!(Counts::new(vec![1, 1, 1, 1]).unwrap().coverage(), 0.25);
        assert_eq!(Counts::new(vec![1]).unwrap().coverage(), 1.0);
    }
}
