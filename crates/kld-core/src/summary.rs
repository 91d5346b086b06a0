//! What is kept of many [`TokenRow`]s: sums per window, percentiles, the worst rows. Two summaries merge.
//!
//! A window is the unit of work, so sums are kept per window and added up in window order when a result is asked for:
//! the bits do not depend on the number of threads, nor on how the windows were dealt out or in which order they came back.

use std::{
    collections::BTreeMap,
    ops::{AddAssign, Index},
};

use crate::{
    estimate::{self, Cluster, ClusterUnit, Estimate},
    quantile::Quantiles,
    row::{Place, RowOutcome, TokenRow},
};

/// The quantities that are summed over positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the rows")]
pub enum Quantity {
    Kl,
    ReverseKl,
    Js,
    Top1Agreement,
    TopkOverlap,
    DeltaP,
    DeltaPSquared,
    NllP,
    NllQ,
    EntropyP,
    EntropyQ,
    PaddingMassP,
    PaddingMassQ,
}

/// Number of [`Quantity`]s.
const QUANTITIES: usize = Quantity::PaddingMassQ as usize + 1;

/// Sums of every [`Quantity`] over a set of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Number of positions.
    pub count: u64,
    sums: [f64; QUANTITIES],
}

impl Sums {
    fn push(&mut self, row: &TokenRow) {
        let delta_p = row.delta_p();
        let pair = &row.pair;
        // In the order of `Quantity`.
        let values = [
            pair.kl,
            pair.reverse_kl,
            pair.js,
            f64::from(u8::from(row.top1_agrees())),
            row.topk_overlap_share(),
            delta_p,
            delta_p * delta_p,
            row.nll_p,
            row.nll_q,
            pair.entropy_p,
            pair.entropy_q,
            row.padding_mass_p,
            row.padding_mass_q,
        ];
        self.count += 1;
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
}

impl Index<Quantity> for Sums {
    type Output = f64;

    fn index(&self, quantity: Quantity) -> &f64 {
        &self.sums[quantity as usize]
    }
}

impl AddAssign<&Sums> for Sums {
    fn add_assign(&mut self, other: &Sums) {
        self.count += other.count;
        for (sum, value) in self.sums.iter_mut().zip(other.sums) {
            *sum += value;
        }
    }
}

/// Lower edges of the slices by the reference's confidence, i.e. the probability of its most likely token.
pub const CONFIDENCE_EDGES: [f64; 7] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99];

/// From 2⁴ on, octaves of context are halved.
const WHOLE_OCTAVES: usize = 4;

/// The slice of a position with `context` ≥ 1 tokens before the predicted one: octaves up to 15, half octaves beyond.
fn position_slice(context: u32) -> usize {
    let octave = context.ilog2() as usize;
    match octave.checked_sub(WHOLE_OCTAVES) {
        None => octave,
        Some(above) => WHOLE_OCTAVES + 2 * above + ((context >> (octave - 1)) & 1) as usize,
    }
}

/// The first and the last number of tokens of context in a slice by position.
#[must_use]
pub fn position_range(slice: usize) -> (u64, u64) {
    match slice.checked_sub(WHOLE_OCTAVES) {
        None => (1 << slice, (2 << slice) - 1),
        Some(above) => {
            let half = 1 << (WHOLE_OCTAVES + above / 2 - 1);
            let first = 2 * half + half * (above as u64 % 2);
            (first, first + half - 1)
        }
    }
}

/// The sums of one window.
#[derive(Clone, Debug, Default)]
pub struct WindowSums {
    /// The fragment that the window belongs to.
    pub fragment: u32,
    /// Over all its scored positions.
    pub all: Sums,
    /// By the reference's confidence; slice i begins at [`CONFIDENCE_EDGES`]`[i]`.
    pub by_confidence: [Sums; CONFIDENCE_EDGES.len()],
    /// By position; entry i holds the positions in [`position_range`]`(i)`.
    pub by_position: Vec<Sums>,
    /// Positions left out because they were not finite.
    pub not_finite: u64,
}

impl WindowSums {
    fn push(&mut self, row: &TokenRow) {
        self.all.push(row);
        let confidence = row.confidence();
        let slice = CONFIDENCE_EDGES
            .iter()
            .rposition(|edge| confidence >= *edge)
            .unwrap_or(0);
        self.by_confidence[slice].push(row);
        let slice = position_slice(row.place.row + 1);
        if self.by_position.len() <= slice {
            self.by_position.resize(slice + 1, Sums::default());
        }
        self.by_position[slice].push(row);
    }
}

/// How many of the rows with the largest KL are kept.
pub const WORST_KEPT: usize = 32;

/// A mergeable summary of scored positions.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    windows: BTreeMap<u32, WindowSums>,
    /// The distribution of the forward KL.
    pub kl: Quantiles,
    /// The distribution of the reverse KL.
    pub reverse_kl: Quantiles,
    /// The distribution of the Jensen–Shannon divergence.
    pub js: Quantiles,
    worst: Vec<TokenRow>,
}

impl Summary {
    /// Adds one row; rows that are not finite are counted and left out.
    pub fn push(&mut self, row: &TokenRow) {
        let window = self.window_mut(row.place);
        if !row.is_finite() {
            window.not_finite += 1;
            return;
        }
        window.push(row);
        self.kl.extend([row.pair.kl]);
        self.reverse_kl.extend([row.pair.reverse_kl]);
        self.js.extend([row.pair.js]);
        self.keep_worst([*row]);
    }

    /// Adds one position, whatever came of it.
    pub fn push_outcome(&mut self, outcome: &RowOutcome) {
        match outcome {
            Ok(row) => self.push(row),
            Err(place) => self.push_not_finite(*place),
        }
    }

    /// Counts a position whose logits were no distribution (NaN or +∞ among them).
    pub fn push_not_finite(&mut self, place: Place) {
        self.window_mut(place).not_finite += 1;
    }

    /// Adds the windows of another summary.
    ///
    /// # Panics
    ///
    /// If both hold the same window: a window is scored once.
    pub fn merge(&mut self, other: Summary) {
        for (index, window) in other.windows {
            let twice = self.windows.insert(index, window);
            assert!(twice.is_none(), "window {index} was scored twice");
        }
        self.kl.merge(&other.kl);
        self.reverse_kl.merge(&other.reverse_kl);
        self.js.merge(&other.js);
        self.keep_worst(other.worst);
    }

    /// The windows in order, with their sums.
    pub fn windows(&self) -> impl Iterator<Item = (u32, &WindowSums)> {
        self.windows.iter().map(|(index, window)| (*index, window))
    }

    /// The sums of one window, where it was scored.
    #[must_use]
    pub fn window(&self, index: u32) -> Option<&WindowSums> {
        self.windows.get(&index)
    }

    /// The rows with the largest KL, largest first; equals in the order of the text.
    #[must_use]
    pub fn worst(&self) -> &[TokenRow] {
        &self.worst
    }

    /// Sums over every window, in window order.
    #[must_use]
    pub fn total(&self) -> Sums {
        let mut total = Sums::default();
        self.windows
            .values()
            .for_each(|window| total += &window.all);
        total
    }

    /// Positions left out because they were not finite.
    #[must_use]
    pub fn not_finite(&self) -> u64 {
        self.windows.values().map(|window| window.not_finite).sum()
    }

    /// What the errors are clustered by, how many clusters there are, and how many effective ones.
    #[must_use]
    pub fn clusters(&self) -> (ClusterUnit, (usize, f64)) {
        let windows = self.shares(|w| Some(&w.all), |_| 0.0);
        let unit = ClusterUnit::of(&windows);
        (unit, unit.count(&windows))
    }

    /// The mean of a linear function of the sums (e.g. `|s| s[NllQ] - s[NllP]`) over the positions that `select` picks
    /// from each window, with its clustered error (see [`Estimate::over_windows`]).
    pub fn mean(
        &self,
        select: impl Fn(&WindowSums) -> Option<&Sums>,
        value: impl Fn(&Sums) -> f64,
    ) -> Estimate {
        Estimate::over_windows(&self.shares(select, value))
    }

    fn shares(
        &self,
        select: impl Fn(&WindowSums) -> Option<&Sums>,
        value: impl Fn(&Sums) -> f64,
    ) -> Vec<estimate::Window> {
        let share = |window: &WindowSums| {
            let sums = select(window)?;
            let cluster = Cluster {
                weight: sums.count as f64,
                sum: value(sums),
            };
            Some(estimate::Window {
                fragment: window.fragment,
                cluster,
            })
        };
        self.windows.values().filter_map(share).collect()
    }

    /// The windows of each fragment as a summary of their own (sums only, without percentiles and worst rows).
    #[must_use]
    pub fn by_fragment(&self) -> BTreeMap<u32, Summary> {
        let mut parts: BTreeMap<u32, Summary> = BTreeMap::new();
        for (index, window) in &self.windows {
            parts
                .entry(window.fragment)
                .or_default()
                .windows
                .insert(*index, window.clone());
        }
        parts
    }

    fn window_mut(&mut self, place: Place) -> &mut WindowSums {
        self.windows
            .entry(place.window)
            .or_insert_with(|| WindowSums {
                fragment: place.fragment,
                ..WindowSums::default()
            })
    }

    fn keep_worst(&mut self, rows: impl IntoIterator<Item = TokenRow>) {
        for row in rows {
            let order = |other: &TokenRow| {
                other
                    .pair
                    .kl
                    .total_cmp(&row.pair.kl)
                    .reverse()
                    .then(other.place.cmp(&row.place))
            };
            let at = self.worst.partition_point(|other| order(other).is_lt());
            if at < WORST_KEPT {
                self.worst.insert(at, row);
                self.worst.truncate(WORST_KEPT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kld_kernels::{Observed, RowPair};
    use proptest::prelude::*;

    use super::*;

    fn row(fragment: u32, window: u32, row: u32, kl: f64) -> TokenRow {
        let observed = Observed {
            nll_p: 1.0,
            nll_q: 1.0 + kl,
            rank_p: 1,
            rank_q: 2,
        };
        let top1_prob_p = (kl * 7.0).fract().abs();
        TokenRow {
            place: Place {
                fragment,
                window,
                row,
            },
            observed: row,
            pair: RowPair {
                kl,
                reverse_kl: kl / 2.0,
                js: kl / 8.0,
                top1_prob_p,
                observed: Some(observed),
                ..RowPair::default()
            },
            nll_p: 1.0,
            nll_q: 1.0 + kl,
            padding_mass_p: 0.0,
            padding_mass_q: 0.0,
        }
    }

    #[test]
    fn slices_by_position_have_no_gap_and_no_overlap() {
        for context in 1..5000 {
            let (first, last) = position_range(position_slice(context));
            assert!(
                (first..=last).contains(&u64::from(context)),
                "{context} in {first}..={last}"
            );
        }
        assert_eq!(
            [0, 1, 3, 4, 5, 12, 13].map(position_range),
            [
                (1, 1),
                (2, 3),
                (8, 15),
                (16, 23),
                (24, 31),
                (256, 383),
                (384, 511)
            ]
        );
    }

    #[test]
    fn rows_that_are_not_finite_are_counted_and_never_averaged() {
        let mut summary = Summary::default();
        summary.push(&row(0, 0, 1, 0.5));
        summary.push(&row(0, 0, 2, f64::INFINITY));
        summary.push_not_finite(Place {
            fragment: 0,
            window: 1,
            row: 0,
        });
        assert_eq!((summary.total().count, summary.not_finite()), (1, 2));
        assert_eq!(
            summary.mean(|w| Some(&w.all), |s| s[Quantity::Kl]).value,
            0.5
        );
    }

    #[test]
    fn tiny_divergences_are_not_flushed_to_zero() {
        let mut summary = Summary::default();
        (0..1000).for_each(|i| summary.push(&row(0, i / 100, i, 1e-12)));
        assert!(
            (summary.mean(|w| Some(&w.all), |s| s[Quantity::Kl]).value / 1e-12 - 1.0).abs() < 1e-9
        );
    }

    #[test]
    #[should_panic(expected = "window 3 was scored twice")]
    fn a_window_cannot_be_counted_twice() {
        let mut summary = Summary::default();
        summary.push(&row(0, 3, 0, 0.1));
        summary.clone().merge(summary);
    }

    proptest! {
        /// However windows are dealt out and merged, the bits are the same.
        #[test]
        fn merging_in_any_order_gives_the_same_bits(
            kls in prop::collection::vec(0.0_f64..3.0, 40..200),
            owners in prop::collection::vec(0_usize..8, 200),
        ) {
            let rows: Vec<TokenRow> =
                kls.iter().enumerate().map(|(i, kl)| row(i as u32 / 50, i as u32 / 10, i as u32 % 10, *kl)).collect();
            let mut whole = Summary::default();
            for r in &rows {
                whole.push(r);
            }
            let mut parts = vec![Summary::default(); 8];
            for r in &rows {
                parts[owners[r.place.window as usize]].push(r);
            }
            let mut merged = Summary::default();
            parts.into_iter().rev().for_each(|part| merged.merge(part));

            let bits = |s: &Summary| {
                let mean = s.mean(|w| Some(&w.all), |s| s[Quantity::Kl]);
                let mut bits = vec![mean.value.to_bits(), mean.standard_error.unwrap_or(0.0).to_bits()];
                bits.extend(s.kl.at([0.5, 0.9, 0.99]).map(f64::to_bits));
                bits.extend(s.total().sums.map(f64::to_bits));
                bits
            };
            prop_assert_eq!(bits(&merged), bits(&whole));
            let places = |s: &Summary| s.worst().iter().map(|r| r.place).collect::<Vec<_>>();
            prop_assert_eq!(places(&merged), places(&whole));
        }
    }
}
