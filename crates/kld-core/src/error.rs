//! What can be wrong with values on their way into the domain.

/// A value that does not fit the type it was meant for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

/// The result of building a value of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
