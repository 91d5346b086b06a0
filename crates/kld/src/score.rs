//! `kld score M --text T…`

use std::path::{Path, PathBuf};

use clap::Args;
use kld_core::result::Score;
use kld_eval::{Work, score::Job};
use kld_report::{Json, Terminal as Table, Unit};

use crate::{
    args::{ScoredName, TextArgs, WorkArgs, refuse_overwriting},
    exit::Outcome,
    models::Opener,
    output::Output,
    progress::Terminal,
    run_folder::RunArgs,
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

    #[command(flatten)]
    run: RunArgs,

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
  kld score model.gguf --text corpus/ --run night                      # nothing is lost: after a power cut go on with
  kld score --run night --resume                                       # (the same in a second shell works beside it)

Exit codes: 0 fine · 2 wrong input, file or usage · 3 interrupted (what was measured is printed)";

pub(crate) fn run(args: &ScoreArgs) -> anyhow::Result<Outcome> {
    let inputs: Vec<&Path> = [Path::new(&args.model)]
        .into_iter()
        .chain(args.text.text.iter().map(PathBuf::as_path))
        .collect();
    refuse_overwriting(&[args.json.as_ref()], &inputs)?;
    args.run.check()?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let work = args.work.work()?;
    let observer = Terminal::listening()?;
    let result = match args.run.finished()? {
        Some(run) => run.score()?,
        None => measure(args, work, &observer)?,
    };
    let part_is_done = args.run.part_is_done(&result.run, result.protocol.windows);

    args.run.leave(&result)?;
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
    if let Some(hint) = args.run.hint("score", &result.run, result.protocol.windows) {
        Terminal::hint(&hint);
    }
    Ok(match () {
        () if part_is_done => Outcome::Fine,
        () if !result.run.complete => Outcome::Interrupted,
        () if result.positions == 0 => Outcome::NothingMeasured,
        () => Outcome::Fine,
    })
}

fn measure(args: &ScoreArgs, work: Work, observer: &Terminal) -> anyhow::Result<Score> {
    let fragments = args.text.fragments()?;
    let model = Opener::new(args.work.memory.map(|size| size.0), observer).open(&args.model)?;
    args.text.recorded(std::iter::once(&*model), args.score)?;
    let cut = args.text.cut(args.score, ScoredName::All)?;
    let job = Job::new(&*model, &fragments, &cut)?;
    let measured = match args.run.begin("score", work.kernel, &job.plan)? {
        Some(run) => job.measure_in(&run, work, observer),
        None => job.measure(work, observer),
    };
    observer.finish();
    args.run.explain("score", measured)
}
