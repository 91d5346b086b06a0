//! The result of `kld watch`: a training's series, where they are heading, and which rules held.

use serde::{Deserialize, Serialize};

use crate::series::{Alert, Convergence, Point, Series};

/// Everything that one look at a training found; schema `kld.watch/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// `kld.watch/1`.
    pub schema: String,
    /// The file or folder, as given.
    pub source: String,
    /// Who wrote it.
    pub kind: String,
    /// The last step of any series.
    pub step: f64,
    /// The steps that are planned, where that is told.
    pub steps_planned: Option<f64>,
    /// Seconds left until then at the present speed, where somebody watches it.
    pub left_s: Option<f64>,
    /// The name of the series that is judged: `kl_heldout`, or `kl_train` where there is no held-out series.
    pub judged: String,
    /// Its best point.
    pub best: Option<Point>,
    /// Where it is heading.
    pub convergence: Convergence,
    /// Series with a role, and those that rules name.
    pub series: Vec<Series>,
    /// What came of the rules, in the order in which they were given.
    pub alerts: Vec<Alert>,
    /// What the user should know before trusting the numbers.
    pub warnings: Vec<String>,
    /// Version of `kld`.
    pub version: String,
}

impl Watch {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.watch/1";

    /// A series by its name.
    #[must_use]
    pub fn series(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }

    /// Did any rule ever hold?
    #[must_use]
    pub fn has_fired(&self) -> bool {
        self.alerts.iter().any(|alert| alert.first_step.is_some())
    }
}
