//! `kld compare P Q… --text T…`

use std::path::{Path, PathBuf};

use clap::Args;
use kld_core::{
    gate::Gate,
    pick::{Pick, Wanted},
    result::Comparison,
    sequential::{StopRule, Until},
};
use kld_eval::{
    Cut, Work,
    compare::{Job, Summaries},
    conclude::conclude,
};
use kld_models::LogitSource;
use kld_report::{Csv, Json, Terminal as Table, Unit};

use crate::{
    args::{ScoredName, Size, TextArgs, WorkArgs, refuse_overwriting},
    exit::Outcome,
    models::{Opener, Source},
    output::Output,
    progress::Terminal,
    quantize::QuantizeArgs,
    run_folder::RunArgs,
};

/// How far candidates have moved from a reference, token for token
///
/// The reference P comes first, then one or more candidates Q. Every scored position of the text gets both rows of
/// logits, and from them D(P‖Q), D(Q‖P), JS and more; errors are clustered by fragment, because the tokens of one text are not
/// independent. A model is a Hugging Face folder, `org/name[@revision]`, a .gguf file, or a recording of one (`kld record`), which
/// brings its text; P may also be llama.cpp's file of --kl-divergence-base.
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

    /// Also compare P with itself, computed with activations rounded to bf16, and show that KL beside every number: what is not
    /// clearly above it says nothing about the weights
    #[arg(long)]
    noise_floor: bool,

    #[command(flatten)]
    text: TextArgs,

    /// Which positions are scored [default: second-half]
    #[arg(long, value_enum, help_heading = "Text")]
    score: Option<ScoredName>,

    /// Visit the windows in a random order (that of --seed) and stop when every candidate's mean KL is known to within 2% of it, or to
    /// within so many nats, e.g. 0.001: by an interval that holds at every look
    #[arg(
        long,
        value_name = "N%|NATS",
        help_heading = "Text",
        conflicts_with = "part"
    )]
    until: Option<Until>,

    #[command(flatten)]
    work: WorkArgs,

    #[command(flatten)]
    run: RunArgs,

    /// Exit with 1 when a candidate exceeds a limit, e.g. mean=0.01,p99=0.2,top1=0.05 (top1: share of positions whose most likely
    /// token differs)
    #[arg(long, value_name = "METRIC=LIMIT,…", help_heading = "Output")]
    fail_above: Option<Gate>,

    /// Name the candidate to ship, and exit with 1 where none passes: max-kl=0.02 (the smallest whose mean KL, in nats, is at most
    /// that) or max-size=90MB (the closest of at most that size)
    #[arg(long, value_name = "max-kl=NATS|max-size=SIZE", value_parser = wanted, help_heading = "Output")]
    pick: Option<Wanted>,

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
  kld compare p.gguf q8_0.gguf q5_1.gguf q4_0.gguf --text wiki.txt --pick max-kl=0.02   # the smallest that is close enough
  kld compare p.gguf q.gguf --text wiki.txt --until 2%                 # no more windows than it takes
  kld compare p.kldrec q8_0.gguf q4_0.gguf                             # P was recorded: neither P nor the text is needed
  kld compare p.gguf q.gguf --text wiki.txt --run night                # nothing is lost: after a power cut go on with
  kld compare --run night --resume                                     # (the same in a second shell works beside it)

Exit codes: 0 fine · 1 a gate was exceeded, or nothing to pick · 2 wrong input, file or usage · 3 interrupted (what was measured is printed;
            a second Ctrl-C ends at once with 130)";

impl CompareArgs {
    fn cut(&self) -> anyhow::Result<Cut> {
        match self.until {
            Some(_) => self.text.seeded_cut(self.score, ScoredName::SecondHalf),
            None => self.text.cut(self.score, ScoredName::SecondHalf),
        }
    }

    fn stop_rule(&self) -> Option<StopRule> {
        let seed = self.text.seed.unwrap_or_default();
        self.until.map(|until| StopRule { until, seed })
    }
}

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    let models = std::iter::once(&args.reference)
        .chain(&args.candidates)
        .map(Path::new);
    let inputs: Vec<&Path> = models
        .chain(args.text.text.iter().map(PathBuf::as_path))
        .collect();
    refuse_overwriting(&[args.json.as_ref(), args.csv.as_ref()], &inputs)?;
    args.run.check()?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let csv = args.csv.as_deref().map(Output::open).transpose()?;
    let work = args.work.work()?;
    let observer = Terminal::listening()?;
    let mut result = match args.run.finished()? {
        Some(run) => run.comparison()?,
        None => measure(args, work, &observer)?,
    };
    let part_is_done = args.run.part_is_done(&result.run, result.protocol.windows);
    if !part_is_done {
        judge(&mut result, args.fail_above.as_ref());
        result.pick = args.pick.map(|wanted| pick(wanted, &result));
    }
    let warnings = warnings(&result);

    let unit = if args.bits { Unit::Bits } else { Unit::Nats };
    let stdout_is_taken = [&json, &csv].into_iter().flatten().any(Output::is_stdout);
    args.run.leave(&result)?;
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
    if let Some(hint) = args
        .run
        .hint("compare", &result.run, result.protocol.windows)
    {
        Terminal::hint(&hint);
    }
    Ok(if part_is_done {
        Outcome::Fine
    } else {
        outcome(&result)
    })
}

fn measure(args: &CompareArgs, work: Work, observer: &Terminal) -> anyhow::Result<Comparison> {
    let fragments = args.text.fragments()?;
    let mut opener = Opener::new(args.work.memory.map(|size| size.0), observer);
    let (reference, mut candidates) = opener.open_all(&args.reference, &args.candidates)?;
    for made in args.what_if.candidates(&reference, &mut opener)? {
        candidates.push(Source::Model(Box::new(made)));
    }
    if args.noise_floor {
        let other_way = reference.model("--noise-floor")?.with_bf16_activations();
        candidates.push(Source::Model(Box::new(other_way)));
    }
    let candidates: Vec<&dyn LogitSource> = candidates.iter().map(|c| &**c).collect();
    let sources = std::iter::once(&*reference).chain(candidates.iter().copied());

    let cut = args.cut()?;
    let job = match args.text.recorded(sources, args.score)? {
        Some(_) => Job::replay(&*reference, &candidates, cut.max_windows, cut.seed)?,
        None => Job::new(&*reference, &candidates, &fragments, &cut)?,
    };
    let job = if args.noise_floor {
        job.with_noise_floor()
    } else {
        job
    };
    let job = match args.stop_rule() {
        Some(rule) => job.until(rule),
        None => job,
    };
    let mut summaries = Summaries::new(&job.plan);
    let measured = match args.run.begin("compare", work.kernel, &job.plan)? {
        Some(run) => job.measure_in(&run, work, observer, &mut summaries),
        None => job.measure(work, observer, &mut summaries),
    };
    observer.finish();
    let record = args.run.explain("compare", measured)?;
    Ok(conclude(&job.plan, &summaries.0, record))
}

/// What is told on stderr where the table goes nowhere.
fn warnings(result: &Comparison) -> Vec<String> {
    let of_candidates = result.candidates.iter().flat_map(|c| c.warnings.clone());
    let nothing_picked = result.pick.as_ref().is_some_and(|p| p.candidate.is_none());
    of_candidates
        .chain(nothing_picked.then(|| "no candidate is what --pick asks for".to_owned()))
        .collect()
}

/// Reads `max-kl=0.02` or `max-size=90MB`.
fn wanted(text: &str) -> Result<Wanted, String> {
    let expected = || format!("expected max-kl=NATS or max-size=SIZE, found {text:?}");
    let (name, limit) = text.split_once('=').ok_or_else(expected)?;
    match name.trim() {
        "max-kl" => match limit.trim().parse() {
            Ok(nats) if f64::is_finite(nats) && nats >= 0.0 => Ok(Wanted::MaxKl(nats)),
            _ => Err(format!(
                "expected nats ≥ 0 such as max-kl=0.02, found {text:?}"
            )),
        },
        "max-size" => Ok(Wanted::MaxSize(limit.trim().parse::<Size>()?.0)),
        _ => Err(expected()),
    }
}

fn pick(wanted: Wanted, result: &Comparison) -> Pick {
    let complete = result.run.complete;
    Pick::new(
        wanted,
        &result.candidates,
        result.ranking.as_ref(),
        complete,
    )
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
        .any(|verdict| !verdict.passed)
        || result.pick.as_ref().is_some_and(|p| p.candidate.is_none());
    let unmeasured = result.candidates.iter().any(|c| c.positions == 0);
    match () {
        () if !result.run.complete => Outcome::Interrupted,
        () if unmeasured => Outcome::NothingMeasured,
        () if failed => Outcome::GateExceeded,
        () => Outcome::Fine,
    }
}
