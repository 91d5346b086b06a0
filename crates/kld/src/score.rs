//! `kld score M --text T…`

use std::path::{Path, PathBuf};

use clap::Args;
use kld_eval::score::score;
use kld_report::{Json, Terminal as Table, Unit};

use crate::{
    args::{ScoredName, TextArgs, WorkArgs, refuse_overwriting},
    exit::Outcome,
    models::Opener,
    output::Output,
    progress::Terminal,
};

/// How well a model's predicted distributions fit a text, fragment by fragment
///
/// Cross-entropy, perplexity and bits per byte of the model on the text; the divergence of the text's token frequencies from what
/// the model expected over it, with the tokens that carry it; and how far the model's confidence can be believed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = "kld score [OPTIONS] <M> --text <PATH>...")]
pub(crate) struct ScoreArgs {
    /// The model: a Hugging Face folder, `org/name[@revision]`, or a .gguf file
    #[arg(value_name = "M")]
    model: String,

    #[command(flatten)]
    text: TextArgs,

    /// Which positions are scored [default: all; second-half with --protocol llama.cpp]
    #[arg(long, value_enum, help_heading = "Text")]
    score: Option<ScoredName>,

    #[command(flatten)]
    work: WorkArgs,

    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Show divergences in bits instead of nats
    #[arg(long, help_heading = "Output")]
    bits: bool,
}

const EXAMPLES: &str = "\
Examples:
  kld score model.gguf --text book.txt
  kld score org/name --text chats.jsonl --json score.json
  cat notes.md | kld score model.gguf --text -

Exit codes: 0 fine · 2 wrong input, file or usage · 3 interrupted (what was measured is printed)";

pub(crate) fn run(args: &ScoreArgs) -> anyhow::Result<Outcome> {
    let inputs: Vec<&Path> = [Path::new(&args.model)]
        .into_iter()
        .chain(args.text.text.iter().map(PathBuf::as_path))
        .collect();
    refuse_overwriting(&[args.json.as_ref()], &inputs)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let fragments = args.text.fragments()?;
    let work = args.work.work()?;
    let observer = Terminal::listening()?;
    let model = Opener::new(args.work.memory.map(|size| size.0), &observer).open(&args.model)?;

    args.text.recorded(std::iter::once(&*model), args.score)?;
    let scored = score(
        &*model,
        &fragments,
        &args.text.cut(args.score, ScoredName::All)?,
        work,
        &observer,
    );
    observer.finish();
    let result = scored?;

    let outcome = match () {
        () if !result.run.complete => Outcome::Interrupted,
        () if result.positions == 0 => Outcome::NothingMeasured,
        () => Outcome::Fine,
    };
    let stdout_is_taken = json.as_ref().is_some_and(Output::is_stdout);
    if let Some(json) = json {
        json.write(&Json, &result)?;
    }
    if stdout_is_taken {
        observer.warn_all(result.warnings);
    } else {
        let unit = if args.bits { Unit::Bits } else { Unit::Nats };
        Output::Stdout.write(&Table { unit }, &result)?;
    }
    Ok(outcome)
}
