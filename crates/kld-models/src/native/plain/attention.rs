//! Causal attention over one window, in blocks of queries.
//!
//! ```text
//! for each group of key-value heads:   K is transposed once
//!   for each of its query heads, for each block of queries i₀..i₁:
//!     S = scale · Q[i₀..i₁] · Kᵀ[.., j₀..i₁]     only keys that some query of the block sees
//!     S = exp(S − max) within what each row sees, 0 elsewhere
//!     out[i₀..i₁] = S · V[j₀..i₁], each row divided by its sum
//! ```
//!
//! So little more than the lower triangle is computed, and S stays in the cache. Division comes last: it then
//! costs one value per column of a head instead of one per key.

use std::ops::Range;

use super::super::decoder::{Arithmetic, Attention};
use super::super::dropout::Mask;
use super::super::rope::Rotation;
use super::loops;
use super::matmul::{Onto, View, multiply};
use super::norm::NormView;

/// Queries of a block: large enough for the product to run fast, small enough to waste little above the diagonal.
pub(crate) const QUERIES: usize = 64;

/// Where things lie in a row of queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) positions: usize,
    /// Values of a head.
    pub(crate) width: usize,
    /// Values of a row.
    pub(crate) stride: usize,
    /// Query heads that share a head of keys.
    pub(crate) group: usize,
    /// Where keys begin, which is also the width of the output.
    pub(crate) keys: usize,
    /// Where values begin.
    pub(crate) values: usize,
    window: usize,
    /// What is dropped of the probabilities.
    dropped: Option<Mask>,
}

impl Shape {
    /// Of rows `stride` wide.
    pub(crate) fn new<A: Arithmetic>(
        positions: usize,
        stride: usize,
        attention: &Attention<'_, A>,
    ) -> Self {
        Self {
            positions,
            width: attention.head_width,
            stride,
            group: attention.heads / attention.kv_heads,
            keys: attention.heads * attention.head_width,
            values: (attention.heads + attention.kv_heads) * attention.head_width,
            window: attention.window.unwrap_or(usize::MAX),
            dropped: None,
        }
    }

    /// The same with dropout.
    pub(crate) fn dropping(self, dropped: Option<Mask>) -> Self {
        Self { dropped, ..self }
    }

    /// Heads of keys and values.
    pub(crate) fn kv_heads(&self) -> usize {
        (self.values - self.keys) / self.width
    }

    /// Normalises and rotates queries and keys where they lie.
    pub(crate) fn prepare(
        &self,
        qkv: &mut [f32],
        norms: Option<[NormView<'_>; 2]>,
        rotation: Option<&Rotation>,
    ) {
        self.prepare_from(0, qkv, norms, rotation);
    }

    /// The same for rows of which the first is at position `first`.
    pub(crate) fn prepare_from(
        &self,
        first: usize,
        qkv: &mut [f32],
        norms: Option<[NormView<'_>; 2]>,
        rotation: Option<&Rotation>,
    ) {
        let mut head = vec![0.0; self.width];
        for (position, row) in (first..).zip(qkv.chunks_mut(self.stride)) {
            if let Some(norms) = &norms {
                for (index, values) in row[..self.values].chunks_mut(self.width).enumerate() {
                    head.copy_from_slice(values);
                    let is_key = index * self.width >= self.keys;
                    norms[usize::from(is_key)].row(&head, values);
                }
            }
            if let Some(rotation) = rotation {
                let (cos, sin) = rotation.at(position);
                loops::rotate(&mut row[..self.values], cos, sin);
            }
        }
    }

    /// Attention of prepared rows, into `out`.
    pub(crate) fn attend(&self, qkv: &[f32], out: &mut [f32]) {
        let (mut keys, mut scores) = (Vec::new(), Vec::new());
        for kv_head in 0..self.kv_heads() {
            self.transpose_keys(qkv, kv_head, &mut keys);
            for head in kv_head * self.group..(kv_head + 1) * self.group {
                for first in (0..self.positions).step_by(QUERIES) {
                    self.attend_block(qkv, &keys, head, first, &mut scores, out);
                }
            }
        }
    }

    /// Attention of one position to the prepared rows up to its own, into `out`; for a text that goes on token by token, where
    /// blocks would have one query each.
    pub(crate) fn attend_position(
        &self,
        qkv: &[f32],
        position: usize,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let scale = 1.0 / (self.width as f32).sqrt();
        let part = |row: usize, from: usize| &qkv[row * self.stride + from..][..self.width];
        for (head, out) in out.chunks_mut(self.width).enumerate() {
            let kv_head = head / self.group * self.width;
            let query = part(position, head * self.width);
            let seen = self.first_seen(position)..position + 1;
            scores.clear();
            scores.extend(seen.clone().map(|row| {
                let key = part(row, self.keys + kv_head);
                scale * query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>()
            }));
            let sum = loops::exponentials(scores);
            out.fill(0.0);
            for (row, &score) in seen.zip(&*scores) {
                let value = part(row, self.values + kv_head);
                for (out, v) in out.iter_mut().zip(value) {
                    *out += score * v;
                }
            }
            loops::scale(out, 1.0 / sum);
        }
    }

    /// The keys of a head, a row per value instead of per position.
    fn transpose_keys(&self, qkv: &[f32], kv_head: usize, out: &mut Vec<f32>) {
        let from = self.keys + kv_head * self.width;
        out.resize(self.width * self.positions, 0.0);
        for (position, row) in qkv.chunks(self.stride).enumerate() {
            for (column, key) in row[from..from + self.width].iter().enumerate() {
                out[column * self.positions + position] = *key;
            }
        }
    }

    fn attend_block(
        &self,
        qkv: &[f32],
        keys: &[f32],
        head: usize,
        first: usize,
        scores: &mut Vec<f32>,
        out: &mut [f32],
    ) {
        let end = self.positions.min(first + QUERIES);
        let seen = self.first_seen(first)..end;
        let (queries, count) = (end - first, seen.len());
        scores.resize(queries * count, 0.0);

        let scale = 1.0 / (self.width as f32).sqrt();
        let q = View::rows(
            &qkv[first * self.stride + head * self.width..],
            queries,
            self.width,
            self.stride,
        );
        let k = View::rows(&keys[seen.start..], self.width, count, self.positions);
        multiply(q, k, scale, scores, count, Onto::Replace);

        let mut sums = [0.0; QUERIES];
        self.exponentials(first, seen.start, count, scores, &mut sums);
        self.drop(head, first, seen.clone(), scores);

        let from = self.values + head / self.group * self.width;
        let s = View::rows(scores, queries, count, count);
        let v = View::rows(
            &qkv[seen.start * self.stride + from..],
            count,
            self.width,
            self.stride,
        );
        let out = &mut out[first * self.keys + head * self.width..];
        multiply(s, v, 1.0, out, self.keys, Onto::Replace);
        for (row, sum) in out.chunks_mut(self.keys).zip(&sums[..queries]) {
            loops::scale(&mut row[..self.width], 1.0 / sum);
        }
    }

    /// Of each row of scores, which begin with that of query `first` and key `begin`: the exponentials of what it sees, less its
    /// largest, and 0 elsewhere; and their sum.
    pub(crate) fn exponentials(
        &self,
        first: usize,
        begin: usize,
        count: usize,
        scores: &mut [f32],
        sums: &mut [f32],
    ) {
        for (query, (row, sum)) in scores.chunks_mut(count).zip(sums).enumerate() {
            let sees = self.first_seen(first + query) - begin..first + query + 1 - begin;
            row[..sees.start].fill(0.0);
            row[sees.end..].fill(0.0);
            *sum = loops::exponentials(&mut row[sees]);
        }
    }

    /// Drops some of the probabilities of a head, or of their gradients: of a row for each query from `first` on, with a value for each
    /// key that is seen.
    pub(crate) fn drop(&self, head: usize, first: usize, seen: Range<usize>, rows: &mut [f32]) {
        let Some(mask) = self.dropped else { return };
        for (query, row) in (first..).zip(rows.chunks_mut(seen.len())) {
            let index = (head * self.positions + query) * self.positions + seen.start;
            mask.apply(index, row);
        }
    }

    /// The first position that a position sees.
    pub(crate) fn first_seen(&self, position: usize) -> usize {
        (position + 1).saturating_sub(self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::dropout::{Dropout, Dropping, Place};
    use super::*;

    /// Attention is linear in its probabilities: the mean of many with dropout is attention without.
    #[test]
    fn dropout_leaves_the_mean_of_attention() {
        const DRAWS: u64 = 4000;
        let shape = Shape {
            positions: 5,
            width: 2,
            stride: 8,
            group: 2,
            keys: 4,
            values: 6,
            window: usize::MAX,
            dropped: None,
        };
        let qkv: Vec<f32> = (0..40).map(|i| (i * 7 % 11) as f32 / 5.0 - 1.1).collect();
        let attended = |shape: Shape| {
            let mut out = vec![0.0; 20];
            shape.attend(&qkv, &mut out);
            out
        };
        let plain = attended(shape);
        let (mut sums, mut squares) = ([0.0; 20], [0.0; 20]);
        for key in 0..DRAWS {
            let rates = Dropout::of_attention(0.3);
            let mask = Dropping { rates, key }.mask(Place::Attention(2));
            for (i, x) in attended(shape.dropping(mask)).into_iter().enumerate() {
                let above = f64::from(x) - f64::from(plain[i]);
                sums[i] += above;
                squares[i] += above * above;
            }
        }
        for (sum, squares) in sums.into_iter().zip(squares) {
            assert!(sum.abs() <= 4.5 * f64::sqrt(squares) && squares > 0.0);
        }
    }
}
