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
//! pass.rows(1..3, &mut logits)?;
//! pass.pull(1..3, &logits)?; // the gradient of ½·Σ logit²
//! assert!(pass.gradients()?["model.norm.weight"].iter().any(|&g| g != 0.0));
//! # Ok::<(), kld_models::Error>(())
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{Storage, Tensor};

use super::DifferentiableModel;
use super::plain::matmul::{Onto, View, multiply};
use crate::{Error, Result};

/// The gradient of a loss with respect to each weight that may change, by the weight's name.
pub type Gradients = BTreeMap<String, Vec<f32>>;

/// See the module's documentation.
pub struct Pass<'a> {
    model: &'a DifferentiableModel,
    hidden: Tensor,
    states: Vec<f32>,
    width: usize,
    grad_states: Vec<f32>,
    /// Empty until the first pull, and where the head is frozen.
    grad_head: Vec<f32>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(model: &'a DifferentiableModel, hidden: Tensor) -> Result<Self> {
        let width = hidden.dim(1)?;
        let states = hidden.flatten_all()?.to_vec1::<f32>()?;
        Ok(Self {
            model,
            hidden,
            width,
            grad_states: vec![0.0; states.len()],
            states,
            grad_head: Vec::new(),
        })
    }

    /// Number of positions, i.e. of tokens in the window.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.states.len() / self.width
    }

    /// Writes the logits of `positions` into `out`, row after row; see [`WindowLogits::rows`](crate::WindowLogits::rows).
    ///
    /// # Errors
    ///
    /// If the engine fails.
    ///
    /// # Panics
    ///
    /// If `positions` reaches beyond [`positions`](Self::positions).
    pub fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let (count, width, columns) = (positions.len(), self.width, self.model.columns());
        let states = &self.states[positions.start * width..positions.end * width];
        out.clear();
        out.resize(count * columns, 0.0);
        self.with_head(|head| {
            let head = View::rows(head, columns, width, width).transposed();
            let states = View::rows(states, count, width, width);
            multiply(states, head, 1.0, out, columns, Onto::Replace);
        })
    }

    /// Takes the gradient of the loss with respect to the logits of `positions`, row after row. What is pulled adds up.
    ///
    /// # Errors
    ///
    /// If the engine fails.
    ///
    /// # Panics
    ///
    /// If `positions` reaches beyond [`positions`](Self::positions), or `grad_logits` are not as many rows.
    pub fn pull(&mut self, positions: Range<usize>, grad_logits: &[f32]) -> Result<()> {
        let (count, width, columns) = (positions.len(), self.width, self.model.columns());
        assert_eq!(grad_logits.len(), count * columns, "a row per position");
        let slice = positions.start * width..positions.end * width;
        let grads = View::rows(grad_logits, count, columns, columns);
        let mut grad_states = std::mem::take(&mut self.grad_states);
        self.with_head(|head| {
            let head = View::rows(head, columns, width, width);
            let out = &mut grad_states[slice.clone()];
            multiply(grads, head, 1.0, out, width, Onto::Add);
        })?;
        self.grad_states = grad_states;
        if self.model.is_trainable(&self.model.head_name()) {
            self.grad_head.resize(columns * width, 0.0);
            let states = View::rows(&self.states[slice], count, width, width);
            let out = &mut self.grad_head;
            multiply(grads.transposed(), states, 1.0, out, width, Onto::Add);
        }
        Ok(())
    }

    /// The gradients of all weights that may change.
    ///
    /// # Errors
    ///
    /// If one of them has none: an operation of the decoder would have dropped it, and the weight would never learn.
    pub fn gradients(self) -> Result<Gradients> {
        let shape = self.hidden.shape().clone();
        let pull = Tensor::from_vec(self.grad_states, shape, self.hidden.device())?;
        // Its gradient with respect to the hidden states is what was pulled.
        let mut grads = (&self.hidden * pull)?.sum_all()?.backward()?;
        let mut found = Gradients::new();
        for (name, variable) in self.model.trainable() {
            if let Some(gradient) = grads.remove(&variable) {
                found.insert(name, gradient.flatten_all()?.to_vec1()?);
            }
        }
        if !self.grad_head.is_empty() {
            match found.get_mut(&self.model.head_name()) {
                // Embedding and head are one.
                Some(sum) => sum
                    .iter_mut()
                    .zip(&self.grad_head)
                    .for_each(|(sum, x)| *sum += x),
                None => drop(found.insert(self.model.head_name(), self.grad_head)),
            }
        }
        match self.model.trainable().find(|(n, _)| !found.contains_key(n)) {
            Some((name, _)) => Err(Error::NoGradient { name }),
            None => Ok(found),
        }
    }

    fn with_head(&self, work: impl FnOnce(&[f32])) -> Result<()> {
        let head = self.model.head_tensor();
        let (storage, layout) = head.storage_and_layout();
        let Storage::Cpu(values) = &*storage else {
            return Err(candle_core::Error::Msg("the head is not on the CPU".to_owned()).into());
        };
        let (start, end) = layout.contiguous_offsets().unwrap_or((0, 0));
        work(&values.as_slice::<f32>()?[start..end]);
        Ok(())
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
