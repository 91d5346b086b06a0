//! Libraries never print: they tell an [`Observer`], whose methods do nothing unless implemented.

use std::time::{Duration, Instant};

/// Hears of progress and of warnings while long work runs.
pub trait Observer: Sync {
    /// Some work has been done.
    fn progress(&self, _progress: &Progress) {}
    /// Something the user should know, but which does not stop the work.
    fn warning(&self, _message: &str) {}
    /// Asked between two steps: should the work stop here, keeping what is done?
    fn interrupted(&self) -> bool {
        false
    }
}

/// How far the work is, with the estimate so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// What is being done, e.g. `windows`.
    pub stage: &'static str,
    /// Steps done.
    pub done: usize,
    /// Steps in all; 0 where nobody knows.
    pub total: usize,
    /// The current estimate as text, e.g. `KL 0.0127 ± 0.0002 nats`; empty while there is none.
    pub estimate: String,
}

/// The observer that hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// Tells of progress at once and then only now and then: making an estimate costs time that may grow with what is done.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Four times a second is as much as a person can read.
    const EVERY: Duration = Duration::from_millis(250);

    /// Tells an observer if it is time again, or this is the `last` step.
    pub fn tell(
        &mut self,
        observer: &dyn Observer,
        last: bool,
        progress: impl FnOnce() -> Progress,
    ) {
        if last || self.last.is_none_or(|last| last.elapsed() >= Self::EVERY) {
            self.last = Some(Instant::now());
            observer.progress(&progress());
        }
    }
}
