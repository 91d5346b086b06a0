//! Eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to three diagonals, then QL with implicit shifts.
//!
//! ```text
//! A ─► reflections P, T with Pᵀ·T·P = A ─► rotations G that leave only T's diagonal: the eigenvalues
//!                    └──────────┬───────────────────┘
//!                 G·P·1, a few columns of 1 at a time: eigenvectors as rows
//! ```
//!
//! Reflections and rotations act on whole rows of what will be the eigenvectors, so the columns are dealt to threads, and every column
//! sees the same arithmetic whatever their number. Eigenvalues are found in f64; eigenvectors are made in f32, as the features are
//! that will be multiplied by them, which takes half the time.
//!
//! G. H. Golub, C. F. Van Loan, *Matrix Computations*, sections 8.3.1 and 8.3.5.

#![expect(
    clippy::inline_always,
    reason = "bodies must be compiled with their caller's instruction set"
)]

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::product::dot;

/// Eigenvalues in falling order, with the eigenvector of each.
#[derive(Debug)]
pub(super) struct Eigen {
    pub(super) values: Vec<f64>,
    pub(super) vectors: Vec<Vec<f32>>,
}

/// Rows of the matrix that a thread reduces at once.
const ROWS: usize = 96;

/// Columns of eigenvectors that are made at once.
const COLUMNS: usize = 64;

/// Sweeps after which an eigenvalue must have come out; in practice it takes two.
const SWEEPS: usize = 100;

impl Eigen {
    /// Decomposes a symmetric matrix, given by its rows; only the lower triangle is read.
    pub(super) fn of_symmetric(mut matrix: Vec<Vec<f64>>) -> Self {
        let size = matrix.len();
        let (mut diagonal, mut beside) = Arch::new().dispatch(Tridiagonal(&mut matrix));
        let rotations = diagonalize(&mut diagonal, &mut beside);
        let rounded = |u: &Vec<f64>| u.iter().map(|u| *u as f32).collect();
        let reflections: Vec<Vec<f32>> = matrix.iter().map(rounded).collect();
        let parts: Vec<_> = (0..size.div_ceil(COLUMNS))
            .into_par_iter()
            .map(|part| {
                Arch::new().dispatch(Columns {
                    reflections: &reflections,
                    rotations: &rotations,
                    first: part * COLUMNS,
                })
            })
            .collect();
        let row = |i: usize| {
            let entries = parts.iter().flat_map(|part| part[i]);
            entries.take(size).collect()
        };
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|a, b| diagonal[*b].total_cmp(&diagonal[*a]).then(a.cmp(b)));
        Self {
            values: order.iter().map(|&i| diagonal[i]).collect(),
            vectors: order.into_iter().map(row).collect(),
        }
    }
}

/// Reduces a matrix to its diagonal and what stands beside it: entry i is between i and i + 1.
///
/// From the last row upwards, what stands left of the diagonal in row i is reflected onto its last entry by 1 − u·uᵀ, |u|² = 2. What is left
/// in place of the matrix is these u; zeros where nothing was to be reflected.
struct Tridiagonal<'a>(&'a mut [Vec<f64>]);

impl WithSimd for Tridiagonal<'_> {
    type Output = (Vec<f64>, Vec<f64>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let matrix = self.0;
        let size = matrix.len();
        let (mut diagonal, mut beside) = (vec![0.0; size], vec![0.0; size]);
        let (zeros, mut v) = (vec![0.0; size], vec![0.0; size]);
        for i in (0..size).rev() {
            let (rows, reflected) = matrix.split_at_mut(i + 1);
            let (above, row) = rows.split_at_mut(i);
            let row = &mut row[0];
            let before = Change {
                u: reflected.first().unwrap_or(&zeros),
                v: &v,
            };
            before.make(i, row);
            diagonal[i] = row[i];
            row.truncate(i);
            if i > 0 {
                beside[i - 1] = reflect(row);
                v = conjugate(above, &before, row);
            }
        }
        (diagonal, beside)
    }
}

/// What a reflection does to a matrix: A ← A − u·vᵀ − v·uᵀ. It is made as the next one looks at the rows, so that each is fetched once for
/// both.
struct Change<'a> {
    u: &'a [f64],
    v: &'a [f64],
}

impl Change<'_> {
    /// Makes it on the lower triangle's part of a row.
    #[inline(always)]
    fn make(&self, index: usize, row: &mut [f64]) {
        let (u_i, v_i) = (self.u[index], self.v[index]);
        for ((entry, u), v) in row[..=index].iter_mut().zip(self.u).zip(self.v) {
            *entry -= u_i * v + v_i * u;
        }
    }
}

/// Turns a row x into the u of the reflection that takes it to (0, …, 0, s); returns s.
#[inline(always)]
fn reflect(row: &mut [f64]) -> f64 {
    let end = row.len() - 1;
    let (last, norm) = (row[end], dot(row, row).sqrt());
    if norm == last.abs() {
        row.fill(0.0);
        return last;
    }
    // Away from the last entry, so that no digit cancels: |x − s·e|² = 2·norm·(norm + |last|).
    let target = if last > 0.0 { -norm } else { norm };
    let scale = (norm * (norm + last.abs())).sqrt().recip();
    row[end] -= target;
    for u in row {
        *u *= scale;
    }
    target
}

/// Makes the change before on the lower triangle A; gives the v of (1 − u·uᵀ)·A·(1 − u·uᵀ) = A − u·vᵀ − v·uᵀ, which is A·u − ½(uᵀA·u)·u.
#[inline(always)]
fn conjugate(rows: &mut [Vec<f64>], before: &Change<'_>, u: &[f64]) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = rows
        .par_chunks_mut(ROWS)
        .enumerate()
        .map(|(part, rows)| {
            Arch::new().dispatch(Part {
                first: part * ROWS,
                rows,
                before,
                u,
            })
        })
        .collect();
    let mut v = vec![0.0; u.len()];
    for part in &parts {
        add(&mut v, 1.0, part);
    }
    let half = 0.5 * dot(&v, u);
    add(&mut v, -half, u);
    v
}

/// Some rows of the lower triangle A, which are changed first, and what they and their mirror images have in A·u.
struct Part<'a> {
    first: usize,
    rows: &'a mut [Vec<f64>],
    before: &'a Change<'a>,
    u: &'a [f64],
}

impl WithSimd for Part<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let mut product = vec![0.0; self.first + self.rows.len()];
        for (i, row) in (self.first..).zip(self.rows) {
            self.before.make(i, row);
            product[i] += dot(&row[..i], &self.u[..i]) + row[i] * self.u[i];
            add(&mut product[..i], self.u[i], &row[..i]);
        }
        product
    }
}

#[inline(always)]
fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += factor * what;
    }
}

/// A rotation of rows `row` and `row` + 1.
struct Rotation {
    row: u32,
    cosine: f32,
    sine: f32,
}

/// Rotates until nothing stands beside the diagonal.
fn diagonalize(diagonal: &mut [f64], beside: &mut [f64]) -> Vec<Rotation> {
    let mut rotations = Vec::new();
    for start in 0..diagonal.len() {
        for _ in 0..SWEEPS {
            let is_small = |&i: &usize| {
                beside[i].abs() <= f64::EPSILON * (diagonal[i].abs() + diagonal[i + 1].abs())
            };
            let last = diagonal.len() - 1;
            let end = (start..last).find(is_small).unwrap_or(last);
            if end == start {
                break;
            }
            sweep(start..end, diagonal, beside, &mut rotations);
        }
    }
    rotations
}

/// One QL sweep over the block from `rows.start` to `rows.end`, with Wilkinson's shift.
fn sweep(
    rows: std::ops::Range<usize>,
    diagonal: &mut [f64],
    beside: &mut [f64],
    rotations: &mut Vec<Rotation>,
) {
    let (start, end) = (rows.start, rows.end);
    let slope = (diagonal[start + 1] - diagonal[start]) / (2.0 * beside[start]);
    let shift = diagonal[start] - beside[start] / (slope + slope.hypot(1.0).copysign(slope));
    let (mut cosine, mut sine) = (1.0, 1.0);
    let (mut chased, mut taken) = (diagonal[end] - shift, 0.0);
    for row in rows.rev() {
        let (bulge, kept) = (sine * beside[row], cosine * beside[row]);
        // Not `hypot`, which takes several times as long: a bulge whose square is too small for an f64 is nothing.
        let length = (bulge * bulge + chased * chased).sqrt();
        beside[row + 1] = length;
        if length == 0.0 {
            // The block falls apart here; what lies above is for the next sweep.
            diagonal[row + 1] -= taken;
            beside[end] = 0.0;
            return;
        }
        (sine, cosine) = (bulge / length, chased / length);
        let lower = diagonal[row + 1] - taken;
        let moved = (diagonal[row] - lower) * sine + 2.0 * cosine * kept;
        taken = sine * moved;
        diagonal[row + 1] = lower + taken;
        chased = cosine * moved - kept;
        rotations.push(Rotation {
            row: row as u32,
            cosine: cosine as f32,
            sine: sine as f32,
        });
    }
    diagonal[start] -= taken;
    beside[start] = chased;
    beside[end] = 0.0;
}

/// Some columns of the eigenvectors: of 1, reflected and then rotated.
struct Columns<'a> {
    reflections: &'a [Vec<f32>],
    rotations: &'a [Rotation],
    first: usize,
}

impl WithSimd for Columns<'_> {
    type Output = Vec<[f32; COLUMNS]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let mut rows = vec![[0.0; COLUMNS]; self.reflections.len()];
        for (column, row) in rows.iter_mut().skip(self.first).take(COLUMNS).enumerate() {
            row[column] = 1.0;
        }
        for u in self.reflections.iter().rev() {
            let mut along = [0.0; COLUMNS];
            for (row, u) in rows.iter().zip(u) {
                along.iter_mut().zip(row).for_each(|(a, r)| *a += u * r);
            }
            for (row, u) in rows.iter_mut().zip(u) {
                row.iter_mut().zip(&along).for_each(|(r, a)| *r -= u * a);
            }
        }
        // The rotations of a sweep go upwards: the upper row of one is the lower row of the next, and stays in registers.
        for sweep in self.rotations.chunk_by(|one, next| one.row == next.row + 1) {
            let mut lower = rows[sweep[0].row as usize + 1];
            for &Rotation { row, cosine, sine } in sweep {
                let [upper, below] = &mut rows[row as usize..].as_chunks_mut::<2>().0[0];
                for ((lower, upper), below) in lower.iter_mut().zip(upper).zip(below) {
                    *below = sine * *upper + cosine * *lower;
                    *lower = cosine * *upper - sine * *lower;
                }
            }
            rows[sweep[sweep.len() - 1].row as usize] = lower;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symmetric matrix with entries that look random.
    fn symmetric(size: usize) -> Vec<Vec<f64>> {
        let entry = |i: usize, j: usize| {
            let (low, high) = (i.min(j), i.max(j));
            ((low * 7919 + high * high * 104_729) % 1009) as f64 / 1009.0 - 0.5
        };
        (0..size)
            .map(|i| (0..size).map(|j| entry(i, j)).collect())
            .collect()
    }

    fn assert_decomposes(matrix: &[Vec<f64>]) {
        let size = matrix.len();
        let eigen = Eigen::of_symmetric(matrix.to_vec());
        assert!(eigen.values.is_sorted_by(|a, b| a >= b));
        let exactly = |vector: &Vec<f32>| vector.iter().map(|x| f64::from(*x)).collect();
        let vectors: Vec<Vec<f64>> = eigen.vectors.iter().map(exactly).collect();
        let within = 1e-6 * size as f64;
        for (i, (value, vector)) in eigen.values.iter().zip(&vectors).enumerate() {
            for row in 0..size {
                let product = dot(&matrix[row], vector);
                assert!((product - value * vector[row]).abs() < within);
            }
            for (j, other) in vectors.iter().enumerate() {
                let expected = f64::from(u8::from(i == j));
                assert!((dot(vector, other) - expected).abs() < within);
            }
        }
    }

    #[test]
    fn every_vector_is_scaled_by_its_value_and_all_are_orthonormal() {
        for size in [1, 2, 3, 5, 31, 32, 33, 100] {
            assert_decomposes(&symmetric(size));
        }
    }

    #[test]
    fn equal_values_and_zeros_are_no_trouble() {
        let of = |entry: &dyn Fn(usize, usize) -> f64| {
            let row = |i| (0..40).map(|j| entry(i, j)).collect();
            (0..40).map(row).collect::<Vec<Vec<f64>>>()
        };
        assert_decomposes(&of(&|_, _| 0.0));
        assert_decomposes(&of(&|_, _| 1.0));
        assert_decomposes(&of(&|i, j| f64::from(u8::from(i == j))));
        assert_decomposes(&of(&|i, j| f64::from(u8::from(i / 10 == j / 10))));
    }

    #[test]
    fn a_known_matrix_has_its_known_values() {
        let eigen = Eigen::of_symmetric(vec![vec![2.0, 1.0], vec![1.0, 2.0]]);
        assert!((eigen.values[0] - 3.0).abs() < 1e-15 && (eigen.values[1] - 1.0).abs() < 1e-15);
    }
}
