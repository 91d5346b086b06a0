//! `kld text A B`: two bodies of text, and what else is done with bodies of text.

mod compare;
mod count;
mod expected;
mod outputs;
mod pairs;
mod quality;
mod read;
mod sample;

use clap::{Args, Subcommand};

use crate::exit::Outcome;

/// How far is one body of text from another, and which words make the difference?
///
/// P is how often each word stands in A (the reference), Q how often it stands in B: the divergence between them both ways, with
/// the words that carry it. Needs no model.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = compare::EXAMPLES
)]
pub(crate) struct TextArgs {
    #[command(subcommand)]
    task: Option<Task>,

    #[command(flatten)]
    compare: compare::CompareArgs,
}

/// What else is done with bodies of text.
#[derive(Debug, Subcommand)]
enum Task {
    Count(Box<count::CountArgs>),
    Sample(Box<sample::SampleArgs>),
}

pub(crate) fn run(args: &TextArgs) -> anyhow::Result<Outcome> {
    match &args.task {
        Some(Task::Count(args)) => count::run(args),
        Some(Task::Sample(args)) => sample::run(args),
        None => compare::run(&args.compare),
    }
}
