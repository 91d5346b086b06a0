//! Why a row of logits cannot be measured.

use std::fmt;

/// A row that is no distribution: which row, which entry, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowFault {
    /// The row at fault.
    pub side: Side,
    /// The first offending entry; 0 where the fault is of the whole row.
    pub entry: usize,
    /// What is wrong.
    pub kind: FaultKind,
}

/// Which of the two rows is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// P, the first argument.
    Reference,
    /// Q, the second argument.
    Candidate,
    /// The only row, where a function takes just one.
    Only,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// The entry is not a number.
    Nan,
    /// The entry is +∞.
    PositiveInfinity,
    /// Every entry is −∞, so no token has any probability.
    AllNegativeInfinity,
    /// The row has no entries.
    Empty,
    /// The entry is above 0 and so cannot be a log-prob.
    AboveZero,
    /// The log-probs are not those of a distribution.
    NotNormalized {
        /// What the probabilities sum to.
        total: f64,
    },
}

impl std::error::Error for RowFault {}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (side, entry) = (self.side, self.entry);
        match self.kind {
            FaultKind::Nan => write!(f, "{side}: entry {entry} is NaN"),
            FaultKind::PositiveInfinity => write!(f, "{side}: entry {entry} is +∞"),
            FaultKind::AllNegativeInfinity => write!(f, "{side}: every entry is −∞"),
            FaultKind::Empty => write!(f, "{side} has no entries"),
            FaultKind::AboveZero => {
                write!(f, "{side}: entry {entry} is above 0 and so no log-prob")
            }
            FaultKind::NotNormalized { total } => {
                write!(f, "{side}: the probabilities sum to {total}, not to 1")
            }
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Reference => "reference row",
            Side::Candidate => "candidate row",
            Side::Only => "row",
        })
    }
}
