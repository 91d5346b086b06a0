//! One window through a model that learns: forward, then back with the gradient of whatever was made of its logits.
//!
//! With hidden states H, head W and logits Y = H·Wᵀ, a loss that knows G = ∂loss/∂Y needs no more than ∂loss/∂H = G·W
//! and ∂loss/∂W = Gᵀ·H. Both are sums over positions, so logits are made and let go of a slice at a time, and those of
//! a whole window never lie in memory. From H back the tape goes on by itself.
//!
//! ```
//! use kld_models::{Tokenizer, native::DifferentiableModel};
//!
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/models/llama").as_ref();
//! let model = DifferentiableModel::open(folder, Tokenizer::from_folder(folder)?)?;
//! let (mut pass, mut logits) = (model.pass(&[1, 2, 3])?, Vec::new());
//! pass.rows(1..3, &mut logits);
//! pass.pull(1..3, &logits); // the gradient of ½·Σ logit²
//! assert!(pass.gradients()?["model.norm.weight"].iter().any(|&g| g != 0.0));
//! # Ok::<(), kld_models::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use super::DifferentiableModel;
use super::plain::matmul::{Onto, View, multiply};
use super::tape::Rows;
use crate::{Error, Result};

/// The gradient of a loss with respect to each weight that may change, by the weight's name.
pub type Gradients = BTreeMap<String, Vec<f32>>;

/// See the module's documentation.
pub struct Pass<'a> {
    model: &'a DifferentiableModel,
    hidden: Rows,
    grad_states: Vec<f32>,
    /// Empty until the first pull, and where the head is frozen.
    grad_head: Vec<f32>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(model: &'a DifferentiableModel, hidden: Rows) -> Self {
        Self {
            model,
            grad_states: vec![0.0; hidden.values().len()],
            hidden,
            grad_head: Vec::new(),
        }
    }

    /// Number of positions, i.e. of tokens in the window.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.hidden.values().len() / self.hidden.width()
    }

    /// Writes the logits of `positions` into `out`, row after row; see [`WindowLogits::rows`](crate::WindowLogits::rows).
    ///
    /// # Panics
    ///
    /// If `positions` reaches beyond [`positions`](Self::positions).
    pub fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) {
        let (columns, width) = (self.model.columns(), self.hidden.width());
        // Every entry is overwritten below; what is there already needs no clearing.
        out.resize(positions.len() * columns, 0.0);
        let head = self.model.head_weight().values();
        let head = View::rows(&head, columns, width, width).transposed();
        multiply(
            self.states(&positions),
            head,
            1.0,
            out,
            columns,
            Onto::Replace,
        );
    }

    /// Takes the gradient of the loss with respect to the logits of `positions`, row after row. What is pulled adds up.
    ///
    /// # Panics
    ///
    /// If `positions` reaches beyond [`positions`](Self::positions), or `grad_logits` are not as many rows.
    pub fn pull(&mut self, positions: Range<usize>, grad_logits: &[f32]) {
        let (columns, width) = (self.model.columns(), self.hidden.width());
        let count = positions.len();
        assert_eq!(grad_logits.len(), count * columns, "a row per position");
        let grads = View::rows(grad_logits, count, columns, columns);
        let weight = self.model.head_weight();
        if !weight.is_frozen() {
            let mut grad_head = std::mem::take(&mut self.grad_head);
            grad_head.resize(columns * width, 0.0);
            let states = self.states(&positions);
            multiply(
                grads.transposed(),
                states,
                1.0,
                &mut grad_head,
                width,
                Onto::Add,
            );
            self.grad_head = grad_head;
        }
        let head = weight.values();
        let head = View::rows(&head, columns, width, width);
        let out = &mut self.grad_states[positions.start * width..positions.end * width];
        multiply(grads, head, 1.0, out, width, Onto::Add);
    }

    /// The gradients of all weights that may change.
    ///
    /// # Errors
    ///
    /// If one of them has none: it would never learn, without a word.
    pub fn gradients(self) -> Result<Gradients> {
        let mut gradients = Gradients::new();
        if !self.grad_head.is_empty() {
            // Where embedding and head are one, both parts end in one sum.
            let head = &self.model.head_weight().name;
            gradients.insert(head.clone(), self.grad_head);
        }
        let tape = self.model.tape();
        let found = tape.pull(self.hidden, &self.grad_states, gradients);
        match self.model.trainable().find(|(n, _)| !found.contains_key(n)) {
            Some((name, _)) => Err(Error::NoGradient { name }),
            None => Ok(found),
        }
    }

    fn states(&self, positions: &Range<usize>) -> View<'_> {
        let width = self.hidden.width();
        let states = &self.hidden.values()[positions.start * width..positions.end * width];
        View::rows(states, positions.len(), width, width)
    }
}

impl std::fmt::Debug for Pass<'_> {
    /// The size; not the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass")
            .field("positions", &self.positions())
            .finish_non_exhaustive()
    }
}
