//! The result of `kld explain --tensors`: which matrices of P cost what when they are quantized.

use serde::{Deserialize, Serialize};

use super::{ProtocolRecord, RunRecord};
use crate::{
    ModelCard, Quantized,
    estimate::{ClusterUnit, Estimate},
};

/// Everything that one `kld explain --tensors` found; schema `kld.explain/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// `kld.explain/1`.
    pub schema: String,
    /// The reference P, of which matrices are swapped for quantized ones.
    pub reference: ModelCard,
    /// How the text was cut and scored.
    pub protocol: ProtocolRecord,
    /// What was quantized, and what could not be as it was asked for.
    pub quantized: Quantized,
    /// What makes a group: `kind`, `layer` or `tensor`.
    pub by: String,
    /// Seed of the noise.
    pub noise_seed: u64,
    /// What the standard errors are clustered by.
    pub errors_clustered_by: ClusterUnit,
    /// Number of clusters with scored positions.
    pub clusters: usize,
    /// As many clusters of equal size say as much: (Σ n)² / Σ n².
    pub effective_clusters: f64,
    /// Scored positions.
    pub positions: u64,
    /// The largest KL at any position with nothing swapped: 0, or there would be no result.
    pub control_max_kl: f64,
    /// One group swapped at a time, in the order of the model.
    pub groups: Vec<Group>,
    /// All groups swapped at once: the candidate of `kld compare --quantize`.
    pub together: Effect,
    /// Σ of the mean KL of the groups; where each acts by itself it is that of all together.
    pub sum_of_groups: Estimate,
    /// Which groups to quantize first: those with the least KL per byte saved.
    pub recipe: Vec<Step>,
    /// What the user should know before trusting the numbers.
    pub warnings: Vec<String>,
    /// How the run went.
    pub run: RunRecord,
}

impl Explanation {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.explain/1";
}

/// A group of matrices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// `ffn_down`, `layer 3`, or the name of a tensor.
    pub name: String,
    /// What swapping it does, beside each other in the JSON.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What swapping some matrices of P for quantized ones does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Number of matrices.
    pub matrices: usize,
    /// Number of their values.
    pub parameters: u64,
    /// Bytes of the matrices as P has them.
    pub bytes_before: u64,
    /// Bytes of the quantized ones.
    pub bytes_after: u64,
    /// ‖W′ − W‖ / ‖W‖ over all values.
    #[serde(with = "crate::number")]
    pub relative_error: f64,
    /// Mean D(P‖Q), in nats.
    pub kl: Estimate,
    /// Share of positions where both have the same most likely token.
    pub top1_agreement: Estimate,
    /// Scored positions left out because they were not finite.
    pub not_finite: u64,
    /// Mean D(P‖Q) of Gaussian noise in the place of the errors: as large in each matrix, and equally strong in all directions.
    pub noise_kl: Estimate,
}

impl Effect {
    /// Bytes saved; negative where it takes more.
    #[must_use]
    pub fn bytes_saved(&self) -> i64 {
        self.bytes_before.cast_signed() - self.bytes_after.cast_signed()
    }
}

/// A step of the recipe: one more group is quantized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Index of the group.
    pub group: usize,
    /// Its mean KL per byte saved, in nats.
    #[serde(with = "crate::number")]
    pub kl_per_byte: f64,
    /// Bytes saved after this step.
    pub bytes_saved: i64,
    /// Σ of the mean KL of the groups up to this step.
    #[serde(with = "crate::number")]
    pub kl: f64,
}
