//! Inference arithmetic: plain rows of f32, one thread, nothing recorded.
//!
//! Matrices are held with a row per input, so that the GEMM reads them as they lie; attention computes only the
//! triangle it needs. A window of tokens is the unit of parallel work, so nothing here starts a thread.

pub(crate) mod attention;
pub(crate) mod loops;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod pool;

use std::sync::Arc;

use super::config::Activation;
use super::decoder::{Arithmetic, Attention, NormWeights};
use super::dropout::Place;
use super::store::{Store, Stored};
use super::stored_matrix::StoredMatrix;
use super::weights::{Load, Residency};
use crate::Result;
use attention::Shape;
use matmul::{Onto, View, multiply};
use norm::NormView;
use pool::{Buffer, Pool};

/// See the module's documentation.
#[derive(Clone)]
pub(crate) struct Plain {
    store: Arc<Store>,
    buffers: Arc<Pool>,
    activations: Activations,
}

/// What the rows between two operations are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activations {
    F32,
    /// Every value that an operation gives is rounded to the nearest bf16, ties to even.
    Bf16,
}

/// Rows of `width` values, one after the other.
pub(crate) struct Rows {
    pub(crate) values: Buffer,
    pub(crate) width: usize,
}

/// A matrix with a row per input, and its bias.
pub(crate) struct Matrix {
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
    outputs: usize,
}

/// The matrix that makes logits: in panels of outputs, held or made when used.
#[derive(Clone)]
pub(crate) struct Head {
    matrix: StoredMatrix,
    panels: Option<Arc<Vec<Matrix>>>,
}

/// Outputs of a panel of the head; what is made at a time where the head does not fit memory.
const PANEL: usize = 4096;

impl Head {
    /// Whether it is held as f32.
    pub(crate) fn is_held(&self) -> bool {
        self.panels.is_some()
    }

    /// The same matrix from another store.
    pub(crate) fn reload(&self, store: &Store) -> Result<Self> {
        Self::load(store, self.matrix.clone(), Residency::Held)
    }

    /// The same matrix, made anew each time it is used.
    pub(crate) fn made_when_used(&self) -> Self {
        Self {
            matrix: self.matrix.clone(),
            panels: None,
        }
    }

    /// Takes the head from the store.
    pub(crate) fn load(store: &Store, matrix: StoredMatrix, residency: Residency) -> Result<Self> {
        let panels = match residency {
            Residency::Held => Some(Arc::new(
                starts(&matrix)
                    .map(|first| panel(store, &matrix, first))
                    .collect::<Result<_>>()?,
            )),
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
    /// Shared by the candidates that leave it as it is.
    type Matrix = Arc<Matrix>;
    type Vector = Vec<f32>;

    fn pick(&self, table: &Stored, numbers: &[u32]) -> Result<Rows> {
        let width = table.columns();
        let mut out = self.rows(numbers.len(), width);
        for (&number, out) in numbers.iter().zip(out.values.chunks_mut(width)) {
            let row = number as usize;
            self.store.for_each_chunk(table, row..row + 1, |_, chunk| {
                out.copy_from_slice(chunk);
            })?;
        }
        Ok(self.kept(out))
    }

    fn add(&self, mut x: Rows, y: &Rows) -> Result<Rows> {
        loops::add(&mut x.values, &y.values);
        Ok(self.kept(x))
    }

    fn apply(&self, matrix: &Arc<Matrix>, x: &Rows) -> Result<Rows> {
        let mut out = self.rows(x.count(), matrix.outputs);
        matrix.apply(x, &mut out, Onto::Replace);
        Ok(self.kept(out))
    }

    fn apply_onto(
        &self,
        mut onto: Rows,
        matrix: &Arc<Matrix>,
        x: &Rows,
        _place: Place,
    ) -> Result<Rows> {
        matrix.apply(x, &mut onto, Onto::Add);
        Ok(self.kept(onto))
    }

    fn normalize(&self, x: &Rows, norm: &NormWeights<Self>) -> Result<Rows> {
        let mut out = self.rows(x.count(), x.width);
        let norm = NormView::new(norm, Vec::as_slice);
        for (row, out) in x.values.chunks(x.width).zip(out.values.chunks_mut(x.width)) {
            norm.row(row, out);
        }
        Ok(self.kept(out))
    }

    fn activate(&self, x: Rows, activation: Activation) -> Result<Rows> {
        Ok(self.kept(match activation {
            Activation::SwiGlu => {
                let mut out = self.rows(x.count(), x.width / 2);
                loops::silu_times(&x.values, x.width / 2, &mut out.values);
                out
            }
            Activation::GeluTanh => {
                let mut x = x;
                loops::gelu_tanh(&mut x.values);
                x
            }
        }))
    }

    fn attend(&self, mut qkv: Rows, attention: &Attention<'_, Self>) -> Result<Rows> {
        let shape = Shape::new(qkv.count(), qkv.width, attention);
        let mut out = self.rows(qkv.count(), shape.keys);
        let norms = attention.norms.map(|(q, k)| [q, k]);
        let norms = norms.map(|norms| norms.map(|norm| NormView::new(norm, Vec::as_slice)));
        shape.prepare(&mut qkv.values, norms, attention.rotation.map(|r| &**r));
        shape.attend(&qkv.values, &mut out.values);
        Ok(self.kept(out))
    }
}

impl Plain {
    /// An arithmetic on the tensors of a store.
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            buffers: Arc::default(),
            activations: Activations::F32,
        }
    }

    /// The same with other tensors.
    pub(crate) fn on(&self, store: Arc<Store>) -> Self {
        Self {
            store,
            ..self.clone()
        }
    }

    /// The same with activations kept in another type.
    pub(crate) fn keeping(&self, activations: Activations) -> Self {
        Self {
            activations,
            ..self.clone()
        }
    }

    /// What an operation gave, as it is kept.
    fn kept(&self, mut rows: Rows) -> Rows {
        if self.activations == Activations::Bf16 {
            for value in rows.values.iter_mut() {
                *value = half::bf16::from_f32(*value).to_f32();
            }
        }
        rows
    }

    /// Rows that are to be written.
    fn rows(&self, count: usize, width: usize) -> Rows {
        Rows {
            values: self.buffers.take(count * width),
            width,
        }
    }
}

impl Matrix {
    fn apply(&self, x: &Rows, out: &mut Rows, mut onto: Onto) {
        if let Some(bias) = &self.bias {
            for row in out.values.chunks_mut(out.width) {
                match onto {
                    Onto::Replace => row.copy_from_slice(bias),
                    Onto::Add => loops::add(row, bias),
                }
            }
            onto = Onto::Add;
        }
        let left = View::rows(&x.values, x.count(), x.width, x.width);
        let right = View::rows(&self.weights, x.width, self.outputs, self.outputs);
        multiply(left, right, 1.0, &mut out.values, self.outputs, onto);
    }
}

impl Load for Plain {
    fn table(&self, store: &Store, name: &str, shape: [usize; 2]) -> Result<Stored> {
        store.get(name, &shape).cloned()
    }

    fn vector(&self, store: &Store, name: &str, length: usize) -> Result<Vec<f32>> {
        store.read(store.get(name, &[length])?)
    }

    fn matrix(&self, store: &Store, parts: &[StoredMatrix]) -> Result<Arc<Matrix>> {
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
        Ok(Arc::new(Matrix {
            weights,
            bias,
            outputs,
        }))
    }
}

impl Rows {
    /// Number of rows.
    pub(crate) fn count(&self) -> usize {
        self.values.len() / self.width
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
