//! `kld`: the Kullback–Leibler divergence for language models.

mod args;
mod compare;
mod dist;
mod exit;
mod info;
mod models;
mod output;
mod progress;
mod score;

use std::process::ExitCode;

use clap::Parser;

/// Kullback–Leibler divergence for language models: measure it
///
/// D(P‖Q) = Σ P·ln(P/Q) says how far a model's distributions Q have moved from where they should be, P. The reference P is
/// always the first argument; everything is computed from logits, in nats, with no hidden ε.
#[derive(Debug, Parser)]
#[command(name = "kld", version, propagate_version = true)]
enum Verb {
    Dist(dist::DistArgs),
    Compare(compare::CompareArgs),
    Score(score::ScoreArgs),
    Info(info::InfoArgs),
}

fn main() -> ExitCode {
    let outcome = match Verb::parse() {
        Verb::Dist(args) => dist::run(&args).map(|()| exit::Outcome::Fine),
        Verb::Compare(args) => compare::run(&args),
        Verb::Score(args) => score::run(&args),
        Verb::Info(args) => info::run(&args),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "the one place where errors are printed"
            )]
            {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(exit::WRONG_INPUT)
        }
    }
}
