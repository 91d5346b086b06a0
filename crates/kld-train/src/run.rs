//! A training's folder: what it is, where it stands, what came of it.
//!
//! | file | what |
//! |---|---|
//! | `run.json` | the [`Header`]: settings, models, text; a run goes on only where all of it is the same |
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
    /// The arguments that it was begun with, for people and to go on.
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
        let told = |value: &Value| value.to_string();
        let parts = |header: &Self| {
            let sha = |card: &ModelCard| Value::from(card.sha256.clone());
            let settings = serde_json::to_value(&header.settings).unwrap_or_default();
            let settings = settings.as_object().cloned().unwrap_or_default();
            let mut parts: Vec<(String, Value)> = settings.into_iter().collect();
            parts.push(("student".to_owned(), sha(&header.student)));
            parts.push((
                "teacher".to_owned(),
                header.teacher.as_ref().map_or(Value::Null, sha),
            ));
            parts.push(("text".to_owned(), header.text_sha256.clone().into()));
            parts
        };
        let pairs = parts(self).into_iter().zip(parts(there));
        match pairs.into_iter().find(|(asked, there)| asked != there) {
            None => Ok(()),
            Some(((what, asked), (_, there))) => Err(Error::RunDiffers {
                folder: folder.to_owned(),
                what,
                there: told(&there),
                asked: told(&asked),
            }),
        }
    }
}

/// Whether a folder holds a training.
#[must_use]
pub fn is_run(folder: &Path) -> bool {
    Header::read(folder).is_ok_and(|header| header.schema == Header::SCHEMA)
}

const HEADER: &str = "run.json";

/// The files of a run.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder and its header, or makes sure that it is the same run.
    pub(crate) fn begin(path: &Path, header: &Header) -> Result<Self> {
        if path.join(HEADER).exists() {
            header.check(path, &Header::read(path)?)?;
            return Ok(Self(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(Error::io(path))?;
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
