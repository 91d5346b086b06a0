//! Inference arithmetic: plain rows of f32, one thread, nothing recorded.
//!
//! Matrices are held with a row per input, so that the GEMM reads them as they lie; attention computes only the
//! triangle it needs. A window of tokens is the unit of parallel work, so nothing here starts a thread.

mod attention;
mod loops;
mod matmul;

use std::sync::Arc;

use super::config::{Activation, Norm};
use super::decoder::{Arithmetic, Attention, NormWeights};
use super::store::{Store, Stored};
use super::stored_matrix::StoredMatrix;
use super::weights::{Load, Residency};
use crate::Result;
use matmul::{Onto, View, multiply};

/// See the module's documentation.
pub(crate) struct Plain {
    pub(crate) store: Arc<Store>,
}

/// Rows of `width` values, one after the other.
pub(crate) struct Rows {
    pub(crate) values: Vec<f32>,
    pub(crate) width: usize,
}

/// A matrix with a row per input, and its bias.
pub(crate) struct Matrix {
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
    outputs: usize,
}

/// The matrix that makes logits: in panels of outputs, held or made when used.
pub(crate) struct Head {
    matrix: StoredMatrix,
    panels: Option<Vec<Matrix>>,
}

/// Outputs of a panel of the head; what is made at a time where the head does not fit memory.
const PANEL: usize = 4096;

impl Head {
    /// Takes the head from the store.
    pub(crate) fn load(store: &Store, matrix: StoredMatrix, residency: Residency) -> Result<Self> {
        let panels = match residency {
            Residency::Held => Some(
                starts(&matrix)
                    .map(|first| panel(store, &matrix, first))
                    .collect::<Result<_>>()?,
            ),
            Residency::MadeWhenUsed => None,
        };
        store.release();
        Ok(Self { matrix, panels })
    }

    /// Writes the logits of some rows of hidden states into `out`.
    pub(crate) fn logits(&self, store: &Store, hidden: &[f32], out: &mut Vec<f32>) -> Result<()> {
        let (inputs, vocabulary) = (self.matrix.inputs, self.matrix.outputs);
        let rows = hidden.len() / inputs;
        // Every entry is overwritten below; what is there already needs no clearing.
        out.resize(rows * vocabulary, 0.0);
        if rows == 0 {
            return Ok(());
        }
        for (index, first) in starts(&self.matrix).enumerate() {
            let mut run = |panel: &Matrix| {
                let x = View::rows(hidden, rows, inputs, inputs);
                let w = View::rows(&panel.weights, inputs, panel.outputs, panel.outputs);
                multiply(x, w, 1.0, &mut out[first..], vocabulary, Onto::Replace);
            };
            match &self.panels {
                Some(panels) => run(&panels[index]),
                None => run(&panel(store, &self.matrix, first)?),
            }
        }
        Ok(())
    }
}

impl Arithmetic for Plain {
    type Rows = Rows;
    /// Rows are read from the file when they are picked.
    type Table = Stored;
    type Matrix = Matrix;
    type Vector = Vec<f32>;

    fn pick(&self, table: &Stored, numbers: &[u32]) -> Result<Rows> {
        let width = table.columns();
        let mut values = Vec::with_capacity(numbers.len() * width);
        for &number in numbers {
            let row = number as usize;
            self.store.for_each_chunk(table, row..row + 1, |_, chunk| {
                values.extend_from_slice(chunk)
            })?;
        }
        Ok(Rows { values, width })
    }

    fn add(&self, mut x: Rows, y: &Rows) -> Result<Rows> {
        loops::add(&mut x.values, &y.values);
        Ok(x)
    }

    fn apply(&self, matrix: &Matrix, x: &Rows) -> Result<Rows> {
        let values = vec![0.0; x.count() * matrix.outputs];
        self.apply_to(
            Rows {
                values,
                width: matrix.outputs,
            },
            matrix,
            x,
            Onto::Replace,
        )
    }

    fn apply_onto(&self, onto: Rows, matrix: &Matrix, x: &Rows) -> Result<Rows> {
        self.apply_to(onto, matrix, x, Onto::Add)
    }

    fn normalize(&self, x: &Rows, norm: &NormWeights<Self>) -> Result<Rows> {
        let mut out = Rows {
            values: vec![0.0; x.values.len()],
            width: x.width,
        };
        for (row, out) in x.values.chunks(x.width).zip(out.values.chunks_mut(x.width)) {
            normalize_row(row, norm, out);
        }
        Ok(out)
    }

    fn activate(&self, x: Rows, activation: Activation) -> Result<Rows> {
        Ok(match activation {
            Activation::SwiGlu => {
                let width = x.width / 2;
                let mut values = vec![0.0; x.count() * width];
                loops::silu_times(&x.values, width, &mut values);
                Rows { values, width }
            }
            Activation::GeluTanh => {
                let mut x = x;
                loops::gelu_tanh(&mut x.values);
                x
            }
        })
    }

    fn attend(&self, qkv: Rows, attention: &Attention<'_, Self>) -> Result<Rows> {
        Ok(attention::attend(qkv, attention))
    }
}

impl Plain {
    fn apply_to(&self, mut onto: Rows, matrix: &Matrix, x: &Rows, mode: Onto) -> Result<Rows> {
        let mut mode = mode;
        if let Some(bias) = &matrix.bias {
            for row in onto.values.chunks_mut(onto.width) {
                match mode {
                    Onto::Replace => row.copy_from_slice(bias),
                    Onto::Add => loops::add(row, bias),
                }
            }
            mode = Onto::Add;
        }
        let left = View::rows(&x.values, x.count(), x.width, x.width);
        let right = View::rows(&matrix.weights, x.width, matrix.outputs, matrix.outputs);
        multiply(left, right, 1.0, &mut onto.values, matrix.outputs, mode);
        Ok(onto)
    }
}

impl Load for Plain {
    fn table(&self, store: &Store, name: &str, shape: [usize; 2]) -> Result<Stored> {
        store.get(name, &shape).cloned()
    }

    fn vector(&self, store: &Store, name: &str, length: usize) -> Result<Vec<f32>> {
        store.read(store.get(name, &[length])?)
    }

    fn matrix(&self, store: &Store, parts: &[StoredMatrix]) -> Result<Matrix> {
        let outputs = parts.iter().map(|part| part.outputs).sum();
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let mut weights = vec![0.0; inputs * outputs];
        let mut bias = Vec::new();
        let mut first = 0;
        for part in parts {
            part.read_by_input(store, 0, part.outputs, &mut weights[first..], outputs)?;
            bias.extend(part.read_bias(store)?);
            first += part.outputs;
        }
        let bias = parts.iter().any(|part| part.has_bias).then_some(bias);
        Ok(Matrix {
            weights,
            bias,
            outputs,
        })
    }
}

impl Rows {
    /// Number of rows.
    pub(crate) fn count(&self) -> usize {
        self.values.len() / self.width
    }
}

/// Normalises one row into another.
fn normalize_row(row: &[f32], norm: &NormWeights<Plain>, out: &mut [f32]) {
    match (norm.kind, &norm.bias) {
        (Norm::Layer, Some(bias)) => loops::layer_norm(row, &norm.weight, bias, norm.epsilon, out),
        _ => loops::rms_norm(row, &norm.weight, norm.epsilon, out),
    }
}

fn starts(matrix: &StoredMatrix) -> impl Iterator<Item = usize> + use<> {
    (0..matrix.outputs).step_by(PANEL)
}

fn panel(store: &Store, matrix: &StoredMatrix, first: usize) -> Result<Matrix> {
    let outputs = PANEL.min(matrix.outputs - first);
    let mut weights = vec![0.0; matrix.inputs * outputs];
    matrix.read_by_input(store, first, outputs, &mut weights, outputs)?;
    Ok(Matrix {
        weights,
        bias: None,
        outputs,
    })
}
