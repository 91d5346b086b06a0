//! `metrics.jsonl`: a line per step and per evaluation, for whoever draws curves; and the same for TensorBoard, in event files.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use kld_core::result::{CurvePoint, OwnText};
use kld_models::tensor_file;
use kld_series::EventFile;
use serde::Serialize;
use serde_json::Value;

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
    pub(crate) own_text: Option<OwnText>,
}

#[derive(Serialize)]
struct EvaluationLine<'a> {
    step: u64,
    evaluation: &'a CurvePoint,
}

/// The file, open at its end, and an event file beside it.
#[derive(Debug)]
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
    events: EventFile,
}

impl Metrics {
    /// Opens `metrics.jsonl` in a folder, without the lines of steps after those that are done: they will be told again. Each opening begins
    /// another event file.
    pub(crate) fn open(folder: &Path, done: Option<u64>) -> Result<Self> {
        let path = &folder.join("metrics.jsonl");
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other.map_err(Error::io(path))?,
        };
        let is_done = |line: &&str| {
            let line: Option<Value> = serde_json::from_str(line).ok();
            line.and_then(|line| line["step"].as_u64())
                .is_some_and(|at| Some(at) <= done)
        };
        // The last line may have been cut off in the middle.
        let kept: String = text
            .lines()
            .filter(is_done)
            .map(|l| l.to_owned() + "\n")
            .collect();
        tensor_file::write_file(path, &kept)?;
        let file = OpenOptions::new().append(true).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.map_err(Error::io(path))?,
            events: EventFile::create(folder, now(), done.map_or(0, |done| done + 1))?,
        })
    }

    pub(crate) fn step(&mut self, line: &StepLine) -> Result<()> {
        self.line(line)?;
        let mut values = vec![
            ("loss", line.loss),
            ("divergence", line.divergence),
            ("nll", line.nll),
            ("rate", line.rate),
            ("gradient_norm", line.gradient_norm),
            ("tokens", line.tokens as f64),
            ("tokens_per_s", line.tokens_per_s),
        ];
        if let Some(own) = &line.own_text {
            values.extend([
                ("own_text/reverse_kl", own.reverse_kl.value),
                ("own_text/k1", own.k1.value),
                ("own_text/k2", own.k2.value),
                ("own_text/k3", own.k3.value),
            ]);
        }
        Ok(self.events.scalars(line.step, now(), &values)?)
    }

    pub(crate) fn evaluation(&mut self, point: &CurvePoint) -> Result<()> {
        self.line(&EvaluationLine {
            step: point.step,
            evaluation: point,
        })?;
        let mut values = vec![
            ("evaluation/held_out", point.held_out.value),
            ("evaluation/training", point.training.value),
            ("evaluation/gap", point.gap.value),
            ("evaluation/cross_entropy", point.cross_entropy.value),
        ];
        let of_teacher = [
            ("evaluation/kl", &point.kl),
            ("evaluation/reverse_kl", &point.reverse_kl),
        ];
        let told = of_teacher.into_iter();
        values.extend(told.filter_map(|(tag, value)| Some((tag, value.as_ref()?.value))));
        Ok(self.events.scalars(point.step, now(), &values)?)
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

/// Seconds since 1970, for TensorBoard's axis of time.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
