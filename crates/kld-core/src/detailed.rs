//! A result together with the rows it was made of, for reports that go down to single tokens.

use crate::{Plan, WindowRows, excerpt::Excerpt, result::Comparison};

/// A comparison with what it was made of.
#[derive(Clone, Copy, Debug)]
pub struct Detailed<'a> {
    /// The result.
    pub comparison: &'a Comparison,
    /// What was compared with what, and the text.
    pub plan: &'a Plan,
    /// The rows of the windows that the result covers, in any order; their candidates are those of the plan. Empty where they were not kept.
    pub rows: &'a [WindowRows],
}

impl<'a> Detailed<'a> {
    /// As much of the text as fits into so many scored positions; see [`Excerpt`].
    #[must_use]
    pub fn excerpt(&self, positions: usize, seed: u64) -> Excerpt<'a> {
        Excerpt::new(self.rows, self.comparison.candidates.len(), positions, seed)
    }

    /// The windows in the order of the text.
    #[must_use]
    pub fn in_order(&self) -> Vec<&'a WindowRows> {
        let mut rows: Vec<&WindowRows> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|rows| rows.window);
        rows
    }
}
