//! `kld text A B`

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use kld_core::{
    Observer,
    count::Bootstrap,
    result::{FragmentKind, TextFragments},
    smoothing::Smoothing,
};
use kld_text::{
    compare::{CompareOptions, compare},
    count::{CountOptions, CountTable, is_table},
    fragments::{Body, fragments},
    quality::MauveOptions,
};

use super::{
    count::body,
    expected::{self, ExpectedArgs},
    outputs::OutputArgs,
    pairs,
    quality::{self, QualityArgs},
    read::{ReadArgs, UnitArgs},
};
use crate::{args::positive, exit::Outcome, progress::Terminal};

/// Two bodies of text.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The reference: a file (.txt and .md are one document, .jsonl has one in each record), a folder, - for standard input, or a table that
    /// `kld text count` wrote
    #[arg(value_name = "A", required = true)]
    pub(super) reference: Option<PathBuf>,

    /// What is compared with it
    #[arg(value_name = "B", required_unless_present_any = ["expected", "fields"])]
    pub(super) candidate: Option<PathBuf>,

    #[command(flatten)]
    pub(super) read: ReadArgs,

    #[command(flatten)]
    pub(super) unit: UnitArgs,

    #[command(flatten)]
    pub(super) statistics: StatisticsArgs,

    #[command(flatten)]
    pub(super) quality: QualityArgs,

    #[command(flatten)]
    fragments: FragmentArgs,

    #[command(flatten)]
    expected: ExpectedArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Which parts of B are looked at one by one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Fragments of B, each against A")]
pub(crate) struct FragmentArgs {
    /// Rank the documents of B, the farthest first
    #[arg(long, conflicts_with_all = ["window", "by"])]
    documents: bool,

    /// Follow B in windows of N terms: where does it drift?
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "by")]
    window: Option<usize>,

    /// Follow B by the values of a field of its records, such as a date
    #[arg(long, value_name = "FIELD")]
    by: Option<String>,
}

impl FragmentArgs {
    fn kind(&self) -> Option<FragmentKind> {
        let windows = self.window.map(|terms| FragmentKind::Windows {
            terms: terms as u64,
        });
        let groups = self.by.clone().map(|by| FragmentKind::Groups { by });
        let documents = self.documents.then_some(FragmentKind::Documents);
        windows.or(groups).or(documents)
    }
}

/// What is made of the counts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Statistics")]
pub(crate) struct StatisticsArgs {
    /// Give mass to terms that one side lacks: laplace:K, krichevsky-trofimov, jelinek-mercer:L, absolute:D or epsilon:E
    ///
    /// laplace:1 adds 1 to every count (krichevsky-trofimov ½); jelinek-mercer:0.1 takes a tenth of each side from the mean of both;
    /// absolute:0.5 takes ½ from every count above 0 and gives it to the mean of both. Without it nothing is smoothed, and KL that is
    /// infinite is called so.
    #[arg(long, value_name = "METHOD:STRENGTH")]
    smooth: Option<Smoothing>,

    /// How often the parts of both bodies are redrawn for intervals
    #[arg(long, default_value_t = 300, value_name = "N")]
    pub(super) resamples: usize,

    /// Seed of the random numbers: the same seed gives the same intervals
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) seed: u64,

    /// Terms listed on each side
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(super) top: usize,
}

impl CompareArgs {
    /// The two bodies, of which one at most is standard input.
    pub(super) fn bodies(&self) -> anyhow::Result<[PathBuf; 2]> {
        let bodies =
            [&self.reference, &self.candidate].map(|side| side.clone().unwrap_or_default());
        ensure!(
            bodies.iter().any(|body| body.as_os_str() != "-"),
            "only one of A and B can be `-`"
        );
        Ok(bodies)
    }

    /// How MAUVE is computed.
    pub(super) fn mauve_options(&self) -> MauveOptions {
        MauveOptions {
            buckets: self.quality.buckets,
            seeds: self.quality.quantizations,
            seed: self.statistics.seed,
            resamples: self.statistics.resamples,
            ..MauveOptions::default()
        }
    }
}

impl StatisticsArgs {
    pub(super) fn options(&self, threads: usize) -> CompareOptions {
        CompareOptions {
            smoothing: self.smooth,
            bootstrap: Bootstrap {
                resamples: self.resamples,
                seed: self.seed,
            },
            listed: self.top,
            threads,
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  kld text austen.txt melville.txt
  kld text human/ machine.jsonl --field completion --smooth jelinek-mercer:0.1
  kld text human.jsonl machine.jsonl --quality --features model.gguf  # is generated text as good and as varied? (docs/quality.md)
  kld text questions.txt answers.txt --pairs                          # line by line (docs/pairs.md)
  kld text corpus/ news.jsonl --by date          # drift, tested against the spread within corpus/
  kld text human/ machine.jsonl --documents      # which of them are farthest
  kld text book.txt --expected model.gguf        # against what a language model expects
  kld text corpus/ new/ --html shift.html        # a page with a word-shift chart
  kld text monday.kldcounts tuesday.kldcounts --json drift.json      # tables that `kld text count` wrote

Exit codes: 0 fine · 2 wrong input, file or usage · 3 interrupted";

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    if args.quality.quality {
        return quality::run(args);
    }
    if args.quality.pairs {
        return pairs::run(args);
    }
    if let (Some(model), Some(reference)) = (&args.expected.expected, &args.reference) {
        return expected::run(
            model,
            &args.expected,
            reference,
            &quality::held_in_memory(args),
            args.unit.threads,
            args.output.open(&[reference, model.as_ref()])?,
        );
    }
    ensure!(
        args.quality.features.is_empty(),
        "--features are of texts: say with --quality or --pairs what is asked about them"
    );
    let [reference, candidate] = args.bodies()?;
    let kind = args.fragments.kind();
    ensure!(
        kind.is_none()
            || [&reference, &candidate]
                .iter()
                .all(|side| side.as_os_str() != "-"),
        "--documents, --window and --by read the text twice, and standard input can be read only once: give files"
    );
    ensure!(
        kind.is_none() || !is_table(&candidate),
        "{} holds counts alone: --documents, --window and --by need the text of B",
        candidate.display()
    );
    let outputs = args.output.open(&[&reference, &candidate])?;
    let observer = Terminal::listening()?;
    let options = args.unit.count_options(&args.read, &observer)?;
    let counts = |path: &PathBuf| body(std::slice::from_ref(path), &options, &observer);
    let (a, b) = (
        counts(&reference).context("A")?,
        counts(&candidate).context("B")?,
    );
    let names = [&reference, &candidate].map(|path| path.display().to_string());
    let mut result = compare(
        (&names[0], &a),
        (&names[1], &b),
        &args.statistics.options(options.threads),
    )?;
    if let Some(kind) = kind {
        let bodies = [(&a, &reference), (&b, &candidate)];
        let listed = args.statistics.top;
        result.fragments = Some(looked_at(bodies, &kind, listed, &options, &observer)?);
    }
    outputs.write(&result)?;
    Ok(Outcome::Fine)
}

/// The fragments of the second body against the first; of a table there is no text.
fn looked_at(
    bodies: [(&CountTable, &PathBuf); 2],
    kind: &FragmentKind,
    listed: usize,
    options: &CountOptions,
    observer: &dyn Observer,
) -> kld_text::Result<TextFragments> {
    let [a, b] = bodies.map(|(table, path)| Body {
        table,
        sources: if is_table(path) {
            &[]
        } else {
            std::slice::from_ref(path)
        },
    });
    fragments(a, b, kind, listed, options, observer)
}
