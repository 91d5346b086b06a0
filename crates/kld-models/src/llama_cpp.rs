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

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use kld_core::{LogProbFloor, ModelCard, Recorded, result::ProtocolRecord};
use memmap2::Mmap;
use rayon::prelude::*;

use crate::native::{identity, store::map};
use crate::recording::{KeptRows, Lookup, MAX_COLUMNS, MAX_WINDOW, covering};
use crate::source::{LogitSource, Script, Window, WindowLogits};
use crate::{Error, Result, Tokenizer};

/// The first bytes of the file.
pub const MAGIC: [u8; 8] = *b"_logits_";
/// How far below the most likely token a row reaches, in nats.
pub const FLOOR_NATS: f32 = 16.0;

/// Bytes before the tokens.
const HEAD: usize = 20;
/// Steps that two f32 take.
const ROW_HEAD: usize = 4;
/// The largest step.
const STEPS: f32 = 65_535.0;

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

impl Layout {
    /// The rows of a window that are there.
    fn scored(self) -> Range<usize> {
        self.context / 2..self.context - 1
    }

    /// Bytes of a row.
    fn row(self) -> usize {
        2 * (ROW_HEAD + self.columns.next_multiple_of(2))
    }

    /// Where the rows begin.
    fn rows(self) -> usize {
        HEAD + 4 * self.context * self.windows
    }

    /// Bytes of the whole file, which a head that lies can make more than there are in the world.
    fn bytes(self) -> u128 {
        let rows = self.windows as u128 * self.scored().len() as u128;
        self.rows() as u128 + rows * self.row() as u128
    }

    fn read(path: &Path, file: &[u8]) -> Result<Self> {
        let malformed = |what: String| Error::malformed(path, what);
        if file.get(..8) != Some(&MAGIC) {
            return Err(malformed(
                "not a file of llama.cpp's log-probs: it does not begin with _logits_".to_owned(),
            ));
        }
        let number = |at: usize| {
            file.get(at..)
                .and_then(|rest| rest.first_chunk())
                .map(|bytes| u32::from_le_bytes(*bytes) as usize)
        };
        let (Some(context), Some(columns), Some(windows)) = (number(8), number(12), number(16))
        else {
            return Err(malformed(
                "the file ends within its first 20 bytes".to_owned(),
            ));
        };
        let layout = Self {
            context,
            columns,
            windows,
        };
        // Checked before they are multiplied.
        if !(4..=MAX_WINDOW).contains(&context)
            || !(1..=MAX_COLUMNS).contains(&columns)
            || windows > file.len()
        {
            return Err(malformed(format!(
                "says windows of {context} tokens, {columns} columns and {windows} windows, which cannot be"
            )));
        }
        if layout.bytes() != file.len() as u128 {
            return Err(malformed(format!(
                "{windows} windows of {context} tokens and {columns} columns take {} bytes, the file has {}",
                layout.bytes(),
                file.len()
            )));
        }
        if windows == 0 {
            return Err(malformed("there are no windows in it".to_owned()));
        }
        Ok(layout)
    }
}

impl LogProbFile {
    /// Whether a file begins as llama.cpp's do.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        let mut magic = [0; MAGIC.len()];
        let read =
            File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
        read.is_ok() && magic == MAGIC
    }

    /// Opens the file with the tokenizer of a model that has the same vocabulary. Reads it whole, for its hash and its floor.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not sound, has tokens that the tokenizer does not have, or fewer columns than it has tokens.
    pub fn open(path: &Path, tokenizer: Tokenizer, name: Option<&str>) -> Result<Self> {
        let file = map(path)?;
        let layout = Layout::read(path, &file)?;
        let windows = windows(&file, layout, &tokenizer);
        let known = tokenizer.len();
        if layout.columns < known {
            let what = format!(
                "its rows have {} columns, the tokenizer it is read with has {known} tokens: the models are not the same",
                layout.columns
            );
            return Err(Error::malformed(path, what));
        }
        if let Some(token) = windows
            .iter()
            .flat_map(|w| &w.input)
            .find(|&&token| token as usize >= known)
        {
            let what = format!(
                "it has token {token}, the tokenizer it is read with has {known}: the models are not the same"
            );
            return Err(Error::malformed(path, what));
        }
        let hash = identity::hash_bytes(&file);
        let card = ModelCard {
            name: name.map_or_else(|| path.display().to_string(), str::to_owned),
            revision: None,
            sha256: hash.clone(),
            config_sha256: hash,
            format: "llama.cpp".to_owned(),
            family: "llama.cpp log-probs".to_owned(),
            weights: "16-bit log-probs".to_owned(),
            compute: "that of the llama.cpp which wrote the file".to_owned(),
            parameters: 0,
            bytes: file.len() as u64,
            vocabulary: layout.columns,
            context_length: layout.context,
            quantized: None,
            recorded: Some(Recorded {
                of: "a model that the file does not name".to_owned(),
                keep: "16-bit log-probs".to_owned(),
                loss: None,
                floor: Some(floor(&file, layout)),
            }),
        };
        let lookup = Lookup::new(&windows);
        let script = Script {
            protocol: ProtocolRecord {
                name: "llama.cpp".to_owned(),
                context: layout.context,
                scored: "second-half".to_owned(),
                fragments: 1,
                windows: layout.windows,
                tokens: layout.windows * layout.context,
                // Made of the windows where they are used.
                token_stream_sha256: String::new(),
                windows_left_out: 0,
                seed: None,
            },
            texts: Vec::new(),
            recorded: windows.len(),
            windows,
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            card,
            tokenizer,
            layout,
            script,
            lookup,
        })
    }

    /// The row that predicts token `position` + 1 of a window.
    fn row(&self, window: usize, position: usize) -> &[u8] {
        let (scored, bytes) = (self.layout.scored(), self.layout.row());
        let index = window * scored.len() + position - scored.start;
        let start = self.layout.rows() + index * bytes;
        &self.file[start..start + bytes]
    }
}

impl LogitSource for LogProbFile {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn forward(&self, tokens: &[u32]) -> Result<Box<dyn WindowLogits + '_>> {
        let found = self.lookup.find(&self.script.windows, tokens);
        if found.is_empty() {
            let what = format!(
                "a window of {} tokens is none of those in {}",
                tokens.len(),
                self.card.name
            );
            return Err(Error::Window { what });
        }
        Ok(Box::new(Stored { file: self, found }))
    }

    fn script(&self) -> Option<&Script> {
        Some(&self.script)
    }
}

impl std::fmt::Debug for LogProbFile {
    /// The card; not the rows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogProbFile")
            .field("path", &self.path)
            .field("card", &self.card)
            .finish_non_exhaustive()
    }
}

/// A window of the file.
struct Stored<'a> {
    file: &'a LogProbFile,
    found: &'a [usize],
}

impl WindowLogits for Stored<'_> {
    fn positions(&self) -> usize {
        self.file.layout.context
    }

    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let Some(window) = covering(&self.file.script.windows, self.found, &positions) else {
            let (name, scored) = (&self.file.card.name, self.file.layout.scored());
            let what =
                format!("rows {positions:?} of a window are not in {name}: it has rows {scored:?}");
            return Err(Error::Window { what });
        };
        out.clear();
        for position in positions {
            out.extend(log_probs(
                self.file.row(window, position),
                self.file.layout.columns,
            ));
        }
        Ok(())
    }
}

/// The windows as they were fed: the first token of each is replaced by the BOS, where the tokenizer adds one.
fn windows(file: &[u8], layout: Layout, tokenizer: &Tokenizer) -> Vec<Window> {
    let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
    let tokens: Vec<u32> = file[HEAD..layout.rows()]
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| u32::from_le_bytes(bytes))
        .collect();
    tokens
        .chunks_exact(layout.context)
        .map(|chunk| {
            let mut input = chunk.to_vec();
            Window {
                fragment: 0,
                replaced: bos.map(|bos| std::mem::replace(&mut input[0], bos)),
                input,
                scored: layout.scored(),
            }
        })
        .collect()
}

/// A row's log-probs as they are stored: they need not sum to 1.
fn log_probs(row: &[u8], columns: usize) -> impl Iterator<Item = f32> {
    let (numbers, _) = row.as_chunks::<4>();
    let (scale, lowest) = (
        f32::from_le_bytes(numbers[0]),
        f32::from_le_bytes(numbers[1]),
    );
    let (steps, _) = row[2 * ROW_HEAD..].as_chunks::<2>();
    let log_prob = move |step: &[u8; 2]| scale * f32::from(u16::from_le_bytes(*step)) + lowest;
    steps[..columns].iter().map(log_prob)
}

/// How many entries lie at the floor of their row, and what the stored probabilities of a row sum to.
fn floor(file: &[u8], layout: Layout) -> LogProbFloor {
    let rows: Vec<(u64, f64)> = file[layout.rows()..]
        .par_chunks_exact(layout.row())
        .map(|row| {
            let (steps, _) = row[2 * ROW_HEAD..].as_chunks::<2>();
            let at_floor = steps[..layout.columns]
                .iter()
                .filter(|step| **step == [0, 0])
                .count();
            let mass = log_probs(row, layout.columns)
                .map(|x| f64::from(x).exp())
                .sum();
            (at_floor as u64, mass)
        })
        .collect();
    let count = rows.len() as f64;
    LogProbFloor {
        nats: f64::from(FLOOR_NATS),
        share_at_floor: rows.iter().map(|row| row.0).sum::<u64>() as f64
            / (count * layout.columns as f64),
        mass_mean: rows.iter().map(|row| row.1).sum::<f64>() / count,
        mass_max: rows
            .iter()
            .map(|row| row.1)
            .fold(f64::NEG_INFINITY, f64::max),
    }
}

/// Writes such a file. Its head counts the windows, so it takes its name only when all are there.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    part: PathBuf,
    out: BufWriter<File>,
    columns: usize,
    windows: usize,
    done: usize,
}

impl Writer {
    /// Begins a file with the windows of protocol `llama.cpp`.
    ///
    /// # Errors
    ///
    /// If the windows are not those of that protocol, or the file cannot be written.
    pub fn create(path: &Path, script: &Script, columns: usize) -> Result<Self> {
        let context = script.protocol.context;
        let layout = Layout {
            context,
            columns,
            windows: script.windows.len(),
        };
        if script.protocol.name != "llama.cpp"
            || script.windows.iter().any(|w| w.scored != layout.scored())
        {
            return Err(Error::recording(
                path,
                "a file of llama.cpp's log-probs holds windows of its own protocol only",
                "add --protocol llama.cpp",
            ));
        }
        let part = path.with_extension(format!("{}.part", std::process::id()));
        let io = |e| Error::io(path, e);
        let mut out = BufWriter::new(File::create(&part).map_err(io)?);
        out.write_all(&MAGIC).map_err(io)?;
        let observed = script.windows.iter().flat_map(|window| {
            let first = window.replaced.unwrap_or(window.input[0]);
            std::iter::once(first).chain(window.input[1..].iter().copied())
        });
        let sizes = [context as u32, columns as u32, script.windows.len() as u32];
        for number in sizes.into_iter().chain(observed) {
            out.write_all(&number.to_le_bytes()).map_err(io)?;
        }
        Ok(Self {
            path: path.to_owned(),
            part,
            out,
            columns,
            windows: script.windows.len(),
            done: 0,
        })
    }

    /// Number of windows written.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Adds the logits of the next window; with the last one the file takes its name.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, or the rows are not logits, or not finite at their top.
    pub fn append(&mut self, rows: &KeptRows) -> Result<()> {
        let KeptRows::Logits(logits) = rows else {
            return Err(Error::recording(
                &self.path,
                "rows of this kind do not fit the file",
                "keep logits",
            ));
        };
        for row in logits.chunks_exact(self.columns) {
            let bytes = stored_row(row).ok_or_else(|| {
                Error::recording(
                    &self.path,
                    format!(
                        "window {} has a row of logits that is no distribution",
                        self.done
                    ),
                    "record it without --format llama.cpp, whose file cannot say so",
                )
            })?;
            self.out
                .write_all(&bytes)
                .map_err(|e| Error::io(&self.path, e))?;
        }
        self.done += 1;
        if self.done == self.windows {
            let whole = self
                .out
                .flush()
                .and_then(|()| self.out.get_ref().sync_all());
            whole
                .and_then(|()| fs::rename(&self.part, &self.path))
                .map_err(|e| Error::io(&self.path, e))?;
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.done < self.windows {
            // Half a file is of no use to anybody: its head says that it is whole.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// A row of the file; `None` where the logits are no distribution.
fn stored_row(logits: &[f32]) -> Option<Vec<u8>> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !highest.is_finite() || logits.iter().any(|x| x.is_nan()) {
        return None;
    }
    let smallest = logits.iter().copied().fold(f32::INFINITY, f32::min);
    let lowest = smallest.max(highest - FLOOR_NATS);
    let sum: f64 = logits.iter().map(|x| f64::from(x - highest).exp()).sum();
    let log_sum_exp = f64::from(highest) + sum.ln();
    let scale = (highest - lowest) / STEPS;
    let step = |x: f32| {
        if scale > 0.0 && x > lowest {
            ((x - lowest) / scale).round().min(STEPS) as u16
        } else {
            0
        }
    };
    let mut bytes = Vec::with_capacity(2 * (ROW_HEAD + logits.len() + 1));
    bytes.extend(scale.to_le_bytes());
    bytes.extend(((f64::from(lowest) - log_sum_exp) as f32).to_le_bytes());
    bytes.extend(logits.iter().flat_map(|x| step(*x).to_le_bytes()));
    if !logits.len().is_multiple_of(2) {
        bytes.extend([0, 0]);
    }
    Some(bytes)
}
