//! `kld text sample CORPUS… -o FILE`

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use kld_core::result::{Allocation, NearRule};
use kld_report::{Exporter, Json, Terminal as Table, Unit};
use kld_text::{
    compare::CompareOptions,
    count::CountOptions,
    read::Document,
    sample::{SampleOptions, sample},
};
use serde_json::json;

use super::read::ReadArgs;
use crate::{
    args::{positive, refuse_overwriting, threads},
    exit::Outcome,
    output::Output,
    progress::Terminal,
};

/// Draw an independent evaluation set from any amount of text
///
/// Whole documents are drawn at random, none twice or nearly so, and none that overlaps with a training text; the output says how well the sample stands
/// for the corpus: the divergence of its words from the corpus's, with its interval. The same seed over the same corpus gives the same sample.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SampleArgs {
    /// Files and folders: .txt and .md are one document, .jsonl has one in each record, .parquet in each row
    #[arg(value_name = "CORPUS", required = true)]
    corpus: Vec<PathBuf>,

    /// Where the sample goes: .jsonl, each record with its text and where it came from
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Documents of the sample
    #[arg(short, long, default_value_t = 1000, value_name = "N", value_parser = positive)]
    number: usize,

    /// Seed of the draw
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,

    /// Draw from each value of this field of the records on its own
    #[arg(long, value_name = "FIELD")]
    stratify: Option<String>,

    /// How many of each value: as many as its share of the corpus, or the same number of all
    #[arg(long, value_enum, default_value_t = AllocationName::Proportional, requires = "stratify")]
    allocate: AllocationName,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    rules: RuleArgs,

    /// Threads; change nothing [default: one per core]
    #[arg(long, value_name = "N", value_parser = positive)]
    threads: Option<usize>,

    /// Write the report as JSON to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Show divergences in bits instead of nats
    #[arg(long, help_heading = "Output")]
    bits: bool,
}

/// What is left out.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is left out")]
pub(crate) struct RuleArgs {
    /// Training text: documents that overlap with it are left out, and listed
    #[arg(long, num_args = 1.., value_name = "TRAIN")]
    exclude: Vec<PathBuf>,

    /// An overlap: at least this share of the document's different word n-grams stands in TRAIN
    #[arg(long, default_value_t = 0.2, value_name = "SHARE", value_parser = share)]
    overlap: f64,

    /// n of these n-grams
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = positive)]
    overlap_ngram: usize,

    /// A near-duplicate: its word 5-grams and those of a document taken before have at least this Jaccard similarity
    #[arg(long, default_value_t = 0.8, value_name = "SIMILARITY", value_parser = share)]
    near: f64,
}

/// Names of allocations on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AllocationName {
    Proportional,
    Equal,
}

const EXAMPLES: &str = "\
Examples:
  kld text sample corpus/ -o test.jsonl --number 500
  kld text sample news.parquet --stratify topic --allocate equal -o test.jsonl
  kld text sample crawl.jsonl.zst --exclude train.jsonl --overlap 0.1 -o test.jsonl --json test.report.json

Exit codes: 0 fine · 2 wrong input, file or usage · 3 interrupted";

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err("expected a share above 0 and at most 1".to_owned())
    }
}

/// Writes documents as records.
struct Records<'a> {
    stratify: Option<&'a str>,
}

impl Exporter<[Document]> for Records<'_> {
    fn export(&self, documents: &[Document], out: &mut dyn Write) -> io::Result<()> {
        for document in documents {
            let mut record = json!({ "text": document.text, "source": document.name });
            if let Some(field) = self.stratify.filter(|field| *field != "text") {
                record[field] = json!(document.by);
            }
            writeln!(out, "{record}")?;
        }
        Ok(())
    }
}

pub(super) fn run(args: &SampleArgs) -> anyhow::Result<Outcome> {
    let inputs: Vec<&Path> = args
        .corpus
        .iter()
        .chain(&args.rules.exclude)
        .map(PathBuf::as_path)
        .collect();
    ensure!(
        inputs.iter().all(|path| path.as_os_str() != "-"),
        "text is read more than once here, and standard input can be read only once: give files"
    );
    ensure!(
        args.output
            .extension()
            .is_some_and(|ending| ending == "jsonl"),
        "{}: expected a name that ends in .jsonl",
        args.output.display()
    );
    refuse_overwriting(&[Some(&args.output), args.json.as_ref()], &inputs)?;
    let output = Output::open(&args.output)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let observer = Terminal::listening()?;
    let name = args.corpus.iter().map(|path| path.display().to_string());
    let name = name.collect::<Vec<_>>().join(", ");
    let (documents, result) = sample(&name, &args.corpus, &args.options(), &observer)?;
    let stratify = args.stratify.as_deref();
    output.write(&Records { stratify }, documents.as_slice())?;
    let stdout_is_taken = json.as_ref().is_some_and(Output::is_stdout);
    if let Some(json) = json {
        json.write(&Json, &result)?;
    }
    if !stdout_is_taken {
        let unit = if args.bits { Unit::Bits } else { Unit::Nats };
        Output::Stdout.write(&Table { unit }, &result)?;
    }
    Ok(Outcome::Fine)
}

impl SampleArgs {
    fn options(&self) -> SampleOptions {
        let threads = threads(self.threads);
        let defaults = SampleOptions::default();
        SampleOptions {
            count: CountOptions {
                read: self.read.options(),
                threads,
                ..defaults.count
            },
            number: self.number as u64,
            seed: self.seed,
            stratify: self.stratify.clone(),
            allocation: match self.allocate {
                AllocationName::Proportional => Allocation::Proportional,
                AllocationName::Equal => Allocation::Equal,
            },
            near: NearRule {
                similarity: self.rules.near,
                ..defaults.near
            },
            exclude: self.rules.exclude.clone(),
            overlap_ngram: self.rules.overlap_ngram,
            overlap_share: self.rules.overlap,
            compare: CompareOptions {
                threads,
                listed: 5,
                ..defaults.compare
            },
        }
    }
}
