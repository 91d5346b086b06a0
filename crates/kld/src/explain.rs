//! `kld explain P --tensors TYPE --text T…`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use kld_eval::explain::{By, Swap, explain};
use kld_models::{gguf::BlockType, native::Selection};
use kld_report::{Csv, Json, Terminal as Table, Unit};

use crate::{
    args::{ScoredName, TextArgs, WorkArgs, refuse_overwriting},
    exit::Outcome,
    models::Opener,
    output::Output,
    progress::Terminal,
    quantize::made_type,
};

/// Which matrices make the difference when a model is quantized
///
/// One group of P's matrices at a time is quantized in memory, all else stays as it is, and D(P‖Q) is measured on the text. Beside it
/// stands the KL of Gaussian noise of the same size in the same matrices: far below it, the errors hit where it does not matter;
/// above it, where it does. The recipe says which groups to quantize first.
#[derive(Debug, Args)]
#[command(
    after_long_help = EXAMPLES,
    override_usage = "kld explain [OPTIONS] <P> --tensors <TYPE> --text <PATH>..."
)]
pub(crate) struct ExplainArgs {
    /// The reference P: a Hugging Face folder, `org/name[@revision]`, or a .gguf file
    #[arg(value_name = "P")]
    reference: String,

    /// The type that matrices are quantized to, e.g. `q4_0`
    #[arg(long, value_name = "TYPE", value_parser = made_type)]
    tensors: BlockType,

    /// What makes a group: the same matrix of all layers, all of a layer, or each matrix
    #[arg(long, value_enum, default_value_t = ByName::Kind)]
    by: ByName,

    /// Only the matrices whose names (see `kld info P --tensors`) are like this, e.g. `'blk.1*.ffn_*'`; may be given several times
    #[arg(long, value_name = "PATTERN")]
    only: Vec<String>,

    /// Seed of the noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    noise_seed: u64,

    #[command(flatten)]
    text: TextArgs,

    /// Which positions are scored [default: second-half]
    #[arg(long, value_enum, help_heading = "Text")]
    score: Option<ScoredName>,

    #[command(flatten)]
    work: WorkArgs,

    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Write a tidy table (one row per group) as CSV to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    csv: Option<PathBuf>,

    /// Show divergences in bits instead of nats
    #[arg(long, help_heading = "Output")]
    bits: bool,
}

const EXAMPLES: &str = "\
Examples:
  kld explain p-f16.gguf --tensors q4_0 --text book.txt --max-windows 16
  kld explain p-f16.gguf --tensors q4_0 --by layer --text book.txt --json layers.json
  kld explain p-f16.gguf --tensors q3_k --by tensor --only 'blk.0.*' --text book.txt

Exit codes: 0 fine · 2 wrong input, file or usage · 3 interrupted (what was measured is printed)";

/// Names of groupings on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ByName {
    Kind,
    Layer,
    Tensor,
}

impl ExplainArgs {
    fn swap(&self, memory_limit_bytes: Option<u64>) -> Swap {
        Swap {
            dtype: self.tensors,
            selection: Selection::new(self.only.clone()),
            by: match self.by {
                ByName::Kind => By::Kind,
                ByName::Layer => By::Layer,
                ByName::Tensor => By::Tensor,
            },
            noise_seed: self.noise_seed,
            memory_limit_bytes,
        }
    }
}

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<Outcome> {
    let inputs: Vec<&Path> = std::iter::once(Path::new(&args.reference))
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
    let model = reference.model("--tensors")?;

    let cut = args.text.cut(args.score, ScoredName::SecondHalf)?;
    let swap = args.swap(opener.memory_left());
    let explained = explain(model, &swap, &fragments, &cut, work, &observer);
    observer.finish();
    let result = explained?;

    let outcome = match () {
        () if !result.run.complete => Outcome::Interrupted,
        () if result.positions == 0 => Outcome::NothingMeasured,
        () => Outcome::Fine,
    };
    let stdout_is_taken = [&json, &csv].into_iter().flatten().any(Output::is_stdout);
    if let Some(json) = json {
        json.write(&Json, &result)?;
    }
    if let Some(csv) = csv {
        csv.write(&Csv, &result)?;
    }
    if stdout_is_taken {
        observer.warn_all(result.warnings);
    } else {
        let unit = if args.bits { Unit::Bits } else { Unit::Nats };
        Output::Stdout.write(&Table { unit }, &result)?;
    }
    Ok(outcome)
}
