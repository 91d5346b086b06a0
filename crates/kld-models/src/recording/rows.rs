//! What is kept of the rows of a window.

use std::fmt;
use std::str::FromStr;

use super::blob::{Blob, Tensor, bytes_of, header};
use crate::Result;
use crate::source::KeptRow;

/// What is kept of every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The final hidden state; logits are made of it by the output head. Exact.
    Hidden,
    /// The logits themselves. Exact.
    Logits,
    /// So many of the most likely tokens with their log-probs, and the mass of all others, which is given back spread
    /// evenly over them (`Tail::Uniform`). Lossy.
    TopK(usize),
}

impl Keep {
    /// Whether rows are given back otherwise than they were.
    #[must_use]
    pub fn is_lossy(self) -> bool {
        matches!(self, Keep::TopK(_))
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keep::Hidden => formatter.write_str("hidden"),
            Keep::Logits => formatter.write_str("logits"),
            Keep::TopK(k) => write!(formatter, "top-k:{k}"),
        }
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let k = text.strip_prefix("top-k:").map(str::parse);
        match (text, k) {
            ("hidden", _) => Ok(Keep::Hidden),
            ("logits", _) => Ok(Keep::Logits),
            (_, Some(Ok(k))) if k > 0 => Ok(Keep::TopK(k)),
            _ => Err(format!(
                "expected hidden, logits or top-k:K with K of at least 1, found {text:?}"
            )),
        }
    }
}

kld_core::serde_as_text!(Keep);

/// The scored rows of one window, as they are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum KeptRows {
    /// Final hidden states, row after row.
    Hidden(Vec<f32>),
    /// Logits, row after row.
    Logits(Vec<f32>),
    /// The most likely tokens of every row.
    TopK(TopK),
}

/// The most likely tokens of rows, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopK {
    /// Columns of the `k` most likely tokens of a row, lowest first.
    pub ids: Vec<u32>,
    /// Their natural log-probs.
    pub log_probs: Vec<f32>,
    /// ln of the probability that all other columns of the row share; −∞ if that is none.
    pub log_tail: Vec<f64>,
    /// D(given ‖ given back) of the row in nats; NaN where the row is no distribution.
    pub loss: Vec<f64>,
}

impl TopK {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.log_tail.len()
    }

    /// What is known of row `row`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> KeptRow<'_> {
        let k = self.ids.len() / self.rows();
        let kept = row * k..(row + 1) * k;
        KeptRow {
            ids: &self.ids[kept.clone()],
            log_probs: &self.log_probs[kept],
            log_tail: self.log_tail[row],
        }
    }

    /// Writes log-probs of all columns of row `row` into `out`: those kept, and for each other column an equal share of the rest.
    ///
    /// # Panics
    ///
    /// If there is no such row, or a column is outside `out`.
    pub fn give_back(&self, row: usize, out: &mut [f32]) {
        let kept = self.row(row);
        let others = out.len().saturating_sub(kept.ids.len()).max(1);
        out.fill((kept.log_tail - (others as f64).ln()) as f32);
        for (&id, &log_prob) in kept.ids.iter().zip(kept.log_probs) {
            out[id as usize] = log_prob;
        }
    }
}

/// The sizes of a window's rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Values of a hidden state; 0 where none are kept.
    pub(super) width: usize,
}

impl KeptRows {
    /// The payload of the frame of window `index`.
    pub(super) fn payload(&self, index: usize, sizes: Sizes) -> Vec<u8> {
        let Sizes {
            rows,
            columns,
            width,
        } = sizes;
        let wide = |name, width, values: &[f32]| {
            (
                name,
                "F32",
                vec![rows, width],
                bytes_of(values, f32::to_le_bytes),
            )
        };
        let parts = match self {
            KeptRows::Hidden(values) => vec![wide("hidden", width, values)],
            KeptRows::Logits(values) => vec![wide("logits", columns, values)],
            KeptRows::TopK(top) => {
                let k = top.ids.len() / rows;
                vec![
                    (
                        "log_tail",
                        "F64",
                        vec![rows],
                        bytes_of(&top.log_tail, f64::to_le_bytes),
                    ),
                    (
                        "loss",
                        "F64",
                        vec![rows],
                        bytes_of(&top.loss, f64::to_le_bytes),
                    ),
                    wide("log_probs", k, &top.log_probs),
                    (
                        "ids",
                        "U32",
                        vec![rows, k],
                        bytes_of(&top.ids, u32::to_le_bytes),
                    ),
                ]
            }
        };
        let tensors: Vec<Tensor> = parts
            .iter()
            .map(|(name, dtype, shape, bytes)| Tensor {
                name,
                dtype,
                shape: shape.clone(),
                bytes,
            })
            .collect();
        let mut payload = header(("window", &index.to_string()), &tensors);
        for tensor in &tensors {
            payload.extend(tensor.bytes);
        }
        payload
    }

    /// Reads the payload of the frame of window `index`.
    pub(super) fn read(blob: &Blob, index: usize, keep: Keep, sizes: Sizes) -> Result<Self> {
        let Sizes {
            rows,
            columns,
            width,
        } = sizes;
        if blob.text("window")? != index.to_string() {
            return Err(blob.wrong("is that of another window"));
        }
        Ok(match keep {
            Keep::Hidden => KeptRows::Hidden(blob.f32s("hidden", &[rows, width])?),
            Keep::Logits => KeptRows::Logits(blob.f32s("logits", &[rows, columns])?),
            Keep::TopK(k) => {
                let ids = blob.u32s("ids", &[rows, k])?;
                let ascending = |row: &[u32]| row.windows(2).all(|pair| pair[0] < pair[1]);
                let inside = |row: &[u32]| row.last().is_none_or(|&id| (id as usize) < columns);
                if !ids.chunks(k).all(|row| ascending(row) && inside(row)) {
                    return Err(blob.wrong(format!(
                        "has ids that do not ascend, or reach beyond {columns} columns"
                    )));
                }
                KeptRows::TopK(TopK {
                    ids,
                    log_probs: blob.f32s("log_probs", &[rows, k])?,
                    log_tail: blob.f64s("log_tail", &[rows])?,
                    loss: blob.f64s("loss", &[rows])?,
                })
            }
        })
    }
}
