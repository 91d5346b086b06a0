//! A term of a table, as others see it.

use super::parts::PartCounts;

/// A term and its counts.
#[derive(Clone, Copy, Debug)]
pub struct Term<'a> {
    /// The term.
    pub term: &'a str,
    pub(super) parts: &'a PartCounts,
}

impl Term<'_> {
    /// How often it stands in the body.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.parts.total()
    }

    /// How often it stands in each part of the body: (part, count), for the parts that have it, in their order.
    pub fn parts(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        self.parts.iter()
    }
}
