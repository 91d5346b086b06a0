//! What a result says of a model: its identity and the arithmetic it was run with.

use serde::{Deserialize, Serialize};

/// The identity of a model and of its compute path, as it stands in every result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCard {
    /// The name by which the user gave it: a path or `org/name[@revision]`.
    pub name: String,
    /// The commit that a name of the hub stood for; `None` for files and folders.
    #[serde(default)]
    pub revision: Option<String>,
    /// SHA-256 over the model's weight files (for several files: over their hashes, in file-name order), lower-case hex.
    pub sha256: String,
    /// SHA-256 over what else decides the numbers: settings and tokenizer, lower-case hex. Of a folder over its files of these
    /// kinds; a GGUF file has all in itself, and this is its `sha256` again. Two models with equal hashes give equal logits.
    #[serde(default)]
    pub config_sha256: String,
    /// The container: `gguf` or `safetensors`.
    pub format: String,
    /// The model family as its config names it, e.g. `llama`, `qwen2`, `gpt2`.
    pub family: String,
    /// The stored types of the weights with their share of the parameters, largest first, e.g. `Q4_1 (98 %) + F32 (2 %)`.
    pub weights: String,
    /// The arithmetic, e.g. `f32 on dequantized weights`.
    pub compute: String,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of the weight files on disk.
    pub bytes: u64,
    /// Columns of the output head, padding included.
    pub vocabulary: usize,
    /// The longest window the model was made for, in tokens.
    pub context_length: usize,
    /// What was quantized, where the model was made in memory from another one by quantizing its weights. Its `sha256` is then
    /// over the other's and the blocks made, its `bytes` are what its files would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized: Option<Quantized>,
}

/// What was asked for where a model was quantized in memory, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantized {
    /// The type that matrices should get, e.g. `Q4_0`.
    pub dtype: String,
    /// Patterns of the names that were meant; empty where all matrices were.
    pub only: Vec<String>,
    /// Number of matrices that were quantized, fallbacks included.
    pub matrices: usize,
    /// Matrices whose rows are not whole blocks of that type.
    pub fallbacks: Vec<Fallback>,
}

/// A matrix that got another type than the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// Its name in the file.
    pub tensor: String,
    /// The type it got.
    pub dtype: String,
}

impl ModelCard {
    /// Bits on disk per parameter: 8 · bytes / parameters, headers and tokenizer included; NaN without parameters.
    #[must_use]
    pub fn bits_per_weight(&self) -> f64 {
        if self.parameters == 0 {
            f64::NAN
        } else {
            8.0 * self.bytes as f64 / self.parameters as f64
        }
    }
}
