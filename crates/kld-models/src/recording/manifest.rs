//! The first frame: who was recorded, on what, and what was kept.

use std::path::{Path, PathBuf};

use kld_core::{ModelCard, result::ProtocolRecord};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::blob::{Blob, Tensor, bytes_of, header};
use super::rows::{Keep, Sizes};
use crate::source::{HeadTransform, Script, ScriptText, Window};
use crate::tokenizer::portable::Beside;
use crate::{Error, Result, Tokenizer};

/// The most columns that a row may have.
pub const MAX_COLUMNS: usize = crate::tokenizer::MAX_VOCABULARY as usize;
/// The most values that a hidden state may have.
pub const MAX_WIDTH: usize = 1 << 20;
/// The most tokens that a window may have.
pub const MAX_WINDOW: usize = 1 << 24;

/// Stands for "no token was replaced" in the table of windows.
const NOTHING_REPLACED: u32 = u32::MAX;
/// Numbers per window in the table of windows.
const WINDOW_FIELDS: usize = 5;

/// What the manifest's JSON says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the program that recorded: another one may compute other bits.
    pub kld: String,
    /// Who was recorded.
    pub model: ModelCard,
    /// How the text was cut.
    pub protocol: ProtocolRecord,
    /// What is kept of a row.
    pub keep: Keep,
    /// Columns of a row that is given back.
    pub columns: usize,
    /// The output head, where hidden states are kept.
    pub head: Option<HeadNote>,
    texts: Vec<TextNote>,
    tokenizer: Beside,
}

/// Where the output head is, and what it is like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadNote {
    /// How its values are stored, by the name that GGUF gives the type.
    #[serde(rename = "type")]
    pub dtype: String,
    /// Values of a hidden state.
    pub width: usize,
    /// The model file or folder that has it; `None` where the recording has it itself.
    pub file: Option<PathBuf>,
    /// What is done to its product with a hidden state.
    pub transform: HeadTransform,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TextNote {
    name: String,
    bytes: usize,
    marked_up: bool,
}

/// What is to be recorded.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Version of the program.
    pub kld: &'a str,
    /// Who is recorded.
    pub model: &'a ModelCard,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The text, how it is cut, and its windows.
    pub script: &'a Script,
    /// What is kept.
    pub keep: Keep,
    /// Columns of a row that is given back.
    pub columns: usize,
}

/// The first frame, read and checked.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) manifest: Manifest,
    pub(super) script: Script,
    pub(super) tokenizer: Tokenizer,
}

/// The payload of the first frame.
pub(super) fn payload(plan: &Plan, head: Option<HeadNote>) -> Result<Vec<u8>> {
    let (tokenizer_json, tokenizer) = plan.tokenizer.to_portable()?;
    let script = plan.script;
    let texts = script.texts.iter().map(|text| TextNote {
        name: text.name.clone(),
        bytes: text.text.len(),
        marked_up: text.marked_up,
    });
    let manifest = Manifest {
        kld: plan.kld.to_owned(),
        model: plan.model.clone(),
        protocol: script.protocol.clone(),
        keep: plan.keep,
        columns: plan.columns,
        head,
        texts: texts.collect(),
        tokenizer,
    };
    let json = serde_json::to_string(&manifest).map_err(|e| Error::Window {
        what: format!("the manifest of a recording cannot be written: {e}"),
    })?;
    let fields = script.windows.iter().flat_map(|window| {
        [
            window.fragment,
            window.input.len() as u32,
            window.replaced.unwrap_or(NOTHING_REPLACED),
            window.scored.start as u32,
            window.scored.end as u32,
        ]
    });
    let windows = bytes_of(&fields.collect::<Vec<_>>(), u32::to_le_bytes);
    let tokens: Vec<u32> = script
        .windows
        .iter()
        .flat_map(|w| w.input.iter().copied())
        .collect();
    let count = tokens.len();
    let tokens = bytes_of(&tokens, u32::to_le_bytes);
    let text: String = script.texts.iter().map(|text| text.text.as_str()).collect();
    let tensor = |name, dtype, shape, bytes| Tensor {
        name,
        dtype,
        shape,
        bytes,
    };
    let tensors = [
        tensor(
            "windows",
            "U32",
            vec![script.windows.len(), WINDOW_FIELDS],
            &windows,
        ),
        tensor("tokens", "U32", vec![count], &tokens),
        tensor("text", "U8", vec![text.len()], text.as_bytes()),
        tensor(
            "tokenizer",
            "U8",
            vec![tokenizer_json.len()],
            tokenizer_json.as_bytes(),
        ),
    ];
    let mut payload = header(("manifest", &json), &tensors);
    for tensor in &tensors {
        payload.extend(tensor.bytes);
    }
    Ok(payload)
}

impl Opening {
    /// Reads the first frame; its windows can be given once `recorded` is known.
    pub(super) fn read(path: &Path, payload: &[u8]) -> Result<Self> {
        let blob = Blob::read(path, "manifest", payload)?;
        let manifest: Manifest = serde_json::from_str(blob.text("manifest")?)
            .map_err(|e| blob.wrong(format!("does not say what it should: {e}")))?;
        let json = text(&blob, "tokenizer")?;
        let tokenizer = Tokenizer::from_portable(json, manifest.tokenizer.clone())?;
        let script = Script {
            protocol: manifest.protocol.clone(),
            texts: texts(&blob, &manifest.texts)?,
            windows: windows(&blob)?,
            recorded: 0,
        };
        let opening = Self {
            manifest,
            script,
            tokenizer,
        };
        opening.check().map_err(|what| blob.wrong(what))?;
        Ok(opening)
    }

    /// The sizes of the rows of a window.
    pub(super) fn sizes(&self, window: &Window) -> Sizes {
        Sizes {
            rows: window.scored.len(),
            columns: self.manifest.columns,
            width: self.manifest.head.as_ref().map_or(0, |head| head.width),
        }
    }

    /// Everything that later code relies on.
    fn check(&self) -> Result<(), String> {
        let Manifest {
            keep,
            columns,
            head,
            ..
        } = &self.manifest;
        let columns = *columns;
        if !(1..=MAX_COLUMNS).contains(&columns) {
            return Err(format!(
                "says {columns} columns, from 1 to {MAX_COLUMNS} are possible"
            ));
        }
        match (keep, head) {
            (Keep::Hidden, None) => {
                return Err("names no output head for its hidden states".to_owned());
            }
            (Keep::Hidden, Some(head)) if !(1..=MAX_WIDTH).contains(&head.width) => {
                return Err(format!(
                    "says a width of {}, from 1 to {MAX_WIDTH} is possible",
                    head.width
                ));
            }
            // What is given back must be no larger than what lies in the file can justify.
            (Keep::TopK(k), _) if *k >= columns || columns > self.tokenizer.len() => {
                return Err(format!(
                    "keeps {k} of {columns} columns of a vocabulary of {} tokens",
                    self.tokenizer.len()
                ));
            }
            _ => {}
        }
        let tokens = columns.min(self.tokenizer.len());
        let fragments = self.script.texts.len();
        for (index, window) in self.script.windows.iter().enumerate() {
            let inside =
                window.scored.start < window.scored.end && window.scored.end < window.input.len();
            if !inside || window.input.len() > MAX_WINDOW {
                return Err(format!(
                    "scores rows {:?} of window {index}, which has {} tokens",
                    window.scored,
                    window.input.len()
                ));
            }
            if let Some(token) = window.input.iter().find(|&&token| token as usize >= tokens) {
                return Err(format!(
                    "has token {token} in window {index}; there are {tokens}"
                ));
            }
            if fragments > 0 && window.fragment as usize >= fragments {
                return Err(format!(
                    "cuts window {index} from fragment {}; there are {fragments}",
                    window.fragment
                ));
            }
        }
        Ok(())
    }
}

fn text<'a>(blob: &Blob<'a>, name: &str) -> Result<&'a str> {
    let (bytes, _) = blob.tensor(name, Dtype::U8)?;
    std::str::from_utf8(bytes)
        .map_err(|e| blob.wrong(format!("has '{name}' that is not UTF-8: {e}")))
}

fn texts(blob: &Blob, notes: &[TextNote]) -> Result<Vec<ScriptText>> {
    let mut rest = text(blob, "text")?;
    let mut texts = Vec::with_capacity(notes.len());
    for note in notes {
        let split = rest.split_at_checked(note.bytes);
        let (text, behind) = split.ok_or_else(|| {
            blob.wrong(format!(
                "says that '{}' has {} bytes of text",
                note.name, note.bytes
            ))
        })?;
        rest = behind;
        texts.push(ScriptText {
            name: note.name.clone(),
            text: text.to_owned(),
            marked_up: note.marked_up,
        });
    }
    if rest.is_empty() {
        Ok(texts)
    } else {
        Err(blob.wrong(format!(
            "has {} bytes of text that belong to no fragment",
            rest.len()
        )))
    }
}

fn windows(blob: &Blob) -> Result<Vec<Window>> {
    let (_, shape) = blob.tensor("windows", Dtype::U32)?;
    let count = shape.first().copied().unwrap_or_default();
    let (_, shape) = blob.tensor("tokens", Dtype::U32)?;
    let fields = blob.u32s("windows", &[count, WINDOW_FIELDS])?;
    let tokens = blob.u32s("tokens", &[shape.first().copied().unwrap_or_default()])?;
    let mut rest = tokens.as_slice();
    let mut windows = Vec::with_capacity(count);
    for fields in fields.as_chunks().0 {
        let &[fragment, length, replaced, first, end]: &[u32; WINDOW_FIELDS] = fields;
        let split = rest.split_at_checked(length as usize);
        let (input, behind) = split.ok_or_else(|| {
            blob.wrong(format!(
                "has windows of more tokens than the {} there are",
                tokens.len()
            ))
        })?;
        rest = behind;
        windows.push(Window {
            fragment,
            input: input.to_vec(),
            replaced: Some(replaced).filter(|&token| token != NOTHING_REPLACED),
            scored: first as usize..end as usize,
        });
    }
    if rest.is_empty() {
        Ok(windows)
    } else {
        Err(blob.wrong(format!(
            "has {} tokens that belong to no window",
            rest.len()
        )))
    }
}
