//! The model that can learn: the same decoder, with a gradient for every weight.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use kld_core::ModelCard;
use serde_json::{Map, Value};

use super::decoder;
use super::dropout::{Dropout, Dropping};
use super::files::{self, Opened};
use super::pass::Pass;
use super::select::matches;
use super::tape::continuation::Past;
use super::tape::{Matrix, Rows, Tape, Weight};
use super::weights::{Load, Loaded, Plan, Ready, Residency};
use super::{check_window, identity, json_config};
use crate::{Error, LogitSource, Result, Tokenizer, WindowLogits};

/// A model whose logits remember how they were made.
///
/// [`pass`](Self::pass) runs it over a window and takes back the gradient of a loss, without ever holding all logits;
/// [`update`](Self::update) changes the weights. As a [`LogitSource`] it can be measured like any other model, with its
/// weights as they are at that moment.
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
        })
    }

    /// Runs the model over a window, ready to go back.
    ///
    /// # Errors
    ///
    /// If a token is outside the vocabulary, or the window is empty or too long.
    pub fn pass(&self, tokens: &[u32]) -> Result<Pass<'_>> {
        check_window(tokens, &self.card)?;
        Ok(Pass::new(self, self.hidden_states(tokens, &self.tape)?))
    }

    /// The same with [`dropout`](Self::dropout): what is dropped follows from `key`.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass).
    pub fn dropping_pass(&self, tokens: &[u32], key: u64) -> Result<Pass<'_>> {
        check_window(tokens, &self.card)?;
        let rates = self.dropout();
        let tape = self.tape.dropping(Dropping { rates, key });
        Ok(Pass::new(self, self.hidden_states(tokens, &tape)?))
    }

    /// The dropout that its configuration asks for, or that was set.
    #[must_use]
    pub fn dropout(&self) -> Dropout {
        self.plan.config.dropout
    }

    /// From now on each place where its family has dropout has this probability.
    ///
    /// # Errors
    ///
    /// If it is not from 0 to below 1.
    pub fn set_dropout(&mut self, rate: f64) -> Result<()> {
        if !Dropout::is_rate(rate) {
            return Err(Error::DropoutRate { rate });
        }
        let dropout = &mut self.plan.config.dropout;
        *dropout = dropout.with_rate(rate);
        Ok(())
    }

    /// The shapes of the weights by their names in the file; tied weights are one.
    #[must_use]
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let weights = self.tape.weights().into_iter();
        weights.map(|(name, w)| (name, w.shape.clone())).collect()
    }

    /// The names of the matrices of all layers.
    #[must_use]
    pub fn layer_matrices(&self) -> Vec<String> {
        let matrices = self.plan.all_matrices().into_iter();
        let of_layers = matrices.filter(|(layer, _)| layer.is_some());
        of_layers.map(|(_, matrix)| matrix.weight_name()).collect()
    }

    /// From now on the weights whose names match a pattern (`*` stands for any text) stay as they are.
    ///
    /// # Errors
    ///
    /// If a pattern matches no weight: it would silently freeze nothing.
    pub fn freeze(&mut self, patterns: &[String]) -> Result<()> {
        let weights = self.tape.weights();
        for pattern in patterns {
            let mut matching = weights.values().filter(|w| matches(pattern, &w.name));
            let Some(first) = matching.next() else {
                let names: Vec<&str> = weights.keys().take(12).map(String::as_str).collect();
                return Err(Error::NoSuchWeight {
                    pattern: pattern.clone(),
                    model: self.card.name.clone(),
                    names: names.join(", "),
                });
            };
            first.freeze();
            matching.for_each(|weight| weight.freeze());
        }
        Ok(())
    }

    /// Number of values that may change.
    #[must_use]
    pub fn trainable_parameters(&self) -> u64 {
        let sizes = self.trainable().map(|(_, w)| w.shape.iter().product());
        sizes.map(|size: usize| size as u64).sum()
    }

    /// Hands each weight that may change to `change`: its name, its shape, its values.
    pub fn update(&mut self, mut change: impl FnMut(&str, &[usize], &mut [f32])) {
        for (name, weight) in self.trainable() {
            weight.change(|values| change(&name, &weight.shape, values));
        }
    }

    /// Puts other values in the place of the weights.
    ///
    /// # Errors
    ///
    /// If the names or sizes are not those of this model.
    pub fn set_weights(&mut self, values: &BTreeMap<String, Vec<f32>>) -> Result<()> {
        let weights = self.tape.weights();
        if let Some(name) = values.keys().find(|name| !weights.contains_key(*name)) {
            return Err(self.other_weights(name));
        }
        for (name, weight) in weights {
            let values = values
                .get(&name)
                .filter(|v| v.len() == weight.values().len())
                .ok_or_else(|| self.other_weights(&name))?;
            weight.change(|old| old.copy_from_slice(values));
        }
        Ok(())
    }

    /// The values of all weights, by their names.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, Vec<f32>> {
        let weights = self.tape.weights().into_iter();
        weights
            .map(|(name, w)| (name, w.values().clone()))
            .collect()
    }

    pub(super) fn settings(&self) -> Option<&Map<String, Value>> {
        self.settings.as_ref()
    }

    pub(super) fn trainable(&self) -> impl Iterator<Item = (String, Arc<Weight>)> {
        let weights = self.tape.weights().into_iter();
        weights.filter(|(_, weight)| !weight.is_frozen())
    }

    pub(super) fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Columns of the logits.
    pub(super) fn columns(&self) -> usize {
        self.plan.config.vocabulary
    }

    /// The weight that makes logits.
    pub(super) fn head_weight(&self) -> &Weight {
        self.head.weight()
    }

    fn other_weights(&self, name: &str) -> Error {
        Error::OtherWeights {
            name: name.to_owned(),
            model: self.card.name.clone(),
        }
    }

    /// A pass over tokens that come after those of `past`; not to go back through.
    pub(super) fn after(&self, past: &mut Past, tokens: &[u32]) -> Result<Pass<'_>> {
        let tape = self.tape.silent();
        let hidden = tape.go_on(past, &self.plan.config, &self.ready(&tape), tokens)?;
        Ok(Pass::new(self, hidden))
    }

    fn hidden_states(&self, tokens: &[u32], tape: &Tape) -> Result<Rows> {
        decoder::hidden_states(tape, &self.plan.config, &self.ready(tape), tokens)
    }

    fn ready<'a>(&'a self, tape: &'a Tape) -> Ready<'a, Tape> {
        Ready {
            arithmetic: tape,
            plan: &self.plan,
            store: &self.store,
            loaded: &self.weights,
        }
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
        let hidden = self.hidden_states(tokens, &self.tape.silent())?;
        Ok(Box::new(Window(Pass::new(self, hidden))))
    }
}

struct Window<'a>(Pass<'a>);

impl WindowLogits for Window<'_> {
    fn positions(&self) -> usize {
        self.0.positions()
    }

    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        self.0.rows(positions, out);
        Ok(())
    }
}
