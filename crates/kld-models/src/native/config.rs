//! What a decoder needs to know of a model, whatever file said it.

use std::path::Path;

use kld_core::result::Shape;

use super::dropout::Dropout;
use super::rope::{Rope, Rotation};
use crate::{Error, Result};

/// The description of one decoder-only transformer.
///
/// Every layer is x ← x + attention(norm(x)), x ← x + mlp(norm(x)); the fields say how big and which.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// As the file names it: `llama`, `qwen2`, `gpt2` …
    pub(crate) family: String,
    pub(crate) layers: usize,
    /// Values per position between layers.
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` heads of queries.
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    /// Values per position inside the multi-layer perceptron.
    pub(crate) mlp: usize,
    /// Rows of the embedding and columns of the head.
    pub(crate) vocabulary: usize,
    pub(crate) context_length: usize,
    pub(crate) norm: Norm,
    pub(crate) epsilon: f32,
    pub(crate) activation: Activation,
    pub(crate) positions: Positions,
    /// Queries and keys are normalised per head before they are rotated.
    pub(crate) qk_norm: bool,
    pub(crate) biases: Biases,
    /// Per layer: how many positions, itself included, a position sees; `None` is all before it.
    pub(crate) windows: Vec<Option<usize>>,
    /// The head is the embedding.
    pub(crate) tied: bool,
    /// While it learns.
    pub(crate) dropout: Dropout,
}

/// How a position's values are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norm {
    /// x / √(mean x² + ε) · weight.
    Rms,
    /// (x − mean) / √(variance + ε) · weight + bias.
    Layer,
}

/// What the perceptron does between its matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// silu(gate) · up, of two matrices.
    SwiGlu,
    /// The tanh form of GELU, of one matrix.
    GeluTanh,
}

/// How a position knows where it is.
#[derive(Clone, Debug)]
pub(crate) enum Positions {
    /// A learned vector for each is added to the embedding.
    Learned,
    /// Queries and keys are rotated.
    Rotary(Rope),
}

/// Which matrices have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Biases {
    pub(crate) qkv: bool,
    pub(crate) output: bool,
    pub(crate) mlp: bool,
}

/// What a file says of a model, whether or not this program can run it.
#[derive(Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) family: Option<String>,
    pub(crate) vocabulary: Option<usize>,
    pub(crate) context_length: Option<usize>,
    pub(crate) shape: Shape,
}

impl Config {
    /// What there is to say of it.
    pub(crate) fn sketch(&self) -> Sketch {
        Sketch {
            family: Some(self.family.clone()),
            vocabulary: Some(self.vocabulary),
            context_length: Some(self.context_length),
            shape: Shape {
                layers: Some(self.layers),
                hidden: Some(self.hidden),
                heads: Some(self.heads),
                kv_heads: Some(self.kv_heads),
                head_width: Some(self.head_width),
                mlp: Some(self.mlp),
                tied_head: Some(self.tied),
                sliding_window: self.windows.iter().flatten().min().copied(),
            },
        }
    }

    /// Refuses sizes that contradict each other.
    pub(crate) fn checked(self, path: &Path) -> Result<Self> {
        let sizes = [
            ("layers", self.layers),
            ("hidden size", self.hidden),
            ("heads", self.heads),
            ("key-value heads", self.kv_heads),
            ("head width", self.head_width),
            ("mlp size", self.mlp),
            ("vocabulary", self.vocabulary),
            ("context length", self.context_length),
        ];
        if self.layers > MAX_LAYERS {
            return Err(Error::malformed(
                path,
                format!("{} layers; {MAX_LAYERS} are possible", self.layers),
            ));
        }
        if let Some((name, size)) = sizes
            .iter()
            .find(|(_, size)| !(1..=MAX_SIZE).contains(size))
        {
            return Err(Error::malformed(
                path,
                format!("the {name} is {size}, from 1 to {MAX_SIZE} is possible"),
            ));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let what = format!(
                "{} heads cannot share {} key-value heads evenly",
                self.heads, self.kv_heads
            );
            return Err(Error::malformed(path, what));
        }
        if matches!(self.positions, Positions::Rotary(_)) && !self.head_width.is_multiple_of(2) {
            return Err(Error::malformed(
                path,
                format!(
                    "a head of {} values has no pairs to rotate",
                    self.head_width
                ),
            ));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return Err(Error::malformed(
                path,
                format!("the normalisation's epsilon is {}", self.epsilon),
            ));
        }
        Ok(self)
    }

    /// The rotations of the first positions, if positions are rotations.
    pub(crate) fn rotation(&self, positions: usize) -> Option<Rotation> {
        match &self.positions {
            Positions::Rotary(rope) => Some(rope.rotation(positions)),
            Positions::Learned => None,
        }
    }

    /// Values of all query heads of a position.
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Values of all key heads of a position.
    pub(crate) fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width
    }
}

/// No size of a real model reaches this; products of three fit 64 bits.
pub(crate) const MAX_SIZE: usize = 1 << 24;
/// No real model is as deep.
pub(crate) const MAX_LAYERS: usize = 1 << 12;
