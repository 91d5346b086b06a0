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

use super::super::decoder::Attention;
use super::matmul::{Onto, View, multiply};
use super::{Plain, Rows, loops, normalize_row};

/// Queries of a block: large enough for the product to run fast, small enough to waste little above the diagonal.
const QUERIES: usize = 64;

/// Attention of rows that are queries, keys and values side by side.
pub(super) fn attend(mut qkv: Rows, attention: &Attention<'_, Plain>) -> Rows {
    let shape = Shape {
        positions: qkv.count(),
        width: attention.head_width,
        stride: qkv.width,
        group: attention.heads / attention.kv_heads,
        keys: attention.heads * attention.head_width,
        values: (attention.heads + attention.kv_heads) * attention.head_width,
        window: attention.window.unwrap_or(usize::MAX),
    };
    prepare(&mut qkv, attention, &shape);
    let mut out = Rows {
        values: vec![0.0; shape.positions * shape.keys],
        width: shape.keys,
    };
    let mut scores = Vec::new();
    for kv_head in 0..attention.kv_heads {
        let keys = shape.transposed_keys(&qkv.values, kv_head);
        for head in kv_head * shape.group..(kv_head + 1) * shape.group {
            for first in (0..shape.positions).step_by(QUERIES) {
                shape.attend_block(
                    &qkv.values,
                    &keys,
                    head,
                    first,
                    &mut scores,
                    &mut out.values,
                );
            }
        }
    }
    out
}

/// Where things lie in a row of queries, keys and values.
struct Shape {
    positions: usize,
    /// Values of a head.
    width: usize,
    /// Values of a row.
    stride: usize,
    /// Query heads that share a head of keys.
    group: usize,
    /// Where keys begin, which is also the width of the output.
    keys: usize,
    /// Where values begin.
    values: usize,
    window: usize,
}

impl Shape {
    /// The keys of a head, a row per value instead of per position.
    fn transposed_keys(&self, qkv: &[f32], kv_head: usize) -> Vec<f32> {
        let from = self.keys + kv_head * self.width;
        let mut out = vec![0.0; self.width * self.positions];
        for (position, row) in qkv.chunks(self.stride).enumerate() {
            for (column, key) in row[from..from + self.width].iter().enumerate() {
                out[column * self.positions + position] = *key;
            }
        }
        out
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
        for (query, (row, sum)) in scores.chunks_mut(count).zip(&mut sums).enumerate() {
            let sees = self.first_seen(first + query) - seen.start..first + query + 1 - seen.start;
            row[..sees.start].fill(0.0);
            row[sees.end..].fill(0.0);
            *sum = loops::exponentials(&mut row[sees]);
        }

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

    /// The first position that a position sees.
    fn first_seen(&self, position: usize) -> usize {
        (position + 1).saturating_sub(self.window)
    }
}

/// Normalises and rotates queries and keys where they lie.
fn prepare(qkv: &mut Rows, attention: &Attention<'_, Plain>, shape: &Shape) {
    let pairs = shape.width / 2;
    let mut head = vec![0.0; shape.width];
    for (position, row) in qkv.values.chunks_mut(qkv.width).enumerate() {
        if let Some((q_norm, k_norm)) = attention.norms {
            for (index, values) in row[..shape.values].chunks_mut(shape.width).enumerate() {
                head.copy_from_slice(values);
                normalize_row(
                    &head,
                    if index < attention.heads {
                        q_norm
                    } else {
                        k_norm
                    },
                    values,
                );
            }
        }
        if let Some((cos, sin)) = attention.rotation {
            let at = position * pairs..(position + 1) * pairs;
            loops::rotate(&mut row[..shape.values], &cos[at.clone()], &sin[at]);
        }
    }
}
