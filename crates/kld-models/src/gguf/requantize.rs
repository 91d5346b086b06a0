//! A copy of a GGUF file with its matrices in another type.

use std::io::Write;
use std::path::Path;

use super::quantize::narrow;
use super::write::{Entry, write};
use super::{BlockType, Header, Value};
use crate::native::store::{Store, Stored};
use crate::{Error, Result};

/// A table of positions, of which every value counts by itself; `llama-quantize` leaves it alone, too.
const POSITIONS: &str = "position_embd.weight";

/// What became of the tensors of a requantized file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requantized {
    /// Matrices in the type that was asked for.
    pub matrices: usize,
    /// Vectors (norms, biases) and tables of positions, which stay F32.
    pub vectors: usize,
    /// Matrices whose rows are not whole blocks of that type, with the type they got instead
    /// (see [`BlockType::or_instead`]).
    pub fallbacks: Vec<(String, BlockType)>,
}

/// Writes `target`: the model of `source`, with every matrix in `dtype`.
///
/// Values are dequantized to f32 and quantized again by candle, without an importance matrix; what the source has
/// lost stays lost. Metadata is kept, the tokenizer included. The same source gives the same bytes; `target` is
/// written beside its place and renamed.
///
/// # Errors
///
/// If `source` is no sound GGUF file, if `dtype` is not a type that can be made, if values do not fit it, or if
/// `target` cannot be written.
pub fn requantize(source: &Path, target: &Path, dtype: BlockType) -> Result<Requantized> {
    dtype.check_made(target)?;
    let header = Header::read(source)?;
    let store = Store::gguf(source, &header)?;
    store.check_readable()?;
    let mut metadata = header.metadata.clone();
    if let Some(file_type) = dtype.file_type() {
        metadata.insert("general.file_type", Value::U32(file_type));
    }
    let mut done = Requantized::default();
    let entries: Vec<Entry> = header
        .tensors
        .iter()
        .map(|tensor| Entry {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: done.choose(&tensor.name, &tensor.shape, dtype),
        })
        .collect();
    write(target, &metadata, &entries, |index, out| {
        let entry = &entries[index];
        let stored = store.get(&entry.name, &entry.shape)?;
        convert(&store, stored, entry, target, out)?;
        store.release();
        Ok(())
    })?;
    Ok(done)
}

impl Requantized {
    fn choose(&mut self, name: &str, shape: &[usize], wanted: BlockType) -> BlockType {
        let columns = match shape {
            [.., _, columns] if name != POSITIONS => *columns,
            _ => {
                self.vectors += 1;
                return BlockType::F32;
            }
        };
        let dtype = wanted.or_instead(columns);
        if dtype == wanted {
            self.matrices += 1;
        } else {
            self.fallbacks.push((name.to_owned(), dtype));
        }
        dtype
    }
}

fn convert(
    store: &Store,
    stored: &Stored,
    entry: &Entry,
    target: &Path,
    out: &mut dyn Write,
) -> Result<()> {
    let mut outcome = Ok(());
    store.for_each_chunk(stored, 0..stored.rows(), |_, values| {
        if outcome.is_ok() {
            outcome = narrow(values, stored.columns(), entry.dtype, &entry.name, target)
                .and_then(|bytes| out.write_all(&bytes).map_err(|e| Error::io(target, e)));
        }
    })?;
    outcome
}
