//! A decoder's [`Config`] from the `config.json` of a Hugging Face folder.
//!
//! What is not known here is refused: a key that this file does not list might change the numbers. Keys that cannot
//! (token ids, training settings, bookkeeping) are listed in [`HARMLESS`].

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use kld_core::result::Shape;

use super::config::{Activation, Biases, Config, MAX_LAYERS, MAX_SIZE, Norm, Positions, Sketch};
use super::dropout::Dropout;
use super::rope::{Rope, Scaling};
use crate::{Error, Result};

/// Reads and understands a `config.json`.
pub(crate) fn read(path: &Path) -> Result<Config> {
    let keys = Keys {
        path: path.to_owned(),
        map: parse(path)?,
    };
    let config = match keys.text("model_type")?.unwrap_or_default() {
        "llama" => llama_like(&keys, "llama"),
        "mistral" => llama_like(&keys, "mistral"),
        "qwen2" => llama_like(&keys, "qwen2"),
        "qwen3" => llama_like(&keys, "qwen3"),
        "gpt2" => gpt2(&keys),
        other => Err(keys.unsupported(
            format!("models of the family '{other}' are not computed"),
            "families that can be run: llama (SmolLM2 too), mistral, qwen2, qwen3, gpt2",
        )),
    }?;
    config.checked(path)
}

/// What a `config.json` of whatever family says in the usual words; those of a model of several kinds of input, of its text.
pub(crate) fn sketch(path: &Path) -> Result<Sketch> {
    let map = parse(path)?;
    let text = map.get("text_config").and_then(Value::as_object);
    let get = |key: &str| map.get(key).or_else(|| text?.get(key));
    let size = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| get(key)?.as_u64());
        found.and_then(|size| usize::try_from(size).ok())
    };
    let (hidden, heads) = (
        size(&["hidden_size", "n_embd", "d_model"]),
        size(&["num_attention_heads", "n_head"]),
    );
    let divided = || hidden?.checked_div(heads?);
    Ok(Sketch {
        family: get("model_type").and_then(Value::as_str).map(str::to_owned),
        vocabulary: size(&["vocab_size"]),
        context_length: size(&["max_position_embeddings", "n_positions"]),
        shape: Shape {
            layers: size(&["num_hidden_layers", "n_layer"]),
            hidden,
            heads,
            kv_heads: size(&["num_key_value_heads"]).or(heads),
            head_width: size(&["head_dim"]).or_else(divided),
            mlp: size(&["intermediate_size", "n_inner"]),
            tied_head: get("tie_word_embeddings").and_then(Value::as_bool),
            sliding_window: size(&["sliding_window"]),
        },
    })
}

/// A file of this many bytes is no configuration.
const MAX_BYTES: u64 = 1 << 24;

/// Keys that do not change a logit; those of dropout are read all the same.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_flash_attn_2_enabled",
    "_name_or_path",
    "_num_labels",
    "add_cross_attention",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token",
    "bos_token_id",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "eos_token",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "max_sequence_length",
    "max_window_layers",
    "min_length",
    "model_type",
    "n_special",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "output_scores",
    "pad_token",
    "pad_token_id",
    "predict_special_tokens",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "rope_interleaved",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "xla_device",
];

/// Keys of the Llama lineage that are read below.
const LLAMA_KEYS: &[&str] = &[
    "attention_bias",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "layer_types",
    "max_position_embeddings",
    "mlp_bias",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "use_sliding_window",
    "vocab_size",
];

/// Keys of GPT-2 that are read below.
const GPT2_KEYS: &[&str] = &[
    "activation_function",
    "layer_norm_epsilon",
    "n_ctx",
    "n_embd",
    "n_head",
    "n_inner",
    "n_layer",
    "n_positions",
    "reorder_and_upcast_attn",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    "tie_word_embeddings",
    "vocab_size",
];

/// Llama, Mistral, Qwen2 and Qwen3: one shape with few differences.
fn llama_like(keys: &Keys, family: &str) -> Result<Config> {
    keys.refuse_unknown(LLAMA_KEYS)?;
    keys.expect_text("hidden_act", &["silu", "swish"])?;
    keys.expect_flag("rope_interleaved", false)?;
    let (hidden, heads) = (keys.size("hidden_size")?, keys.size("num_attention_heads")?);
    let head_width = keys
        .optional_size("head_dim")?
        .unwrap_or(hidden / heads.max(1));
    let attention_bias = keys.flag("attention_bias")?.unwrap_or(false);
    let biases = match family {
        "qwen2" => Biases {
            qkv: true,
            ..Biases::default()
        },
        _ => Biases {
            qkv: attention_bias,
            output: attention_bias,
            mlp: keys.flag("mlp_bias")?.unwrap_or(false),
        },
    };
    Ok(Config {
        family: family.to_owned(),
        layers: keys.size("num_hidden_layers")?,
        hidden,
        heads,
        kv_heads: keys.optional_size("num_key_value_heads")?.unwrap_or(heads),
        head_width,
        mlp: keys.size("intermediate_size")?,
        vocabulary: keys.size("vocab_size")?,
        context_length: keys.size("max_position_embeddings")?,
        norm: Norm::Rms,
        epsilon: keys.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
        activation: Activation::SwiGlu,
        positions: Positions::Rotary(rope(keys, head_width)?),
        qk_norm: family == "qwen3",
        biases,
        windows: windows(keys, family)?,
        tied: keys.flag("tie_word_embeddings")?.unwrap_or(false),
        dropout: Dropout::of_attention(keys.rate("attention_dropout")?.unwrap_or(0.0)),
    })
}

/// What a configuration of GPT-2 means that does not speak of it.
const GPT2_DROPOUT: Option<f64> = Some(0.1);

fn gpt2(keys: &Keys) -> Result<Config> {
    keys.refuse_unknown(GPT2_KEYS)?;
    keys.expect_text("activation_function", &["gelu_new", "gelu_pytorch_tanh"])?;
    keys.expect_flag("scale_attn_weights", true)?;
    keys.expect_flag("scale_attn_by_inverse_layer_idx", false)?;
    let (layers, hidden, heads) = (
        keys.size("n_layer")?,
        keys.size("n_embd")?,
        keys.size("n_head")?,
    );
    Ok(Config {
        family: "gpt2".to_owned(),
        layers,
        hidden,
        heads,
        kv_heads: heads,
        head_width: hidden / heads.max(1),
        mlp: keys
            .optional_size("n_inner")?
            .unwrap_or(hidden.saturating_mul(4)),
        vocabulary: keys.size("vocab_size")?,
        context_length: keys.size("n_positions")?,
        norm: Norm::Layer,
        epsilon: keys.number("layer_norm_epsilon")?.unwrap_or(1e-5) as f32,
        activation: Activation::GeluTanh,
        positions: Positions::Learned,
        qk_norm: false,
        biases: Biases {
            qkv: true,
            output: true,
            mlp: true,
        },
        windows: vec![None; layers.min(MAX_LAYERS)],
        tied: keys.flag("tie_word_embeddings")?.unwrap_or(true),
        dropout: Dropout {
            embedding: keys.rate("embd_pdrop")?.or(GPT2_DROPOUT),
            attention: keys.rate("attn_pdrop")?.or(GPT2_DROPOUT),
            residual: keys.rate("resid_pdrop")?.or(GPT2_DROPOUT),
        },
    })
}

/// `rope_parameters` (new files) or `rope_theta` and `rope_scaling` (old ones).
fn rope(keys: &Keys, head_width: usize) -> Result<Rope> {
    let parameters = keys.child("rope_parameters")?;
    let scaling = keys.child("rope_scaling")?;
    let theta = match &parameters {
        Some(parameters) => parameters.number("rope_theta")?,
        None => None,
    };
    let theta = theta.or(keys.number("rope_theta")?).unwrap_or(10_000.0);
    let scaling = match parameters.or(scaling) {
        Some(keys) => rope_scaling(&keys)?,
        None => Scaling::None,
    };
    Rope::new(head_width, theta, &scaling, &keys.path)
}

fn rope_scaling(keys: &Keys) -> Result<Scaling> {
    let kind = keys
        .text("rope_type")?
        .or(keys.text("type")?)
        .unwrap_or("default");
    let known: &[&str] = match kind {
        "default" => &[],
        "linear" => &["factor"],
        "llama3" => &[
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
        ],
        _ => {
            return Err(keys.unsupported(
                format!("rope scaling of type '{kind}'"),
                "known types: default, linear, llama3",
            ));
        }
    };
    keys.expect_number("partial_rotary_factor", 1.0)?;
    let always: &[&str] = &["partial_rotary_factor", "rope_theta", "rope_type", "type"];
    keys.refuse_unknown(&[known, always].concat())?;
    Ok(match kind {
        "linear" => Scaling::Linear {
            factor: keys.positive("factor")?,
        },
        "llama3" => Scaling::Llama3 {
            factor: keys.positive("factor")?,
            low: keys.positive("low_freq_factor")?,
            high: keys.positive("high_freq_factor")?,
            original_context: keys.positive("original_max_position_embeddings")?,
        },
        _ => Scaling::None,
    })
}

/// How far back each layer sees. Mistral slides in all layers; Qwen only when told so, in the layers told.
fn windows(keys: &Keys, family: &str) -> Result<Vec<Option<usize>>> {
    let layers = keys.size("num_hidden_layers")?.min(MAX_LAYERS);
    let slides = match family {
        "mistral" => true,
        _ => keys.flag("use_sliding_window")?.unwrap_or(false),
    };
    let window = if slides {
        keys.optional_size("sliding_window")?
    } else {
        None
    };
    let Some(kinds) = keys.map.get("layer_types").and_then(Value::as_array) else {
        // Before `layer_types` was written out, Qwen's sliding layers were those from `max_window_layers` on.
        let full = if family == "mistral" {
            0
        } else {
            keys.optional_size("max_window_layers")?.unwrap_or(28)
        };
        return Ok((0..layers)
            .map(|layer| window.filter(|_| layer >= full))
            .collect());
    };
    let window = window.or(keys.optional_size("sliding_window")?);
    let of = |kind: &Value| match kind.as_str() {
        Some("full_attention") => Ok(None),
        Some("sliding_attention") if window.is_some() => Ok(window),
        _ => Err(keys.unsupported(
            format!("a layer of type {kind}"),
            "known types: full_attention, sliding_attention",
        )),
    };
    let windows: Vec<_> = kinds.iter().map(of).collect::<Result<_>>()?;
    if windows.len() == layers {
        return Ok(windows);
    }
    Err(keys.wrong(format!(
        "'layer_types' has {} entries for {layers} layers",
        windows.len()
    )))
}

/// The keys and values of a `config.json`, whether or not they are understood.
pub(crate) fn parse(path: &Path) -> Result<Map<String, Value>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| Error::io(path, e))?;
    serde_json::from_str(&text)
        .map_err(|e| Error::malformed(path, format!("not a JSON object: {e}")))
}

/// A JSON object that is read key by key; null counts as absent.
struct Keys {
    path: PathBuf,
    map: Map<String, Value>,
}

impl Keys {
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let wanted = format!("an integer from 0 to {MAX_SIZE}");
        let fits = |&size: &usize| size <= MAX_SIZE;
        self.typed(key, &wanted, |value| {
            usize::try_from(value.as_u64()?).ok().filter(fits)
        })
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?
            .ok_or_else(|| self.wrong(format!("'{key}' is missing")))
    }

    fn positive(&self, key: &str) -> Result<f64> {
        let value = self.number(key)?.filter(|&x| x > 0.0 && x.is_finite());
        value.ok_or_else(|| self.wrong(format!("'{key}' should be a positive number")))
    }

    /// A probability of dropout.
    fn rate(&self, key: &str) -> Result<Option<f64>> {
        let is_rate = |&rate: &f64| Dropout::is_rate(rate);
        self.typed(key, "a number from 0 to below 1", |value| {
            value.as_f64().filter(is_rate)
        })
    }

    fn child(&self, key: &str) -> Result<Option<Self>> {
        let map = self.typed(key, "an object", Value::as_object)?;
        Ok(map.map(|map| Self {
            path: self.path.clone(),
            map: map.clone(),
        }))
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        read(value)
            .map(Some)
            .ok_or_else(|| self.wrong(format!("'{key}' should be {wanted}, is {value}")))
    }

    fn expect_text(&self, key: &str, wanted: &[&str]) -> Result<()> {
        match self.text(key)? {
            Some(found) if !wanted.contains(&found) => Err(self.unsupported(
                format!("'{key}' is '{found}'"),
                &format!("known here: {}", wanted.join(", ")),
            )),
            _ => Ok(()),
        }
    }

    fn expect_flag(&self, key: &str, wanted: bool) -> Result<()> {
        match self.flag(key)? {
            Some(found) if found != wanted => Err(self.unsupported(
                format!("'{key}' is {found}"),
                &format!("only {wanted} is computed"),
            )),
            _ => Ok(()),
        }
    }

    fn expect_number(&self, key: &str, wanted: f64) -> Result<()> {
        match self.number(key)? {
            #[expect(clippy::float_cmp, reason = "the number that changes nothing is meant")]
            Some(found) if found != wanted => Err(self.unsupported(
                format!("'{key}' is {found}"),
                &format!("only {wanted} is computed"),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses keys that nothing here reads, unless they are switched off.
    fn refuse_unknown(&self, known: &[&str]) -> Result<()> {
        let off = |value: &Value| value.is_null() || value == &Value::Bool(false);
        let unknown = self.map.iter().find(|(key, value)| {
            !known.contains(&key.as_str()) && !HARMLESS.contains(&key.as_str()) && !off(value)
        });
        match unknown {
            Some((key, value)) => Err(self.unsupported(
                format!("'{key}' = {value} is not known for this model family and might change the numbers"),
                "if it does not, remove it from a copy of the file",
            )),
            None => Ok(()),
        }
    }

    fn wrong(&self, what: String) -> Error {
        Error::malformed(&self.path, what)
    }

    fn unsupported(&self, what: String, hint: &str) -> Error {
        Error::unsupported(&self.path, what, hint)
    }
}

#[cfg(test)]
mod tests;
