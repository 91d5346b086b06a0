//! `kld record M --text T… -o FILE`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use kld_eval::{
    Work,
    record::{Tape, columns, record, script},
};
use kld_models::{
    LogitSource, Script,
    llama_cpp::Writer,
    recording::{HeadPlace, Keep, Plan, Recorder},
};

use crate::{
    args::{ScoredName, TextArgs, WorkArgs, refuse_overwriting},
    exit::Outcome,
    models::Opener,
    output,
    progress::Terminal,
};

/// Run a model over a text once and keep what a comparison needs of it
///
/// A recording stands wherever a model can: `kld compare P.kldrec Q…` gives the same bits as with P itself, without loading P and without
/// the text, which the recording has in it. What is kept of a position is its final hidden state; the output head is kept once. That is
/// tens of times smaller than rows of logits, and as exact.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = "kld record [OPTIONS] <M> --text <PATH>... -o <FILE>")]
pub(crate) struct RecordArgs {
    /// The model: a Hugging Face folder, `org/name[@revision]`, or a .gguf file
    #[arg(value_name = "M")]
    model: String,

    /// The recording to write, by custom with the ending .kldrec
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    text: TextArgs,

    /// Which positions are scored [default: second-half]
    #[arg(long, value_enum, help_heading = "Text")]
    score: Option<ScoredName>,

    #[command(flatten)]
    work: WorkArgs,

    /// What is kept of a row: `hidden` (exact, smallest that is), `logits` (exact, for readers without the head), or `top-k:K` (the K
    /// most likely tokens and the mass of all others: lossy; what it loses is measured and stands in every result)
    #[arg(
        long,
        value_name = "hidden|logits|top-k:K",
        default_value = "hidden",
        help_heading = "Recording"
    )]
    keep: Keep,

    /// Where the output head is kept: in the recording, or in the model file, which must then stay where it is and as it is
    #[arg(long, value_enum, default_value_t = HeadName::Stored, help_heading = "Recording")]
    head: HeadName,

    /// Go on with a recording that was interrupted, with the same arguments as before
    #[arg(long, help_heading = "Recording")]
    resume: bool,

    /// `llama.cpp` writes the file of its --kl-divergence-base instead (16-bit log-probs, hundreds of kilobytes a token; with --protocol
    /// llama.cpp)
    #[arg(long, value_enum, default_value_t = FormatName::Kld, help_heading = "Recording")]
    format: FormatName,
}

/// Names of places of the head on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HeadName {
    Stored,
    Referenced,
}

/// Names of formats on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Kld,
    #[value(name = "llama.cpp")]
    LlamaCpp,
}

const EXAMPLES: &str = "\
Examples:
  kld record model-f16.gguf --text wiki.txt -o wiki.kldrec
  kld compare wiki.kldrec model-q8_0.gguf model-q4_0.gguf            # the reference is not loaded, nor the text
  kld record model-f16.gguf --text wiki.txt -o wiki.kldrec --resume  # after Ctrl-C, kill -9 or a power cut
  kld record model-f16.gguf --text wiki.txt -o small.kldrec --keep top-k:128
  kld record model-f16.gguf --text wiki.txt -o base.kld --format llama.cpp --protocol llama.cpp

Exit codes: 0 fine · 2 wrong input, file or usage · 3 interrupted (go on with --resume)";

pub(crate) fn run(args: &RecordArgs) -> anyhow::Result<Outcome> {
    let inputs: Vec<&Path> = [Path::new(&args.model)]
        .into_iter()
        .chain(args.text.text.iter().map(PathBuf::as_path))
        .collect();
    refuse_overwriting(&[Some(&args.output)], &inputs)?;
    ensure!(!args.text.text.is_empty(), "no text: name it with --text");
    let fragments = args.text.fragments()?;
    let work = args.work.work()?;
    let observer = Terminal::listening()?;
    let model = Opener::new(args.work.memory.map(|size| size.0), &observer).open(&args.model)?;
    let cut = args.text.cut(args.score, ScoredName::SecondHalf)?;
    let script = script(&*model, &fragments, &cut)?;
    let recorded = match args.format {
        FormatName::Kld => keep_rows(args, &*model, &script, work, &observer),
        FormatName::LlamaCpp => write_log_probs(args, &*model, &script, work, &observer),
    };
    observer.finish();
    let done = recorded?;
    let (all, file) = (script.windows.len(), args.output.display());
    if done < all {
        let hint = match args.format {
            FormatName::Kld => format!(
                "{done} of {all} windows are in {file}; go on with the same command and --resume"
            ),
            FormatName::LlamaCpp => {
                format!("{file} was not written: this format cannot hold a part")
            }
        };
        Terminal::hint(&hint);
        return Ok(Outcome::Interrupted);
    }
    let positions: usize = script
        .windows
        .iter()
        .map(|window| window.scored.len())
        .sum();
    let bytes = std::fs::metadata(&args.output)
        .with_context(|| format!("cannot read {file}"))?
        .len();
    output::say(&format!(
        "{file}: {all} windows, {positions} rows, {}",
        kld_report::format::bytes(bytes)
    ))?;
    Ok(Outcome::Fine)
}

/// Returns how many windows are there at the end.
fn keep_rows(
    args: &RecordArgs,
    model: &dyn LogitSource,
    script: &Script,
    work: Work,
    observer: &Terminal,
) -> anyhow::Result<usize> {
    let plan = Plan {
        kld: env!("CARGO_PKG_VERSION"),
        model: model.card(),
        tokenizer: model.tokenizer(),
        script,
        keep: args.keep,
        columns: columns(model, args.keep),
    };
    if let Keep::TopK(k) = args.keep {
        ensure!(
            k < plan.columns,
            "--keep top-k:{k}: the model has {} tokens, so K must be smaller",
            plan.columns
        );
    }
    let place = match args.head {
        HeadName::Stored => HeadPlace::Stored,
        HeadName::Referenced => HeadPlace::Referenced,
    };
    let head = match args.keep {
        Keep::Hidden => {
            let head = model.head().with_context(|| {
                format!(
                    "{} gives logits only: keep those, with --keep logits or top-k:K",
                    args.model
                )
            });
            Some((head?, place))
        }
        _ => None,
    };
    let mut recorder = if args.resume && args.output.exists() {
        Recorder::resume(&args.output, &plan, &head)?
    } else {
        Recorder::create(&args.output, &plan, &head)?
    };
    run_tape(model, script, args.keep, &mut recorder, work, observer)
}

fn write_log_probs(
    args: &RecordArgs,
    model: &dyn LogitSource,
    script: &Script,
    work: Work,
    observer: &Terminal,
) -> anyhow::Result<usize> {
    if args.resume {
        bail!(
            "--format llama.cpp cannot be resumed: its file counts its windows before they are there"
        );
    }
    ensure!(
        args.keep == Keep::Hidden,
        "--format llama.cpp keeps 16-bit log-probs: leave --keep away"
    );
    let mut writer = Writer::create(&args.output, script, model.vocabulary())?;
    run_tape(model, script, Keep::Logits, &mut writer, work, observer)
}

fn run_tape(
    model: &dyn LogitSource,
    script: &Script,
    keep: Keep,
    tape: &mut dyn Tape,
    work: Work,
    observer: &Terminal,
) -> anyhow::Result<usize> {
    Ok(record(model, &script.windows, keep, tape, work, observer)?)
}
