//! Differential privacy.

use serde::{Deserialize, Serialize};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// ε.
    pub epsilon: f64,
}
