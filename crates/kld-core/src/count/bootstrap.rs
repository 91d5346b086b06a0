//! Bootstrap intervals: how much an estimate would move if the samples were drawn again.
//!
//! Both samples are redrawn from their own relative frequencies (multinomial, sizes kept), every estimator is computed on
//! each redrawn pair, and the interval is θ̂ + (quantile − median) of what comes out.
//!
//! Why not the bare quantiles: redrawn samples carry the bias of sampling twice, so that the quantiles of a divergence often lie
//! wholly above the estimate itself. Moving their median onto the estimate keeps the spread and drops the second helping of bias.

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_distr::{Binomial, Distribution as _};
use serde::{Deserialize, Serialize};

use super::Counts;
use crate::{estimate::Estimate, sum::sum};

/// Resamples below which there is no interval: its ends would be those of two or three draws.
pub const ENOUGH_RESAMPLES: usize = 100;

/// How errors and 95 % intervals are made. The same numbers give the same intervals, on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// How often both samples are redrawn.
    pub resamples: usize,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 1000,
            seed: 0,
        }
    }
}

impl Bootstrap {
    /// Calls `each` with every redrawn pair of samples.
    pub(super) fn for_each_pair(
        &self,
        p: &Counts,
        q: &Counts,
        mut each: impl FnMut(&Counts, &Counts),
    ) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        for _ in 0..self.resamples {
            each(&redraw(p, &mut random), &redraw(q, &mut random));
        }
    }
}

/// A value with its error, given the values of the same estimator on the redrawn pairs.
///
/// There is no error where a redrawn value is infinite, and no interval where the value or half of the redrawn ones are, or
/// where there are fewer than [`ENOUGH_RESAMPLES`].
#[must_use]
pub fn estimate_from_redrawn(value: f64, mut redrawn: Vec<f64>) -> Estimate {
    redrawn.sort_by(f64::total_cmp);
    let (low, high) = interval(value, &redrawn).unzip();
    Estimate {
        value,
        standard_error: standard_deviation(&redrawn),
        low,
        high,
    }
}

fn interval(value: f64, sorted: &[f64]) -> Option<(f64, f64)> {
    if sorted.len() < ENOUGH_RESAMPLES || !value.is_finite() {
        return None;
    }
    let middle = Some(quantile(sorted, 0.5)).filter(|middle| middle.is_finite())?;
    let about = |share| value + (quantile(sorted, share) - middle);
    Some((about(0.025), about(0.975)))
}

fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = sum(values.iter().copied()) / count;
    let squares = sum(values.iter().map(|value| (value - mean).powi(2)));
    Some((squares / (count - 1.0)).sqrt()).filter(|deviation| deviation.is_finite())
}

/// As many draws as the sample has, from its own relative frequencies.
///
/// Outcome by outcome: given those before, the count of the next is binomial, with its share of the mass that is left.
fn redraw(sample: &Counts, random: &mut Xoshiro256PlusPlus) -> Counts {
    let (mut draws_left, mut mass_left) = (sample.total, sample.total);
    let mut next = |&count: &u64| {
        let drawn = if count == mass_left {
            draws_left
        } else {
            // The share is strictly between 0 and 1 or 0 itself, so the binomial always exists.
            Binomial::new(draws_left, count as f64 / mass_left as f64)
                .map_or(0, |binomial| binomial.sample(random))
        };
        draws_left -= drawn;
        mass_left -= count;
        drawn
    };
    let counts = sample
        .seen
        .iter()
        .map(|count| if *count == 0 { 0 } else { next(count) })
        .collect();
    Counts::tallied(counts, sample.total)
}

/// The value below which a share of the sorted values lies, interpolated between neighbours.
///
/// # Panics
///
/// If there are no values, or the share is not from 0 to 1.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[position.floor() as usize],
        sorted[position.ceil() as usize],
    );
    // Two equal infinities have no difference to interpolate.
    if below == above {
        below
    } else {
        below + position.fract() * (above - below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[u64]) -> Counts {
        Counts::new(counts.to_vec()).unwrap()
    }

    #[test]
    fn redrawing_keeps_the_size_and_the_mean() {
        let sample = counts(&[50, 0, 30, 20]);
        let mut sums = [0_u64; 4];
        Bootstrap {
            resamples: 4000,
            ..Bootstrap::default()
        }
        .for_each_pair(&sample, &counts(&[1]), |p, q| {
            assert_eq!(
                (p.total, p.seen.iter().sum::<u64>(), q.counts()),
                (100, 100, &[1][..])
            );
            p.seen
                .iter()
                .zip(&mut sums)
                .for_each(|(count, sum)| *sum += count);
        });
        // Standard deviation of each mean is at most 5/√4000 < 0.08; these are five of them.
        for (sum, expected) in sums.iter().zip([50.0, 0.0, 30.0, 20.0]) {
            assert!((*sum as f64 / 4000.0 - expected).abs() < 0.4, "{sums:?}");
        }
    }

    #[test]
    fn quantiles_interpolate_and_do_not_make_nan_of_infinities() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(
            quantile(&[1.0, f64::INFINITY, f64::INFINITY], 0.75),
            f64::INFINITY
        );
    }

    #[test]
    fn an_interval_lies_about_the_estimate_and_not_about_the_redrawn_values() {
        let about = estimate_from_redrawn(50.0, (0..=100).map(|i| f64::from(i) + 7.0).collect());
        let (low, high) = (about.low.unwrap(), about.high.unwrap());
        assert!(
            (low - 2.5).abs() < 1e-9 && (high - 97.5).abs() < 1e-9,
            "{low} {high}"
        );
        assert!((about.standard_error.unwrap() - 29.3).abs() < 0.01);
    }

    #[test]
    fn where_infinity_is_likely_there_is_no_interval() {
        let about = estimate_from_redrawn(1.0, vec![f64::INFINITY; 200]);
        assert_eq!(
            (about.standard_error, about.low, about.high),
            (None, None, None)
        );
        assert_eq!(estimate_from_redrawn(1.0, vec![]), Estimate::bare(1.0));
        assert_eq!(estimate_from_redrawn(1.0, vec![1.0; 99]).low, None);
    }
}
