//! Training: a student Q is drawn towards a teacher P, or towards the text itself, by gradient descent on a divergence.
//!
//! ```text
//! windows ─► order (seeded) ─► step: per window  student forward ─► slices of logits ─► loss and its gradient ─► back
//!                                    Σ over windows, in order ─► clip ─► optimizer ─► weights
//!         ─► held out ───────► measure: KL ± clustered error, gap, early stopping, best checkpoint
//! ```
//!
//! [`train`] does all of it in a run folder. The pieces are usable alone: [`Objective`] is the loss of one row and its
//! gradient, [`learn`] that of a window, [`Optimizer`] changes weights, [`measure`] says how far the student is.

mod checkpoint;
mod data;
mod error;
mod fused;
mod job;
mod learner;
mod lora;
mod measure;
mod metrics;
mod objective;
mod on_policy;
mod optimizer;
mod penalty;
mod run;
mod schedule;
mod seed;
mod settings;
mod stopping;
mod threads;

pub use data::{Example, Order, Split, split};
pub use error::{Error, Result};
pub use fused::{Learned, Teaching, learn};
pub use job::{Job, train};
pub use learner::Learner;
pub use lora::{Adapters, Lora};
pub use measure::{Measured, WindowSums, measure};
pub use objective::{Loss, Objective, RowLoss, Sampling, Tail};
pub use on_policy::{OwnSums, own_text};
pub use optimizer::{Moments, Optimizer, Update, clip};
pub use penalty::{Penalty, PenaltyKind};
pub use run::{Header, is_run};
pub use schedule::{Schedule, Shape};
pub use settings::Settings;
pub use stopping::Patience;
pub use threads::Work;
