//! The decoder: one forward pass for all families, in whatever arithmetic.
//!
//! ```text
//! x = embedding[tokens] (+ positions)
//! for each layer:  x += output(attention(qkv(norm(x))));  x += contract(activation(expand(norm(x))))
//! logits = head(norm(x))
//! ```
//!
//! An [`Arithmetic`] supplies the operations: [`Plain`](super::plain::Plain) is made for speed and knows no gradients,
//! [`Tape`](super::tape::Tape) records everything for the way back.

use std::sync::Arc;

use super::config::{Activation, Config, Norm};
use super::dropout::Place;
use super::rope::Rotation;
use crate::Result;

/// The operations of a decoder on rows of values, one row per position.
pub(crate) trait Arithmetic: Sized {
    /// Rows of values.
    type Rows;
    /// A table of which rows are picked by number.
    type Table;
    /// A matrix with its bias.
    type Matrix;
    /// A vector of weights.
    type Vector;

    /// The rows of a table with these numbers, which are below its length.
    fn pick(&self, table: &Self::Table, numbers: &[u32]) -> Result<Self::Rows>;
    /// x + y.
    fn add(&self, x: Self::Rows, y: &Self::Rows) -> Result<Self::Rows>;
    /// Wx + b.
    fn apply(&self, matrix: &Self::Matrix, x: &Self::Rows) -> Result<Self::Rows>;
    /// onto + Wx + b, of which some may be dropped first.
    fn apply_onto(
        &self,
        onto: Self::Rows,
        matrix: &Self::Matrix,
        x: &Self::Rows,
        place: Place,
    ) -> Result<Self::Rows>;
    /// What is left of x by dropout.
    fn drop(&self, x: Self::Rows, _place: Place) -> Result<Self::Rows> {
        Ok(x)
    }
    /// Each row normalised.
    fn normalize(&self, x: &Self::Rows, norm: &NormWeights<Self>) -> Result<Self::Rows>;
    /// Each row through the perceptron's non-linear part; for a gated one, rows are gate and up side by side.
    fn activate(&self, x: Self::Rows, activation: Activation) -> Result<Self::Rows>;
    /// Causal attention of rows that are queries, keys and values side by side.
    fn attend(&self, qkv: Self::Rows, attention: &Attention<'_, Self>) -> Result<Self::Rows>;
}

/// The weights of a normalisation.
pub(crate) struct NormWeights<A: Arithmetic> {
    pub(crate) kind: Norm,
    pub(crate) epsilon: f32,
    pub(crate) weight: A::Vector,
    pub(crate) bias: Option<A::Vector>,
}

/// What attention needs to know besides its rows.
pub(crate) struct Attention<'a, A: Arithmetic> {
    /// Whose attention it is.
    pub(crate) layer: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    /// How many positions, itself included, a position sees.
    pub(crate) window: Option<usize>,
    /// How positions turn queries and keys.
    pub(crate) rotation: Option<&'a Arc<Rotation>>,
    /// Normalisation of queries and of keys, per head.
    pub(crate) norms: Option<&'a (NormWeights<A>, NormWeights<A>)>,
}

/// The weights of a layer.
pub(crate) struct Layer<A: Arithmetic> {
    pub(crate) attention_norm: NormWeights<A>,
    pub(crate) qkv: A::Matrix,
    pub(crate) qk_norms: Option<(NormWeights<A>, NormWeights<A>)>,
    pub(crate) output: A::Matrix,
    pub(crate) mlp_norm: NormWeights<A>,
    pub(crate) expand: A::Matrix,
    pub(crate) contract: A::Matrix,
}

/// Gives the weights that a forward pass asks for, in the order it asks.
pub(crate) trait Weights<A: Arithmetic> {
    fn embedding(&self) -> &A::Table;
    fn positions(&self) -> Option<&A::Table>;
    fn with_layer<T>(&self, layer: usize, run: impl FnOnce(&Layer<A>) -> Result<T>) -> Result<T>;
    fn final_norm(&self) -> &NormWeights<A>;
}

/// The rows that the head turns into logits, one for each token.
pub(crate) fn hidden_states<A: Arithmetic>(
    arithmetic: &A,
    config: &Config,
    weights: &impl Weights<A>,
    tokens: &[u32],
) -> Result<A::Rows> {
    let attend = |_, qkv, attention: &Attention<'_, A>| arithmetic.attend(qkv, attention);
    hidden_states_after(arithmetic, config, weights, 0, tokens, attend)
}

/// The same for tokens that come after `past` others; `attend` knows of these, and is told which layer it is asked for.
pub(crate) fn hidden_states_after<A: Arithmetic>(
    arithmetic: &A,
    config: &Config,
    weights: &impl Weights<A>,
    past: usize,
    tokens: &[u32],
    mut attend: impl FnMut(usize, A::Rows, &Attention<'_, A>) -> Result<A::Rows>,
) -> Result<A::Rows> {
    let mut x = arithmetic.pick(weights.embedding(), tokens)?;
    if let Some(table) = weights.positions() {
        let numbers: Vec<u32> = (past as u32..).take(tokens.len()).collect();
        x = arithmetic.add(x, &arithmetic.pick(table, &numbers)?)?;
    }
    x = arithmetic.drop(x, Place::Embedding)?;
    let rotation = config.rotation(past + tokens.len()).map(Arc::new);
    for index in 0..config.layers {
        x = weights.with_layer(index, |layer| {
            let attention = Attention {
                layer: index,
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_width: config.head_width,
                window: config.windows[index],
                rotation: rotation.as_ref(),
                norms: layer.qk_norms.as_ref(),
            };
            let attend = |qkv| attend(index, qkv, &attention);
            run_layer(arithmetic, (index, layer), attend, config.activation, x)
        })?;
    }
    arithmetic.normalize(&x, weights.final_norm())
}

fn run_layer<A: Arithmetic>(
    arithmetic: &A,
    (index, layer): (usize, &Layer<A>),
    attend: impl FnOnce(A::Rows) -> Result<A::Rows>,
    activation: Activation,
    x: A::Rows,
) -> Result<A::Rows> {
    let qkv = arithmetic.apply(
        &layer.qkv,
        &arithmetic.normalize(&x, &layer.attention_norm)?,
    )?;
    let seen = attend(qkv)?;
    let x = arithmetic.apply_onto(x, &layer.output, &seen, Place::Attended(index))?;
    let wide = arithmetic.apply(&layer.expand, &arithmetic.normalize(&x, &layer.mlp_norm)?)?;
    let wide = arithmetic.activate(wide, activation)?;
    arithmetic.apply_onto(x, &layer.contract, &wide, Place::Perceived(index))
}
