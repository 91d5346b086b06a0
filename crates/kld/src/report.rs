//! `kld report RUN…`

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use kld_core::{Plan, result::Comparison};
use kld_eval::{
    compare::{Keep, Measured},
    run::{Run, join},
};
use serde::Deserialize;

use crate::{
    exit::Outcome,
    progress::Terminal,
    report_args::{ReportArgs, outcome},
};

/// Tells a comparison again, from its run folder or its saved JSON
///
/// Needs no model. From the folder of --run everything can be told, down to the single token; a JSON that was saved has no tokens. Several
/// run folders of the same reference on the same text make one report, with a ranking of all their candidates. Gates are judged anew: a verdict that stands in a JSON
/// is kept unless --fail-above is given.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ReportCommand {
    /// Run folders of `kld compare --run`, or one JSON of `kld compare --json`
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    #[command(flatten)]
    report: ReportArgs,
}

const EXAMPLES: &str = "\
Examples:
  kld report night                                      # the table of a run folder, complete or not
  kld report night --html page.html --markdown card.md --tokens tokens.parquet
  kld report q8 q5 q4 --html all.html                   # three runs of the same text, ranked together
  kld report result.json --fail-above mean=0.01         # judge a saved result by another limit

Exit codes: those of kld compare";

pub(crate) fn run(args: &ReportCommand) -> anyhow::Result<Outcome> {
    let inputs: Vec<&Path> = args.runs.iter().map(PathBuf::as_path).collect();
    let report = args.report.open(&inputs)?;
    let observer = Terminal::listening()?;
    let keep = if report.shows_tokens() {
        Keep::Rows
    } else {
        Keep::Summaries
    };
    let mut measured = match args.runs.as_slice() {
        [file] if file.is_file() => {
            ensure!(
                !args.report.needs_tokens(),
                "{} is a saved result, which has no single tokens; --tokens needs the run folder (kld compare --run)",
                file.display()
            );
            saved(file)?
        }
        folders => folder(folders, keep)?,
    };
    args.report.judge_again(&mut measured.comparison);
    report.write(&measured.detailed(), &observer)?;
    Ok(outcome(&measured.comparison))
}

/// What run folders hold.
fn folder(folders: &[PathBuf], keep: Keep) -> anyhow::Result<Measured> {
    if let Some(file) = folders.iter().find(|path| path.is_file()) {
        bail!(
            "{} is a saved result: several are told as one only from their run folders (kld compare --run), because a ranking needs what was \
             measured window by window",
            file.display()
        );
    }
    let open = |folder: &PathBuf| Run::open(folder);
    let runs = folders.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    join(&runs, keep).context("cannot report")
}

/// A result that was saved as JSON: without plan and rows.
fn saved(file: &Path) -> anyhow::Result<Measured> {
    let context = || format!("cannot read {}", file.display());
    let text = fs::read_to_string(file).with_context(context)?;
    // The schema first: of another one nothing else can be expected to fit.
    let Schema { schema } = serde_json::from_str(&text)
        .with_context(|| format!("{} is no result of kld compare --json", file.display()))?;
    ensure!(
        schema == Comparison::SCHEMA,
        "{}: expected schema {}, found {schema:?}",
        file.display(),
        Comparison::SCHEMA
    );
    let comparison: Comparison = serde_json::from_str(&text).with_context(context)?;
    Ok(Measured {
        plan: Plan {
            reference: comparison.reference.clone(),
            noise_floor: false,
            candidates: comparison
                .candidates
                .iter()
                .map(|c| c.model.clone())
                .collect(),
            protocol: comparison.protocol.clone(),
            transcript: kld_core::Transcript::default(),
            order: Vec::new(),
            stop: None,
            warnings: Vec::new(),
        },
        comparison,
        rows: Vec::new(),
    })
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
}
