//! Candidates in memory: a model with some of its matrices replaced by others, quantized ones for example.
//!
//! ```text
//! model ─► matrices ─► Replacements (quantized, noisy, unchanged) ─► a part of them ─► model.with(…): a model like any other
//! ```
//!
//! What is not replaced is shared with the model that it came from. What is replaced goes the way of a file: quantized by the
//! function that writes files ([`narrow`]), kept as blocks, and turned into f32 where a file's blocks would be. So a candidate
//! gives the same bits as the file that [`requantize`](crate::gguf::requantize) would have written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kld_core::{Fallback, ModelCard, Observer, Quantized, observer::Progress};
use rayon::prelude::*;

use super::change::{Change, squared_distance, squares};
use super::plain::{Head, Plain};
use super::store::{Store, Stored, widen};
use super::stored_matrix::{Layout, StoredMatrix};
use super::weights::{Loaded, Residency};
use super::{F32_COMPUTE, LAYERED_COMPUTE, NativeModel, Selection, identity};
use crate::gguf::BlockType;
use crate::gguf::quantize::narrow;
use crate::{LogitSource, Result};

/// A matrix of a model, or the table of its embedding, that can be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixCard {
    /// Its name in the file.
    pub name: String,
    /// The layer that it belongs to, from 0; `None` for embedding and head.
    pub layer: Option<usize>,
    /// What it is in its layer: the name without the layer's number and without `.weight`.
    pub kind: String,
    /// How it is stored.
    pub dtype: BlockType,
    /// Number of values.
    pub values: u64,
    /// Bytes in the file.
    pub bytes: u64,
}

/// Matrices that can take the place of those of a model by the same names.
#[derive(Clone, Debug, Default)]
pub struct Replacements {
    pub(super) tensors: BTreeMap<String, Replacement>,
    pub(super) quantized: Option<Quantized>,
}

#[derive(Clone, Debug)]
pub(super) struct Replacement {
    pub(super) stored: Stored,
    pub(super) change: Change,
}

impl Replacements {
    /// Those of the matrices with these names.
    #[must_use]
    pub fn part(&self, has: impl Fn(&str) -> bool) -> Self {
        let mut part = self.clone();
        part.tensors.retain(|name, _| has(name));
        if let Some(quantized) = &mut part.quantized {
            quantized.matrices = part.tensors.len();
            quantized.fallbacks.retain(|fallback| has(&fallback.tensor));
        }
        part
    }

    /// The names of the matrices.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What they do to weights and bytes.
    #[must_use]
    pub fn change(&self) -> Change {
        self.tensors.values().map(|tensor| tensor.change).sum()
    }

    /// What was asked for and what became of it, where they are quantized.
    #[must_use]
    pub fn quantized(&self) -> Option<&Quantized> {
        self.quantized.as_ref()
    }
}

impl NativeModel {
    /// The matrices that can be replaced: embedding, layers, head.
    #[must_use]
    pub fn matrices(&self) -> Vec<MatrixCard> {
        let all = self.plan.all_matrices().into_iter();
        all.filter_map(|(layer, matrix)| self.matrix_card(layer, &matrix))
            .collect()
    }

    fn matrix_card(&self, layer: Option<usize>, matrix: &StoredMatrix) -> Option<MatrixCard> {
        let name = matrix.weight_name();
        let stored = self.store.find(&name)?;
        let prefix = layer.map_or(String::new(), |layer| self.plan.names.in_layer(layer, ""));
        let kind = matrix.name.strip_prefix(&prefix).unwrap_or(&matrix.name);
        Some(MatrixCard {
            kind: kind.to_owned(),
            layer,
            dtype: stored.dtype,
            values: stored.values() as u64,
            bytes: stored.size() as u64,
            name,
        })
    }

    /// The selected matrices in another type, or where their rows are not whole blocks of it in the one that
    /// [`BlockType::or_instead`] tells.
    ///
    /// # Errors
    ///
    /// If a pattern selects nothing, the type cannot be made, or values do not fit it.
    pub fn quantized(
        &self,
        dtype: BlockType,
        selection: &Selection,
        observer: &dyn Observer,
    ) -> Result<Replacements> {
        dtype.check_made(self.store.path())?;
        let made = self.replaced(
            selection,
            ("matrices quantized", dtype.name()),
            observer,
            |matrix| self.quantize(matrix, dtype.or_instead(matrix.inputs)),
        )?;
        let fell = |(name, tensor): (&String, &Replacement)| {
            (tensor.stored.dtype != dtype).then(|| Fallback {
                tensor: name.clone(),
                dtype: tensor.stored.dtype.name().to_owned(),
            })
        };
        let quantized = Quantized {
            dtype: dtype.name().to_owned(),
            only: selection.patterns().to_vec(),
            matrices: made.len(),
            fallbacks: made.iter().filter_map(fell).collect(),
        };
        Ok(Replacements {
            tensors: made,
            quantized: Some(quantized),
        })
    }

    /// The selected matrices as they are, to be taken for others: a model with them must give the same bits.
    ///
    /// # Errors
    ///
    /// If a pattern selects nothing.
    pub fn unchanged(
        &self,
        selection: &Selection,
        observer: &dyn Observer,
    ) -> Result<Replacements> {
        let tensors = self.replaced(selection, ("matrices copied", ""), observer, |matrix| {
            let stored = self.stored(matrix)?;
            let copy = Arc::from(self.store.bytes(stored));
            let squared_norm = squares(&self.store.read(stored)?);
            Ok(Replacement {
                change: Change {
                    squared_error: 0.0,
                    squared_norm,
                    bytes_before: stored.size() as u64,
                    bytes_after: stored.size() as u64,
                },
                stored: Stored::in_memory(
                    stored.shape.clone(),
                    stored.dtype,
                    copy,
                    stored.blocks(),
                ),
            })
        })?;
        Ok(Replacements {
            tensors,
            quantized: None,
        })
    }

    fn replaced(
        &self,
        selection: &Selection,
        (stage, dtype): (&'static str, &str),
        observer: &dyn Observer,
        make: impl Fn(&StoredMatrix) -> Result<Replacement> + Sync,
    ) -> Result<BTreeMap<String, Replacement>> {
        let cards = self.matrices();
        let chosen = selection.choose(&cards, &self.card.name)?;
        let all = self.plan.all_matrices();
        let chosen: Vec<&StoredMatrix> = all
            .iter()
            .map(|(_, matrix)| matrix)
            .filter(|matrix| chosen.iter().any(|card| card.name == matrix.weight_name()))
            .collect();
        let done = AtomicUsize::new(0);
        let made = chosen.par_iter().map(|matrix| {
            let made = make(matrix)?;
            observer.progress(&Progress {
                stage,
                done: done.fetch_add(1, Ordering::Relaxed) + 1,
                total: chosen.len(),
                estimate: dtype.to_owned(),
            });
            Ok((matrix.weight_name(), made))
        });
        let made = made.collect::<Result<_>>()?;
        self.store.release();
        Ok(made)
    }

    pub(super) fn stored(&self, matrix: &StoredMatrix) -> Result<&Stored> {
        self.store.get(&matrix.weight_name(), &matrix.shape())
    }

    fn quantize(&self, matrix: &StoredMatrix, dtype: BlockType) -> Result<Replacement> {
        let stored = self.stored(matrix)?;
        let (path, name) = (self.store.path(), matrix.weight_name());
        let mut change = Change {
            bytes_before: stored.size() as u64,
            ..Change::default()
        };
        let mut make = |values: &[f32]| {
            let blocks = narrow(values, matrix.inputs, dtype, &name, path)?;
            let mut widened = Vec::new();
            widen(&blocks, dtype, &mut widened)?;
            change.squared_norm += squares(values);
            change.squared_error += squared_distance(values, &widened);
            Ok::<_, crate::Error>((blocks, widened))
        };
        let (bytes, blocks) = if matrix.layout == Layout::Inputs {
            // Blocks lie along the inputs, as in every GGUF file; a row per input has to be turned, and turned back.
            let turned = transposed(&self.store.read(stored)?, matrix.outputs);
            let (_, widened) = make(&turned)?;
            let values = transposed(&widened, matrix.inputs);
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            (bytes.collect(), BlockType::F32)
        } else {
            let (mut bytes, mut outcome) = (Vec::new(), Ok(()));
            self.store
                .for_each_chunk(stored, 0..stored.rows(), |_, values| {
                    if outcome.is_ok() {
                        outcome = make(values).map(|(blocks, _)| bytes.extend(blocks));
                    }
                })?;
            outcome?;
            (bytes, dtype)
        };
        let made = Stored::in_memory(stored.shape.clone(), dtype, bytes.into(), blocks);
        change.bytes_after = made.size() as u64;
        Ok(Replacement {
            stored: made,
            change,
        })
    }

    /// Bytes of f32 that a model with these replacements holds beside what it shares.
    #[must_use]
    pub fn bytes_beside(&self, replacements: &Replacements) -> u64 {
        let replaced =
            |matrix: &&StoredMatrix| replacements.tensors.contains_key(&matrix.weight_name());
        let values = |matrix: &StoredMatrix| (matrix.inputs as u64) * (matrix.outputs as u64);
        let layers = (0..self.plan.config.layers).flat_map(|layer| self.plan.matrices(layer));
        let stacks = layers.filter(|stack| stack.iter().any(|m| replaced(&m)));
        let stacked: u64 = stacks.flatten().map(|m| values(&m)).sum();
        let head = Some(self.plan.head()).filter(|head| replaced(&head));
        4 * (stacked + head.map_or(0, |head| values(&head)))
    }

    /// This model with some of its matrices replaced; all else is shared with it.
    ///
    /// Replaced matrices are held as f32 where this model's are and `memory_limit_bytes` leaves room for that, and their blocks
    /// are let go; otherwise the blocks are kept and turned into f32 when they are used. The bits are the same.
    ///
    /// # Errors
    ///
    /// If the replacements are those of a model with other names or shapes.
    pub fn with(
        &self,
        name: &str,
        replacements: &Replacements,
        memory_limit_bytes: Option<u64>,
    ) -> Result<Self> {
        let others = replacements.tensors.iter();
        let others = others.map(|(name, tensor)| (name.clone(), tensor.stored.clone()));
        let store = Arc::new(self.store.with(others));
        self.plan.check(&store)?;
        let beside = self.bytes_beside(replacements);
        let held = self.head.is_held() && memory_limit_bytes.is_none_or(|limit| beside <= limit);
        let card = self.card_with(name, replacements, &store, held);
        let (weights, head) = if held {
            self.reload(&store, replacements)?
        } else {
            let arithmetic = self.arithmetic.on(Arc::clone(&store));
            let weights = self
                .plan
                .load(&arithmetic, &store, Residency::MadeWhenUsed)?;
            (weights, self.head.made_when_used())
        };
        let (store, resident_bytes) = if held {
            let table = weights.embedding().bytes_in_memory();
            (Arc::clone(&self.store), beside + table)
        } else {
            let stored = replacements.tensors.values().map(|tensor| &tensor.stored);
            let blocks = stored.map(Stored::bytes_in_memory).sum();
            (store, blocks)
        };
        Ok(Self {
            path: self.path.clone(),
            card,
            tokenizer: Arc::clone(&self.tokenizer),
            plan: self.plan.clone(),
            arithmetic: self.arithmetic.on(Arc::clone(&store)),
            store,
            weights: Arc::new(weights),
            head,
            resident_bytes,
        })
    }

    /// The weights and the head with what was replaced taken from `store`, and all else shared with this model.
    fn reload(
        &self,
        store: &Arc<Store>,
        replacements: &Replacements,
    ) -> Result<(Loaded<Plain>, Head)> {
        let changed = |name: &str| replacements.tensors.contains_key(name);
        let arithmetic = self.arithmetic.on(Arc::clone(store));
        let weights = self
            .plan
            .reload(&arithmetic, store, &self.weights, changed)?;
        let head = if changed(&self.plan.head().weight_name()) {
            self.head.reload(store)?
        } else {
            self.head.clone()
        };
        Ok((weights, head))
    }

    fn card_with(
        &self,
        name: &str,
        replacements: &Replacements,
        store: &Store,
        held: bool,
    ) -> ModelCard {
        let change = replacements.change();
        let compute = if held { F32_COMPUTE } else { LAYERED_COMPUTE };
        let tensors = replacements.tensors.iter();
        let tensors =
            tensors.map(|(name, t)| (name.as_str(), t.stored.dtype, store.bytes(&t.stored)));
        ModelCard {
            name: name.to_owned(),
            sha256: identity::hash_with(&self.card.sha256, tensors),
            weights: identity::shares(store),
            compute: compute.to_owned(),
            bytes: self.card.bytes.saturating_sub(change.bytes_before) + change.bytes_after,
            quantized: replacements.quantized.clone(),
            ..self.card().clone()
        }
    }
}

/// Rows of `width` values as columns.
fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let column = |c: usize| values.iter().skip(c).step_by(width);
    (0..width).flat_map(column).copied().collect()
}
