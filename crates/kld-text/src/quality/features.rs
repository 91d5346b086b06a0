//! Features: a row of numbers for each document, such as the last hidden state of a model that has read it.

use rayon::prelude::*;

use crate::{Error, Result};

/// The features of a body of documents: rows of equal width, all finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    values: Vec<f32>,
    width: usize,
}

impl Features {
    /// Takes rows of `width` values, one after the other.
    ///
    /// # Errors
    ///
    /// If there is no row, the values are no whole number of rows, or one is not finite.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self> {
        if width == 0 || values.is_empty() {
            return Err(Error::NoFeatures);
        }
        if !values.len().is_multiple_of(width) {
            return Err(Error::RaggedFeatures {
                values: values.len(),
                width,
            });
        }
        if let Some(index) = values.iter().position(|x| !x.is_finite()) {
            return Err(Error::FeatureNotFinite {
                row: index / width,
                column: index % width,
                value: values[index],
            });
        }
        Ok(Self { values, width })
    }

    /// Takes rows that are known to be finite and equally wide.
    pub(super) fn from_parts(values: Vec<f32>, width: usize) -> Self {
        Self { values, width }
    }

    /// Number of rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.values.len() / self.width
    }

    /// Values in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// All rows, in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width)
    }

    /// These rows and then those of `other`, each divided by its Euclidean norm; a row of zeros stays.
    ///
    /// # Errors
    ///
    /// If the rows are not equally wide.
    pub(super) fn joined_and_normalized(&self, other: &Self) -> Result<Self> {
        if self.width != other.width {
            return Err(Error::FeatureWidths {
                reference: self.width,
                candidate: other.width,
            });
        }
        let mut values = vec![0.0; self.values.len() + other.values.len()];
        let rows = (self.values.par_chunks_exact(self.width))
            .chain(other.values.par_chunks_exact(self.width));
        values
            .par_chunks_exact_mut(self.width)
            .zip(rows)
            .for_each(|(to, row)| normalize(row, to));
        Ok(Self {
            values,
            width: self.width,
        })
    }

    /// Subtracts the mean row from every row.
    pub(super) fn center(&mut self) {
        let mut mean = vec![0.0_f64; self.width];
        for row in self.rows() {
            mean.iter_mut()
                .zip(row)
                .for_each(|(m, x)| *m += f64::from(*x));
        }
        let count = self.count() as f64;
        let mean: Vec<f64> = mean.into_iter().map(|sum| sum / count).collect();
        self.values
            .par_chunks_exact_mut(self.width)
            .for_each(|row| {
                for (x, mean) in row.iter_mut().zip(&mean) {
                    *x = (f64::from(*x) - mean) as f32;
                }
            });
    }
}

/// Writes a row divided by its Euclidean norm; a row of zeros as it is.
fn normalize(row: &[f32], to: &mut [f32]) {
    let squares = row.iter().map(|x| f64::from(*x).powi(2));
    let norm = squares.sum::<f64>().sqrt();
    let divisor = if norm > 0.0 { norm } else { 1.0 };
    for (to, x) in to.iter_mut().zip(row) {
        *to = (f64::from(*x) / divisor) as f32;
    }
}
