//! `kld compare P Q… --text T…`

use std::path::{Path, PathBuf};

use clap::Args;
use kld_core::sequential::{StopRule, Until};
use kld_eval::{
    Cut, Work,
    compare::{Job, Keep, Kept, Measured},
};
use kld_models::LogitSource;

use crate::{
    args::{ScoredName, TextArgs, WorkArgs},
    exit::Outcome,
    models::{Opener, Source},
    progress::Terminal,
    quantize::QuantizeArgs,
    report_args::{ReportArgs, outcome},
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

    #[command(flatten)]
    report: ReportArgs,
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
  kld compare p.gguf q8_0.gguf q4_0.gguf --text wiki.txt --html page.html   # a page that shows every token, to look at and to share
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
    args.run.check()?;
    let report = args.report.open(&inputs)?;
    let work = args.work.work()?;
    let observer = Terminal::listening()?;
    let keep = if report.shows_tokens() {
        Keep::Rows
    } else {
        Keep::Summaries
    };
    let mut measured = match args.run.finished()? {
        Some(run) => run.measured(keep)?,
        None => measure(args, work, keep, &observer)?,
    };
    let result = &mut measured.comparison;
    let part_is_done = args.run.part_is_done(&result.run, result.protocol.windows);
    if !part_is_done {
        args.report.judge(result);
    }
    let result = &measured.comparison;
    args.run.leave(result)?;
    report.write(&measured.detailed(), &observer)?;
    let windows = result.protocol.windows;
    if let Some(hint) = args.run.hint("compare", &result.run, windows) {
        Terminal::hint(&hint);
    }
    Ok(if part_is_done {
        Outcome::Fine
    } else {
        outcome(result)
    })
}

/// Measures what the arguments name; neither judged nor written yet.
pub(crate) fn measure(
    args: &CompareArgs,
    work: Work,
    keep: Keep,
    observer: &Terminal,
) -> anyhow::Result<Measured> {
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
    let mut kept = Kept::new(&job.plan, keep);
    let measured = match args.run.begin("compare", work.kernel, &job.plan)? {
        Some(run) => job.measure_in(&run, work, observer, &mut kept),
        None => job.measure(work, observer, &mut kept),
    };
    observer.finish();
    let record = args.run.explain("compare", measured)?;
    Ok(kept.conclude(job.plan, record))
}
