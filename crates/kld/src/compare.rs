//! `kld compare P Q… --text T…`

use std::path::{Path, PathBuf};

use clap::Args;
use kld_core::{gate::Gate, result::Comparison};
use kld_eval::compare::compare;
use kld_models::LogitSource;
use kld_report::{Csv, Json, Terminal as Table, Unit};

use crate::{
    args::{ScoredName, TextArgs, WorkArgs, refuse_overwriting},
    exit::Outcome,
    models::Opener,
    output::Output,
    progress::Terminal,
    quantize::QuantizeArgs,
};

/// How far candidates have moved from a reference, token for token
///
/// The reference P comes first, then one or more candidates Q. Every scored position of the text gets both rows of
/// logits, and from them D(P‖Q), D(Q‖P), JS and more; errors are clustered by fragment, because the tokens of one text are not
/// independent. A model is a Hugging Face folder, `org/name[@revision]`, or a .gguf file.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct CompareArgs {
    /// The reference P: what the candidates should be
    #[arg(value_name = "P")]
    reference: String,

    /// The candidates Q
    #[arg(value_name = "Q", required_unless_present = "quantize")]
    candidates: Vec<String>,

    #[command(flatten)]
    what_if: QuantizeArgs,

    #[command(flatten)]
    text: TextArgs,

    /// Which positions are scored [default: second-half]
    #[arg(long, value_enum, help_heading = "Text")]
    score: Option<ScoredName>,

    #[command(flatten)]
    work: WorkArgs,

    /// Exit with 1 when a candidate exceeds a limit, e.g. mean=0.01,p99=0.2,top1=0.05 (top1: share of positions whose most likely
    /// token differs)
    #[arg(long, value_name = "METRIC=LIMIT,…", help_heading = "Output")]
    fail_above: Option<Gate>,

    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Write a tidy table (one row per candidate and scope) as CSV to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    csv: Option<PathBuf>,

    /// Show divergences in bits instead of nats
    #[arg(long, help_heading = "Output")]
    bits: bool,
}

const USAGE: &str = "\
kld compare [OPTIONS] <P> <Q>... --text <PATH>...
       kld compare [OPTIONS] <P> --quantize <TYPE,…> --text <PATH>...";

const EXAMPLES: &str = "\
Examples:
  kld compare model-f16.gguf model-q8_0.gguf model-q4_0.gguf --text book.txt
  kld compare org/base org/base-finetuned --text eval.jsonl --field prompt --max-windows 64 --seed 1
  kld compare p-f16.gguf --quantize q8_0,q6_k,q4_0 --text wiki.txt      # what would quantizing cost? No file is written
  kld compare p-f16.gguf --quantize q4_0 --only 'blk.*.ffn_down.*' --text wiki.txt
  kld compare p.gguf q.gguf --text wiki.txt --protocol llama.cpp       # numbers to put beside llama.cpp's
  kld compare p.gguf q.gguf --text wiki.txt --fail-above mean=0.01,p99=0.2,top1=0.05 --json result.json

Exit codes: 0 fine · 1 a gate was exceeded · 2 wrong input, file or usage · 3 interrupted (what was measured is printed;
            a second Ctrl-C ends at once with 130)";

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    let models = std::iter::once(&args.reference)
        .chain(&args.candidates)
        .map(Path::new);
    let inputs: Vec<&Path> = models
        .chain(args.text.text.iter().map(PathBuf::as_path))
        .collect();
    refuse_overwriting(&[args.json.as_ref(), args.csv.as_ref()], &inputs)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let csv = args.csv.as_deref().map(Output::open).transpose()?;
    let fragments = args.text.fragments()?;
    let work = args.work.work()?;
    let observer = Terminal::listening()?;
    let mut opener = Opener::new(args.work.memory.map(|size| size.0), &observer);
    let reference = opener.open(&args.reference)?;
    let mut candidates = args
        .candidates
        .iter()
        .map(|name| opener.open(name))
        .collect::<anyhow::Result<Vec<_>>>()?;
    candidates.extend(args.what_if.candidates(&reference, &mut opener)?);
    let candidates: Vec<&dyn LogitSource> =
        candidates.iter().map(|c| c as &dyn LogitSource).collect();

    let cut = args.text.cut(args.score, ScoredName::SecondHalf)?;
    let compared = compare(&reference, &candidates, &fragments, &cut, work, &observer);
    observer.finish();
    let mut result = compared?;
    judge(&mut result, args.fail_above.as_ref());
    let warnings = result
        .candidates
        .iter()
        .flat_map(|c| c.warnings.clone())
        .collect();

    let unit = if args.bits { Unit::Bits } else { Unit::Nats };
    let stdout_is_taken = [&json, &csv].into_iter().flatten().any(Output::is_stdout);
    if let Some(json) = json {
        json.write(&Json, &result)?;
    }
    if let Some(csv) = csv {
        csv.write(&Csv, &result)?;
    }
    if stdout_is_taken {
        observer.warn_all(warnings);
    } else {
        Output::Stdout.write(&Table { unit }, &result)?;
    }
    Ok(outcome(&result))
}

fn judge(result: &mut Comparison, gate: Option<&Gate>) {
    for candidate in &mut result.candidates {
        candidate.verdict = gate.map(|gate| gate.judge(candidate, result.run.complete));
    }
}

/// Text, JSON and exit code share the verdicts that stand in the result.
fn outcome(result: &Comparison) -> Outcome {
    let failed = result
        .candidates
        .iter()
        .filter_map(|c| c.verdict.as_ref())
        .any(|verdict| !verdict.passed);
    let unmeasured = result.candidates.iter().any(|c| c.positions == 0);
    match () {
        () if !result.run.complete => Outcome::Interrupted,
        () if unmeasured => Outcome::NothingMeasured,
        () if failed => Outcome::GateExceeded,
        () => Outcome::Fine,
    }
}
