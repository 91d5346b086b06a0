//! The result of `kld train`: how the student came closer, and how sure that is.

use serde::{Deserialize, Serialize};

use crate::{ModelCard, estimate::Estimate};

/// Everything that one `kld train` found; schema `kld.train/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// `kld.train/1`.
    pub schema: String,
    /// The teacher P; `None` where the text itself taught.
    pub teacher: Option<ModelCard>,
    /// The student Q as it began.
    pub student: ModelCard,
    /// What was minimised, in words.
    pub objective: String,
    /// What `held_out`, `training` and `gap` of the curve are about.
    pub gauge: Gauge,
    /// Windows learnt from.
    pub training_windows: usize,
    /// Windows held out.
    pub held_out_windows: usize,
    /// Fragments held out.
    pub held_out_fragments: usize,
    /// Steps done.
    pub steps: u64,
    /// Steps planned.
    pub steps_planned: u64,
    /// Tokens that counted in all steps together.
    pub tokens: u64,
    /// The evaluations, the first before any step.
    pub curve: Vec<CurvePoint>,
    /// The step of the best evaluation; its weights are what was exported.
    pub best_step: u64,
    /// Best less first evaluation, paired on the same tokens: below 0 where the student came closer.
    pub change: Estimate,
    /// How it ended.
    pub ended: Ended,
    /// The folder of the exported student; `None` where the run was interrupted.
    pub model: Option<String>,
    /// What the user should know before trusting the numbers.
    pub warnings: Vec<String>,
    /// Version of `kld`.
    pub version: String,
    /// Worker threads.
    pub threads: usize,
    /// Wall time of this process, in seconds.
    pub elapsed_s: f64,
}

impl Training {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.train/1";
}

/// What is to become small: the best student is the one of which it is least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gauge {
    /// D(P‖Q) in nats per token: of every loss that is not one of the others'.
    #[default]
    Kl,
    /// D(Q‖P) in nats per token: of the losses that seek modes, reverse KL and its skew form.
    ReverseKl,
    /// −ln Q(observed) in nats per token.
    CrossEntropy,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All steps were done.
    AllSteps,
    /// The held-out text improved no more, beyond its noise.
    EarlyStop,
    /// It was interrupted and can be resumed.
    Interrupted,
}

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// After so many steps.
    pub step: u64,
    /// The learning rate of the step before; 0 at the beginning.
    pub rate: f64,
    /// Mean loss of the steps since the evaluation before; `null` at the beginning.
    #[serde(with = "crate::number")]
    pub loss: f64,
    /// The gauge on held-out text.
    pub held_out: Estimate,
    /// The gauge on as much of the training text.
    pub training: Estimate,
    /// Held-out less training: the generalisation gap, with the error of two independent means.
    pub gap: Estimate,
    /// D(P‖Q) on held-out text; `None` without a teacher.
    pub kl: Option<Estimate>,
    /// D(Q‖P) on held-out text; `None` without a teacher.
    pub reverse_kl: Option<Estimate>,
    /// −ln Q(observed) on held-out text.
    pub cross_entropy: Estimate,
    /// Is no evaluation before it better?
    pub best: bool,
    /// What was measured on the student's own text since the evaluation before; `None` where it wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_text: Option<OwnText>,
}

/// How far the student is from its teacher on text that it wrote itself: means over its tokens, each drawn from Q, in nats.
///
/// All but `k2` estimate the same, D(Q‖P) on the prefixes that the student makes. With r = P(x)/Q(x) of the drawn token x:
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnText {
    /// Tokens drawn.
    pub tokens: u64,
    /// D(Q‖P), a sum over the vocabulary at each prefix, so that the only chance in it is which prefixes there are (Rao–Blackwell).
    pub reverse_kl: Estimate,
    /// −ln r: unbiased.
    pub k1: Estimate,
    /// ½(ln r)²: biased.
    pub k2: Estimate,
    /// r − 1 − ln r: unbiased, never negative.
    pub k3: Estimate,
}
