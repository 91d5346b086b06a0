//! `kld merge RUN… -o DIR`

use std::{env, path::PathBuf};

use anyhow::Context;
use clap::{Args, Parser};
use kld_eval::run::{Run, merge};

use crate::{Verb, exit::Outcome, progress::Terminal, run_folder};

/// Makes one run of several run folders, e.g. of the parts that several machines measured
///
/// The folders must be of the same run: models, text, windows and versions are compared by their hashes and numbers, and where two
/// folders have the same window, they must have measured the same. When all windows are there, the result is told just as the one
/// machine would have told it that measured them all; otherwise the new folder can be gone on with by --resume.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct MergeArgs {
    /// The run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,

    /// The folder of the run that is made of them
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  kld compare p.gguf q.gguf --text wiki.txt --run a --part 1/2         # on one machine
  kld compare p.gguf q.gguf --text wiki.txt --run b --part 2/2         # on another, with the same instruction sets
  kld merge a b -o all

Exit codes: those of the verb of the run; 3 where windows are missing";

pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<Outcome> {
    let runs = args
        .runs
        .iter()
        .map(|folder| Run::open(folder))
        .collect::<Result<Vec<_>, _>>()?;
    let merged = merge(&runs, &args.output).context("cannot merge")?;
    let contents = merged.contents()?;
    if merged.is_complete()? {
        let program = env::args_os().next().unwrap_or_default();
        let arguments = run_folder::arguments_of(merged.folder(), &merged.header, program);
        return Verb::parse_from(arguments).run();
    }
    Terminal::hint(&format!(
        "{folder} has {done} of {all} windows; what is missing is measured by: kld {verb} --run {folder} --resume",
        folder = merged.folder().display(),
        done = contents.windows_done(),
        all = merged.plan.order.len(),
        verb = merged.header.verb,
    ));
    Ok(Outcome::Interrupted)
}
