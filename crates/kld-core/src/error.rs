//! What can be wrong with values on their way into the domain.
//!
//! Every message is a predicate: it reads on after the name of the thing, as in `Q sums to 1.6, not 1 (off by 0.6)`.
//! Entries are numbered from 0 and written `[3]`.

use crate::digits::short;

/// A value that does not fit the type it was meant for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing was given.
    #[error("has no entries")]
    Empty,
    /// An entry is NaN or infinite.
    #[error("has an entry that is not finite: [{index}] is {value}")]
    NotFinite {
        /// The first such entry.
        index: usize,
        /// What stands there.
        value: f64,
    },
    /// Entries are below zero.
    #[error("has {count} negative {}: [{index}] is {}", plural(*count), short(*value))]
    Negative {
        /// The first such entry.
        index: usize,
        /// What stands there.
        value: f64,
        /// How many there are.
        count: usize,
    },
    /// Every entry is zero.
    #[error("is zero everywhere: there is no mass to compare")]
    NoMass,
    /// The entries are finite, but their sum is not.
    #[error("sums to more than a 64-bit float can hold")]
    Overflow,
    /// The entries of a distribution do not sum to 1.
    #[error("sums to {}, not 1 (off by {}; {tolerance:e} would be rounding)", short(*sum), short((sum - 1.0).abs()))]
    Sum {
        /// What they sum to.
        sum: f64,
        /// How far from 1 the sum may be.
        tolerance: f64,
    },
    /// A count is not a whole number, or is beyond 2⁵³.
    #[error("has an entry that is no count: [{index}] is {value}, not a whole number up to 2^53")]
    NotACount {
        /// The first such entry.
        index: usize,
        /// What stands there.
        value: f64,
    },
    /// Reference and candidate are about different numbers of things.
    #[error(
        "P has {reference} entries and Q has {candidate}: without names they cannot be matched"
    )]
    Lengths {
        /// Entries of P.
        reference: usize,
        /// Entries of Q.
        candidate: usize,
    },
    /// A smoothing that is not known or whose strength makes no sense.
    #[error("`{given}` is no smoothing: {expected}")]
    Smoothing {
        /// What was asked for.
        given: String,
        /// What would have been understood.
        expected: &'static str,
    },
}

/// The result of building a value of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn plural(count: usize) -> &'static str {
    if count == 1 { "entry" } else { "entries" }
}
