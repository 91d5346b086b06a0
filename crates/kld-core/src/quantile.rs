//! Percentiles of non-negative quantities: exact up to [`EXACT_LIMIT`] values, mergeable beyond it.
//!
//! Up to the limit every value is kept and the percentile at fraction f interpolates linearly at f·(n−1), as NumPy's
//! default and llama.cpp do. Beyond it the values fall into buckets whose ends differ by 0.1 %: two such histograms add
//! exactly, so a percentile depends on the values alone, not on how they were dealt out or in which order they were merged.

use std::collections::BTreeMap;

use crate::histogram::Histogram;

/// Values kept as they are: 16,777,216 of them, 128 MiB.
pub const EXACT_LIMIT: usize = 1 << 24;

/// Relative width of a bucket beyond the limit.
const BUCKET_WIDTH: f64 = 1e-3;

/// The bucket of exact zeros, below all others.
const ZERO_BUCKET: i64 = i64::MIN;

/// The distribution of one non-negative quantity.
#[derive(Clone, Debug)]
pub struct Quantiles {
    values: Values,
    max: f64,
    limit: usize,
}

#[derive(Clone, Debug)]
enum Values {
    Exact(Vec<f64>),
    Buckets(BTreeMap<i64, u64>),
}

impl Default for Quantiles {
    fn default() -> Self {
        Self::with_limit(EXACT_LIMIT)
    }
}

impl Quantiles {
    /// An empty distribution that is exact up to `limit` values.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            values: Values::Exact(Vec::new()),
            max: f64::NAN,
            limit,
        }
    }

    /// Adds values ≥ 0 (+∞ included).
    pub fn extend(&mut self, new: impl IntoIterator<Item = f64>) {
        for value in new {
            debug_assert!(
                value >= 0.0,
                "quantiles are of non-negative values, got {value}"
            );
            self.max = self.max.max(value);
            match &mut self.values {
                Values::Exact(values) => values.push(value),
                Values::Buckets(buckets) => *buckets.entry(bucket(value)).or_default() += 1,
            }
            self.keep_limit();
        }
    }

    /// Adds all that another distribution holds.
    pub fn merge(&mut self, other: &Self) {
        match &other.values {
            Values::Exact(values) => self.extend(values.iter().copied()),
            Values::Buckets(added) => {
                self.max = self.max.max(other.max);
                let buckets = self.as_buckets();
                for (index, count) in added {
                    *buckets.entry(*index).or_default() += count;
                }
            }
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.values {
            Values::Exact(values) => values.len() as u64,
            Values::Buckets(buckets) => buckets.values().sum(),
        }
    }

    /// The largest value; NaN where there is none.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.max
    }

    /// The values at the given fractions (0 to 1), in their order; NaN where there are no values.
    #[must_use]
    pub fn at<const N: usize>(&self, fractions: [f64; N]) -> [f64; N] {
        match &self.values {
            Values::Exact(values) => {
                let mut sorted = values.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                fractions.map(|f| interpolate(&sorted, f))
            }
            Values::Buckets(buckets) => {
                let count = self.count();
                fractions.map(|f| {
                    bucket_at(buckets, (f * (count - 1) as f64).round() as u64).min(self.max)
                })
            }
        }
    }

    /// How many values lie in each tenth of a decade. Beyond the limit a value within 0.1 % of an edge may be counted beyond it.
    #[must_use]
    pub fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        match &self.values {
            Values::Exact(values) => values.iter().for_each(|v| histogram.add(*v, 1)),
            Values::Buckets(buckets) => {
                for (index, count) in buckets {
                    histogram.add(middle(*index), *count);
                }
            }
        }
        histogram
    }

    fn keep_limit(&mut self) {
        if matches!(&self.values, Values::Exact(values) if values.len() > self.limit) {
            self.as_buckets();
        }
    }

    fn as_buckets(&mut self) -> &mut BTreeMap<i64, u64> {
        if let Values::Exact(values) = &self.values {
            let mut buckets = BTreeMap::new();
            for value in values {
                *buckets.entry(bucket(*value)).or_default() += 1;
            }
            self.values = Values::Buckets(buckets);
        }
        match &mut self.values {
            Values::Buckets(buckets) => buckets,
            Values::Exact(_) => unreachable!("made buckets just above"),
        }
    }
}

fn interpolate(sorted: &[f64], fraction: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = fraction * last as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    let (a, b) = (sorted[low], sorted[(low + 1).min(last)]);
    // Written so that two equal infinities do not give NaN.
    if share == 0.0 || a == b {
        a
    } else {
        a + (b - a) * share
    }
}

fn bucket(value: f64) -> i64 {
    if value == 0.0 {
        ZERO_BUCKET
    } else {
        (value.min(f64::MAX).ln() / BUCKET_WIDTH.ln_1p()).floor() as i64
    }
}

/// The middle of a bucket: at most 0.05 % from any value in it.
fn middle(index: i64) -> f64 {
    match index {
        ZERO_BUCKET => 0.0,
        _ if index == bucket(f64::INFINITY) => f64::INFINITY,
        _ => ((index as f64 + 0.5) * BUCKET_WIDTH.ln_1p()).exp(),
    }
}

fn bucket_at(buckets: &BTreeMap<i64, u64>, rank: u64) -> f64 {
    let mut before = 0;
    for (index, count) in buckets {
        before += count;
        if before > rank {
            return middle(*index);
        }
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64], limit: usize) -> Quantiles {
        let mut quantiles = Quantiles::with_limit(limit);
        quantiles.extend(values.iter().copied());
        quantiles
    }

    #[test]
    fn interpolates_as_numpy_does() {
        // numpy.percentile([1, 2, 4, 8, 16], [50, 90, 99]) = [4, 12.8, 15.68]
        let q = of(&[16.0, 1.0, 8.0, 2.0, 4.0], 100);
        let [median, p90, p99] = q.at([0.5, 0.9, 0.99]);
        assert!(
            (median - 4.0).abs() < 1e-12
                && (p90 - 12.8).abs() < 1e-12
                && (p99 - 15.68).abs() < 1e-12
        );
        assert!((q.max() - 16.0).abs() < 1e-12);
    }

    #[test]
    fn infinities_and_emptiness_are_ordinary() {
        assert!(Quantiles::default().at([0.5])[0].is_nan() && Quantiles::default().max().is_nan());
        let q = of(&[0.0, f64::INFINITY, f64::INFINITY], 100);
        assert_eq!(q.at([0.0, 0.75, 1.0]), [0.0, f64::INFINITY, f64::INFINITY]);
    }

    proptest! {
        #[test]
        fn beyond_the_limit_they_stay_within_a_thousandth(values in prop::collection::vec(1e-9_f64..50.0, 200..400)) {
            let (exact, buckets) = (of(&values, 1000), of(&values, 100));
            let mut sorted = values.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            for (rank, f) in [(0.5, 0.5), (0.9, 0.9)].map(|(r, f)| ((r * (values.len() - 1) as f64).round() as usize, f)) {
                let [approximate] = buckets.at([f]);
                prop_assert!((approximate / sorted[rank] - 1.0).abs() <= 1e-3);
            }
            let (left, right) = values.split_at(values.len() / 3);
            for limit in [50, 100, 300] {
                let mut merged = of(right, limit);
                merged.merge(&of(left, limit.min(99)));
                prop_assert_eq!(merged.count(), values.len() as u64);
                if values.len() > limit {
                    prop_assert_eq!(merged.at([0.5, 0.99]).map(f64::to_bits), buckets.at([0.5, 0.99]).map(f64::to_bits));
                }
            }
            prop_assert_eq!(exact.max().to_bits(), buckets.max().to_bits());
        }
    }
}
