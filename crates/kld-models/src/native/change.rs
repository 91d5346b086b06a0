//! How much weights and bytes change where matrices take the place of others.

/// What replacing matrices does to weights and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// ‖W′ − W‖², over all values of the matrices.
    pub squared_error: f64,
    /// ‖W‖².
    pub squared_norm: f64,
    /// Bytes that the matrices took in the file.
    pub bytes_before: u64,
    /// Bytes that they would take.
    pub bytes_after: u64,
}

impl Change {
    /// ‖W′ − W‖ / ‖W‖; 0 where nothing changes, be W nothing but zeros.
    #[must_use]
    pub fn relative_error(&self) -> f64 {
        if self.squared_error == 0.0 {
            return 0.0;
        }
        (self.squared_error / self.squared_norm).sqrt()
    }

    /// Bytes saved; negative where it takes more.
    #[must_use]
    pub fn bytes_saved(&self) -> i64 {
        self.bytes_before.cast_signed() - self.bytes_after.cast_signed()
    }
}

impl std::iter::Sum for Change {
    fn sum<I: Iterator<Item = Self>>(changes: I) -> Self {
        changes.fold(Self::default(), |a, b| Self {
            squared_error: a.squared_error + b.squared_error,
            squared_norm: a.squared_norm + b.squared_norm,
            bytes_before: a.bytes_before + b.bytes_before,
            bytes_after: a.bytes_after + b.bytes_after,
        })
    }
}

/// Σ x².
pub(super) fn squares(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x).powi(2)).sum()
}

/// Σ (x − y)².
pub(super) fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    x.iter()
        .zip(y)
        .map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2))
        .sum()
}
