//! The greatest and the second greatest value of a row whose values come in groups, and where the greatest stands.
//!
//! Column c races in lane c mod [`wide`], and lanes go on side by side in vector registers: no comparison waits for another. A few
//! lanes are left to be compared when all groups have come.

#![expect(
    clippy::inline_always,
    reason = "bodies must be compiled with their caller's instruction set"
)]

use pulp::{Arch, Simd, WithSimd};

use super::product::{Products, wide};

/// The races of some rows.
pub(super) struct Races {
    arch: Arch,
    lanes: usize,
    greatest: Vec<f32>,
    second: Vec<f32>,
    /// The first column of the group from which the greatest comes.
    group: Vec<u32>,
}

/// What came out of a race.
pub(super) struct Finish {
    /// Where the greatest stands; nowhere if nothing entered.
    pub(super) column: Option<usize>,
    pub(super) greatest: f32,
    /// The greatest of the others; −∞ where there is none.
    pub(super) second: f32,
}

impl Races {
    pub(super) fn new(rows: usize) -> Self {
        let lanes = wide();
        Self {
            arch: Arch::new(),
            lanes,
            greatest: vec![f32::NEG_INFINITY; rows * lanes],
            second: vec![f32::NEG_INFINITY; rows * lanes],
            group: vec![u32::MAX; rows * lanes],
        }
    }

    /// Lets the products of all rows with a panel enter the races: a value for each lane.
    pub(super) fn enter(&mut self, products: &Products<'_>) {
        let mut filled = Vec::new();
        for row in products.rows().filter(|row| row.len() < self.lanes) {
            filled.extend_from_slice(row);
            filled.resize(filled.len().next_multiple_of(self.lanes), f32::NEG_INFINITY);
        }
        self.arch.dispatch(Round {
            greatest: &mut self.greatest,
            second: &mut self.second,
            group: &mut self.group,
            values: if filled.is_empty() {
                products.values()
            } else {
                &filled
            },
            column: products.column() as u32,
        });
    }

    /// Lets one value enter the race of a row.
    pub(super) fn enter_one(&mut self, row: usize, column: usize, value: f32) {
        let lane = row * self.lanes + column % self.lanes;
        let loser = if value > self.greatest[lane] {
            self.group[lane] = (column - column % self.lanes) as u32;
            std::mem::replace(&mut self.greatest[lane], value)
        } else {
            value
        };
        self.second[lane] = self.second[lane].max(loser);
    }

    /// Values of which those below what a row's greatest is at least are only second, at best; a value for each lane.
    pub(super) fn lose(&mut self, values: &[f32], at_least: &[f32]) {
        self.arch.dispatch(Losers {
            second: &mut self.second,
            values,
            at_least,
        });
    }

    /// What came out of the race of a row. Of equal values the first is the greatest.
    pub(super) fn finish(&self, row: usize) -> Finish {
        let lanes = row * self.lanes..(row + 1) * self.lanes;
        let (greatest, group) = (&self.greatest[lanes.clone()], &self.group[lanes.clone()]);
        let top = greatest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let entered = (0..self.lanes).filter(|&lane| group[lane] != u32::MAX);
        let first = entered.filter(|&lane| greatest[lane] == top);
        let winner = first.min_by_key(|&lane| group[lane] as usize + lane);
        let others = (0..self.lanes).filter(|&lane| Some(lane) != winner);
        let seconds = self.second[lanes].iter().copied();
        Finish {
            column: winner.map(|lane| group[lane] as usize + lane),
            greatest: top,
            second: seconds
                .chain(others.map(|lane| greatest[lane]))
                .fold(f32::NEG_INFINITY, f32::max),
        }
    }
}

/// Values entering no race, but second where they are below what the greatest of their row is at least.
struct Losers<'a> {
    second: &'a mut [f32],
    values: &'a [f32],
    at_least: &'a [f32],
}

impl WithSimd for Losers<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = self.values.len() / self.at_least.len();
        let rows = self
            .second
            .chunks_exact_mut(lanes)
            .zip(self.values.chunks_exact(lanes));
        let nothing = simd.splat_f32s(f32::NEG_INFINITY);
        for ((second, values), at_least) in rows.zip(self.at_least) {
            let at_least = simd.splat_f32s(*at_least);
            let second = S::as_mut_simd_f32s(second).0;
            for (second, value) in second.iter_mut().zip(S::as_simd_f32s(values).0) {
                let loses = simd.less_than_f32s(*value, at_least);
                let loser = simd.select_f32s(loses, *value, nothing);
                *second = simd.max_f32s(*second, loser);
            }
        }
    }
}

/// One value entering each lane of some rows.
struct Round<'a> {
    greatest: &'a mut [f32],
    second: &'a mut [f32],
    group: &'a mut [u32],
    values: &'a [f32],
    column: u32,
}

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let column = simd.splat_u32s(self.column);
        let races = (S::as_mut_simd_f32s(self.greatest).0.iter_mut())
            .zip(S::as_mut_simd_f32s(self.second).0)
            .zip(S::as_mut_simd_u32s(self.group).0);
        for (((greatest, second), group), value) in races.zip(S::as_simd_f32s(self.values).0) {
            let wins = simd.less_than_f32s(*greatest, *value);
            let loser = simd.select_f32s(wins, *greatest, *value);
            *second = simd.max_f32s(*second, loser);
            *greatest = simd.select_f32s(wins, *value, *greatest);
            *group = simd.select_u32s(wins, column, *group);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::product::{Groups, TALL, multiply},
        *,
    };

    fn sorted(values: &[f32]) -> Vec<f32> {
        let mut sorted = values.to_vec();
        sorted.push(f32::NEG_INFINITY);
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted
    }

    /// What only fills up is 0 and must not win.
    fn below_zero() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec((1_u8..40).prop_map(|value| -f32::from(value)), 1..200)
    }

    proptest! {
        #[test]
        fn the_greatest_two_are_those_of_the_sorted_row(values in below_zero()) {
            let (one, column) = ([1.0], |i: usize| std::slice::from_ref(&values[i]));
            let row = Groups::of_rows(TALL, 1, 1, |_| &one);
            let panels = Groups::of_rows(wide(), 1, values.len(), column);
            let mut races = Races::new(1);
            multiply(&row, &panels, values.len(), 1, |products| races.enter(products));
            let finish = races.finish(0);
            prop_assert_eq!(&[finish.greatest, finish.second], &sorted(&values)[..2]);
            prop_assert_eq!(finish.column, values.iter().position(|v| *v == finish.greatest));
        }

        #[test]
        fn those_that_enter_one_by_one_and_those_that_lose_are_the_same_race(values in below_zero(), least in -40_i8..0) {
            let least = f32::from(least);
            let mut races = Races::new(2);
            for (panel, values) in values.chunks(wide()).enumerate() {
                let mut filled = vec![f32::NEG_INFINITY; 2 * wide()];
                filled[wide()..][..values.len()].copy_from_slice(values);
                races.lose(&filled, &[0.0, least]);
                for (lane, value) in values.iter().enumerate().filter(|(_, value)| **value >= least) {
                    races.enter_one(1, panel * wide() + lane, *value);
                }
            }
            let (nothing, finish) = (races.finish(0), races.finish(1));
            prop_assert_eq!((nothing.column, nothing.second), (None, f32::NEG_INFINITY));
            let sorted = sorted(&values);
            if sorted[0] >= least {
                prop_assert_eq!([finish.greatest, finish.second], [sorted[0], sorted[1]]);
                prop_assert_eq!(finish.column, values.iter().position(|v| *v == sorted[0]));
            } else {
                prop_assert_eq!((finish.column, finish.second), (None, sorted[0]));
            }
        }
    }
}
