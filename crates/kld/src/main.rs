//! `kld`: the Kullback–Leibler divergence for language models.

mod dist;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(version, about)]
enum Verb {
    Dist(dist::DistArgs),
}

fn main() -> ExitCode {
    let Verb::Dist(args) = Verb::parse();
    match dist::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        #[expect(
            clippy::print_stderr,
            reason = "the one place where errors are printed"
        )]
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
