//! The model that can learn: the same decoder, with a gradient for every weight.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var};
use kld_core::ModelCard;
use serde_json::{Map, Value};

use super::decoder::{self, Arithmetic};
use super::files::{self, Opened};
use super::pass::Pass;
use super::select::matches;
use super::tape::{Matrix, Tape};
use super::weights::{Load, Loaded, Plan, Ready, Residency};
use super::{check_window, identity, json_config};
use crate::{Error, LogitSource, Result, Tokenizer, WindowLogits};

/// A model whose logits are tensors that remember how they were made.
///
/// [`logits`](Self::logits) gives what a loss is built on; [`pass`](Self::pass) the same for a loss that brings its own
/// gradient, without ever holding all logits; [`update`](Self::update) changes the weights. As a [`LogitSource`] it can be
/// measured like any other model, with its weights as they are at that moment.
pub struct DifferentiableModel {
    card: ModelCard,
    tokenizer: Tokenizer,
    /// What `config.json` says; `None` for a GGUF file.
    settings: Option<Map<String, Value>>,
    plan: Plan,
    store: super::store::Store,
    tape: Tape,
    weights: Loaded<Tape>,
    head: Matrix,
    frozen: BTreeSet<String>,
}

/// How a model that learns computes.
pub(super) const COMPUTE: &str = "f32 on dequantized weights, differentiable";

impl DifferentiableModel {
    /// Opens a Hugging Face folder or a GGUF file; every weight becomes an f32 variable.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is not sound, or the model is of a kind that this program cannot run.
    pub fn open(path: &Path, tokenizer: Tokenizer) -> Result<Self> {
        let (opened, settings) = if path.is_dir() {
            let settings = json_config::parse(&path.join("config.json"))?;
            (files::open_folder(path)?, Some(settings))
        } else {
            (files::open_gguf(path)?, None)
        };
        let card = identity::card(path, &opened, COMPUTE)?;
        Self::of(opened, card, settings, tokenizer)
    }

    pub(super) fn of(
        opened: Opened,
        card: ModelCard,
        settings: Option<Map<String, Value>>,
        tokenizer: Tokenizer,
    ) -> Result<Self> {
        let Opened { plan, store, .. } = opened;
        let tape = Tape::new();
        let weights = plan.load(&tape, &store, Residency::Held)?;
        let head = tape.matrix(&store, &[plan.head()])?;
        store.release();
        Ok(Self {
            card,
            tokenizer,
            settings,
            plan,
            store,
            tape,
            weights,
            head,
            frozen: BTreeSet::new(),
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

    /// Runs the model over a window, ready to go back.
    ///
    /// # Errors
    ///
    /// If a token is outside the vocabulary, or the window is empty or too long.
    pub fn pass(&self, tokens: &[u32]) -> Result<Pass<'_>> {
        check_window(tokens, &self.card)?;
        Pass::new(self, self.hidden_states(tokens)?)
    }

    /// The weights by their names in the file; tied weights are one.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, Var> {
        self.tape.variables()
    }

    /// From now on the weights whose names match a pattern (`*` stands for any text) stay as they are.
    ///
    /// # Errors
    ///
    /// If a pattern matches no weight: it would silently freeze nothing.
    pub fn freeze(&mut self, patterns: &[String]) -> Result<()> {
        let names: Vec<String> = self.variables().into_keys().collect();
        for pattern in patterns {
            let matching = names.iter().filter(|name| matches(pattern, name));
            let before = self.frozen.len();
            self.frozen.extend(matching.cloned());
            if self.frozen.len() == before && !names.iter().any(|name| matches(pattern, name)) {
                return Err(Error::NoSuchWeight {
                    pattern: pattern.clone(),
                    model: self.card.name.clone(),
                    names: names
                        .iter()
                        .take(12)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", "),
                });
            }
        }
        Ok(())
    }

    /// Number of values that may change.
    #[must_use]
    pub fn trainable_parameters(&self) -> u64 {
        self.trainable().map(|(_, v)| v.elem_count() as u64).sum()
    }

    /// Hands each weight that may change to `change`: its name, its shape, its values.
    ///
    /// # Errors
    ///
    /// If the engine fails.
    pub fn update(&mut self, change: impl FnMut(&str, &[usize], &mut [f32])) -> Result<()> {
        let change = RefCell::new(change);
        for (name, variable) in self.trainable() {
            variable.inplace_op1(&Change(|values: &mut [f32]| {
                (change.borrow_mut())(&name, variable.dims(), values);
            }))?;
        }
        Ok(())
    }

    /// Puts other values in the place of the weights.
    ///
    /// # Errors
    ///
    /// If the names or sizes are not those of this model.
    pub fn set_weights(&mut self, values: &BTreeMap<String, Vec<f32>>) -> Result<()> {
        let variables = self.variables();
        if let Some(name) = values.keys().find(|name| !variables.contains_key(*name)) {
            return Err(self.other_weights(name));
        }
        for (name, variable) in variables {
            let values = values
                .get(&name)
                .filter(|v| v.len() == variable.elem_count())
                .ok_or_else(|| self.other_weights(&name))?;
            variable.inplace_op1(&Change(|old: &mut [f32]| old.copy_from_slice(values)))?;
        }
        Ok(())
    }

    /// The values of all weights, by their names.
    ///
    /// # Errors
    ///
    /// If the engine fails.
    pub fn weights(&self) -> Result<BTreeMap<String, Vec<f32>>> {
        let values =
            |(name, variable): (String, Var)| Ok((name, variable.flatten_all()?.to_vec1::<f32>()?));
        self.variables().into_iter().map(values).collect()
    }

    pub(super) fn settings(&self) -> Option<&Map<String, Value>> {
        self.settings.as_ref()
    }

    pub(super) fn trainable(&self) -> impl Iterator<Item = (String, Var)> {
        let variables = self.variables().into_iter();
        variables.filter(|(name, _)| self.is_trainable(name))
    }

    pub(super) fn is_trainable(&self, name: &str) -> bool {
        !self.frozen.contains(name)
    }

    /// The name of the weight that makes logits.
    pub(super) fn head_name(&self) -> String {
        self.plan.head().weight_name()
    }

    /// Columns of the logits.
    pub(super) fn columns(&self) -> usize {
        self.plan.config.vocabulary
    }

    pub(super) fn head_tensor(&self) -> &Tensor {
        self.head.weight()
    }

    fn other_weights(&self, name: &str) -> Error {
        Error::OtherWeights {
            name: name.to_owned(),
            model: self.card.name.clone(),
        }
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
        let hidden = self.hidden_states(tokens)?.detach();
        Ok(Box::new(Window(Pass::new(self, hidden)?)))
    }
}

struct Window<'a>(Pass<'a>);

impl WindowLogits for Window<'_> {
    fn positions(&self) -> usize {
        self.0.positions()
    }

    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        self.0.rows(positions, out)
    }
}

/// Changes the values of a variable where they lie.
struct Change<F>(F);

impl<F: Fn(&mut [f32])> InplaceOp1 for Change<F> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(values) = storage else {
            return Err(candle_core::Error::Msg("a weight is not f32".to_owned()));
        };
        match layout.contiguous_offsets() {
            Some((start, end)) => (self.0)(&mut values[start..end]),
            None => return Err(candle_core::Error::Msg("a weight has gaps".to_owned())),
        }
        Ok(())
    }
}
