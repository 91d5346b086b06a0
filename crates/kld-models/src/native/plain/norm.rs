//! Normalisation of a row.

use super::super::config::Norm;
use super::super::decoder::{Arithmetic, NormWeights};
use super::loops;

/// The weights of a normalisation, ready for use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormView<'a> {
    pub(crate) kind: Norm,
    pub(crate) epsilon: f32,
    pub(crate) weight: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
}

impl<'a> NormView<'a> {
    /// `values` gives the numbers of a vector.
    pub(crate) fn new<A: Arithmetic>(
        norm: &'a NormWeights<A>,
        values: impl Fn(&'a A::Vector) -> &'a [f32],
    ) -> Self {
        Self {
            kind: norm.kind,
            epsilon: norm.epsilon,
            weight: values(&norm.weight),
            bias: norm.bias.as_ref().map(values),
        }
    }

    /// Normalises one row into another.
    pub(crate) fn row(&self, row: &[f32], out: &mut [f32]) {
        match (self.kind, self.bias) {
            (Norm::Layer, Some(bias)) => {
                loops::layer_norm(row, self.weight, bias, self.epsilon, out);
            }
            _ => loops::rms_norm(row, self.weight, self.epsilon, out),
        }
    }
}
