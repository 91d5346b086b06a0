//! Arithmetic that records what it does, so that gradients flow back to every weight.
//!
//! Only operations of candle that have a gradient are used: some of its fused ones (norms, rotation, the softmax of
//! the last dimension) drop it without a word. A test asks for the gradient of every weight.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{D, Device, Tensor, Var};

use super::config::{Activation, Norm};
use super::decoder::{Arithmetic, Attention, NormWeights};
use super::store::Store;
use super::stored_matrix::{Layout, StoredMatrix};
use super::weights::Load;
use crate::Result;

/// See the module's documentation. Holds each weight once, under its name in the file.
#[derive(Debug)]
pub(crate) struct Tape {
    device: Device,
    variables: Mutex<BTreeMap<String, Var>>,
}

/// A matrix, or several side by side, as the file stores them.
pub(crate) struct Matrix {
    parts: Vec<Part>,
}

struct Part {
    weight: Tensor,
    bias: Option<Tensor>,
    layout: Layout,
}

impl Tape {
    /// An arithmetic on the CPU that holds no weight yet.
    pub(crate) fn new() -> Self {
        Self {
            device: Device::Cpu,
            variables: Mutex::default(),
        }
    }

    /// The weights by their names in the file.
    pub(crate) fn variables(&self) -> BTreeMap<String, Var> {
        self.variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The variable of this name; made on first use, so that tied weights are one.
    fn variable(
        &self,
        name: String,
        shape: &[usize],
        values: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<Tensor> {
        let mut variables = self
            .variables
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(variable) = variables.get(&name) {
            return Ok(variable.as_tensor().clone());
        }
        let variable = Var::from_vec(values()?, shape, &self.device)?;
        let tensor = variable.as_tensor().clone();
        variables.insert(name, variable);
        Ok(tensor)
    }

    /// Heads turned by their positions' angles; `x` is positions × heads × values of a head.
    fn rotate(&self, x: &Tensor, (cos, sin): &(Vec<f32>, Vec<f32>)) -> Result<Tensor> {
        let (positions, _, width) = x.dims3()?;
        let table =
            |values: &[f32]| Tensor::from_slice(values, (positions, 1, width / 2), &self.device);
        let (cos, sin) = (table(cos)?, table(sin)?);
        let (a, b) = (
            x.narrow(2, 0, width / 2)?,
            x.narrow(2, width / 2, width / 2)?,
        );
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        Ok(Tensor::cat(&[first, second], 2)?)
    }

    /// 0 where a position (row) sees another (column), −∞ elsewhere.
    fn mask(&self, positions: usize, window: Option<usize>) -> Result<Tensor> {
        let window = window.unwrap_or(positions);
        let sees = |row: usize, column: usize| column <= row && row - column < window;
        let value = |row, column| {
            if sees(row, column) {
                0.0
            } else {
                f32::NEG_INFINITY
            }
        };
        let values: Vec<f32> = (0..positions)
            .flat_map(|row| (0..positions).map(move |column| value(row, column)))
            .collect();
        Ok(Tensor::from_vec(
            values,
            (positions, positions),
            &self.device,
        )?)
    }
}

impl Arithmetic for Tape {
    type Rows = Tensor;
    type Table = Tensor;
    type Matrix = Matrix;
    type Vector = Tensor;

    fn pick(&self, table: &Tensor, numbers: &[u32]) -> Result<Tensor> {
        Ok(table.index_select(&Tensor::new(numbers, &self.device)?, 0)?)
    }

    fn add(&self, x: Tensor, y: &Tensor) -> Result<Tensor> {
        Ok((x + y)?)
    }

    fn apply(&self, matrix: &Matrix, x: &Tensor) -> Result<Tensor> {
        let parts: Vec<Tensor> = matrix
            .parts
            .iter()
            .map(|part| part.apply(x))
            .collect::<Result<_>>()?;
        Ok(Tensor::cat(&parts, 1)?)
    }

    fn apply_onto(&self, onto: Tensor, matrix: &Matrix, x: &Tensor) -> Result<Tensor> {
        Ok((onto + self.apply(matrix, x)?)?)
    }

    fn normalize(&self, x: &Tensor, norm: &NormWeights<Self>) -> Result<Tensor> {
        let x = match norm.kind {
            Norm::Rms => x.clone(),
            Norm::Layer => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
        };
        let spread = (x.sqr()?.mean_keepdim(D::Minus1)? + f64::from(norm.epsilon))?.sqrt()?;
        let x = x.broadcast_div(&spread)?.broadcast_mul(&norm.weight)?;
        Ok(match &norm.bias {
            Some(bias) => x.broadcast_add(bias)?,
            None => x,
        })
    }

    fn activate(&self, x: Tensor, activation: Activation) -> Result<Tensor> {
        Ok(match activation {
            Activation::SwiGlu => {
                let width = x.dim(1)? / 2;
                (x.narrow(1, 0, width)?.silu()? * x.narrow(1, width, width)?)?
            }
            Activation::GeluTanh => x.gelu()?,
        })
    }

    fn attend(&self, qkv: Tensor, attention: &Attention<'_, Self>) -> Result<Tensor> {
        let Attention {
            heads,
            kv_heads,
            head_width,
            ..
        } = *attention;
        let positions = qkv.dim(0)?;
        let split = |first: usize, count: usize| {
            qkv.narrow(1, first * head_width, count * head_width)?
                .reshape((positions, count, head_width))
        };
        let (mut q, mut k) = (split(0, heads)?, split(heads, kv_heads)?);
        if let Some((q_norm, k_norm)) = attention.norms {
            (q, k) = (self.normalize(&q, q_norm)?, self.normalize(&k, k_norm)?);
        }
        if let Some(rotation) = attention.rotation {
            (q, k) = (self.rotate(&q, rotation)?, self.rotate(&k, rotation)?);
        }
        let v = split(heads + kv_heads, kv_heads)?;
        let (q, k, v) = (
            by_head(&q, 1)?,
            by_head(&k, heads / kv_heads)?,
            by_head(&v, heads / kv_heads)?,
        );
        let scores = (q.matmul(&k.t()?)? / (head_width as f64).sqrt())?;
        let scores = scores.broadcast_add(&self.mask(positions, attention.window)?)?;
        let seen = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
        Ok(seen
            .transpose(0, 1)?
            .reshape((positions, heads * head_width))?)
    }
}

impl Load for Tape {
    fn table(&self, store: &Store, name: &str, shape: [usize; 2]) -> Result<Tensor> {
        self.variable(name.to_owned(), &shape, || {
            store.read(store.get(name, &shape)?)
        })
    }

    fn vector(&self, store: &Store, name: &str, length: usize) -> Result<Tensor> {
        self.variable(name.to_owned(), &[length], || {
            store.read(store.get(name, &[length])?)
        })
    }

    fn matrix(&self, store: &Store, parts: &[StoredMatrix]) -> Result<Matrix> {
        let part = |part: &StoredMatrix| {
            let weight = self.variable(part.weight_name(), &part.shape(), || part.read(store))?;
            let bias =
                || self.variable(part.bias_name(), &[part.outputs], || part.read_bias(store));
            let bias = part.has_bias.then(bias).transpose()?;
            Ok(Part {
                weight,
                bias,
                layout: part.layout,
            })
        };
        Ok(Matrix {
            parts: parts.iter().map(part).collect::<Result<_>>()?,
        })
    }
}

impl Matrix {
    /// The weight of a matrix that is of one part.
    pub(crate) fn weight(&self) -> &Tensor {
        &self.parts[0].weight
    }
}

impl Part {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let y = match self.layout {
            Layout::Inputs => x.matmul(&self.weight)?,
            _ => x.matmul(&self.weight.t()?)?,
        };
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }
}

/// Positions × heads × values to heads × positions × values, each head `times` times in a row.
fn by_head(x: &Tensor, times: usize) -> Result<Tensor> {
    let (positions, heads, width) = x.dims3()?;
    let x = x.transpose(0, 1)?.contiguous()?.unsqueeze(1)?;
    let repeated = x.broadcast_as((heads, times, positions, width))?;
    Ok(repeated
        .contiguous()?
        .reshape((heads * times, positions, width))?)
}
