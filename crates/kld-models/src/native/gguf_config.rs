//! A decoder's [`Config`] from the metadata of a GGUF file.
//!
//! As with `config.json`, a key of the model's own section that nothing here reads is refused.

use kld_core::result::Shape;

use super::config::{Activation, Biases, Config, MAX_LAYERS, MAX_SIZE, Norm, Positions, Sketch};
use super::dropout::Dropout;
use super::rope::{Rope, Scaling};
use super::store::Store;
use crate::gguf::{Metadata, Value};
use crate::{Error, Result};

/// Understands the metadata of a GGUF file; the store tells which optional tensors there are.
pub(crate) fn read(metadata: &Metadata, store: &Store) -> Result<Config> {
    refuse_split(metadata)?;
    let family = metadata.required(ARCHITECTURE, metadata.str(ARCHITECTURE))?;
    let keys = Keys { metadata, family };
    keys.expect_causal()?;
    let config = match family {
        "llama" | "qwen2" | "qwen3" => llama_like(&keys, store),
        "gpt2" => gpt2(&keys, store),
        other => Err(keys.unsupported(
            format!("models of the family '{other}' are not computed"),
            "families that can be run from GGUF: llama (SmolLM2, Mistral too), qwen2, qwen3, gpt2",
        )),
    }?;
    config.checked(metadata.path())
}

/// What the metadata of whatever family says in the usual words.
pub(crate) fn sketch(metadata: &Metadata, store: &Store) -> Sketch {
    let family = metadata.str(ARCHITECTURE).ok().flatten();
    let size = |key: &str| metadata.usize(&format!("{}.{key}", family?)).ok().flatten();
    let (hidden, heads) = (size("embedding_length"), size("attention.head_count"));
    let divided = || hidden?.checked_div(heads?);
    let embedding = store.find("token_embd.weight");
    Sketch {
        family: family.map(str::to_owned),
        vocabulary: embedding.map(super::store::Stored::rows),
        context_length: size("context_length"),
        shape: Shape {
            layers: size("block_count"),
            hidden,
            heads,
            kv_heads: size("attention.head_count_kv").or(heads),
            head_width: size("attention.key_length").or_else(divided),
            mlp: size("feed_forward_length"),
            tied_head: embedding.map(|_| store.find("output.weight").is_none()),
            sliding_window: size("attention.sliding_window").filter(|&window| window > 0),
        },
    }
}

const ARCHITECTURE: &str = "general.architecture";

/// A flag that some converters write; false makes an encoder of the model.
const CAUSAL: &str = ".attention.causal";

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
    "pooling_type",
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
        dropout: Dropout::of_attention(0.0),
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
            // These files say nothing of it.
            dropout: Dropout::everywhere(0.0),
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
        // A switch that is off, a count of nothing.
        let off = |value: &Value| {
            matches!(
                value,
                Value::Bool(false)
                    | Value::U8(0)
                    | Value::U16(0)
                    | Value::U32(0)
                    | Value::U64(0)
                    | Value::I32(0)
                    | Value::I64(0)
            )
        };
        let unknown = self.metadata.iter().find(|(key, value)| {
            let causal = || key.ends_with(CAUSAL) && matches!(value, Value::Bool(true));
            key.strip_prefix(&prefix)
                .is_some_and(|rest| !KNOWN.contains(&rest))
                && !off(value)
                && !causal()
        });
        match unknown {
            Some((key, _)) => Err(self.unsupported(
                format!("metadata '{key}' is not known for this model family and might change the numbers"),
                "use a model without it",
            )),
            None => Ok(()),
        }
    }

    fn expect_causal(&self) -> Result<()> {
        match self.metadata.bool(&format!("{}{CAUSAL}", self.family))? {
            Some(false) => Err(self.unsupported(
                "an encoder, whose positions see those after them".to_owned(),
                "only models that predict the next token are computed",
            )),
            _ => Ok(()),
        }
    }

    fn unsupported(&self, what: String, hint: &str) -> Error {
        Error::unsupported(self.metadata.path(), what, hint)
    }
}

/// Refuses a part of a model, of which only the first even says what family it is.
fn refuse_split(metadata: &Metadata) -> Result<()> {
    let parts = match metadata.usize("split.count")? {
        Some(parts) if parts > 1 => parts,
        _ => return Ok(()),
    };
    let name = metadata.path().file_name().unwrap_or_default();
    let (first, whole) = part_names(&name.to_string_lossy()).unwrap_or_default();
    let files = match first.as_str() {
        "" => "FIRST-PART WHOLE".to_owned(),
        _ => format!("{first} {whole}"),
    };
    Err(Error::unsupported(
        metadata.path(),
        format!("one of the {parts} parts of a split model"),
        format!("join them with `llama-gguf-split --merge {files}`, all parts in one folder"),
    ))
}

/// From `m-00002-of-00003.gguf` to the names of the first part and of the whole.
fn part_names(name: &str) -> Option<(String, String)> {
    let (stem, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (stem, part) = stem.rsplit_once('-')?;
    let number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (number(part) && number(count)).then(|| {
        (
            format!("{stem}-00001-of-{count}.gguf"),
            format!("{stem}.gguf"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::Header;
    use std::path::Path;

    fn read_with(keys: &[(&str, Value)]) -> Result<Config> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models");
        let path = root.join("llama/model.gguf");
        let mut header = Header::read(&path).unwrap();
        for (key, value) in keys {
            header.metadata.insert(*key, value.clone());
        }
        read(&header.metadata, &Store::gguf(&path, &header).unwrap())
    }

    #[test]
    fn what_converters_write_without_consequence_is_not_refused() {
        read_with(&[
            ("general.basename", Value::String("SmolLM2".into())),
            ("general.quantization_version", Value::U32(2)),
            ("general.sampling.temp", Value::F32(0.7)),
            ("imatrix.chunks_count", Value::I32(192)),
            ("quantize.imatrix.entries_count", Value::I32(210)),
            ("llama.attention.causal", Value::Bool(true)),
            ("llama.attention.value_length", Value::U32(8)),
            ("llama.expert_count", Value::U32(0)),
            ("llama.expert_used_count", Value::I32(0)),
            ("llama.pooling_type", Value::U32(3)),
            ("llama.rope.dimension_count", Value::U32(8)),
            ("llama.rope.scaling.finetuned", Value::Bool(true)),
            ("llama.vocab_size", Value::U32(96)),
        ])
        .unwrap();
    }

    #[test]
    fn what_might_change_a_logit_is_refused() {
        for (key, value) in [
            ("llama.attention.causal", Value::Bool(false)),
            ("llama.expert_count", Value::U32(8)),
            ("llama.logit_scale", Value::F32(0.5)),
            ("llama.rope.scaling.type", Value::String("yarn".into())),
        ] {
            assert!(read_with(&[(key, value)]).is_err(), "{key}");
        }
    }

    #[test]
    fn a_part_of_a_split_model_says_how_to_join_it() {
        let mut metadata = Metadata::new(Path::new("m-00002-of-00003.gguf"));
        metadata.insert("split.count", Value::U16(3));
        let said = refuse_split(&metadata).unwrap_err().to_string();
        assert!(
            said.contains("`llama-gguf-split --merge m-00001-of-00003.gguf m.gguf`"),
            "{said}"
        );
        assert_eq!(part_names("m-1-of-3.gguf"), None);
    }
}
