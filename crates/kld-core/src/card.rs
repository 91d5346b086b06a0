//! What a result says of a model: its identity and the arithmetic it was run with.

use serde::{Deserialize, Serialize};

use crate::estimate::{Cluster, Estimate, Window};

/// The identity of a model and of its compute path, as it stands in every result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Said where the rows do not come from the model itself but from a recording of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
    /// What was quantized, where the model was made in memory from another one by quantizing its weights. Its `sha256` is then
    /// over the other's and the blocks made, its `bytes` are what its files would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantized: Option<Quantized>,
}

/// That rows are given back as they were recorded, and how much was lost on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The name under which the model was known when it was recorded; the card's own name is that of the recording.
    pub of: String,
    /// What was kept of every row: `hidden`, `logits`, `top-k:64`, or `16-bit log-probs` for llama.cpp's file.
    pub keep: String,
    /// What a lossy choice has lost, measured while recording; `None` where nothing was lost, or nobody measured it.
    pub loss: Option<RecordingLoss>,
    /// What the floor of llama.cpp's file does to its rows.
    pub floor: Option<LogProbFloor>,
}

/// D(given ‖ given back) in nats over the recorded rows: no divergence from this recording means anything below it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordingLoss {
    /// Its mean, with an error clustered as that of every other mean.
    pub kl: Estimate,
    /// Its largest value.
    #[serde(with = "crate::number")]
    pub max: f64,
    /// Rows that entered.
    pub positions: u64,
    /// Rows that were no distributions when they were recorded, and are none when they are given back.
    pub not_finite: u64,
}

impl RecordingLoss {
    /// From what each window has lost, row by row: its fragment and the losses, NaN for a row that is no distribution.
    pub fn over<'a>(windows: impl IntoIterator<Item = (u32, &'a [f64])>) -> Self {
        let (mut sums, mut max, mut not_finite) = (Vec::new(), f64::NEG_INFINITY, 0);
        for (fragment, losses) in windows {
            let mut cluster = Cluster::default();
            for &loss in losses {
                if loss.is_nan() {
                    not_finite += 1;
                    continue;
                }
                cluster.weight += 1.0;
                cluster.sum += loss;
                max = max.max(loss);
            }
            sums.push(Window { fragment, cluster });
        }
        let positions = sums.iter().map(|window| window.cluster.weight).sum::<f64>();
        Self {
            kl: Estimate::over_windows(&sums).within(0.0, f64::INFINITY),
            max: if positions > 0.0 { max } else { f64::NAN },
            positions: positions as u64,
            not_finite,
        }
    }
}

/// llama.cpp keeps log-probs as 16-bit steps between the top and 16 nats below it; what lies deeper is lifted to that floor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogProbFloor {
    /// How far below the most likely token the floor lies, in nats.
    pub nats: f64,
    /// Share of all entries that lie at the floor of their row.
    pub share_at_floor: f64,
    /// Mean of Σ exp(stored log-prob) over rows; 1 for a distribution.
    pub mass_mean: f64,
    /// Its largest value.
    pub mass_max: f64,
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
