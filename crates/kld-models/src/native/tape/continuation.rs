//! Going on with a text: keys and values of the positions so far are kept, so that a token costs one row through every matrix
//! instead of a window.

use std::sync::Arc;

use super::{Node, Rows, Tape, with_views};
use crate::Result;
use crate::native::config::Config;
use crate::native::decoder::{Attention, Weights, hidden_states_after};
use crate::native::plain::attention::Shape;

/// What is kept of the positions so far: of each layer their queries, keys and values, normalised and rotated.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    positions: usize,
    layers: Vec<Vec<f32>>,
}

impl Past {
    /// Number of positions so far.
    pub(crate) fn positions(&self) -> usize {
        self.positions
    }
}

impl Tape {
    /// The rows that the head turns into logits, of tokens that come after those of `past`, which they then belong to. Nothing
    /// is recorded.
    pub(crate) fn go_on(
        &self,
        past: &mut Past,
        config: &Config,
        weights: &impl Weights<Self>,
        tokens: &[u32],
    ) -> Result<Rows> {
        let Past { positions, layers } = past;
        layers.resize(config.layers, Vec::new());
        let attend = |layer: usize, qkv: Rows, attention: &Attention<'_, Self>| {
            Ok(self.attend_after(*positions, &mut layers[layer], &qkv, attention))
        };
        let rows = hidden_states_after(self, config, weights, *positions, tokens, attend)?;
        *positions += tokens.len();
        Ok(rows)
    }

    fn attend_after(
        &self,
        first: usize,
        past: &mut Vec<f32>,
        qkv: &Rows,
        attention: &Attention<'_, Self>,
    ) -> Rows {
        let shape = Shape::new(first + qkv.count(), qkv.width(), attention);
        past.extend_from_slice(qkv.values());
        let norms = attention.norms.map(|(q, k)| [q.shared(), k.shared()]);
        with_views(norms.as_ref(), |norms| {
            let new = &mut past[first * shape.stride..];
            shape.prepare_from(first, new, norms, attention.rotation.map(|r| &**r));
        });
        let mut out = self.buffers.take(qkv.count() * shape.keys);
        let mut scores = Vec::new();
        for (position, out) in (first..).zip(out.chunks_mut(shape.keys)) {
            shape.attend_position(past, position, &mut scores, out);
        }
        Rows(Arc::new(Node {
            values: out,
            width: shape.keys,
            made: None,
            order: 0,
        }))
    }
}
