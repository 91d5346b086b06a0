//! What is kept of the rows of a comparison, and what it becomes.

use kld_core::{
    Detailed, Plan, Summary, WindowRows,
    result::{Comparison, RunRecord},
};

use super::{Sink, Summaries};
use crate::conclude::conclude;

/// What is kept of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Their summaries.
    Summaries,
    /// The rows too, for reports that go down to single tokens: some 300 bytes a position and candidate.
    Rows,
}

/// Summaries, and the rows themselves where they are wanted.
#[derive(Clone, Debug)]
pub struct Kept {
    keep: Keep,
    summaries: Summaries,
    rows: Vec<WindowRows>,
}

/// A result with what it was made of.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The result.
    pub comparison: Comparison,
    /// What was compared with what, and the text.
    pub plan: Plan,
    /// The rows, where they were to be kept.
    pub rows: Vec<WindowRows>,
}

impl Kept {
    /// Nothing yet, for the candidates of a plan.
    #[must_use]
    pub fn new(plan: &Plan, keep: Keep) -> Self {
        Self {
            keep,
            summaries: Summaries::new(plan),
            rows: Vec::new(),
        }
    }

    /// The result of what was taken.
    #[must_use]
    pub fn conclude(self, plan: Plan, run: RunRecord) -> Measured {
        Measured {
            comparison: conclude(&plan, self.summaries(), run),
            plan,
            rows: self.rows,
        }
    }
}

impl Measured {
    /// As reports take it.
    #[must_use]
    pub fn detailed(&self) -> Detailed<'_> {
        Detailed {
            comparison: &self.comparison,
            plan: &self.plan,
            rows: &self.rows,
        }
    }
}

impl Sink for Kept {
    fn take(&mut self, rows: WindowRows) {
        self.summaries.add(&rows);
        if self.keep == Keep::Rows {
            self.rows.push(rows);
        }
    }

    fn summaries(&self) -> &[Summary] {
        self.summaries.summaries()
    }

    fn estimate(&self) -> String {
        self.summaries.estimate()
    }
}
