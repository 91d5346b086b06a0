//! Distributions and measures given as plain numbers: checked at the door, so that nothing behind it can fail.
//!
//! A [`Measure`] has finite entries ≥ 0 and some mass; a [`Distribution`] moreover sums to 1. Neither is ever clipped
//! or padded: what does not fit is an [`Error`] that says what is wrong and how much.
//!
//! ```
//! use kld_core::distribution::{Distribution, Measure};
//! let q = Measure::new(vec![0.5, 0.5, 0.6])?;
//! let refused = Distribution::new(q.clone(), 1e-6).unwrap_err();
//! assert_eq!(refused.to_string(), "sums to 1.6, not 1 (off by 0.6; 1e-6 would be rounding)");
//! assert_eq!(Distribution::normalized(q).probs()[0], 0.5 / 1.6);
//! # Ok::<(), kld_core::Error>(())
//! ```

use crate::{Error, Result, sum::sum};

/// Mass on each of a number of things: finite entries ≥ 0 with a finite sum > 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    masses: Vec<f64>,
    total: f64,
}

impl Measure {
    /// Takes masses as they are; −0 counts as 0.
    ///
    /// # Errors
    ///
    /// If there are none, one is NaN, infinite or negative, all are zero, or their sum overflows.
    pub fn new(masses: Vec<f64>) -> Result<Self> {
        if masses.is_empty() {
            return Err(Error::Empty);
        }
        if let Some(index) = masses.iter().position(|mass| !mass.is_finite()) {
            return Err(Error::NotFinite {
                index,
                value: masses[index],
            });
        }
        if let Some(index) = masses.iter().position(|mass| *mass < 0.0) {
            let count = masses.iter().filter(|mass| **mass < 0.0).count();
            return Err(Error::Negative {
                index,
                value: masses[index],
                count,
            });
        }
        let total = sum(masses.iter().copied());
        if total == 0.0 {
            return Err(Error::NoMass);
        }
        if !total.is_finite() {
            return Err(Error::Overflow);
        }
        Ok(Self { masses, total })
    }

    /// The masses.
    #[must_use]
    pub fn masses(&self) -> &[f64] {
        &self.masses
    }

    /// Their sum.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.total
    }
}

/// Probabilities: entries ≥ 0 that sum to 1.
///
/// One made from log-probabilities keeps them, so that an entry too small for a probability (below e⁻⁷⁴⁵) is not
/// mistaken for an impossible one.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    probs: Vec<f64>,
    log_probs: Option<Vec<f64>>,
}

impl Distribution {
    /// Takes a measure whose total differs from 1 by rounding only, and divides it by that total.
    ///
    /// # Errors
    ///
    /// If the total is further than `tolerance` from 1.
    pub fn new(measure: Measure, tolerance: f64) -> Result<Self> {
        if (measure.total - 1.0).abs() > tolerance {
            return Err(Error::Sum {
                sum: measure.total,
                tolerance,
            });
        }
        Ok(Self::normalized(measure))
    }

    /// Divides a measure by its total.
    #[must_use]
    pub fn normalized(measure: Measure) -> Self {
        let Measure { mut masses, total } = measure;
        for mass in &mut masses {
            *mass /= total;
        }
        Self {
            probs: masses,
            log_probs: None,
        }
    }

    /// Takes natural logarithms of probabilities whose sum differs from 1 by rounding only; −∞ is probability 0.
    ///
    /// # Errors
    ///
    /// As [`from_logits`](Self::from_logits), and if the probabilities sum to something further than `tolerance` from 1.
    pub fn from_log_probs(log_probs: Vec<f64>, tolerance: f64) -> Result<Self> {
        let (log_total, distribution) = Self::softmax(log_probs)?;
        let sum = log_total.exp();
        if (sum - 1.0).abs() > tolerance {
            Err(Error::Sum { sum, tolerance })
        } else {
            Ok(distribution)
        }
    }

    /// The softmax of logits, computed by log-sum-exp; −∞ (a masked entry) is probability 0.
    ///
    /// # Errors
    ///
    /// If there are none, one is NaN or +∞, or all are −∞.
    pub fn from_logits(logits: Vec<f64>) -> Result<Self> {
        Ok(Self::softmax(logits)?.1)
    }

    /// The logarithm of Σ exp(logits), and the softmax.
    fn softmax(mut logits: Vec<f64>) -> Result<(f64, Self)> {
        if logits.is_empty() {
            return Err(Error::Empty);
        }
        if let Some(index) = logits
            .iter()
            .position(|x| x.is_nan() || *x == f64::INFINITY)
        {
            return Err(Error::NotFinite {
                index,
                value: logits[index],
            });
        }
        let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if highest == f64::NEG_INFINITY {
            return Err(Error::NoMass);
        }
        let log_sum = sum(logits.iter().map(|x| (x - highest).exp())).ln();
        for x in &mut logits {
            *x = (*x - highest) - log_sum;
        }
        let probs = logits.iter().map(|x| x.exp()).collect();
        Ok((
            highest + log_sum,
            Self {
                probs,
                log_probs: Some(logits),
            },
        ))
    }

    /// The probabilities.
    #[must_use]
    pub fn probs(&self) -> &[f64] {
        &self.probs
    }

    /// Their natural logarithms, if the distribution was made from such.
    #[must_use]
    pub fn log_probs(&self) -> Option<&[f64]> {
        self.log_probs.as_deref()
    }

    /// The natural logarithm of one probability; −∞ if that is 0.
    #[must_use]
    pub fn log_prob(&self, index: usize) -> f64 {
        self.log_probs
            .as_ref()
            .map_or_else(|| self.probs[index].ln(), |log_probs| log_probs[index])
    }

    /// Shannon entropy −Σ P ln P, in nats.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        let terms = (0..self.probs.len()).map(|i| (self.probs[i], self.log_prob(i)));
        // `0.0 -` and not a minus sign: the entropy of a certain outcome is 0, not -0.
        0.0 - sum(terms.map(|(prob, log_prob)| if prob == 0.0 { 0.0 } else { prob * log_prob }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(masses: &[f64]) -> String {
        Measure::new(masses.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_measure_is_refused_with_what_is_wrong() {
        assert_eq!(refused(&[]), "has no entries");
        assert_eq!(
            refused(&[0.5, -0.25, -1.0]),
            "has 2 negative entries: [1] is -0.25"
        );
        assert_eq!(
            refused(&[0.5, f64::NAN]),
            "has an entry that is not finite: [1] is NaN"
        );
        assert_eq!(
            refused(&[f64::INFINITY]),
            "has an entry that is not finite: [0] is inf"
        );
        assert_eq!(
            refused(&[0.0, -0.0]),
            "is zero everywhere: there is no mass to compare"
        );
        assert_eq!(
            refused(&[f64::MAX, f64::MAX]),
            "sums to more than a 64-bit float can hold"
        );
    }

    #[test]
    fn rounding_within_the_tolerance_is_divided_out() {
        let third = Measure::new(vec![0.333_333_4; 3]).unwrap();
        assert_eq!(
            Distribution::new(third, 1e-6).unwrap().probs(),
            [1.0 / 3.0; 3]
        );
    }

    #[test]
    fn a_log_prob_too_small_for_a_probability_is_kept() {
        let p = Distribution::from_logits(vec![0.0, -1000.0]).unwrap();
        assert_eq!((p.probs()[1], p.log_prob(1)), (0.0, -1000.0));
    }

    #[test]
    fn a_certain_outcome_has_no_entropy() {
        let certain = Distribution::from_logits(vec![f64::NEG_INFINITY, 3.0]).unwrap();
        assert_eq!(certain.probs(), [0.0, 1.0]);
        assert_eq!(certain.entropy().to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn log_probs_must_sum_to_one_but_logits_need_not() {
        let refused = Distribution::from_log_probs(vec![0.0, 0.0], 1e-6).unwrap_err();
        assert_eq!(
            refused,
            Error::Sum {
                sum: 2.0,
                tolerance: 1e-6
            }
        );
        assert_eq!(
            Distribution::from_logits(vec![7.0, 7.0]).unwrap().probs(),
            [0.5, 0.5]
        );
        assert_eq!(
            Distribution::from_logits(vec![f64::NEG_INFINITY; 2]).unwrap_err(),
            Error::NoMass
        );
        let nan = Distribution::from_logits(vec![0.0, f64::INFINITY]).unwrap_err();
        assert_eq!(
            nan,
            Error::NotFinite {
                index: 1,
                value: f64::INFINITY
            }
        );
    }
}
