//! A training's folder: what it is, where it stands, what came of it.
//!
//! | file | what |
//! |---|---|
//! | `run.json` | the [`Header`]: settings, models, text; a run goes on only where all of it is the same |
//! | `run.toml` | the same as its user would tell it |
//! | `metrics.jsonl` | a line per step and per evaluation |
//! | `events.out.tfevents.…` | the same for TensorBoard, a file per process that trained |
//! | `last.safetensors`, `best.safetensors` | checkpoints |
//! | `model/` | the best student as a Hugging Face folder, at the end |

use std::fs;
use std::path::{Path, PathBuf};

use kld_core::ModelCard;
use kld_models::tensor_file;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result, Settings};

/// What makes a training what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// `kld.train.run/1`.
    pub schema: String,
    /// Version of `kld` that began it.
    pub version: String,
    /// The arguments that it was begun with, for people.
    pub arguments: Vec<String>,
    /// All settings.
    pub settings: Settings,
    /// The teacher; `None` where the text teaches.
    pub teacher: Option<ModelCard>,
    /// The student as it began.
    pub student: ModelCard,
    /// SHA-256 over the windows that are learnt from and those held out.
    pub text_sha256: String,
}

impl Header {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.train.run/1";

    /// The header of the run in a folder.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(HEADER);
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        serde_json::from_str(&text).map_err(|e| Error::bad_run(&path, e.to_string()))
    }

    /// Makes sure that this run is the one in the folder. Names may differ, and what computes; contents may not.
    pub(crate) fn check(&self, folder: &Path, there: &Self) -> Result<()> {
        let parts = |header: &Self| {
            let sha = |card: &ModelCard| Value::from(card.sha256.clone());
            let mut parts = serde_json::to_value(&header.settings).unwrap_or_default();
            parts["student"] = sha(&header.student);
            parts["teacher"] = header.teacher.as_ref().map_or(Value::Null, sha);
            parts["text"] = header.text_sha256.clone().into();
            parts
        };
        let (asked, there) = (parts(self), parts(there));
        match difference("", &asked, &there) {
            None => Ok(()),
            Some((what, asked, there)) => Err(Error::RunDiffers {
                folder: folder.to_owned(),
                what,
                there: there.to_string(),
                asked: asked.to_string(),
            }),
        }
    }
}

/// The first value of nested settings that differs: its names, outer and inner, and what it is on both sides.
fn difference<'a>(
    name: &str,
    asked: &'a Value,
    there: &'a Value,
) -> Option<(String, &'a Value, &'a Value)> {
    match (asked, there) {
        (Value::Object(asked), Value::Object(there)) if asked.keys().eq(there.keys()) => {
            let mut pairs = asked.iter().zip(there.values());
            pairs.find_map(|((field, asked), there)| {
                difference(format!("{name} {field}").trim(), asked, there)
            })
        }
        _ => (asked != there).then(|| (name.to_owned(), asked, there)),
    }
}

/// Whether a folder holds a training.
#[must_use]
pub fn is_run(folder: &Path) -> bool {
    Header::read(folder).is_ok_and(|header| header.schema == Header::SCHEMA)
}

const HEADER: &str = "run.json";
const CONFIGURATION: &str = "run.toml";

/// The files of a run.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder and its header, or makes sure that it is the same run.
    pub(crate) fn begin(path: &Path, header: &Header, configuration: &str) -> Result<Self> {
        if path.join(HEADER).exists() {
            header.check(path, &Header::read(path)?)?;
            return Ok(Self(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(Error::io(path))?;
        tensor_file::write_file(&path.join(CONFIGURATION), configuration)?;
        // Last: a folder is a run where it has a header.
        let file = path.join(HEADER);
        let text = serde_json::to_string_pretty(header)
            .map_err(|e| Error::bad_run(&file, e.to_string()))?;
        tensor_file::write_file(&file, &(text + "\n"))?;
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn last(&self) -> PathBuf {
        self.0.join("last.safetensors")
    }

    pub(crate) fn best(&self) -> PathBuf {
        self.0.join("best.safetensors")
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.0.join("model")
    }
}
