//! The file of llama.cpp's `--kl-divergence-base`: log-probs of a model on a text, as 16-bit steps.
//!
//! ```text
//! "_logits_" · context u32 · vocabulary i32 · windows i32 · tokens i32 × context·windows · rows
//! row = scale f32 · lowest f32 · steps u16 × vocabulary, made even        ln p(i) = lowest + scale · steps[i]
//! ```
//!
//! Little-endian. A window has a row for each position from `context / 2` to `context − 2`. What lies more than 16 nats below the
//! most likely token is lifted to that floor, so the stored probabilities do not sum to 1; [`LogProbFile`] counts how many entries
//! lie there and how far off the sums are, and says so on its card. The file knows tokens, not text, and no tokenizer: it
//! takes that of a model it is compared with.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use kld_core::{LogProbFloor, ModelCard, Recorded, result::ProtocolRecord};
use memmap2::Mmap;
use rayon::prelude::*;

use crate::native::{identity, store::map};
use crate::recording::{Lookup, MAX_COLUMNS, MAX_WINDOW, covering};
use crate::source::{LogitSource, Script, Window, WindowLogits};
use crate::{Error, Result, Tokenizer};

/// The first bytes of the file.
pub const MAGIC: [u8; 8] = *b"_logits_";
/// How far below the most likely token a row reaches, in nats.
pub const FLOOR_NATS: f64 = 16.0;

/// Bytes before the tokens.
const HEAD: usize = 20;
/// Steps that two f32 take.
const ROW_HEAD: usize = 4;

/// The file, opened as a source of logits.
pub struct LogProbFile {
    path: PathBuf,
    file: Mmap,
    card: ModelCard,
    tokenizer: Tokenizer,
    layout: Layout,
    script: Script,
    lookup: Lookup,
}

/// The sizes that the head of the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    context: usize,
    columns: usize,
    windows: usize,
}
