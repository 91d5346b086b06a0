//! Recordings: a model's rows on a text, kept once and given back exactly where its logits would be needed again.
//!
//! What is kept of a position is its final hidden state; the output head, kept once, makes the logits of it again, by the same
//! code and in the same slices as the model did, so that replayed logits have the bits of live ones. A row then takes
//! `4 · width` bytes instead of `4 · vocabulary`. `docs/recordings.md` describes the format.
//!
//! ```text
//! magic · manifest (who, protocol, text, windows, tokenizer) · head · window 0 · window 1 · …
//! ```
//!
//! A [`Recording`] is a [`LogitSource`] that knows some windows only: those of its [`Script`]. Any other tokens are an error.

mod blob;
mod frame;
mod lookup;
mod manifest;
mod recorder;
mod rows;

use std::ops::Range;
use std::path::{Path, PathBuf};

use kld_core::{ModelCard, Recorded, RecordingLoss, result::RecordingInfo};
use memmap2::Mmap;
use safetensors::Dtype;

pub use frame::{MAGIC, VERSION};
pub use manifest::{HeadNote, MAX_COLUMNS, MAX_WIDTH, MAX_WINDOW, Manifest, Plan};
pub use recorder::{HeadPlace, Recorder};
pub use rows::{Keep, KeptRows, TopK};

use crate::gguf::BlockType;
use crate::native::{
    LoadOptions, files, identity,
    plain::Head,
    store::{Store, map},
    stored_matrix::{Layout, StoredMatrix},
    weights::Residency,
};
use crate::source::{HeadTransform, KeptRow, LogitSource, Script, WindowLogits};
use crate::{Error, Result, Tokenizer};
use blob::Blob;
use frame::{Frame, Kind, verify};
pub(crate) use lookup::{Lookup, covering};
use manifest::Opening;

/// The name of the head's tensor in its frame, without `.weight`.
const HEAD: &str = "head";

/// The rows of a model on a text, read from a file.
pub struct Recording {
    path: PathBuf,
    file: Mmap,
    opening: Opening,
    lookup: Lookup,
    /// Those of the windows, in their order.
    frames: Vec<Frame>,
    card: ModelCard,
    head: Option<ReplayHead>,
    resident_bytes: u64,
    info: RecordingInfo,
}

/// The head and where its values are.
struct ReplayHead {
    store: Store,
    head: Head,
    transform: HeadTransform,
    width: usize,
}

impl Recording {
    /// Whether a file begins as a recording does.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        let mut magic = [0; MAGIC.len()];
        let read = std::fs::File::open(path)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
        read.is_ok() && magic == MAGIC
    }

    /// Opens a recording. Of a head that does not fit the memory limit a panel at a time is made.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no recording, or is not sound; if its head is kept by reference and the model file is not
    /// there or has changed.
    pub fn open(path: &Path, options: &LoadOptions) -> Result<Self> {
        let file = map(path)?;
        let found = frame::read(path, &file)?;
        let (opening, head, frames) = parts(path, &file, &found.frames)?;
        let resident_bytes = opening.manifest.head.as_ref().map_or(0, |head| {
            4 * head.width as u64 * opening.manifest.columns as u64
        });
        let fits = options
            .memory_limit_bytes
            .is_none_or(|limit| resident_bytes <= limit);
        let residency = if fits {
            Residency::Held
        } else {
            Residency::MadeWhenUsed
        };
        let size = |frames: &[Frame]| {
            frames
                .iter()
                .map(|f| (f.payload.end - f.start) as u64)
                .sum()
        };
        let recorded = &opening.script.windows[..frames.len()];
        let info = RecordingInfo {
            schema: RecordingInfo::SCHEMA.to_owned(),
            model: opening.manifest.model.clone(),
            protocol: opening.manifest.protocol.clone(),
            windows_recorded: frames.len(),
            rows: recorded.iter().map(|w| w.scored.len() as u64).sum(),
            bytes: found.end as u64,
            bytes_opening: found.frames[0].payload.end as u64,
            bytes_head: size(head.as_slice()),
            bytes_rows: size(frames),
            bytes_torn: file.len().saturating_sub(found.end) as u64,
        };
        let head = match &opening.manifest.head {
            Some(note) => Some(ReplayHead::open(
                path,
                &file,
                note,
                &opening.manifest,
                head.as_ref(),
                residency,
            )?),
            None => None,
        };
        let mut recording = Self {
            path: path.to_owned(),
            lookup: Lookup::new(&opening.script.windows),
            frames: frames.to_vec(),
            card: opening.manifest.model.clone(),
            resident_bytes: if fits { resident_bytes } else { 0 },
            head,
            opening,
            file,
            info,
        };
        recording.introduce(options)?;
        Ok(recording)
    }

    /// What the first frame says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.opening.manifest
    }

    /// What this recording is.
    #[must_use]
    pub fn info(&self) -> RecordingInfo {
        RecordingInfo {
            model: self.card.clone(),
            ..self.info.clone()
        }
    }

    /// Bytes of the head that are held ready as f32.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }

    /// Reads and checks every window.
    ///
    /// # Errors
    ///
    /// If one is not what was written.
    pub fn check(&self) -> Result<()> {
        (0..self.frames.len()).try_for_each(|index| self.kept(index).map(drop))
    }

    /// Says on the card what kind of source this is; of a lossy recording this takes reading its losses.
    fn introduce(&mut self, options: &LoadOptions) -> Result<()> {
        self.opening.script.recorded = self.frames.len();
        let keep = self.opening.manifest.keep;
        let loss = if keep.is_lossy() {
            Some(self.loss()?)
        } else {
            None
        };
        let of = std::mem::replace(
            &mut self.card.name,
            options
                .name
                .clone()
                .unwrap_or_else(|| self.path.display().to_string()),
        );
        self.card.vocabulary = self.opening.manifest.columns;
        self.card.recorded = Some(Recorded {
            of,
            keep: keep.to_string(),
            loss,
            floor: None,
        });
        Ok(())
    }

    fn loss(&self) -> Result<RecordingLoss> {
        let mut losses = Vec::with_capacity(self.frames.len());
        for (index, window) in self.opening.script.windows[..self.frames.len()]
            .iter()
            .enumerate()
        {
            if let KeptRows::TopK(top) = self.kept(index)? {
                losses.push((window.fragment, top.loss));
            }
        }
        Ok(RecordingLoss::over(
            losses
                .iter()
                .map(|(fragment, losses)| (*fragment, losses.as_slice())),
        ))
    }

    /// The rows of a window, checked.
    fn kept(&self, index: usize) -> Result<KeptRows> {
        let frame = &self.frames[index];
        verify(&self.path, &self.file, frame)?;
        let blob = Blob::read(
            &self.path,
            format!("window {index}"),
            &self.file[frame.payload.clone()],
        )?;
        let sizes = self.opening.sizes(&self.opening.script.windows[index]);
        KeptRows::read(&blob, index, self.opening.manifest.keep, sizes)
    }

    fn unknown_window(&self, tokens: &[u32], known: Option<usize>) -> Error {
        let (name, windows) = (&self.card.name, self.opening.script.windows.len());
        let what = match known {
            Some(index) => format!(
                "window {index} is not in the recording {name}: it was stopped after {} of {windows} windows",
                self.frames.len()
            ),
            None => format!(
                "a window of {} tokens is none of the {windows} windows of the recording {name}",
                tokens.len()
            ),
        };
        Error::Window { what }
    }
}

impl LogitSource for Recording {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.opening.tokenizer
    }

    fn forward(&self, tokens: &[u32]) -> Result<Box<dyn WindowLogits + '_>> {
        let found = self.lookup.find(&self.opening.script.windows, tokens);
        let recorded: Vec<usize> = found
            .iter()
            .copied()
            .filter(|&index| index < self.frames.len())
            .collect();
        if recorded.is_empty() {
            return Err(self.unknown_window(tokens, found.first().copied()));
        }
        let kept = recorded.iter().map(|&index| self.kept(index));
        Ok(Box::new(Replayed {
            recording: self,
            positions: tokens.len(),
            kept: kept.collect::<Result<_>>()?,
            windows: recorded,
        }))
    }

    fn script(&self) -> Option<&Script> {
        Some(&self.opening.script)
    }
}

impl std::fmt::Debug for Recording {
    /// The card; not the rows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("card", &self.card)
            .finish_non_exhaustive()
    }
}

/// The recorded rows of a window; of several where a text repeats itself.
struct Replayed<'a> {
    recording: &'a Recording,
    positions: usize,
    windows: Vec<usize>,
    kept: Vec<KeptRows>,
}

impl WindowLogits for Replayed<'_> {
    fn positions(&self) -> usize {
        self.positions
    }

    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let windows = &self.recording.opening.script.windows;
        let Some(index) = covering(windows, &self.windows, &positions) else {
            let (name, scored) = (&self.recording.card.name, &windows[self.windows[0]].scored);
            let what = format!(
                "rows {positions:?} of a window are not in the recording {name}: it has rows {scored:?}"
            );
            return Err(Error::Window { what });
        };
        let first = positions.start - windows[index].scored.start;
        let rows = first..first + positions.len();
        self.recording.give_back(self.kept_of(index), rows, out)
    }

    fn kept(&self, position: usize) -> Option<KeptRow<'_>> {
        let windows = &self.recording.opening.script.windows;
        let index = covering(windows, &self.windows, &(position..position + 1))?;
        match self.kept_of(index) {
            KeptRows::TopK(top) => Some(top.row(position - windows[index].scored.start)),
            _ => None,
        }
    }
}

impl Replayed<'_> {
    /// The rows of one of its windows.
    fn kept_of(&self, index: usize) -> &KeptRows {
        let place = self.windows.iter().position(|&window| window == index);
        &self.kept[place.unwrap_or_default()]
    }
}

impl Recording {
    fn give_back(&self, kept: &KeptRows, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let columns = self.card.vocabulary;
        match (kept, &self.head) {
            (KeptRows::Hidden(hidden), Some(head)) => head.logits(hidden, rows, out)?,
            (KeptRows::Hidden(_), None) => {
                return Err(Error::malformed(
                    &self.path,
                    "there is no output head for the hidden states",
                ));
            }
            (KeptRows::Logits(logits), _) => {
                out.clear();
                out.extend_from_slice(&logits[rows.start * columns..rows.end * columns]);
            }
            (KeptRows::TopK(top), _) => {
                out.resize(rows.len() * columns, 0.0);
                for (row, out) in rows.zip(out.chunks_exact_mut(columns)) {
                    top.give_back(row, out);
                }
            }
        }
        Ok(())
    }
}

impl ReplayHead {
    fn open(
        path: &Path,
        file: &[u8],
        note: &HeadNote,
        manifest: &Manifest,
        frame: Option<&Frame>,
        residency: Residency,
    ) -> Result<Self> {
        let (store, matrix) = match (&note.file, frame) {
            (Some(model), _) => referenced(path, model, manifest)?,
            (None, Some(frame)) => embedded(path, file, note, manifest.columns, frame)?,
            (None, None) => return Err(Error::malformed(path, "the output head is missing")),
        };
        if (matrix.inputs, matrix.outputs) != (note.width, manifest.columns) {
            let what = format!(
                "the output head makes {} columns of {} values, the manifest says {} of {}",
                matrix.outputs, matrix.inputs, manifest.columns, note.width
            );
            return Err(Error::malformed(path, what));
        }
        Ok(Self {
            head: Head::load(&store, matrix, residency)?,
            store,
            transform: note.transform,
            width: note.width,
        })
    }

    /// The logits of some of the rows of `hidden`.
    fn logits(&self, hidden: &[f32], rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let hidden = &hidden[rows.start * self.width..rows.end * self.width];
        self.head.logits(&self.store, hidden, out)?;
        self.transform.apply(out);
        Ok(())
    }
}

/// The opening, the frame of the head, and those of the windows.
fn parts<'a>(
    path: &Path,
    file: &[u8],
    frames: &'a [Frame],
) -> Result<(Opening, Option<Frame>, &'a [Frame])> {
    let Some((first, rest)) = frames
        .split_first()
        .filter(|(first, _)| first.kind == Kind::Manifest)
    else {
        return Err(Error::malformed(
            path,
            "the recording has no whole manifest",
        ));
    };
    verify(path, file, first)?;
    let opening = Opening::read(path, &file[first.payload.clone()])?;
    let stored_head = opening
        .manifest
        .head
        .as_ref()
        .is_some_and(|head| head.file.is_none());
    let (head, rest) = match rest.split_first() {
        Some((head, rest)) if stored_head && head.kind == Kind::Head => (Some(head.clone()), rest),
        _ if stored_head => {
            return Err(Error::malformed(
                path,
                "the recording has no whole output head",
            ));
        }
        _ => (None, rest),
    };
    if let Some(head) = &head {
        verify(path, file, head)?;
    }
    let windows = opening.script.windows.len();
    if rest.len() > windows || rest.iter().any(|frame| frame.kind != Kind::Window) {
        let what = format!("the frames behind the head are not those of at most {windows} windows");
        return Err(Error::malformed(path, what));
    }
    Ok((opening, head, rest))
}

/// The head that lies in the recording.
fn embedded(
    path: &Path,
    file: &[u8],
    note: &HeadNote,
    columns: usize,
    frame: &Frame,
) -> Result<(Store, StoredMatrix)> {
    let unreadable = || {
        Error::malformed(
            path,
            format!(
                "the output head is stored as {}, which this program cannot read",
                note.dtype
            ),
        )
    };
    let dtype = BlockType::from_name(&note.dtype).filter(|dtype| dtype.readable().is_some());
    let dtype = dtype.ok_or_else(unreadable)?;
    let blob = Blob::read(path, "head", &file[frame.payload.clone()])?;
    let (data, _) = blob.tensor("head.weight", tensor_type(dtype))?;
    let start = data.as_ptr().addr() - file.as_ptr().addr();
    let matrix = StoredMatrix {
        name: HEAD.to_owned(),
        inputs: note.width,
        outputs: columns,
        has_bias: false,
        layout: Layout::Outputs,
    };
    let (name, shape) = (matrix.weight_name(), matrix.shape().to_vec());
    let store = Store::single(path, &name, dtype, shape, start..start + data.len())?;
    Ok((store, matrix))
}

/// The head of the model that was recorded: where the manifest says it is, or beside the recording.
fn referenced(path: &Path, model: &Path, manifest: &Manifest) -> Result<(Store, StoredMatrix)> {
    let beside = model.file_name().map(|name| path.with_file_name(name));
    let found = std::iter::once(model.to_owned())
        .chain(beside)
        .find(|path| path.exists());
    let Some(model) = found else {
        return Err(Error::unsupported(
            path,
            format!(
                "the output head is kept by reference, and {} is not there",
                model.display()
            ),
            "put the model file there or beside the recording",
        ));
    };
    let opened = if model.is_dir() {
        files::open_folder(&model)?
    } else {
        files::open_gguf(&model)?
    };
    let hash = identity::hash(&opened.store);
    if hash != manifest.model.sha256 {
        return Err(Error::unsupported(
            path,
            format!(
                "the output head is kept by reference to {}, which has changed: its SHA-256 is {hash}, that of the model recorded {}",
                model.display(),
                manifest.model.sha256
            ),
            "put the model that was recorded back, or record again",
        ));
    }
    Ok((opened.store, opened.plan.head()))
}

/// How safetensors calls values of a type; blocks that it does not know are bytes to it.
fn tensor_type(dtype: BlockType) -> Dtype {
    match dtype {
        BlockType::F32 => Dtype::F32,
        BlockType::F16 => Dtype::F16,
        BlockType::BF16 => Dtype::BF16,
        _ => Dtype::U8,
    }
}
