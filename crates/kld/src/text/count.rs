//! `kld text count PATH… [-o FILE]`

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use kld_core::Observer;
use kld_report::{Exporter, Unit};
use kld_text::count::{
    CountOptions, CountTable, TableFormat, count, is_table, read_table, write_table,
};

use super::read::{ReadArgs, UnitArgs};
use crate::{
    args::refuse_overwriting,
    exit::Outcome,
    output::{Output, Outputs},
    progress::Terminal,
};

/// Count the words of a body of text once, to compare or merge the counts later
///
/// Tables among the sources are merged with what is counted, in the order given: the table of the whole is the same, to the bit, as the
/// merged tables of its parts (as long as nothing had to be left out to bound memory).
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct CountArgs {
    /// Files, folders, - for standard input, and tables of counts
    #[arg(value_name = "PATH", required = true)]
    sources: Vec<PathBuf>,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    unit: UnitArgs,

    /// Write the counts: everything to .kldcounts, totals alone to .json or .csv
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Write what is printed as JSON to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    json: Option<PathBuf>,

    /// Write what is printed as a page to a file: self-contained, works offline
    #[arg(long, value_name = "FILE|-", help_heading = "Output")]
    html: Option<PathBuf>,

    /// Terms shown
    #[arg(long, default_value_t = 20, value_name = "N", help_heading = "Output")]
    top: usize,
}

const EXAMPLES: &str = "\
Examples:
  kld text count corpus/ -o corpus.kldcounts
  kld text count january.kldcounts february.kldcounts -o winter.kldcounts     # merge
  kld text count book.txt --ngram 2 -o pairs.csv
  kld text corpus.kldcounts new.jsonl                                         # compare

Exit codes: 0 fine · 2 wrong input, file or usage · 3 interrupted";

/// Writes a table of counts to a file.
struct Written(TableFormat);

impl Exporter<CountTable> for Written {
    fn export(&self, table: &CountTable, out: &mut dyn Write) -> io::Result<()> {
        write_table(table, self.0, out)
    }
}

pub(super) fn run(args: &CountArgs) -> anyhow::Result<Outcome> {
    let inputs: Vec<&Path> = args.sources.iter().map(PathBuf::as_path).collect();
    let (json, html) = (args.json.as_ref(), args.html.as_ref());
    refuse_overwriting(&[args.output.as_ref(), json, html], &inputs)?;
    let outputs = Outputs::open(json, html, Unit::Nats)?;
    let output = match &args.output {
        Some(path) => {
            let format = TableFormat::of(path).with_context(|| {
                format!(
                    "{}: expected a name that ends in .kldcounts, .json or .csv",
                    path.display()
                )
            })?;
            Some((Output::open(path)?, format))
        }
        None => None,
    };
    let observer = Terminal::listening()?;
    let options = args.unit.count_options(&args.read, &observer)?;
    let table = body(&args.sources, &options, &observer)?;
    if let Some((output, format)) = output {
        output.write(&Written(format), &table)?;
    }
    let name = args.sources.iter().map(|path| path.display().to_string());
    let name = name.collect::<Vec<_>>().join(", ");
    let summary = table.summary(&name, args.top)?;
    outputs.write(&summary)?;
    Ok(Outcome::Fine)
}

/// The counts of sources, tables among them as they are.
pub(super) fn body(
    sources: &[PathBuf],
    options: &CountOptions,
    observer: &dyn Observer,
) -> kld_text::Result<CountTable> {
    let mut whole: Option<CountTable> = None;
    for run in sources.chunk_by(|a, b| !is_table(a) && !is_table(b)) {
        let table = match run {
            [table] if is_table(table) => read_table(table)?,
            texts => count(texts, options, observer)?,
        };
        match &mut whole {
            Some(whole) => whole.merge(&table)?,
            None => whole = Some(table),
        }
    }
    Ok(whole.unwrap_or_else(|| CountTable::new(options.counted())))
}
