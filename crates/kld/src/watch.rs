//! `kld watch RUN`

mod alarm;
mod look;

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use console::Term;
use kld_core::{Observer, result::Watch, series::Tolerance};
use kld_report::{Exporter, Html, Json, Terminal as Table};

use self::{
    alarm::{AlarmArgs, Alarms},
    look::Look,
};
use crate::{args::refuse_overwriting, exit::Outcome, output::Output, progress::Terminal};

/// Is a training still getting better? Its curves, a verdict that knows its error, and rules
///
/// Reads what a trainer tells by step: the run folder of `kld train`; JSON lines of any other trainer; the folder of a Hugging Face
/// trainer (trainer_state.json); a folder of TensorBoard event files. Less is better: held-out KL, or a loss. The trend of the last half of the
/// evaluations (Theil-Sen, with an error that knows of autocorrelation) is drawn on for as many steps as it looks back; what would be gained, with its 95 %
/// interval, makes the verdict: improving, converged, over-fitting, diverging, or too early to say. On a terminal the view goes on until
/// Ctrl-C or the training's end; elsewhere, or with --once, it is one look.
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

    /// Look once, also on a terminal
    #[arg(long, help_heading = "View")]
    once: bool,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = above_zero, help_heading = "View")]
    every: f64,

    /// Write what was found last as JSON to a file, or - for stdout instead of the view
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Write a self-contained HTML page of it
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
}

/// Which number is which, where its name does not say so.
#[derive(Debug, Args)]
#[command(next_help_heading = "Names")]
pub(crate) struct NameArgs {
    /// The held-out series [default: the first usual name, such as eval_loss or val/loss]
    #[arg(long, value_name = "KEY")]
    held_out: Option<String>,

    /// The training series [default: the first usual name, such as train_loss or loss]
    #[arg(long, value_name = "KEY")]
    train: Option<String>,

    /// The step of a JSON record [default: step, global_step, iteration, …]
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

Rules: numbers, names of series, + - * /, < <= > >= == !=, and, or, ( ), and min, max, mean, last of a series so far. Names are kl_heldout, kl_train, gap,
       learning_rate, gradient_norm, tokens_per_s, and whatever else the trainer tells; one that is no plain word stands in quotes: '\"eval/loss\" > 2'.

Exit codes: 0 fine · 1 a rule held at some step · 2 wrong input, file or usage";

pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<Outcome> {
    let outputs = [args.json.as_ref(), args.html.as_ref()];
    refuse_overwriting(&outputs, &[Path::new(&args.source)])?;
    ensure!(
        args.html.as_deref() != Some(Path::new("-")),
        "a page goes to a file: name one with --html"
    );
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let html = args.html.as_deref().map(Output::open).transpose()?;
    let observer = Terminal::answering("")?;
    let mut alarms = Alarms::new(&args.alarm)?;
    let look = Look::new(args);
    let term = Term::stdout();
    let is_live = !args.once && term.is_term() && !json.as_ref().is_some_and(Output::is_stdout);
    let watch = if is_live {
        live(args, &look, &mut alarms, &term, &observer)?
    } else {
        let watch = look.look()?;
        alarms.tell(&watch, &observer);
        watch
    };
    let stdout_is_taken = json.as_ref().is_some_and(Output::is_stdout);
    if let Some(json) = json {
        json.write(&Json, &watch)?;
    }
    if let Some(html) = html {
        html.write(&Html, &watch)?;
    }
    if stdout_is_taken {
        observer.warn_all(watch.warnings.clone());
    } else if !is_live {
        Output::Stdout.write(&Table::default(), &watch)?;
    }
    Ok(if watch.has_fired() {
        Outcome::GateExceeded
    } else {
        Outcome::Fine
    })
}

/// Looks again and again, until Ctrl-C or the training's end.
fn live(
    args: &WatchArgs,
    look: &Look,
    alarms: &mut Alarms,
    term: &Term,
    observer: &Terminal,
) -> anyhow::Result<Watch> {
    let began = Instant::now();
    let mut first = None;
    loop {
        let mut watch = look.look()?;
        let (since, step) = *first.get_or_insert((Instant::now(), watch.step));
        watch.left_s = left(&watch, watch.step - step, since.elapsed());
        let mut view = Vec::new();
        Table::default().export(&watch, &mut view)?;
        term.clear_screen()?;
        term.write_str(&String::from_utf8_lossy(&view))?;
        alarms.tell(&watch, observer);
        let is_done = watch
            .steps_planned
            .is_some_and(|planned| watch.step >= planned);
        if is_done || look.has_ended() {
            return Ok(watch);
        }
        term.write_str(&format!(
            "watching for {} s; Ctrl-C ends\n",
            began.elapsed().as_secs()
        ))?;
        let next = Instant::now() + Duration::from_secs_f64(args.every.min(86_400.0));
        while Instant::now() < next {
            if observer.interrupted() {
                return Ok(watch);
            }
            thread::sleep(Duration::from_millis(50));
        }
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
