//! The greatest and the second greatest value of a row whose values come in groups, and where the greatest stands.
//!
//! Column c races in lane c mod [`wide`], and lanes go on side by side in vector registers: no comparison waits for another. A few
//! lanes are left to be compared when all groups have come.

#![expect(
    clippy::inline_always,
    reason = "bodies must be compiled with their caller's instruction set"
)]

use pulp::{Arch, Simd, WithSimd};

use super::product::wide;

/// The races of some rows.
pub(super) struct Races {
    arch: Arch,
    lanes: usize,
    greatest: Vec<f32>,
    second: Vec<f32>,
    /// The first column of the group from which the greatest comes.
    group: Vec<u32>,
}

/// What came out in one lane, if anything entered it.
pub(super) struct Finish {
    pub(super) column: usize,
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

    /// Lets the values of at most as many columns as there are lanes, from `column` on, enter the races of a row.
    pub(super) fn enter(&mut self, row: usize, column: usize, values: &[f32]) {
        let mut filled = Vec::new();
        let values = if values.len() < self.lanes {
            filled.extend_from_slice(values);
            filled.resize(self.lanes, f32::NEG_INFINITY);
            &filled
        } else {
            values
        };
        let from = row * self.lanes;
        self.arch.dispatch(Round {
            greatest: &mut self.greatest[from..][..self.lanes],
            second: &mut self.second[from..][..self.lanes],
            group: &mut self.group[from..][..self.lanes],
            values,
            column: column as u32,
        });
    }

    /// What came out in the lanes of a row. Of equal values in one lane the first is the greatest.
    pub(super) fn finish(&self, row: usize) -> impl Iterator<Item = Finish> {
        let from = row * self.lanes;
        let any = (0..self.lanes).filter(move |lane| self.group[from + lane] != u32::MAX);
        any.map(move |lane| Finish {
            column: self.group[from + lane] as usize + lane,
            greatest: self.greatest[from + lane],
            second: self.second[from + lane],
        })
    }
}

/// One value entering each lane of a row.
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

    use super::*;

    proptest! {
        #[test]
        fn the_greatest_two_are_those_of_the_sorted_row(values in prop::collection::vec(0_u8..40, 1..200)) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut races = Races::new(2);
            for (group, values) in values.chunks(wide()).enumerate() {
                races.enter(1, group * wide(), values);
            }
            prop_assert!(races.finish(0).next().is_none());
            let finishes: Vec<Finish> = races.finish(1).collect();
            let greatest = finishes.iter().map(|f| f.greatest).fold(f32::NEG_INFINITY, f32::max);
            let first = finishes.iter().filter(|f| f.greatest == greatest).map(|f| f.column).min();
            prop_assert_eq!(first, values.iter().position(|v| *v == greatest));
            let descending = |mut values: Vec<f32>| {
                values.sort_by(|a, b| b.total_cmp(a));
                [values[0], values[1]]
            };
            let two = finishes.iter().flat_map(|f| [f.greatest, f.second]).collect();
            let all = values.into_iter().chain([f32::NEG_INFINITY]).collect();
            prop_assert_eq!(descending(two), descending(all));
        }
    }
}
