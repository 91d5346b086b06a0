//! Products of tall matrices, in f32 on one thread: what k-means and PCA spend their time on.
//!
//! C = A·Bᵀ with A as *tiles* of [`TALL`] rows and B as *panels* of [`wide`] rows, both laid out depth first, so that the inner
//! loop reads them as they lie:
//!
//! ```text
//!            panel: wide rows of B                 for each depth t:
//!          ┌──────────────┐                          load    b = panel[t]      (2 registers)
//!  tile of │ accumulators │  TALL × wide sums        for each row i of the tile:
//!  A: TALL │ in registers │                            acc[i] += tile[t][i] · b
//!    rows  └──────────────┘
//! ```
//!
//! Every sum runs over the depth in one order, whatever the blocks: the same two rows give the same bits wherever they stand.
//! `pulp` chooses the vector instructions at run time.
//!
//! An own product because it hands on sums while they are in the nearest cache and packs each side once: the 10,000 points and 500 centres
//! of `bench/rival_quality.py` (449 wide) take it 57-60 ms on one AVX2 core, the packing of the points in it, and the `gemm` crate 58-82 ms in
//! blocks of 96 to 2,000 points, before anything looked for the nearest centre.

#![expect(
    clippy::inline_always,
    reason = "bodies must be compiled with their caller's instruction set"
)]

use pulp::{Arch, Simd, WithSimd};

/// Rows of A that are multiplied at once.
pub(super) const TALL: usize = 6;

/// Registers that a row of a panel fills.
const REGISTERS: usize = 2;

/// Rows of matrices in groups of equal size, depth first within a group; missing rows of the last group are zeros.
#[derive(Debug, Default)]
pub(super) struct Groups {
    values: Vec<f32>,
    group: usize,
    depth: usize,
    count: usize,
}

/// Rows of B in a panel: two registers of this machine.
pub(super) fn wide() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            REGISTERS * S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

impl Groups {
    /// The rows that `row` gives for the numbers up to `count`, in groups of `group`.
    pub(super) fn of_rows<'a>(
        group: usize,
        depth: usize,
        count: usize,
        row: impl Fn(usize) -> &'a [f32],
    ) -> Self {
        let mut groups = Self::zeros(group, depth, count);
        for index in 0..count {
            let start = index / group * group * depth + index % group;
            let places = groups.values[start..].iter_mut().step_by(group);
            places
                .zip(row(index))
                .for_each(|(place, value)| *place = *value);
        }
        groups
    }

    /// The columns `first..first + count` of a matrix whose rows are `rows`.
    pub(super) fn of_columns<'a>(
        group: usize,
        rows: impl ExactSizeIterator<Item = &'a [f32]>,
        first: usize,
        count: usize,
    ) -> Self {
        let mut groups = Self::zeros(group, rows.len(), count);
        let depth = groups.depth;
        for (t, row) in rows.enumerate() {
            for (index, part) in row[first..first + count].chunks(group).enumerate() {
                let start = (index * depth + t) * group;
                groups.values[start..start + part.len()].copy_from_slice(part);
            }
        }
        groups
    }

    /// Number of rows, without those that only fill up.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn zeros(group: usize, depth: usize, count: usize) -> Self {
        let values = vec![0.0; count.div_ceil(group) * group * depth];
        Self {
            values,
            group,
            depth,
            count,
        }
    }

    fn group(&self, index: usize) -> &[f32] {
        let size = self.group * self.depth;
        &self.values[index * size..][..size]
    }
}

/// A·Bᵀ for the panels that begin before column `end`: hands on each row within a panel, with its number and its first column.
///
/// Rows and columns that only fill up are not handed on.
pub(super) fn multiply(
    tiles: &Groups,
    b: &Groups,
    end: usize,
    mut each: impl FnMut(usize, usize, &[f32]),
) {
    assert_eq!(tiles.depth, b.depth, "rows of the same width");
    let wide = b.group;
    let mut block = vec![0.0; TALL * wide];
    for panel in 0..end.min(b.count).div_ceil(wide) {
        let column = panel * wide;
        let columns = wide.min(b.count - column);
        for tile in 0..tiles.count.div_ceil(TALL) {
            Arch::new().dispatch(Block {
                tile: tiles.group(tile),
                panel: b.group(panel),
                out: &mut block,
            });
            let first = tile * TALL;
            let rows = TALL.min(tiles.count - first);
            for (row, out) in block.chunks(wide).take(rows).enumerate() {
                each(first + row, column, &out[..columns]);
            }
        }
    }
}

/// One tile times one panel.
struct Block<'a> {
    tile: &'a [f32],
    panel: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); REGISTERS]; TALL];
        let (panel, _) = S::as_simd_f32s(self.panel);
        for (a, b) in self
            .tile
            .as_chunks::<TALL>()
            .0
            .iter()
            .zip(panel.as_chunks::<REGISTERS>().0)
        {
            for (sums, a) in sums.iter_mut().zip(a) {
                let a = simd.splat_f32s(*a);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = simd.mul_add_f32s(a, *b, *sum);
                }
            }
        }
        let (out, _) = S::as_mut_simd_f32s(self.out);
        for (out, sums) in out.as_chunks_mut::<REGISTERS>().0.iter_mut().zip(&sums) {
            *out = *sums;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|i| ((i * 7919 + seed * 104_729) % 1013) as f32 / 1013.0 - 0.5)
            .collect()
    }

    proptest! {
        #[test]
        fn products_are_those_of_the_plain_loop(rows in 1_usize..20, columns in 1_usize..80, depth in 1_usize..50) {
            let (a, b) = (values(rows * depth, 1), values(columns * depth, 2));
            let tiles = Groups::of_rows(TALL, depth, rows, |i| &a[i * depth..][..depth]);
            let panels = Groups::of_rows(wide(), depth, columns, |i| &b[i * depth..][..depth]);
            let mut seen = 0;
            multiply(&tiles, &panels, columns, |row, column, out| {
                for (offset, value) in out.iter().enumerate() {
                    let (a, b) = (&a[row * depth..][..depth], &b[(column + offset) * depth..][..depth]);
                    let expected: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    assert!((f64::from(*value) - expected).abs() < 1e-5, "{value} {expected}");
                    seen += 1;
                }
            });
            prop_assert_eq!(seen, rows * columns);
        }

        #[test]
        fn columns_are_the_rows_of_the_transpose(rows in 1_usize..20, first in 0_usize..5, count in 1_usize..40) {
            let width = first + count + 3;
            let a = values(rows * width, 3);
            let transposed: Vec<f32> = (0..width).flat_map(|c| a.iter().skip(c).step_by(width).copied()).collect();
            let columns = Groups::of_columns(16, a.chunks(width), first, count);
            let of_rows = Groups::of_rows(16, rows, count, |i| &transposed[(first + i) * rows..][..rows]);
            prop_assert_eq!(columns.values, of_rows.values);
        }
    }
}
