//! The model that can learn: the same decoder, with a gradient for every weight.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use candle_core::{Tensor, Var};
use kld_core::ModelCard;

use super::decoder::{self, Arithmetic};
use super::files::{self, Opened};
use super::tape::{Matrix, Tape};
use super::weights::{Load, Loaded, Plan, Ready, Residency};
use super::{check_window, identity};
use crate::{LogitSource, Result, Tokenizer, WindowLogits};

/// A model whose logits are tensors that remember how they were made.
///
/// [`logits`](Self::logits) gives what a loss is built on; [`variables`](Self::variables) what an optimizer changes. As a
/// [`LogitSource`] it can be measured like any other model, with its weights as they are at that moment.
pub struct DifferentiableModel {
    card: ModelCard,
    tokenizer: Tokenizer,
    plan: Plan,
    store: super::store::Store,
    tape: Tape,
    weights: Loaded<Tape>,
    head: Matrix,
}

impl DifferentiableModel {
    /// Opens a Hugging Face folder or a GGUF file; every weight becomes an f32 variable.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is not sound, or the model is of a kind that this program cannot run.
    pub fn open(path: &Path, tokenizer: Tokenizer) -> Result<Self> {
        let opened = if path.is_dir() {
            files::open_folder(path)?
        } else {
            files::open_gguf(path)?
        };
        let card = identity::card(path, &opened, "f32 on dequantized weights, differentiable")?;
        let Opened { plan, store, .. } = opened;
        let tape = Tape::new();
        let weights = plan.load(&tape, &store, Residency::Held)?;
        let head = tape.matrix(&store, &[plan.head()])?;
        store.release();
        Ok(Self {
            card,
            tokenizer,
            plan,
            store,
            tape,
            weights,
            head,
        })
    }

    /// The logits of every position of a window: positions × vocabulary.
    ///
    /// # Errors
    ///
    /// If a token is outside the vocabulary, or the window is empty or too long.
    pub fn logits(&self, tokens: &[u32]) -> Result<Tensor> {
        check_window(tokens, &self.card)?;
        self.tape.apply(&self.head, &self.hidden_states(tokens)?)
    }

    /// The weights by their names in the file; tied weights are one.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, Var> {
        self.tape.variables()
    }

    fn hidden_states(&self, tokens: &[u32]) -> Result<Tensor> {
        let weights = Ready {
            arithmetic: &self.tape,
            plan: &self.plan,
            store: &self.store,
            loaded: &self.weights,
        };
        decoder::hidden_states(&self.tape, &self.plan.config, &weights, tokens)
    }
}

impl std::fmt::Debug for DifferentiableModel {
    /// The card; not the weights.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DifferentiableModel")
            .field("card", &self.card)
            .finish_non_exhaustive()
    }
}

impl LogitSource for DifferentiableModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn forward(&self, tokens: &[u32]) -> Result<Box<dyn WindowLogits + '_>> {
        check_window(tokens, &self.card)?;
        // What is measured is not trained on: let go of the tape.
        Ok(Box::new(Window {
            model: self,
            hidden: self.hidden_states(tokens)?.detach(),
            positions: tokens.len(),
        }))
    }
}

struct Window<'a> {
    model: &'a DifferentiableModel,
    hidden: Tensor,
    positions: usize,
}

impl WindowLogits for Window<'_> {
    fn positions(&self) -> usize {
        self.positions
    }

    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        assert!(
            positions.end <= self.positions,
            "positions are inside the window"
        );
        out.clear();
        if !positions.is_empty() {
            let hidden = self.hidden.narrow(0, positions.start, positions.len())?;
            let logits = self.model.tape.apply(&self.model.head, &hidden)?;
            out.extend(logits.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(())
    }
}
