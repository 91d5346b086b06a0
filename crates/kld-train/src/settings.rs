//! All that decides what a training does; plain data, kept in the run folder.

use serde::{Deserialize, Serialize};

use crate::{Lora, Objective, Optimizer, Penalty, Schedule};

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is minimised.
    pub objective: Objective,
    /// The share of each step's windows that the student goes on with itself, and is taught on what it wrote by reverse KL.
    pub on_policy: f64,
    /// Low-rank adapters learn instead of the weights.
    pub lora: Option<Lora>,
    /// The rule by which weights change.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub schedule: Schedule,
    /// What pulls weights towards zero.
    pub penalties: Vec<Penalty>,
    /// The largest norm of a step's gradient; a larger one is scaled down to it.
    pub clip: Option<f64>,
    /// Weights that stay as they are: patterns of their names.
    pub freeze: Vec<String>,
    /// The probability of dropout wherever the student's family has it; `None` leaves it to the student's configuration.
    pub dropout: Option<f64>,
    /// Steps in all.
    pub steps: u64,
    /// Windows whose gradients are added up for a step.
    pub batch: usize,
    /// Decides the order of windows.
    pub seed: u64,
    /// Steps between two evaluations.
    pub evaluate_every: u64,
    /// At most so many windows of either side are evaluated.
    pub evaluation_windows: usize,
    /// Steps between two checkpoints; there is one after every evaluation, too.
    pub checkpoint_every: u64,
    /// Stop after so many evaluations without an improvement beyond its own noise.
    pub patience: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            objective: Objective::default(),
            on_policy: 0.0,
            lora: None,
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
            penalties: Vec::new(),
            clip: Some(1.0),
            freeze: Vec::new(),
            dropout: None,
            steps: 100,
            batch: 8,
            seed: 0,
            evaluate_every: 10,
            evaluation_windows: 64,
            checkpoint_every: 50,
            patience: None,
        }
    }
}
