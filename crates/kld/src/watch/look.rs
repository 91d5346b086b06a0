//! One look: read, judge, ask the rules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use kld_core::{
    result::Watch,
    series::{Convergence, Judging, Rule, Series},
};
use kld_series::{Keys, Role, Told, read};

use super::WatchArgs;

/// What to look at, and how.
pub(super) struct Look<'a> {
    source: &'a Path,
    /// Where scores of checkpoints are kept, if that is what is watched.
    scores: Option<PathBuf>,
    keys: Keys,
    judging: Judging,
    rules: &'a [Rule],
}

impl<'a> Look<'a> {
    pub(super) fn new(args: &'a WatchArgs, scores: Option<&Path>) -> Self {
        let names = &args.names;
        Self {
            source: &args.source,
            scores: scores.map(Path::to_owned),
            keys: Keys {
                held_out: names.held_out.clone(),
                training: names.train.clone(),
                step: names.step.clone(),
            },
            judging: Judging {
                tolerance: args.judging.tolerance,
                window: args.judging.window.map(usize::from),
                horizon: args.judging.horizon,
            },
            rules: &args.alarm.alert,
        }
    }

    /// Has `kld train` written its result? One that is older than its metrics is that of a run which has gone on since.
    pub(super) fn has_ended(&self) -> bool {
        let changed = |file: &str| {
            let metadata = fs::metadata(self.source.join(file)).ok()?;
            metadata.modified().ok()
        };
        let is_run = self.source.join("run.json").is_file();
        is_run && changed("result.json").is_some_and(|end| Some(end) >= changed("metrics.jsonl"))
    }

    /// What is said where there is nothing to see.
    pub(super) fn nothing(&self) -> String {
        let source = self.source.display();
        if self.scores.is_some() {
            return format!(
                "{source} has no checkpoint with a score yet: expected folders such as checkpoint-500, with config.json and model.safetensors in \
                 them, or files such as step-500.gguf"
            );
        }
        format!("{source} tells nothing yet: no number with a step is in it")
    }

    /// What there is to see; `None` where nothing is told yet.
    pub(super) fn look(&self, warnings: Vec<String>) -> anyhow::Result<Option<Watch>> {
        let from = self.scores.as_deref().unwrap_or(self.source);
        let told = read(from, &self.keys).context("cannot read the training")?;
        if told.series.is_empty() {
            return Ok(None);
        }
        self.judge(told, warnings).map(Some)
    }

    fn judge(&self, told: Told, mut warnings: Vec<String>) -> anyhow::Result<Watch> {
        let training = told.role(Role::Training).filter(|s| !s.points.is_empty());
        let held_out = told.role(Role::HeldOut).filter(|s| !s.points.is_empty());
        let judged = match (held_out, training) {
            (Some(held_out), _) => held_out,
            (None, Some(training)) => {
                warnings.push(format!(
                    "no held-out series: {} is judged, and over-fitting cannot be seen; name one with --held-out",
                    training.key
                ));
                training
            }
            (None, None) => bail!(
                "neither a held-out nor a training series is known by its name: name one with --held-out or --train, of {}",
                keys(&told.series)
            ),
        };
        let meanwhile = match (held_out, training) {
            (Some(_), Some(training)) => &training.points[..],
            (Some(_), None) => {
                let how = match self.scores {
                    Some(_) => "give a text that is learnt from with --train-text",
                    None => "name one with --train",
                };
                warnings.push(format!(
                    "no training series: over-fitting cannot be told from diverging; {how}"
                ));
                &[]
            }
            _ => &[],
        };
        for rule in self.rules {
            let Some(name) = rule.unknown_name(&told.series) else {
                continue;
            };
            // What every trainer may tell, this one may tell later.
            if Role::ALL.iter().any(|role| role.name() == name) {
                warnings.push(format!(
                    "the rule {:?} is not asked: {name} is not told so far",
                    rule.text()
                ));
                continue;
            }
            bail!(
                "the rule {:?} names {name:?}, which is not told; there are {}",
                rule.text(),
                keys(&told.series)
            );
        }
        let steps = told.series.iter().filter_map(Series::last);
        Ok(Watch {
            schema: Watch::SCHEMA.to_owned(),
            source: self.source.display().to_string(),
            kind: match self.scores {
                Some(_) => "checkpoints",
                None => told.kind.name(),
            }
            .to_owned(),
            step: steps.map(|p| p.step).fold(0.0, f64::max),
            steps_planned: told.steps_planned,
            left_s: None,
            judged: judged.name.clone(),
            best: judged.least(),
            convergence: Convergence::of(judged, meanwhile, &self.judging),
            alerts: self
                .rules
                .iter()
                .map(|rule| rule.replay(&told.series))
                .collect(),
            warnings,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            series: self.shown(told.series),
        })
    }

    /// Series with a role, and those that rules name.
    fn shown(&self, mut series: Vec<Series>) -> Vec<Series> {
        let has_role = |s: &Series| Role::ALL.iter().any(|role| role.name() == s.name);
        let is_named = |s: &Series| {
            let names = self.rules.iter().flat_map(Rule::names);
            names
                .into_iter()
                .any(|name| name == s.name || name == s.key)
        };
        series.retain(|s| has_role(s) || is_named(s));
        series
    }
}

fn keys(series: &[Series]) -> String {
    let names = series.iter().map(|s| {
        if s.name == s.key {
            s.key.clone()
        } else {
            format!("{} ({})", s.name, s.key)
        }
    });
    names.collect::<Vec<_>>().join(", ")
}
