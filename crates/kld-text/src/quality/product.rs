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

use std::{
    iter::Sum,
    ops::{AddAssign, Mul, Range},
};

use pulp::{Arch, Simd, WithSimd};

/// Rows of A that are multiplied at once.
pub(super) const TALL: usize = 6;

/// Depths of a panel that all tiles are multiplied with before the next ones: 16 kB in 256 bits, which stay in the nearest cache.
const DEPTH: usize = 256;

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
        for (index, values) in groups.values.chunks_mut((group * depth).max(1)).enumerate() {
            let first = index * group;
            let rows: Vec<&[f32]> = (first..count.min(first + group)).map(&row).collect();
            for (t, places) in values.chunks_mut(group).enumerate() {
                places
                    .iter_mut()
                    .zip(&rows)
                    .for_each(|(place, row)| *place = row[t]);
            }
        }
        groups
    }

    /// The columns of a matrix, given its rows.
    pub(super) fn of_columns(group: usize, rows: &[&[f32]]) -> Self {
        let (depth, count) = (rows.len(), rows.first().map_or(0, |row| row.len()));
        let mut groups = Self::zeros(group, depth, count);
        for (t, row) in rows.iter().enumerate() {
            for (index, part) in row.chunks(group).enumerate() {
                let start = (index * depth + t) * group;
                groups.values[start..start + part.len()].copy_from_slice(part);
            }
        }
        groups
    }

    /// Some of the rows, in other groups.
    pub(super) fn regrouped(&self, group: usize, rows: Range<usize>) -> Self {
        let mut groups = Self::zeros(group, self.depth, rows.len());
        for (to, from) in rows.enumerate() {
            let start = groups.start(to);
            let places = groups.values[start..].iter_mut().step_by(group);
            let values = self.values[self.start(from)..].iter().step_by(self.group);
            (places.zip(values).take(self.depth)).for_each(|(place, value)| *place = *value);
        }
        groups
    }

    /// Where a row begins.
    fn start(&self, row: usize) -> usize {
        row / self.group * self.group * self.depth + row % self.group
    }

    /// Values in a row.
    pub(super) fn depth(&self) -> usize {
        self.depth
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

/// The products of all rows of A with a panel of B, as far as they have come along the depth.
pub(super) struct Products<'a> {
    tiles: &'a Groups,
    panels: &'a Groups,
    panel: usize,
    done: usize,
    sums: &'a mut [f32],
}

impl Products<'_> {
    /// Goes on to a depth.
    pub(super) fn go_on_to(&mut self, depth: usize) {
        Arch::new().dispatch(Part {
            tiles: self.tiles,
            panel: self.panels.group(self.panel),
            depths: self.done..depth,
            sums: self.sums,
        });
        self.done = depth;
    }

    /// The first column.
    pub(super) fn column(&self) -> usize {
        self.panel * self.panels.group
    }

    /// Row after row, [`wide`] values each, where columns are lacking too.
    pub(super) fn values(&self) -> &[f32] {
        &self.sums[..self.tiles.count * self.panels.group]
    }

    /// The rows, as long as there are columns.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        let columns = (self.panels.count - self.column()).min(self.panels.group);
        let rows = self.values().chunks(self.panels.group);
        rows.map(move |row| &row[..columns])
    }
}

/// A·Bᵀ up to a depth, for the panels that begin before column `end`, a panel at a time.
pub(super) fn multiply(
    tiles: &Groups,
    panels: &Groups,
    end: usize,
    depth: usize,
    mut each: impl FnMut(&mut Products<'_>),
) {
    assert_eq!(tiles.depth, panels.depth, "rows of the same width");
    let mut sums = vec![0.0; tiles.count.next_multiple_of(TALL) * panels.group];
    for panel in 0..end.min(panels.count).div_ceil(panels.group) {
        sums.fill(0.0);
        let mut products = Products {
            tiles,
            panels,
            panel,
            done: 0,
            sums: &mut sums,
        };
        products.go_on_to(depth);
        each(&mut products);
    }
}

/// All tiles times some depths of a panel.
struct Part<'a> {
    tiles: &'a Groups,
    panel: &'a [f32],
    depths: Range<usize>,
    sums: &'a mut [f32],
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (panel, _) = S::as_simd_f32s(self.panel);
        let panel = panel.as_chunks::<REGISTERS>().0;
        let (sums, _) = S::as_mut_simd_f32s(self.sums);
        let sums = sums
            .as_chunks_mut::<REGISTERS>()
            .0
            .as_chunks_mut::<TALL>()
            .0;
        for start in self.depths.clone().step_by(DEPTH) {
            let depths = start..self.depths.end.min(start + DEPTH);
            for (tile, sums) in sums.iter_mut().enumerate() {
                let tile = &self.tiles.group(tile).as_chunks::<TALL>().0[depths.clone()];
                *sums = add_products(simd, tile, &panel[depths.clone()], *sums);
            }
        }
    }
}

/// The sums of a tile and a panel after some more depths.
#[inline(always)]
fn add_products<S: Simd>(
    simd: S,
    tile: &[[f32; TALL]],
    panel: &[[S::f32s; REGISTERS]],
    mut sums: [[S::f32s; REGISTERS]; TALL],
) -> [[S::f32s; REGISTERS]; TALL] {
    for (a, b) in tile.iter().zip(panel) {
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = simd.splat_f32s(*a);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_f32s(a, *b, *sum);
            }
        }
    }
    sums
}

/// Σ aᵢ·bᵢ in lanes; to be inlined where the instruction set is known.
#[inline(always)]
pub(super) fn dot<T: Copy + Default + Sum + AddAssign + Mul<Output = T>>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [T::default(); LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: T = a_rest.iter().zip(b_rest).map(|(a, b)| *a * *b).sum();
    sums.into_iter().chain([rest]).sum()
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
            multiply(&tiles, &panels, columns, depth / 3, |products| {
                products.go_on_to(depth);
                for (row, out) in products.rows().enumerate() {
                    for (column, value) in (products.column()..).zip(out) {
                        let (a, b) = (&a[row * depth..][..depth], &b[column * depth..][..depth]);
                        let expected: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        assert!((f64::from(*value) - expected).abs() < 1e-5, "{value} {expected}");
                        seen += 1;
                    }
                }
            });
            prop_assert_eq!(seen, rows * columns);
        }

        #[test]
        fn rows_in_other_groups_are_the_same_rows(rows in 1_usize..40, depth in 1_usize..20, first in 0_usize..10) {
            let first = first.min(rows - 1);
            let a = values(rows * depth, 4);
            let row = |i: usize| &a[i * depth..][..depth];
            let all = Groups::of_rows(16, depth, rows, row);
            let some = Groups::of_rows(TALL, depth, rows - first, |i| row(first + i));
            prop_assert_eq!(all.regrouped(TALL, first..rows).values, some.values);
        }

        #[test]
        fn columns_are_the_rows_of_the_transpose(rows in 1_usize..20, width in 1_usize..40) {
            let a = values(rows * width, 3);
            let transposed: Vec<f32> = (0..width).flat_map(|c| a.iter().skip(c).step_by(width).copied()).collect();
            let columns = Groups::of_columns(16, &a.chunks(width).collect::<Vec<_>>());
            let of_rows = Groups::of_rows(16, rows, width, |i| &transposed[i * rows..][..rows]);
            prop_assert_eq!(columns.values, of_rows.values);
        }
    }
}
