//! The result of `kld info`: what can be said of a model without running it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The name and version of the JSON form of [`Info`].
pub const INFO_SCHEMA: &str = "kld.info/1";

/// What is known of a model; what a file does not say, or says in a way that this program does not know, is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// [`INFO_SCHEMA`].
    pub schema: String,
    /// Whether this program can run it.
    pub runnable: bool,
    /// Why not; several lines where there is something to do about it.
    pub reason: Option<String>,
    /// Who it is.
    pub model: InfoModel,
    /// Its sizes, beside each other at the top level of the JSON.
    #[serde(flatten)]
    pub shape: Shape,
    /// Its tokenizer, if one is there and can be read.
    pub tokenizer: Option<TokenizerCard>,
    /// The stored tensors in the order of their names.
    pub tensors: Vec<TensorCard>,
}

/// A [`ModelCard`](crate::ModelCard) of a model that perhaps cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of ModelCard")]
pub struct InfoModel {
    pub name: String,
    pub revision: Option<String>,
    pub sha256: String,
    pub config_sha256: String,
    pub format: String,
    pub family: Option<String>,
    pub weights: String,
    /// `None` if the model cannot be run.
    pub compute: Option<String>,
    pub parameters: u64,
    pub bytes: u64,
    pub vocabulary: Option<usize>,
    pub context_length: Option<usize>,
}

/// The sizes of a decoder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Number of layers.
    pub layers: Option<usize>,
    /// Values per position between layers.
    pub hidden: Option<usize>,
    /// Heads of queries.
    pub heads: Option<usize>,
    /// Heads of keys and values.
    pub kv_heads: Option<usize>,
    /// Values of a head.
    pub head_width: Option<usize>,
    /// Values per position inside the multi-layer perceptron.
    pub mlp: Option<usize>,
    /// Whether the output head is the embedding.
    pub tied_head: Option<bool>,
    /// How many positions a position sees in the layers that see least; `None` is all before it.
    pub sliding_window: Option<usize>,
}

/// What a tokenizer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerCard {
    /// Kind of tokenizer and how its tokens spell bytes, for instance `BPE, byte-level`.
    pub kind: String,
    /// Where it comes from: `tokenizer.json`, or `GGUF` with the names it gives.
    pub origin: String,
    /// Number of ids up to the last token; columns of the model's head beyond it are padding.
    pub tokens: usize,
    /// How many of them are special.
    pub special_tokens: usize,
    /// The beginning-of-sequence token.
    pub bos: Option<String>,
    /// The end-of-sequence token.
    pub eos: Option<String>,
    /// Whether a beginning-of-sequence token is put before a text.
    pub adds_bos: bool,
    /// Bytes that a byte-level vocabulary cannot spell; text with them loses them. Usually only bytes that UTF-8 never has.
    pub unspelled_bytes: usize,
    /// Whether the model brings a chat template.
    pub has_chat_template: bool,
}

/// A stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorCard {
    /// Its name in the file.
    pub name: String,
    /// Its sizes, outermost first.
    pub shape: Vec<usize>,
    /// How its values are stored, e.g. `Q4_1`.
    #[serde(rename = "type")]
    pub dtype: String,
    /// Bytes in the file.
    pub bytes: usize,
}

impl Info {
    /// Number of tensors and their bytes per stored type.
    #[must_use]
    pub fn types(&self) -> BTreeMap<&str, (u64, u64)> {
        let mut types: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for tensor in &self.tensors {
            let (number, size) = types.entry(&tensor.dtype).or_default();
            *number += 1;
            *size += tensor.bytes as u64;
        }
        types
    }
}
