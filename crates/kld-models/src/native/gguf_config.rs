//! A decoder's [`Config`] from the metadata of a GGUF file.
//!
//! As with `config.json`, a key of the model's own section that nothing here reads is refused.

use super::config::{Activation, Biases, Config, MAX_LAYERS, MAX_SIZE, Norm, Positions};
use super::rope::{Rope, Scaling};
use super::store::Store;
use crate::gguf::{Metadata, Value};
use crate::{Error, Result};

/// Understands the metadata of a GGUF file; the store tells which optional tensors there are.
pub(crate) fn read(metadata: &Metadata, store: &Store) -> Result<Config> {
    let family = metadata.required(ARCHITECTURE, metadata.str(ARCHITECTURE))?;
    let keys = Keys { metadata, family };
    keys.refuse_split()?;
    let config = match family {
        "llama" | "qwen2" | "qwen3" => llama_like(&keys, store),
        "gpt2" => gpt2(&keys, store),
        other => Err(keys.unsupported(
            format!("the model family '{other}'"),
            "families that can be run from GGUF: llama (SmolLM2, Mistral too), qwen2, qwen3, gpt2",
        )),
    }?;
    config.checked(metadata.path())
}

const ARCHITECTURE: &str = "general.architecture";

/// Keys after the family's prefix that are read below, or that do not change a logit.
const KNOWN: &[&str] = &[
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "tensor_data_layout",
    "vocab_size",
];

fn llama_like(keys: &Keys, store: &Store) -> Result<Config> {
    let sizes = Sizes::read(keys, store)?;
    let layers = sizes.layers;
    let window = keys
        .optional_size("attention.sliding_window")?
        .filter(|&window| window > 0);
    Ok(Config {
        norm: Norm::Rms,
        epsilon: keys
            .number("attention.layer_norm_rms_epsilon")?
            .unwrap_or(1e-6) as f32,
        activation: Activation::SwiGlu,
        positions: Positions::Rotary(rope(keys, store, sizes.head_width)?),
        qk_norm: keys.family == "qwen3",
        biases: Biases {
            qkv: store.find("blk.0.attn_q.bias").is_some(),
            output: store.find("blk.0.attn_output.bias").is_some(),
            mlp: store.find("blk.0.ffn_up.bias").is_some(),
        },
        windows: vec![window; layers.min(MAX_LAYERS)],
        ..sizes.config(keys, store)
    })
}

fn gpt2(keys: &Keys, store: &Store) -> Result<Config> {
    let sizes = Sizes::read(keys, store)?;
    Ok(Config {
        epsilon: keys.number("attention.layer_norm_epsilon")?.unwrap_or(1e-5) as f32,
        ..sizes.config(keys, store)
    })
}

/// The sizes that all families write in the same words.
struct Sizes {
    layers: usize,
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    mlp: usize,
    context_length: usize,
    vocabulary: usize,
}

impl Sizes {
    fn read(keys: &Keys, store: &Store) -> Result<Self> {
        keys.refuse_unknown()?;
        let (hidden, heads) = (
            keys.size("embedding_length")?,
            keys.size("attention.head_count")?,
        );
        let head_width = keys
            .optional_size("attention.key_length")?
            .unwrap_or(hidden / heads.max(1));
        keys.expect("attention.value_length", head_width)?;
        let embedding = store
            .find("token_embd.weight")
            .map_or(0, super::store::Stored::rows);
        Ok(Self {
            layers: keys.size("block_count")?,
            hidden,
            heads,
            kv_heads: keys
                .optional_size("attention.head_count_kv")?
                .unwrap_or(heads),
            head_width,
            mlp: keys.size("feed_forward_length")?,
            context_length: keys.size("context_length")?,
            vocabulary: embedding,
        })
    }

    /// The configuration of GPT-2, the plainest; others replace what differs.
    fn config(&self, keys: &Keys, store: &Store) -> Config {
        Config {
            family: keys.family.to_owned(),
            layers: self.layers,
            hidden: self.hidden,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_width: self.head_width,
            mlp: self.mlp,
            vocabulary: self.vocabulary,
            context_length: self.context_length,
            norm: Norm::Layer,
            epsilon: 1e-5,
            activation: Activation::GeluTanh,
            positions: Positions::Learned,
            qk_norm: false,
            biases: Biases {
                qkv: true,
                output: true,
                mlp: true,
            },
            windows: vec![None; self.layers.min(MAX_LAYERS)],
            tied: store.find("output.weight").is_none(),
        }
    }
}

fn rope(keys: &Keys, store: &Store, head_width: usize) -> Result<Rope> {
    keys.expect("rope.dimension_count", head_width)?;
    let theta = keys.number("rope.freq_base")?.unwrap_or(10_000.0);
    let scaling = match (
        keys.text("rope.scaling.type")?.unwrap_or("none"),
        store.find("rope_freqs.weight"),
    ) {
        ("none", None) => Scaling::None,
        ("none", Some(_)) => {
            let factors = store.get("rope_freqs.weight", &[head_width / 2])?;
            Scaling::Factors(store.read(factors)?)
        }
        ("linear", None) => Scaling::Linear {
            factor: keys.number("rope.scaling.factor")?.unwrap_or(1.0),
        },
        (kind, _) => {
            return Err(keys.unsupported(
                format!("rope scaling of type '{kind}'"),
                "known types: none, linear, Llama 3's factors",
            ));
        }
    };
    Rope::new(head_width, theta, &scaling, keys.metadata.path())
}

/// The metadata of one model family.
struct Keys<'a> {
    metadata: &'a Metadata,
    family: &'a str,
}

impl Keys<'_> {
    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.family)
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        self.metadata.str(&self.full(key))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.metadata.f64(&self.full(key))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let key = self.full(key);
        match self.metadata.usize(&key)? {
            Some(size) if size > MAX_SIZE => {
                let what =
                    format!("metadata '{key}' is {size}, {MAX_SIZE} is the most that is possible");
                Err(Error::malformed(self.metadata.path(), what))
            }
            size => Ok(size),
        }
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.metadata
            .required(&self.full(key), self.optional_size(key))
    }

    /// Refuses a size that is there and is not what this program computes.
    fn expect(&self, key: &str, wanted: usize) -> Result<()> {
        match self.optional_size(key)? {
            Some(found) if found != wanted => Err(self.unsupported(
                format!(
                    "'{}' is {found}, where a head has {wanted} values",
                    self.full(key)
                ),
                "only heads that are rotated whole, with keys and values of one size, are computed",
            )),
            _ => Ok(()),
        }
    }

    fn refuse_unknown(&self) -> Result<()> {
        let prefix = self.full("");
        let off = |value: &Value| matches!(value, Value::Bool(false) | Value::U32(0));
        let unknown = self.metadata.iter().find(|(key, value)| {
            key.strip_prefix(&prefix)
                .is_some_and(|rest| !KNOWN.contains(&rest))
                && !off(value)
        });
        match unknown {
            Some((key, _)) => Err(self.unsupported(
                format!("metadata '{key}' is not known for this model family and might change the numbers"),
                "use a model without it",
            )),
            None => Ok(()),
        }
    }

    fn refuse_split(&self) -> Result<()> {
        match self.metadata.usize("split.count")? {
            Some(parts) if parts > 1 => Err(self.unsupported(
                format!("one of the {parts} parts of a split model"),
                "join them with `llama-gguf-split --merge`",
            )),
            _ => Ok(()),
        }
    }

    fn unsupported(&self, what: String, hint: &str) -> Error {
        Error::unsupported(self.metadata.path(), what, hint)
    }
}
