//! Models that are to learn and lie in no file as they begin: with fresh weights, or with some layers of another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use kld_core::ModelCard;
use rand_distr::{Distribution, Normal};
use serde_json::{Map, Value};

use super::config::Norm;
use super::differentiable::COMPUTE;
use super::family::Names;
use super::files::{self, Opened};
use super::noise::generator;
use super::store::{Store, Stored};
use super::weights::Plan;
use super::{DifferentiableModel, identity, json_config};
use crate::gguf::BlockType;
use crate::{Error, Result, Tokenizer};

/// The spread of fresh weights where the configuration does not say.
const INITIALIZER_RANGE: f64 = 0.02;

impl DifferentiableModel {
    /// A model of the shape that a `config.json` describes, with fresh weights: matrices and embeddings from a normal
    /// distribution of standard deviation `initializer_range`, norms one, biases zero, as Transformers begins them; in GPT-2 what is
    /// added to the residual stream is smaller by √(2 · layers). A weight depends on `seed` and its name alone.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be read or run, or does not have as many entries as the tokenizer.
    pub fn fresh(config: &Path, tokenizer: Tokenizer, seed: u64) -> Result<Self> {
        let settings = json_config::parse(config)?;
        let description = json_config::read(config)?;
        if description.vocabulary < tokenizer.len() {
            let what = format!(
                "'vocab_size' is {}, the tokenizer has {} tokens",
                description.vocabulary,
                tokenizer.len()
            );
            return Err(Error::malformed(config, what));
        }
        let plan = Plan {
            names: Names::of_folder(&description.family, |_| false),
            config: description,
        };
        let range = settings.get("initializer_range").and_then(Value::as_f64);
        let range = range.unwrap_or(INITIALIZER_RANGE);
        let fresh = |(name, shape): (String, Vec<usize>)| {
            let values = fresh_values(&name, &shape, &plan, range, seed);
            Ok((name, in_memory(shape, &values)))
        };
        let tensors = plan
            .tensors()
            .into_iter()
            .map(fresh)
            .collect::<Result<_>>()?;
        let opened = Opened {
            format: "safetensors",
            store: Store::in_memory(tensors),
            plan,
        };
        Self::begun(config, opened, settings, tokenizer)
    }

    /// The size of the vocabulary that a `config.json` tells of.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or tells of none.
    pub fn vocabulary_of(config: &Path) -> Result<usize> {
        let settings = json_config::parse(config)?;
        let size = settings.get("vocab_size").and_then(Value::as_u64);
        let size = size.and_then(|size| usize::try_from(size).ok());
        size.filter(|&size| size <= crate::tokenizer::MAX_VOCABULARY as usize)
            .ok_or_else(|| Error::malformed(config, "no sound vocab_size in it"))
    }

    /// The model of a Hugging Face folder with so many of its layers, evenly spread: of L layers number ⌊i·L/`layers`⌋ becomes layer
    /// i; all else is kept.
    ///
    /// # Errors
    ///
    /// If the model cannot be read, or does not have as many layers.
    pub fn shortened(folder: &Path, tokenizer: Tokenizer, layers: usize) -> Result<Self> {
        let path = folder.join("config.json");
        let Opened {
            format,
            store,
            plan: mut long,
        } = files::open_folder(folder)?;
        let all = long.config.layers;
        if !(1..=all).contains(&layers) {
            let what = format!("{layers} layers were asked for, the model has {all}");
            return Err(Error::malformed(&path, what));
        }
        let from = |layer: usize| layer * all / layers;
        let windows = (0..layers).map(|layer| long.config.windows[from(layer)]);
        let mut config = long.config.clone();
        (config.windows, config.layers) = (windows.collect(), layers);
        let names = long.names;
        let renamed = (0..layers).map(|i| (names.in_layer(i, ""), names.in_layer(from(i), "")));
        let renamed: Vec<(String, String)> = renamed.collect();
        long.config = config;
        let mut tensors = BTreeMap::new();
        for (name, shape) in long.tensors() {
            let layer = renamed.iter().find(|(new, _)| name.starts_with(new));
            let old = layer.map_or(name.clone(), |(new, old)| name.replacen(new, old, 1));
            tensors.insert(name, store.get(&old, &shape)?.clone());
        }
        let opened = Opened {
            format,
            store: store.of(tensors),
            plan: long,
        };
        let settings = with_layers(json_config::parse(&path)?, layers, from);
        Self::begun(&path, opened, settings, tokenizer)
    }

    fn begun(
        config: &Path,
        opened: Opened,
        settings: Map<String, Value>,
        tokenizer: Tokenizer,
    ) -> Result<Self> {
        let tensors = opened.store.iter();
        let tensors = tensors.map(|(name, t)| (name, t.dtype, opened.store.bytes(t)));
        let text = Value::Object(settings.clone()).to_string();
        let card = ModelCard {
            sha256: identity::hash_with("", tensors),
            config_sha256: identity::hash_bytes(text.as_bytes()),
            bytes: opened.store.iter().map(|(_, t)| t.size() as u64).sum(),
            ..identity::card(config, &opened, COMPUTE)?
        };
        Self::of(opened, card, Some(settings), tokenizer)
    }
}

/// The settings of a model of which only some layers are left.
fn with_layers(
    mut settings: Map<String, Value>,
    layers: usize,
    from: impl Fn(usize) -> usize,
) -> Map<String, Value> {
    for key in ["num_hidden_layers", "n_layer"] {
        if let Some(count) = settings.get_mut(key) {
            *count = layers.into();
        }
    }
    if let Some(Value::Array(kinds)) = settings.get_mut("layer_types") {
        *kinds = (0..layers)
            .map(|layer| kinds[from(layer)].clone())
            .collect();
    }
    settings
}

fn fresh_values(name: &str, shape: &[usize], plan: &Plan, range: f64, seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    if shape.len() == 1 {
        // Vectors are norms and biases.
        let is_bias = name.rsplit('.').next() == Some("bias");
        return vec![if is_bias { 0.0 } else { 1.0 }; count];
    }
    let layers = plan.config.layers as f64;
    let onto_residual = [plan.names.output, plan.names.contract];
    let is_onto_residual = |end: &&str| name.ends_with(&format!("{end}.weight"));
    let of_gpt2 = plan.config.norm == Norm::Layer;
    let spread = if of_gpt2 && onto_residual.iter().any(is_onto_residual) {
        range / (2.0 * layers).sqrt()
    } else {
        range
    };
    let mut random = generator(name, seed);
    let normal = Normal::new(0.0, spread)
        .unwrap_or_else(|_| Normal::new(0.0, INITIALIZER_RANGE).expect("a spread"));
    (0..count)
        .map(|_| normal.sample(&mut random) as f32)
        .collect()
}

fn in_memory(shape: Vec<usize>, values: &[f32]) -> Stored {
    let bytes: Arc<[u8]> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Stored::in_memory(shape, BlockType::F32, bytes, BlockType::F32)
}
