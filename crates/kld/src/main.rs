//! `kld`: the Kullback–Leibler divergence for language models.

mod args;
mod compare;
mod demo;
mod dist;
mod exit;
mod explain;
mod info;
mod merge;
mod models;
mod output;
mod progress;
mod quantize;
mod record;
mod report;
mod report_args;
mod run_folder;
mod score;
mod suggest;
mod text;
mod train;
mod watch;

use std::process::ExitCode;

use clap::Parser;

/// Kullback–Leibler divergence for language models: measure it, minimise it
///
/// D(P‖Q) = Σ P·ln(P/Q) says how far a model's distributions Q have moved from where they should be, P. The reference P is
/// always the first argument; everything is computed from logits, in nats, with no hidden ε.
#[derive(Debug, Parser)]
#[command(name = "kld", version, propagate_version = true)]
enum Verb {
    Dist(dist::DistArgs),
    Compare(Box<compare::CompareArgs>),
    Score(score::ScoreArgs),
    Explain(explain::ExplainArgs),
    Text(Box<text::TextArgs>),
    Suggest(Box<suggest::SuggestArgs>),
    Watch(Box<watch::WatchArgs>),
    Record(record::RecordArgs),
    Train(Box<train::TrainArgs>),
    Merge(merge::MergeArgs),
    Report(report::ReportCommand),
    Info(info::InfoArgs),
    Demo(demo::DemoArgs),
}

impl Verb {
    fn run(self) -> anyhow::Result<exit::Outcome> {
        match self {
            Verb::Dist(args) => dist::run(&args).map(|()| exit::Outcome::Fine),
            Verb::Compare(args) => compare::run(&args),
            Verb::Score(args) => score::run(&args),
            Verb::Explain(args) => explain::run(&args),
            Verb::Text(args) => text::run(&args),
            Verb::Suggest(args) => suggest::run(&args),
            Verb::Watch(args) => watch::run(&args),
            Verb::Record(args) => record::run(&args),
            Verb::Train(args) => train::run(&args),
            Verb::Merge(args) => merge::run(&args),
            Verb::Report(args) => report::run(&args),
            Verb::Info(args) => info::run(&args),
            Verb::Demo(args) => demo::run(&args),
        }
    }
}

fn main() -> ExitCode {
    let arguments = run_folder::recalled(std::env::args_os().collect());
    match arguments.and_then(|arguments| Verb::parse_from(arguments).run()) {
        Ok(outcome) => outcome.into(),
        Err(error) if exit::is_stop(&error) => exit::Outcome::Interrupted.into(),
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "the one place where errors are printed"
            )]
            {
                eprintln!("error: {}", told(&error));
            }
            ExitCode::from(exit::WRONG_INPUT)
        }
    }
}

/// The chain of causes in one line; a cause that the message before it already tells is not told again.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
