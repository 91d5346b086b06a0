//! What can go wrong between bodies of text and numbers.

/// An error of this crate; names the thing, what was expected and what came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Features without a row, or rows without a value.
    #[error("there are no features: expected at least one row with at least one value")]
    NoFeatures,
    /// Features that are no whole number of rows.
    #[error("{values} values are no whole number of rows of {width}")]
    RaggedFeatures {
        /// Values in all.
        values: usize,
        /// Values of a row.
        width: usize,
    },
    /// A feature that is NaN or infinite.
    #[error("feature {column} of row {row} is {value}, expected a finite number")]
    FeatureNotFinite {
        /// The row, from 0.
        row: usize,
        /// The place in the row, from 0.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// Features of different models.
    #[error(
        "rows of the reference have {reference} features, those of the candidate {candidate}: both must come from one model"
    )]
    FeatureWidths {
        /// Width of the reference's rows.
        reference: usize,
        /// Width of the candidate's rows.
        candidate: usize,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
