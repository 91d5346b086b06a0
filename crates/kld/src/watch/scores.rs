//! Scores of checkpoints that are kept: a line of JSON each, so that none is scored twice and anybody can read them. One that was written anew
//! under its name has a line more, and the last one counts.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde_json::{Map, Value};

use super::checkpoints::{Checkpoint, Look, written};

/// The file, open at its end.
pub(super) struct Scores {
    path: PathBuf,
    file: File,
    /// What checkpoints are scored against: models and texts, by hash.
    against: Value,
    /// How each checkpoint was written when it was scored; `None` where a line does not tell.
    known: BTreeMap<String, Option<String>>,
}

impl Scores {
    /// Opens or begins a file. A last line that was cut off is removed.
    pub(super) fn open(path: &Path, against: Value) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut known = BTreeMap::new();
        for (number, line) in (1..).zip(text[..whole].lines()) {
            let no_score = || {
                format!(
                    "{}, line {number}: no score of a checkpoint",
                    path.display()
                )
            };
            let line: Value = serde_json::from_str(line).with_context(no_score)?;
            let name = line["checkpoint"].as_str().with_context(no_score)?;
            ensure!(
                line["against"] == against,
                "{} keeps scores against other models or texts (its line {number}: {}; now: {against}): name another file with --scores-in, or \
                 move it away",
                path.display(),
                line["against"]
            );
            let written = line["written"].as_str().map(str::to_owned);
            known.insert(name.to_owned(), written);
        }
        let cannot = || {
            format!(
                "cannot write {}; name another place for the scores with --scores-in",
                path.display()
            )
        };
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.with_context(cannot)?;
        file.set_len(whole as u64).with_context(cannot)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            against,
            known,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Is there a score of a checkpoint as it is now?
    pub(super) fn has(&self, checkpoint: &Checkpoint, look: &Look) -> bool {
        let known = self.known.get(&checkpoint.name);
        known.is_some_and(|known| known.as_ref().is_none_or(|known| *known == written(look)))
    }

    /// Keeps the score of a checkpoint that looked so.
    pub(super) fn add(
        &mut self,
        checkpoint: &Checkpoint,
        look: &Look,
        score: Map<String, Value>,
    ) -> anyhow::Result<()> {
        let mut line = Map::new();
        line.insert("step".to_owned(), checkpoint.step.into());
        line.insert("checkpoint".to_owned(), checkpoint.name.clone().into());
        let written = written(look);
        line.insert("written".to_owned(), written.clone().into());
        line.extend(score);
        line.insert("against".to_owned(), self.against.clone());
        let line = Value::from(line).to_string() + "\n";
        let done = self.file.write_all(line.as_bytes());
        done.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.known.insert(checkpoint.name.clone(), Some(written));
        Ok(())
    }
}
