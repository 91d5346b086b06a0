//! Where the features of documents come from: a model that reads them, or files.

use std::{fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use kld_core::result::FeatureSource;
use kld_eval::features::hidden_states;
use kld_text::quality::Features;

use crate::{dist::npy::read_rows, models::Opener, progress::Terminal, text::compare::CompareArgs};

/// What came of asking for features.
pub(crate) enum Asked {
    /// Nobody asked.
    ForNothing,
    /// The user stopped it.
    Stopped,
    /// Here they are.
    Found(Found),
}

/// A row of features for each document of both sides.
pub(crate) struct Found {
    pub(crate) source: FeatureSource,
    pub(crate) reference: Features,
    pub(crate) candidate: Features,
}

impl Found {
    /// The features that were asked for.
    pub(crate) fn of(
        args: &CompareArgs,
        texts: &[Vec<&str>; 2],
        observer: &Terminal,
    ) -> anyhow::Result<Asked> {
        match args.quality.features.as_slice() {
            [] => Ok(Asked::ForNothing),
            [model] => Self::of_model(model, args, texts, observer),
            [p, q] => {
                let source = FeatureSource {
                    name: format!("{p}, {q}"),
                    context: None,
                    shortened: 0,
                };
                Ok(Asked::Found(Self {
                    source,
                    reference: of_file(p, texts[0].len(), "A")?,
                    candidate: of_file(q, texts[1].len(), "B")?,
                }))
            }
            more => bail!(
                "--features takes a model or two .npy files, not {} names",
                more.len()
            ),
        }
    }

    fn of_model(
        name: &str,
        args: &CompareArgs,
        texts: &[Vec<&str>; 2],
        observer: &Terminal,
    ) -> anyhow::Result<Asked> {
        ensure!(
            Path::new(name).extension().is_none_or(|e| e != "npy"),
            "--features {name}: features of B are missing\n    hint: --features A.npy,B.npy"
        );
        let model = Opener::new(None, observer).open_model(name)?;
        let (context, threads) = (args.quality.context(&model), args.unit.threads());
        let mut source = FeatureSource {
            name: name.to_owned(),
            context: Some(context),
            shortened: 0,
        };
        let mut sides = Vec::new();
        for texts in texts {
            let states = hidden_states(&model, texts, context, threads, observer);
            observer.finish();
            let Some(states) = states? else {
                return Ok(Asked::Stopped);
            };
            source.shortened += states.shortened;
            sides.push(Features::new(states.values, states.width)?);
        }
        let (Some(candidate), Some(reference)) = (sides.pop(), sides.pop()) else {
            unreachable!("a body of text has two sides");
        };
        Ok(Asked::Found(Self {
            source,
            reference,
            candidate,
        }))
    }
}

/// The rows of a `.npy` file, one for each document.
fn of_file(name: &str, documents: usize, side: &str) -> anyhow::Result<Features> {
    let bytes = fs::read(name).with_context(|| format!("cannot read {name}"))?;
    let (values, width) = read_rows(&bytes).with_context(|| name.to_owned())?;
    let rows = values.len().checked_div(width).unwrap_or(0);
    ensure!(
        rows == documents,
        "{name} has {rows} rows, but {side} has {documents} documents with words: expected a row for each"
    );
    let values = values.into_iter().map(|x| x as f32).collect();
    Features::new(values, width).with_context(|| name.to_owned())
}
