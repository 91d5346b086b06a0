//! Scoring checkpoints as they appear: KL from a reference on held-out text, and from the model that a fine-tuning began as.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use kld_core::{estimate::Estimate, summary::Quantity};
use kld_eval::{
    Cut, Fragment, Work,
    compare::{Job, Sink, Summaries},
    read_fragments,
};
use kld_models::LogitSource;
use serde_json::{Map, Value, json};

use super::{
    checkpoints::{Checkpoint, Look, list},
    scores::Scores,
};
use crate::{
    args::{ScoredName, TextArgs, WorkArgs},
    models::{Opener, Source},
    progress::Terminal,
};

/// What checkpoints are scored against.
#[derive(Debug, Args)]
#[command(next_help_heading = "A folder of checkpoints")]
pub(crate) struct AgainstArgs {
    /// RUN is a folder in which checkpoints appear (checkpoint-500, step-500.gguf, …): score each new one against this reference P on the
    /// text of --text, as `kl_heldout`
    #[arg(long, value_name = "MODEL")]
    reference: Option<String>,

    /// Also measure how far each has moved from the model that the fine-tuning began as, as `kl_base`; without --reference, what is judged is the
    /// cross-entropy of the text of --text, `nll_heldout`
    #[arg(long, value_name = "MODEL")]
    base: Option<String>,

    /// General text for --base [default: that of --text]
    #[arg(long, num_args = 1.., value_name = "PATH", requires = "base")]
    base_text: Vec<PathBuf>,

    /// Text that is learnt from: the same on it as `kl_train`, and so the gap
    #[arg(long, num_args = 1.., value_name = "PATH")]
    train_text: Vec<PathBuf>,

    /// Keep the scores in this file, a line of JSON per checkpoint; none is scored twice [default: RUN/kld-watch.jsonl]
    #[arg(long, value_name = "FILE")]
    scores_in: Option<PathBuf>,

    #[command(flatten)]
    text: TextArgs,

    /// Which positions are scored [default: second-half]
    #[arg(long, value_enum, help_heading = "Text")]
    score: Option<ScoredName>,

    #[command(flatten)]
    work: WorkArgs,
}

/// One measurement: a model, a text, and what its two numbers are called.
struct Measure<'a> {
    source: &'a Source,
    /// None where the source is a recording, which brings its own.
    fragments: Vec<Fragment>,
    kl: Option<&'static str>,
    nll: Option<&'static str>,
}

/// The models that checkpoints are measured against.
pub(super) struct Models {
    reference: Option<Source>,
    base: Option<Source>,
    /// Bytes left for a checkpoint.
    memory_left: Option<u64>,
}

/// Scores checkpoints.
pub(super) struct Scorer<'a> {
    folder: &'a Path,
    measures: Vec<Measure<'a>>,
    cut: Cut,
    work: Work,
    scores: Scores,
    memory_left: Option<u64>,
    observer: &'a Terminal,
    /// How the checkpoints that are not scored looked last, and why they are not.
    left_out: BTreeMap<String, (Look, String)>,
}

impl AgainstArgs {
    /// Opens the models, if there are any to score against.
    pub(super) fn open(&self, observer: &Terminal) -> anyhow::Result<Option<Models>> {
        if self.reference.is_none() && self.base.is_none() {
            ensure!(
                self.text.text.is_empty() && self.train_text.is_empty(),
                "checkpoints are scored on a text against a model: name that with --reference or --base"
            );
            return Ok(None);
        }
        let mut opener = Opener::new(self.work.memory.map(|size| size.0), observer);
        let mut open = |name: &Option<String>| name.as_ref().map(|n| opener.open(n)).transpose();
        let (reference, base) = (open(&self.reference)?, open(&self.base)?);
        Ok(Some(Models {
            reference,
            base,
            memory_left: opener.memory_left(),
        }))
    }

    /// Makes sure that the texts can be scored, before any checkpoint is waited for.
    pub(super) fn scorer<'a>(
        &'a self,
        folder: &'a Path,
        models: &'a Models,
        observer: &'a Terminal,
    ) -> anyhow::Result<Scorer<'a>> {
        ensure!(
            folder.is_dir(),
            "{} is no folder: with --reference or --base it is one in which checkpoints appear",
            folder.display()
        );
        let cut = self.text.cut(self.score, ScoredName::SecondHalf)?;
        let measures = self.measures(models)?;
        let mut against = Map::new();
        for measure in &measures {
            let itself: [&dyn LogitSource; 1] = [&**measure.source];
            let plan = measure.job(&itself, &cut)?.plan;
            let name = measure.kl.or(measure.nll).unwrap_or_default();
            let (model, text) = (plan.reference.sha256, plan.protocol.token_stream_sha256);
            against.insert(name.to_owned(), json!({ "model": model, "text": text }));
        }
        let usual = || folder.join("kld-watch.jsonl");
        let scores = self.scores_in.clone().unwrap_or_else(usual);
        Ok(Scorer {
            folder,
            measures,
            cut,
            work: self.work.work()?,
            scores: Scores::open(&scores, against.into())?,
            memory_left: models.memory_left,
            observer,
            left_out: BTreeMap::new(),
        })
    }

    fn measures<'a>(&self, models: &'a Models) -> anyhow::Result<Vec<Measure<'a>>> {
        let read = |paths: &[PathBuf]| {
            let fragments = (!paths.is_empty()).then(|| read_fragments(paths, &self.text.field));
            let fragments = fragments.transpose().context("cannot read the text")?;
            Ok::<_, anyhow::Error>(fragments.unwrap_or_default())
        };
        let held_out = read(&self.text.text)?;
        let mut measures = Vec::new();
        let is_judged = models.reference.is_some();
        let judge = models.reference.as_ref().or(models.base.as_ref());
        if let Some(source) = judge {
            let name = |kl, otherwise| if is_judged { Some(kl) } else { otherwise };
            let is_base = self.base_text.is_empty().then_some("kl_base");
            measures.push(Measure {
                source,
                fragments: held_out.clone(),
                kl: name("kl_heldout", is_base),
                nll: Some("nll_heldout"),
            });
            if !self.train_text.is_empty() {
                measures.push(Measure {
                    source,
                    fragments: read(&self.train_text)?,
                    kl: name("kl_train", None),
                    nll: Some("nll_train"),
                });
            }
        }
        if let Some(source) = models
            .base
            .as_ref()
            .filter(|_| is_judged || !self.base_text.is_empty())
        {
            let own = !self.base_text.is_empty();
            measures.push(Measure {
                source,
                fragments: if own {
                    read(&self.base_text)?
                } else {
                    held_out
                },
                kl: Some("kl_base"),
                nll: None,
            });
        }
        Ok(measures)
    }
}

impl Measure<'_> {
    fn job<'a>(
        &'a self,
        candidate: &'a [&'a dyn LogitSource],
        cut: &Cut,
    ) -> kld_eval::Result<Job<'a>> {
        match &self.fragments[..] {
            [] => Job::replay(&**self.source, candidate, cut.max_windows, cut.seed),
            fragments => Job::new(&**self.source, candidate, fragments, cut),
        }
    }
}

impl Scorer<'_> {
    /// The file in which the scores are kept.
    pub(super) fn kept_in(&self) -> &Path {
        self.scores.path()
    }

    /// Scores the first checkpoint that is new, or was written anew; false where there is none, or the user asked for an end. Who is patient scores only what
    /// has not changed since the last call, because a trainer may still be writing it.
    pub(super) fn score_next(&mut self, is_patient: bool) -> anyhow::Result<bool> {
        for checkpoint in list(self.folder)? {
            let Some(look) = checkpoint.look() else {
                continue;
            };
            if self.scores.has(&checkpoint, &look) {
                continue;
            }
            let last = self.left_out.get(&checkpoint.name);
            let is_same = last.is_some_and(|(last, _)| *last == look);
            let is_known_bad = is_same && last.is_some_and(|(_, why)| !why.is_empty());
            if is_known_bad {
                continue;
            }
            if is_patient && !is_same {
                self.left_out.insert(checkpoint.name, (look, String::new()));
                continue;
            }
            match self.score(&checkpoint) {
                Ok(None) => return Ok(false),
                Ok(Some(score)) if checkpoint.look().as_ref() == Some(&look) => {
                    self.left_out.remove(&checkpoint.name);
                    self.scores.add(&checkpoint, &look, score)?;
                    return Ok(true);
                }
                // It was written to meanwhile.
                Ok(Some(_)) => {}
                Err(error) => {
                    let why = format!("{error:#}");
                    self.left_out.insert(checkpoint.name, (look, why));
                }
            }
        }
        Ok(false)
    }

    /// Why checkpoints that are there have no score.
    pub(super) fn warnings(&self) -> Vec<String> {
        let told = |(name, (_, why)): (&String, &(Look, String))| match why.as_str() {
            "" => format!(
                "{name} was written just now; it is scored once nothing in it changes any more"
            ),
            why => format!("{name} is left out until it changes: {why}"),
        };
        self.left_out.iter().map(told).collect()
    }

    /// `None` where the user asked for an end.
    fn score(&self, checkpoint: &Checkpoint) -> anyhow::Result<Option<Map<String, Value>>> {
        let mut opener = Opener::new(self.memory_left, self.observer);
        let name = checkpoint.path.to_string_lossy();
        let lender = self.measures[0].source.tokenizer();
        let model = opener.open_checkpoint(&name, lender)?;
        let (mut score, mut not_finite) = (Map::new(), 0);
        for measure in &self.measures {
            let candidate: [&dyn LogitSource; 1] = [&model];
            let job = measure.job(&candidate, &self.cut)?;
            let mut summaries = Summaries::new(&job.plan);
            let run = job.measure(self.work, self.observer, &mut summaries);
            self.observer.finish();
            if !run?.complete {
                return Ok(None);
            }
            let summary = &summaries.summaries()[0];
            let mean = |quantity| summary.mean(|w| Some(&w.all), |s| s[quantity]);
            not_finite += summary.not_finite();
            for (name, quantity) in [(measure.kl, Quantity::Kl), (measure.nll, Quantity::NllQ)] {
                if let Some(name) = name {
                    let mean: Estimate = mean(quantity);
                    score.insert(name.to_owned(), serde_json::to_value(mean)?);
                }
            }
        }
        score.insert("not_finite".to_owned(), not_finite.into());
        Ok(Some(score))
    }
}
