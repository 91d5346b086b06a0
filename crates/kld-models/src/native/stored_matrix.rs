//! A matrix of the model as a file stores it, and how to read it as the decoder wants it.

use super::store::Store;
use crate::Result;

/// One matrix y = Wx + b, or the part of a stacked one that has a name of its own.
#[derive(Clone, Debug)]
pub(crate) struct StoredMatrix {
    /// The name without `.weight` and `.bias`.
    pub(crate) name: String,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) has_bias: bool,
    pub(crate) layout: Layout,
}

/// The order of a stored matrix's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A row per output.
    Outputs,
    /// A row per input.
    Inputs,
    /// A row per output; within each head of `width` outputs, rows 2i and 2i + 1 are outputs i and i + width / 2.
    NeighbouringPairs { width: usize },
}

/// Rows transposed at a time: 16 f32 are a cache line.
const LINE: usize = 16;

impl StoredMatrix {
    pub(crate) fn weight_name(&self) -> String {
        format!("{}.weight", self.name)
    }

    pub(crate) fn bias_name(&self) -> String {
        format!("{}.bias", self.name)
    }

    /// The shape in the file.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match self.layout {
            Layout::Inputs => [self.inputs, self.outputs],
            _ => [self.outputs, self.inputs],
        }
    }

    /// Reads the outputs from `first` on, as many as fit, into `out`: a row per input, `stride` apart.
    pub(crate) fn read_by_input(
        &self,
        store: &Store,
        first: usize,
        count: usize,
        out: &mut [f32],
        stride: usize,
    ) -> Result<()> {
        let stored = store.get(&self.weight_name(), &self.shape())?;
        if self.layout == Layout::Inputs {
            return store.for_each_chunk(stored, 0..self.inputs, |input, chunk| {
                for (row, source) in out
                    .chunks_mut(stride)
                    .skip(input)
                    .zip(chunk.chunks(self.outputs))
                {
                    row[..count].copy_from_slice(&source[first..first + count]);
                }
            });
        }
        store.for_each_chunk(stored, first..first + count, |row, chunk| {
            for (block, rows) in chunk.chunks(LINE * self.inputs).enumerate() {
                self.scatter(rows, row + block * LINE, first, out, stride);
            }
        })
    }

    /// All values as f32 in the layout of the file, save that pairs are put apart: a row per output, or per input.
    pub(crate) fn read(&self, store: &Store) -> Result<Vec<f32>> {
        let stored = store.get(&self.weight_name(), &self.shape())?;
        let values = store.read(stored)?;
        Ok(self.in_order(&values, self.inputs))
    }

    /// The bias, or zeros.
    pub(crate) fn read_bias(&self, store: &Store) -> Result<Vec<f32>> {
        if !self.has_bias {
            return Ok(vec![0.0; self.outputs]);
        }
        let values = store.read(store.get(&self.bias_name(), &[self.outputs])?)?;
        Ok(self.in_order(&values, 1))
    }

    /// Writes stored rows, which begin with row `row`, as columns of `out`, whose first column is output `first`.
    fn scatter(&self, rows: &[f32], row: usize, first: usize, out: &mut [f32], stride: usize) {
        let count = rows.len() / self.inputs;
        let columns: [usize; LINE] =
            std::array::from_fn(|i| self.output_of(row + i.min(count - 1)) - first);
        for (input, line) in out.chunks_mut(stride).take(self.inputs).enumerate() {
            for (i, &column) in columns[..count].iter().enumerate() {
                line[column] = rows[i * self.inputs + input];
            }
        }
    }

    fn in_order(&self, rows: &[f32], width: usize) -> Vec<f32> {
        if !matches!(self.layout, Layout::NeighbouringPairs { .. }) {
            return rows.to_vec();
        }
        let mut out = vec![0.0; rows.len()];
        for (row, values) in rows.chunks(width).enumerate() {
            let output = self.output_of(row);
            out[output * width..(output + 1) * width].copy_from_slice(values);
        }
        out
    }

    /// Which output a stored row is.
    fn output_of(&self, row: usize) -> usize {
        match self.layout {
            Layout::NeighbouringPairs { width } => {
                let (head, within) = (row / width, row % width);
                head * width + (within % 2) * (width / 2) + within / 2
            }
            _ => row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_pairs_are_put_half_a_head_apart() {
        let layout = Layout::NeighbouringPairs { width: 4 };
        let matrix = StoredMatrix {
            name: String::new(),
            inputs: 1,
            outputs: 8,
            has_bias: false,
            layout,
        };
        let stored = [0., 2., 1., 3., 4., 6., 5., 7.];
        assert_eq!(
            matrix.in_order(&stored, 1),
            [0., 1., 2., 3., 4., 5., 6., 7.]
        );
    }
}
