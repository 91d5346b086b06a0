//! One look: read, judge, ask the rules.

use std::path::Path;

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
    keys: Keys,
    judging: Judging,
    rules: &'a [Rule],
}

impl<'a> Look<'a> {
    pub(super) fn new(args: &'a WatchArgs) -> Self {
        let names = &args.names;
        Self {
            source: &args.source,
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

    /// Has the training written its result?
    pub(super) fn has_ended(&self) -> bool {
        self.source.join("result.json").is_file() && self.source.join("run.json").is_file()
    }

    pub(super) fn look(&self) -> anyhow::Result<Watch> {
        let told = read(self.source, &self.keys).context("cannot read the training")?;
        self.judge(told)
    }

    fn judge(&self, told: Told) -> anyhow::Result<Watch> {
        let mut warnings = Vec::new();
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
            (None, None) if told.series.is_empty() => bail!(
                "{} tells nothing yet: no number with a step is in it",
                self.source.display()
            ),
            (None, None) => bail!(
                "neither a held-out nor a training series is known by its name: name one with --held-out or --train, of {}",
                keys(&told.series)
            ),
        };
        let meanwhile = match (held_out, training) {
            (Some(_), Some(training)) => &training.points[..],
            (Some(_), None) => {
                warnings.push(
                    "no training series: over-fitting cannot be told from diverging; name one with --train"
                        .to_owned(),
                );
                &[]
            }
            _ => &[],
        };
        for rule in self.rules {
            if let Some(name) = rule.unknown_name(&told.series) {
                bail!(
                    "the rule {:?} names {name:?}, which is not told; there are {}",
                    rule.text(),
                    keys(&told.series)
                );
            }
        }
        let steps = told.series.iter().filter_map(Series::last);
        Ok(Watch {
            schema: Watch::SCHEMA.to_owned(),
            source: self.source.display().to_string(),
            kind: told.kind.name().to_owned(),
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
