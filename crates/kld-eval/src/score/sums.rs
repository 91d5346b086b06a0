//! What is summed over scored positions, and the estimates that are made of such sums by window.

use kld_core::{
    estimate::{self, Cluster, ClusterUnit, Estimate},
    result::{Calibration, CalibrationBin},
};
use kld_kernels::RowSingle;
use kld_models::Tokenizer;

/// Bins of the calibration table.
pub(crate) const BINS: usize = 10;

/// What is summed over positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) positions: u64,
    pub(crate) not_finite: u64,
    /// Of ordinary tokens; special ones are no text.
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) nll: f64,
    /// Of ordinary tokens.
    pub(crate) nll_of_text: f64,
    pub(crate) padding_mass: f64,
    pub(crate) entropy: f64,
    pub(crate) confidence: f64,
    /// Positions, hits and Σ confidence by confidence.
    pub(crate) bins: [(u64, u64, f64); BINS],
}

impl Sums {
    pub(crate) fn over<'a>(parts: impl Iterator<Item = &'a Sums>) -> Sums {
        let mut sum = Sums::default();
        for part in parts {
            sum.positions += part.positions;
            sum.not_finite += part.not_finite;
            sum.bytes += part.bytes;
            sum.hits += part.hits;
            sum.nll += part.nll;
            sum.nll_of_text += part.nll_of_text;
            sum.padding_mass += part.padding_mass;
            sum.entropy += part.entropy;
            sum.confidence += part.confidence;
            for (bin, added) in sum.bins.iter_mut().zip(part.bins) {
                *bin = (bin.0 + added.0, bin.1 + added.1, bin.2 + added.2);
            }
        }
        sum
    }

    /// Adds a position: its row, the token that came with its negative log-likelihood, and the probability on padding.
    pub(crate) fn push(
        &mut self,
        row: &RowSingle,
        (observed, nll): (u32, f64),
        padding_mass: f64,
        tokenizer: &Tokenizer,
    ) {
        let hit = u64::from(row.top1 == observed);
        self.positions += 1;
        self.nll += nll;
        if !tokenizer.is_special(observed) {
            self.bytes += tokenizer.token_bytes(observed).len() as u64;
            self.nll_of_text += nll;
        }
        self.padding_mass += padding_mass;
        self.entropy += row.entropy;
        self.hits += hit;
        self.confidence += row.top1_prob;
        let bin = &mut self.bins[((row.top1_prob * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + hit, bin.2 + row.top1_prob);
    }

    pub(crate) fn mean_padding_mass(&self) -> f64 {
        self.padding_mass / self.positions.max(1) as f64
    }
}

/// A ratio of sums over windows, each with its fragment, with its clustered error.
fn ratio(
    windows: &[(u32, Sums)],
    sum: impl Fn(&Sums) -> f64,
    weight: impl Fn(&Sums) -> f64,
) -> Estimate {
    let share = |(fragment, s): &(u32, Sums)| estimate::Window {
        fragment: *fragment,
        cluster: Cluster {
            weight: weight(s),
            sum: sum(s),
        },
    };
    Estimate::over_windows(&windows.iter().map(share).collect::<Vec<_>>())
}

pub(crate) fn per_position(windows: &[(u32, Sums)], sum: impl Fn(&Sums) -> f64) -> Estimate {
    ratio(windows, sum, |s| s.positions as f64)
}

pub(crate) fn perplexity(windows: &[(u32, Sums)]) -> Estimate {
    let nll = per_position(windows, |s| s.nll);
    nll.map(f64::exp, nll.value.exp())
}

pub(crate) fn bits_per_byte(windows: &[(u32, Sums)]) -> Estimate {
    ratio(
        windows,
        |s| s.nll_of_text / std::f64::consts::LN_2,
        |s| s.bytes as f64,
    )
}

/// What the errors are clustered by, and how many clusters there are.
pub(crate) fn clusters(windows: &[(u32, Sums)]) -> (ClusterUnit, (usize, f64)) {
    let share = |(fragment, s): &(u32, Sums)| estimate::Window {
        fragment: *fragment,
        cluster: Cluster {
            weight: s.positions as f64,
            sum: 0.0,
        },
    };
    let shares: Vec<estimate::Window> = windows.iter().map(share).collect();
    let unit = ClusterUnit::of(&shares);
    (unit, unit.count(&shares))
}

/// The confidence in the most likely tokens against how often they came.
pub(crate) fn calibration(sums: &Sums, windows: &[(u32, Sums)]) -> Calibration {
    let bin = |(index, (positions, hits, confidence)): (usize, &(u64, u64, f64))| {
        let n = *positions as f64;
        (*positions > 0).then(|| CalibrationBin {
            from: index as f64 / BINS as f64,
            to: (index + 1) as f64 / BINS as f64,
            positions: *positions,
            confidence: confidence / n,
            hit_rate: *hits as f64 / n,
        })
    };
    let bins: Vec<CalibrationBin> = sums.bins.iter().enumerate().filter_map(bin).collect();
    let gap = |b: &CalibrationBin| b.positions as f64 * (b.hit_rate - b.confidence).abs();
    Calibration {
        expected_calibration_error: bins.iter().map(gap).sum::<f64>()
            / sums.positions.max(1) as f64,
        overconfidence: per_position(windows, |s| s.confidence - s.hits as f64),
        bins,
    }
}
