//! What a model file or folder is, without reading its tensors into memory.

use std::path::Path;

use kld_core::ModelCard;

use super::{files, identity};
use crate::Result;

/// What can be said of a model without running it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Identity, format, family, types, sizes.
    pub card: ModelCard,
    /// Number of layers.
    pub layers: usize,
    /// Values per position between layers.
    pub hidden: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Values of a head.
    pub head_width: usize,
    /// Values per position inside the multi-layer perceptron.
    pub mlp: usize,
    /// Whether the output head is the embedding.
    pub is_tied: bool,
    /// How many positions a position sees in the layers that see least; `None` is all before it.
    pub window: Option<usize>,
    /// The tensors in the order of their names.
    pub tensors: Vec<Tensor>,
}

/// A stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// Its sizes, outermost first.
    pub shape: Vec<usize>,
    /// How its values are stored, e.g. `Q4_1`.
    pub dtype: &'static str,
    /// Bytes in the file.
    pub bytes: usize,
}

/// Looks at a GGUF file or a Hugging Face folder; reads its files once, for their hash.
///
/// # Errors
///
/// If a file cannot be read or is not sound, or the model is of a kind that this program cannot run.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let opened = if path.is_dir() {
        files::open_folder(path)?
    } else {
        files::open_gguf(path)?
    };
    let config = &opened.plan.config;
    let tensor = |(name, stored): (&str, &super::store::Stored)| Tensor {
        name: name.to_owned(),
        shape: stored.shape.clone(),
        dtype: stored.dtype.name(),
        bytes: stored.size(),
    };
    Ok(Inspection {
        card: identity::card(path, &opened, super::F32_COMPUTE)?,
        layers: config.layers,
        hidden: config.hidden,
        heads: config.heads,
        kv_heads: config.kv_heads,
        head_width: config.head_width,
        mlp: config.mlp,
        is_tied: config.tied,
        window: config.windows.iter().flatten().min().copied(),
        tensors: opened.store.iter().map(tensor).collect(),
    })
}
