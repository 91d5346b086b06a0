//! `kld watch RUN`

mod alarm;
mod checkpoints;
mod look;
mod scorer;
mod scores;

use std::{
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use console::Term;
use kld_core::{Observer, result::Watch, series::Tolerance};
use kld_report::{Exporter, Html, Json, Terminal as Table};

use self::{
    alarm::{AlarmArgs, Alarms},
    look::Look,
    scorer::{AgainstArgs, Scorer},
};
use crate::{args::refuse_overwriting, exit::Outcome, output::Output, progress::Terminal};

/// Is a training still getting better? Its curves, a verdict that knows its error, and rules
///
/// Reads what a trainer tells by step: the run folder of `kld train`; JSON lines of any other trainer; the folder of a Hugging Face
/// trainer (`trainer_state.json`); a folder of TensorBoard event files. With --reference or --base RUN is a folder in which checkpoints appear, and
/// each is scored on the text of --text. Less is better: held-out KL, or a loss. The trend of the last half of the
/// evaluations (Theil-Sen, with an error that knows of autocorrelation) is drawn on for as many steps as it looks back; what would be gained, with its 95 %
/// interval, makes the verdict: improving, converged, over-fitting, diverging, or too early to say. On a terminal the view goes on until
/// Ctrl-C, or until `kld train` has ended; elsewhere, or with --once, it is one look.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// The training: a folder or a file
    #[arg(value_name = "RUN")]
    source: PathBuf,

    #[command(flatten)]
    names: NameArgs,

    #[command(flatten)]
    judging: JudgingArgs,

    #[command(flatten)]
    alarm: AlarmArgs,

    #[command(flatten)]
    against: AgainstArgs,

    /// Look once, also on a terminal
    #[arg(long, help_heading = "View")]
    once: bool,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = above_zero, help_heading = "View")]
    every: f64,

    /// Write what was found as JSON to a file, after every look, or - for stdout instead of the view
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Write a self-contained HTML page of it, after every look
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
}

/// Which number is which, where its name does not say so.
#[derive(Debug, Args)]
#[command(next_help_heading = "Names")]
pub(crate) struct NameArgs {
    /// The held-out series [default: the first usual name, such as `eval_loss` or `val/loss`]
    #[arg(long, value_name = "KEY")]
    held_out: Option<String>,

    /// The training series [default: the first usual name, such as `train_loss` or `loss`]
    #[arg(long, value_name = "KEY")]
    train: Option<String>,

    /// The step of a JSON record [default: `step`, `global_step`, `iteration`, …]
    #[arg(long, value_name = "KEY")]
    step: Option<String>,
}

/// What the verdict is about.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verdict")]
pub(crate) struct JudgingArgs {
    /// Converged is what would gain less than this: a share of the present level, or an amount such as 0.001
    #[arg(long, value_name = "N%|AMOUNT", default_value = "1%")]
    tolerance: Tolerance,

    /// Evaluations looked back on [default: the last half, at least 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(10..))]
    window: Option<u16>,

    /// Steps looked ahead [default: as many as are looked back on]
    #[arg(long, value_name = "STEPS", value_parser = above_zero)]
    horizon: Option<f64>,
}

const EXAMPLES: &str = "\
Examples:
  kld watch small                                            # the run folder of `kld train … --run small`, live
  kld watch small --once --json verdict.json                 # one look, for a script
  kld watch runs/my-finetune                                 # TensorBoard event files
  kld watch output/                                          # trainer_state.json of a Hugging Face trainer
  kld watch log.jsonl --held-out dev/nll --train nll --step iter
  kld watch small --once --alert 'kl_heldout > 1.1 * min(kl_heldout)' --alert 'gap > 0.05'   # over the whole run so far
  kld watch small --alert 'gap > 0.05' --on-alert 'touch small/STOP'
  kld watch small --once --html training.html
  kld watch output/ --reference org/teacher --text held-out/                  # scores checkpoint-500, checkpoint-1000, … as they appear
  kld watch output/ --base org/base --text held-out.jsonl --base-text books/ --alert 'kl_base > 0.1'   # a fine-tuning that should not forget

Rules: numbers, names of series, + - * /, < <= > >= == !=, and, or, ( ), and min, max, mean, last of a series so far. Names are kl_heldout, kl_train, gap,
       learning_rate, gradient_norm, tokens_per_s, and whatever else the trainer tells; one that is no plain word stands in quotes: '\"eval/loss\" > 2'.

Exit codes: 0 fine · 1 a rule held at some step · 2 wrong input, file or usage · 3 interrupted before all checkpoints were scored";

pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<Outcome> {
    let files = Files::of(args)?;
    let observer = Terminal::answering("")?;
    let alarms = Alarms::new(&args.alarm)?;
    let models = args.against.open(&observer)?;
    let scorer = models
        .as_ref()
        .map(|models| args.against.scorer(&args.source, models, &observer));
    let scorer = scorer.transpose()?;
    let term = Term::stdout();
    let is_live = !args.once && term.is_term() && !files.take_stdout();
    let mut watching = Watching {
        look: Look::new(args, scorer.as_ref().map(Scorer::kept_in)),
        scorer,
        alarms,
        files,
        observer: &observer,
    };
    if is_live {
        let watch = watching.live(args.every, &term)?;
        return Ok(watch.map_or(Outcome::Fine, |watch| outcome(&watch)));
    }
    let watch = watching.once()?;
    Ok(match outcome(&watch) {
        Outcome::Fine if observer.interrupted() => Outcome::Interrupted,
        outcome => outcome,
    })
}

fn outcome(watch: &Watch) -> Outcome {
    if watch.has_fired() {
        Outcome::GateExceeded
    } else {
        Outcome::Fine
    }
}

/// What is watched, and who is told.
struct Watching<'a> {
    scorer: Option<Scorer<'a>>,
    look: Look<'a>,
    alarms: Alarms<'a>,
    files: Files<'a>,
    observer: &'a Terminal,
}

impl Watching<'_> {
    /// One look; every checkpoint that can be scored is scored before.
    fn once(&mut self) -> anyhow::Result<Watch> {
        while self.score(false)? {}
        let seen = self.look.look(self.left_out())?;
        let watch = seen.with_context(|| {
            let lines = [vec![self.look.nothing()], self.left_out()].concat();
            lines.join("\n")
        })?;
        self.alarms.tell(&watch, self.observer);
        self.files.write(&watch)?;
        if self.files.take_stdout() {
            self.observer.warn_all(watch.warnings.clone());
        } else {
            Output::Stdout.write(&Table::default(), &watch)?;
        }
        Ok(watch)
    }

    /// Looks again and again, until Ctrl-C or the training's end; gives what was seen last.
    fn live(&mut self, every_s: f64, term: &Term) -> anyhow::Result<Option<Watch>> {
        let began = Instant::now();
        let mut first = None;
        loop {
            let mut seen = self.look.look(self.left_out())?;
            if let Some(watch) = &mut seen {
                let (since, step) = *first.get_or_insert((Instant::now(), watch.step));
                watch.left_s = left(watch, watch.step - step, since.elapsed());
            }
            self.show(seen.as_ref(), term)?;
            if seen.is_some() && self.look.has_ended() {
                return Ok(seen);
            }
            let seconds = began.elapsed().as_secs();
            term.write_str(&format!("watching for {seconds} s; Ctrl-C ends\n"))?;
            let next = Instant::now() + Duration::from_secs_f64(every_s.min(86_400.0));
            if self.score(true)? {
                continue;
            }
            loop {
                if self.observer.interrupted() {
                    return Ok(seen);
                }
                if Instant::now() >= next {
                    break;
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    fn show(&mut self, seen: Option<&Watch>, term: &Term) -> anyhow::Result<()> {
        let mut view = Vec::new();
        if let Some(watch) = seen {
            Table::default().export(watch, &mut view)?;
        } else {
            writeln!(view, "{}", self.look.nothing())?;
            for line in self.left_out() {
                writeln!(view, "{line}")?;
            }
        }
        term.clear_screen()?;
        term.write_str(&String::from_utf8_lossy(&view))?;
        if let Some(watch) = seen {
            self.files.write(watch)?;
            self.alarms.tell(watch, self.observer);
        }
        Ok(())
    }

    /// Scores the next new checkpoint, if checkpoints are what is watched.
    fn score(&mut self, is_patient: bool) -> anyhow::Result<bool> {
        let scorer = self.scorer.as_mut();
        scorer.map_or(Ok(false), |scorer| scorer.score_next(is_patient))
    }

    /// Checkpoints without a score, and why.
    fn left_out(&self) -> Vec<String> {
        let scorer = self.scorer.as_ref();
        scorer.map(Scorer::warnings).unwrap_or_default()
    }
}

/// Where what is found goes beside the view; written anew after every look, each time as a whole.
struct Files<'a> {
    json: Option<&'a Path>,
    html: Option<&'a Path>,
}

impl<'a> Files<'a> {
    /// Makes sure that they can be written.
    fn of(args: &'a WatchArgs) -> anyhow::Result<Self> {
        let outputs = [args.json.as_ref(), args.html.as_ref()];
        refuse_overwriting(&outputs, &[&args.source])?;
        ensure!(
            args.html.as_deref() != Some(Path::new("-")),
            "a page goes to a file: name one with --html"
        );
        for path in outputs.into_iter().flatten() {
            Output::open(path)?;
        }
        Ok(Self {
            json: args.json.as_deref(),
            html: args.html.as_deref(),
        })
    }

    fn take_stdout(&self) -> bool {
        self.json == Some(Path::new("-"))
    }

    fn write(&self, watch: &Watch) -> anyhow::Result<()> {
        if let Some(path) = self.json {
            Output::open(path)?.write(&Json, watch)?;
        }
        if let Some(path) = self.html {
            Output::open(path)?.write(&Html, watch)?;
        }
        Ok(())
    }
}

/// Seconds to the planned end at the speed of the steps seen so far.
fn left(watch: &Watch, steps: f64, elapsed: Duration) -> Option<f64> {
    let ahead = watch.steps_planned? - watch.step;
    (steps > 0.0 && ahead > 0.0).then(|| ahead / steps * elapsed.as_secs_f64())
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && number > 0.0 => Ok(number),
        _ => Err(format!("expected a number above 0, found {text:?}")),
    }
}
