//! Libraries never print: they tell an [`Observer`], whose methods do nothing unless implemented.

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
    /// Steps in all.
    pub total: usize,
    /// The current estimate as text, e.g. `KL 0.0127 ± 0.0002 nats`; empty while there is none.
    pub estimate: String,
}

/// The observer that hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
