//! How many values lie in each tenth of a decade: the shape of a quantity that spans many orders of magnitude.

use serde::{Deserialize, Serialize};

/// Bins per decade: neighbouring edges differ by 26 %.
const PER_DECADE: f64 = 10.0;

/// A histogram of non-negative values on a logarithmic axis; histograms of the same quantity add.
///
/// Bin *i* holds the values v with ⌊10·log₁₀ v⌋ = `first` + *i*.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Values that are exactly 0, which no logarithmic axis has.
    pub zeros: u64,
    /// Values that are +∞.
    pub infinite: u64,
    /// Where the first bin begins, in tenths of decades: −30 is 10⁻³.
    pub first: i32,
    /// The bins' values, without empty ones at either end.
    pub counts: Vec<u64>,
}

/// One bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Lower edge, included.
    pub from: f64,
    /// Upper edge, excluded.
    pub to: f64,
    /// Number of values.
    pub count: u64,
}

impl Histogram {
    /// Adds `count` times a value ≥ 0.
    pub fn add(&mut self, value: f64, count: u64) {
        if value == 0.0 {
            self.zeros += count;
        } else if value.is_infinite() {
            self.infinite += count;
        } else {
            *self.count_mut((PER_DECADE * value.log10()).floor() as i32) += count;
        }
    }

    /// The bins in order, empty ones between others included.
    pub fn bins(&self) -> impl Iterator<Item = Bin> {
        let edge = |index: usize| 10_f64.powf((f64::from(self.first) + index as f64) / PER_DECADE);
        self.counts
            .iter()
            .enumerate()
            .map(move |(index, &count)| Bin {
                from: edge(index),
                to: edge(index + 1),
                count,
            })
    }

    /// The count of a bin, made where it is not yet there.
    fn count_mut(&mut self, bin: i32) -> &mut u64 {
        if self.counts.is_empty() {
            self.first = bin;
        }
        let missing = usize::try_from(self.first - bin).unwrap_or(0);
        self.counts.splice(0..0, std::iter::repeat_n(0, missing));
        self.first = self.first.min(bin);
        let index = (bin - self.first) as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        &mut self.counts[index]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        for value in values {
            histogram.add(*value, 1);
        }
        histogram
    }

    #[test]
    fn values_fall_into_tenths_of_decades() {
        // numpy.floor(10 * numpy.log10([0.002, 0.0021, 0.5, 3])) = [-27, -27, -4, 4]
        let histogram = of(&[0.5, 0.002, 0.0, 3.0, 0.0021, f64::INFINITY]);
        assert_eq!(
            (histogram.zeros, histogram.infinite, histogram.first),
            (1, 1, -27)
        );
        let filled: Vec<(usize, u64)> = histogram
            .counts
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(filled, [(0, 2), (23, 1), (31, 1)]);
    }

    proptest! {
        #[test]
        fn every_value_is_in_one_bin(values in prop::collection::vec(1e-12_f64..50.0, 1..100)) {
            let histogram = of(&values);
            for bin in histogram.bins() {
                let inside = values.iter().filter(|v| (bin.from..bin.to).contains(*v)).count();
                prop_assert_eq!(inside as u64, bin.count);
            }
            prop_assert_eq!(histogram.counts.iter().sum::<u64>(), values.len() as u64);
            let mut reversed = values.clone();
            reversed.reverse();
            prop_assert_eq!(of(&reversed), histogram);
        }
    }
}
