//! `metrics.jsonl`: a line per step and per evaluation, for whoever draws curves.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use kld_core::result::CurvePoint;
use kld_models::tensor_file;
use serde::Serialize;
use serde_json::Value;

use crate::on_policy::OwnTextLine;
use crate::{Error, Result};

/// What is told of a step.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StepLine {
    /// Counted from 1.
    pub(crate) step: u64,
    /// Mean loss over the tokens that count, before the step.
    pub(crate) loss: f64,
    /// Mean divergence from the teacher at the objective's temperature.
    pub(crate) divergence: f64,
    /// Mean −ln Q(observed), where it has a share.
    pub(crate) nll: f64,
    /// The learning rate.
    pub(crate) rate: f64,
    /// The norm of the gradient before clipping.
    pub(crate) gradient_norm: f64,
    /// Tokens that counted so far.
    pub(crate) tokens: u64,
    /// Tokens that counted per second, in this step.
    pub(crate) tokens_per_s: f64,
    /// What was measured on the student's own text, where there was any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) own_text: Option<OwnTextLine>,
}

#[derive(Serialize)]
struct EvaluationLine<'a> {
    step: u64,
    evaluation: &'a CurvePoint,
}

/// The file, open at its end.
#[derive(Debug)]
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file, without the lines of steps beyond `step`: they will be told again.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other.map_err(Error::io(path))?,
        };
        let is_done = |line: &&str| {
            let line: Option<Value> = serde_json::from_str(line).ok();
            line.and_then(|line| line["step"].as_u64())
                .is_some_and(|at| at <= step)
        };
        // The last line may have been cut off in the middle.
        let kept: String = text
            .lines()
            .filter(is_done)
            .map(|l| l.to_owned() + "\n")
            .collect();
        tensor_file::write_text(path, &kept)?;
        let file = OpenOptions::new().append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(Error::io(path))?,
        })
    }

    pub(crate) fn step(&mut self, line: &StepLine) -> Result<()> {
        self.line(line)
    }

    pub(crate) fn evaluation(&mut self, point: &CurvePoint) -> Result<()> {
        self.line(&EvaluationLine {
            step: point.step,
            evaluation: point,
        })
    }

    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line)
            .map_err(|e| Error::bad_run(&self.path, format!("a line cannot be told: {e}")))?;
        text.push('\n');
        self.file
            .write_all(text.as_bytes())
            .map_err(Error::io(&self.path))
    }
}
