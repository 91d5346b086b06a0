//! How often progress is told: making an estimate costs time that grows with the windows done.

use std::time::{Duration, Instant};

/// Lets something happen at once and then only now and then.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Four times a second is as much as a person can read.
    const EVERY: Duration = Duration::from_millis(250);

    /// Is it time again?
    pub(crate) fn is_due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= Self::EVERY);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}
