//! The native engine: one decoder for all families, driven by the model's own configuration.
//!
//! ```text
//! path ─► files (validated headers, mapped) ─► config + names = plan ─► weights ─► decoder ─► hidden states ─► head ─► logits
//! ```
//!
//! The decoder is written once, over an `Arithmetic`: the plain one is made for measuring (f32, one thread per
//! window, nothing recorded) and drives [`NativeModel`]; the recording one has gradients and drives
//! [`DifferentiableModel`]. Both compute in f32 on dequantized weights, so
//! what is measured is the divergence of the *weights*; kernels that round activations would add their own.
//!
//! ```
//! use kld_models::{LogitSource, Tokenizer, native::{LoadOptions, NativeModel}};
//!
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/models/llama").as_ref();
//! let model = NativeModel::open_folder(folder, Tokenizer::from_folder(folder)?, &LoadOptions::default())?;
//! let window = model.forward(&[1, 2, 3])?;
//! let mut logits = Vec::new();
//! window.rows(0..3, &mut logits)?;
//! assert_eq!(logits.len(), 3 * model.vocabulary());
//! # Ok::<(), kld_models::Error>(())
//! ```

mod change;
mod config;
mod continuation;
mod decoder;
mod differentiable;
mod dropout;
mod family;
pub(crate) mod files;
mod gguf_config;
pub(crate) mod identity;
mod inspect;
mod json_config;
mod noise;
mod pass;
pub(crate) mod plain;
mod replace;
mod rope;
mod save;
mod select;
pub(crate) mod store;
pub(crate) mod stored_matrix;
mod student;
mod tape;
pub(crate) mod weights;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kld_core::ModelCard;

use crate::source::{HeadTransform, OutputHead};
use crate::{Error, LogitSource, Result, Tokenizer, WindowLogits};
pub use change::Change;
pub use continuation::Continuation;
pub use differentiable::DifferentiableModel;
pub use dropout::Dropout;
use files::Opened;
pub use inspect::inspect;
pub use pass::{Gradients, Pass};
use plain::{Activations, Head, Plain, Rows};
pub use replace::{MatrixCard, Replacements};
pub use select::{Selection, matches};
use store::Store;
use weights::{Loaded, Plan, Ready, Residency};

/// A model that this program runs itself.
pub struct NativeModel {
    path: PathBuf,
    card: ModelCard,
    tokenizer: Arc<Tokenizer>,
    plan: Plan,
    store: Arc<Store>,
    arithmetic: Plain,
    weights: Arc<Loaded<Plain>>,
    head: Head,
    resident_bytes: u64,
}

/// How to load a model.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The most memory that the weights may take, in bytes; `None` is no limit. Weights that do not fit as f32 stay
    /// in the file, and each layer is turned into f32 when it is used: slower, with the same bits as result.
    pub memory_limit_bytes: Option<u64>,
    /// The name under which results know the model; `None` is its path.
    pub name: Option<String>,
    /// The commit that the name stands for, for models of the hub.
    pub revision: Option<String>,
}

const F32_COMPUTE: &str = "f32 on dequantized weights";
const LAYERED_COMPUTE: &str = "f32 on weights dequantized layer by layer";
const BF16_ACTIVATIONS: &str = ", activations rounded to bf16";

impl NativeModel {
    /// Opens a GGUF file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not sound, or the model is of a kind that this program cannot run.
    pub fn open_gguf(path: &Path, tokenizer: Tokenizer, options: &LoadOptions) -> Result<Self> {
        Self::load(path, files::open_gguf(path)?, tokenizer, options)
    }

    /// Opens a Hugging Face folder: `config.json` and safetensors files.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is not sound, or the model is of a kind that this program cannot run.
    pub fn open_folder(path: &Path, tokenizer: Tokenizer, options: &LoadOptions) -> Result<Self> {
        Self::load(path, files::open_folder(path)?, tokenizer, options)
    }

    fn load(
        path: &Path,
        opened: Opened,
        tokenizer: Tokenizer,
        options: &LoadOptions,
    ) -> Result<Self> {
        let fits = options
            .memory_limit_bytes
            .is_none_or(|limit| held_bytes(&opened.plan) <= limit);
        let (residency, compute) = if fits {
            (Residency::Held, F32_COMPUTE)
        } else {
            (Residency::MadeWhenUsed, LAYERED_COMPUTE)
        };
        let mut card = identity::card(path, &opened, compute)?;
        card.revision.clone_from(&options.revision);
        let resident_bytes = if fits { held_bytes(&opened.plan) } else { 0 };
        if let Some(name) = &options.name {
            card.name.clone_from(name);
        }
        let (plan, store) = (opened.plan, Arc::new(opened.store));
        let arithmetic = Plain::new(Arc::clone(&store));
        let weights = plan.load(&arithmetic, &store, residency)?;
        let head = Head::load(&store, plan.head(), residency)?;
        Ok(Self {
            path: path.to_owned(),
            card,
            tokenizer: Arc::new(tokenizer),
            plan,
            store,
            arithmetic,
            weights: Arc::new(weights),
            head,
            resident_bytes,
        })
    }

    /// The same model computed in another, equally valid way: whatever an operation of the decoder gives (rows of the
    /// embedding, normalisations, matrix products with their bias and what they are added to, activations, attention) is
    /// rounded to the nearest bf16. Weights, sums inside an operation, and logits stay f32. Weights are shared.
    #[must_use]
    pub fn with_bf16_activations(&self) -> Self {
        let mut card = self.card.clone();
        card.compute += BF16_ACTIVATIONS;
        Self {
            path: self.path.clone(),
            card,
            tokenizer: Arc::clone(&self.tokenizer),
            plan: self.plan.clone(),
            store: Arc::clone(&self.store),
            arithmetic: self.arithmetic.keeping(Activations::Bf16),
            weights: Arc::clone(&self.weights),
            head: self.head.clone(),
            resident_bytes: 0,
        }
    }

    /// Bytes of memory that its own weights take, beside what it shares with another model; 0 where all of them stay in the file.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }

    /// Runs the decoder up to what the head takes.
    fn hidden_states(&self, tokens: &[u32]) -> Result<Rows> {
        let Self {
            arithmetic,
            plan,
            store,
            weights: loaded,
            ..
        } = self;
        let weights = Ready {
            arithmetic,
            plan,
            store,
            loaded,
        };
        decoder::hidden_states(arithmetic, &plan.config, &weights, tokens)
    }
}

/// Bytes that the weights take as f32. Rows of embeddings stay in the file; a head that is the embedding does not.
fn held_bytes(plan: &weights::Plan) -> u64 {
    let config = &plan.config;
    let rows = |count: usize| (count as u64) * (config.hidden as u64);
    let embedding = if config.tied {
        0
    } else {
        rows(config.vocabulary)
    };
    let positions = match config.positions {
        config::Positions::Learned => rows(config.context_length),
        config::Positions::Rotary(_) => 0,
    };
    (plan.parameters() - embedding - positions).saturating_mul(4)
}

impl LogitSource for NativeModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn forward(&self, tokens: &[u32]) -> Result<Box<dyn WindowLogits + '_>> {
        check_window(tokens, &self.card)?;
        Ok(Box::new(Window {
            model: self,
            hidden: self.hidden_states(tokens)?,
        }))
    }

    fn head(&self) -> Option<OutputHead<'_>> {
        // Of a model that was made in memory no file has the head.
        if self.card.quantized.is_some() {
            return None;
        }
        let matrix = self.plan.head();
        let stored = self
            .store
            .get(&matrix.weight_name(), &matrix.shape())
            .ok()?;
        Some(OutputHead {
            path: &self.path,
            dtype: stored.dtype,
            columns: matrix.outputs,
            width: matrix.inputs,
            bytes: self.store.bytes(stored),
            transform: HeadTransform::default(),
        })
    }
}

impl std::fmt::Debug for NativeModel {
    /// The card; not the weights.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NativeModel")
            .field("card", &self.card)
            .finish_non_exhaustive()
    }
}

/// The hidden states of a window; the head runs on the rows that are asked for.
struct Window<'a> {
    model: &'a NativeModel,
    hidden: Rows,
}

impl Window<'_> {
    fn states(&self, positions: Range<usize>) -> &[f32] {
        let width = self.hidden.width;
        &self.hidden.values[positions.start * width..positions.end * width]
    }
}

impl WindowLogits for Window<'_> {
    fn positions(&self) -> usize {
        self.hidden.count()
    }

    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let hidden = self.states(positions);
        self.model.head.logits(&self.model.store, hidden, out)
    }

    fn hidden(&self, positions: Range<usize>) -> Option<&[f32]> {
        Some(self.states(positions))
    }
}

/// Refuses windows that the model was not made for.
fn check_window(tokens: &[u32], card: &ModelCard) -> Result<()> {
    let what = match tokens
        .iter()
        .find(|&&token| token as usize >= card.vocabulary)
    {
        Some(token) => format!(
            "token {token} is outside the vocabulary of {} entries of {}",
            card.vocabulary, card.name
        ),
        None if tokens.is_empty() => "the window has no token".to_owned(),
        None if tokens.len() > card.context_length => format!(
            "the window has {} tokens, {} was made for {} at most",
            tokens.len(),
            card.name,
            card.context_length
        ),
        None => return Ok(()),
    };
    Err(Error::Window { what })
}
