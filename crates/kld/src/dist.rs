//! `kld dist P Q`: two plain distributions, measures or samples.
//!
//! An argument is read into a table (`source`), two tables are brought into the same order (`table`), they are taken for
//! what the flags say (`prepare`) or refused with a hint (`refusal`), and what `kld-core` computes of them is exported.

mod csv;
mod elements;
mod json;
pub(crate) mod npy;
mod prepare;
mod refusal;
mod safetensors;
mod source;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use kld_core::{
    count::{self, Bootstrap, CountEstimates, Counts},
    dist::{
        Contribution, DistResult, Divergences, GeneralizedKl, Kind, OneSided, Orders, SCHEMA,
        Scale, Values,
    },
    distribution::{Distribution, Measure},
    smoothing::Smoothing,
};
use kld_report::{Json, Terminal, Unit};

use crate::output::Output;
use prepare::{Meaning, Prepared};

/// How far is one distribution from another?
///
/// Prints every divergence between two distributions P (the truth or reference, always first) and Q, in both directions, and
/// the entries that carry most of it. What is not a distribution is refused with what is wrong and which flag would mean it;
/// nothing is clipped, and no epsilon is added unless you ask with --smooth.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct DistArgs {
    /// The reference: numbers (0.1,0.2,0.7 or 1/3,2/3), - for standard input, or a file
    ///
    /// Files: .json (an array, or an object of name to number: names that are missing have no mass), .csv .tsv (numbers, or
    /// name,number), .txt (numbers), .npy (one row), .safetensors (one tensor, or file.safetensors#TENSOR).
    #[arg(value_name = "P", allow_hyphen_values = true)]
    reference: String,

    /// The candidate, in any of the same forms
    #[arg(value_name = "Q", allow_hyphen_values = true)]
    candidate: String,

    /// Divide each side by its sum
    #[arg(long, conflicts_with_all = ["generalized", "counts", "logits"])]
    normalize: bool,

    /// Compare measures that need not sum to 1: Σ P ln(P/Q) − ΣP + ΣQ
    #[arg(long, conflicts_with_all = ["counts", "log_probs", "logits", "smooth"])]
    generalized: bool,

    /// The numbers are natural logarithms of probabilities
    #[arg(long, conflicts_with_all = ["counts", "logits"])]
    log_probs: bool,

    /// The numbers are logits: put them through softmax
    #[arg(long, conflicts_with = "counts")]
    logits: bool,

    /// The numbers are counts of two samples: estimate the divergence of what is behind them, with intervals
    #[arg(long)]
    counts: bool,

    /// Give mass to entries without, on both sides: epsilon:E, laplace:K, krichevsky-trofimov, jelinek-mercer:L or absolute:D
    ///
    /// epsilon:1e-10 adds 1e-10 to every probability, laplace:1 adds 1 to every count (krichevsky-trofimov ½), and all divide by
    /// the new sum; jelinek-mercer:0.1 takes a tenth from the mean of both sides; absolute:0.5 takes ½ from every count above 0
    /// and gives it to the mean of both sides. The output says what was done.
    #[arg(long, value_name = "METHOD:STRENGTH", conflicts_with = "counts")]
    smooth: Option<Smoothing>,

    /// Order of the Rényi divergence, 0 or more; 1 is KL
    #[arg(long, value_name = "A", default_value_t = Orders::default().renyi_alpha, value_parser = order)]
    alpha: f64,

    /// Weight of P in the generalized Jensen-Shannon divergence, 0 to 1
    #[arg(long, value_name = "B", default_value_t = Orders::default().js_beta, value_parser = share)]
    js_beta: f64,

    /// Share of the first distribution in the mixture of skew KL, 0 to 1
    #[arg(long, value_name = "A", default_value_t = Orders::default().skew_alpha, value_parser = share)]
    skew_alpha: f64,

    /// How many of the entries that carry most to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,

    /// Print bits instead of nats; JSON is always in nats
    #[arg(long)]
    bits: bool,

    /// Write the result as JSON, in nats; - is standard output, and then there is no table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// How often the bootstrap redraws both samples
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().resamples, requires = "counts")]
    resamples: usize,

    /// Seed of the bootstrap; the same seed gives the same intervals
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().seed, requires = "counts")]
    seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  kld dist 0.1,0.2,0.7 0.2,0.2,0.6
  kld dist truth.json model.json --bits          objects of name to probability, in any order
  kld dist day1.csv day2.csv --counts            name,count: corrected estimates with intervals
  kld dist p.npy q.npy --logits                  softmax first
  kld dist a.safetensors#row b.safetensors#row   one tensor of a file
  kld dist 0.5,0.5 1,0 --smooth epsilon:1e-10    finite, and it says why
  head -n1 rows.txt | kld dist - q.json --json -

Exit codes: 0 fine, 2 the input, a file or the usage is wrong.";

/// Runs the verb.
///
/// # Errors
///
/// If an input cannot be read or is not what it is said to be, or the result cannot be written.
pub(crate) fn run(args: &DistArgs) -> Result<()> {
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let result = args.result()?;
    if !json.as_ref().is_some_and(Output::is_stdout) {
        let unit = if args.bits { Unit::Bits } else { Unit::Nats };
        Output::Stdout.write(&Terminal { unit }, &result)?;
    }
    json.map_or(Ok(()), |json| json.write(&Json, &result))
}

impl DistArgs {
    fn result(&self) -> Result<DistResult> {
        ensure!(
            self.reference != "-" || self.candidate != "-",
            "only one of P and Q can be `-`"
        );
        self.check_smoothing()?;
        let meaning = self.meaning();
        let (p, q) = (
            source::read(&self.reference).context("P")?,
            source::read(&self.candidate).context("Q")?,
        );
        let pair = table::align(p, q, meaning.absent())?;
        let compared = self.compare(&meaning.apply(&pair)?, pair.names.as_deref())?;
        Ok(DistResult {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: compared.kind,
            reference: meaning.describe(&self.reference, &pair.p),
            candidate: meaning.describe(&self.candidate, &pair.q),
            smoothing: self.smooth,
            values: compared.values,
            contributions: compared.contributions,
            only_in_reference: compared.only_in_reference,
            only_in_candidate: compared.only_in_candidate,
            estimates: compared.estimates,
            warnings: meaning.doubts(&pair),
        })
    }

    /// Some smoothings are of counts; a flag that says the numbers are something else contradicts it.
    fn check_smoothing(&self) -> Result<()> {
        let flags = [
            (self.logits, "--logits"),
            (self.log_probs, "--log-probs"),
            (self.normalize, "--normalize"),
        ];
        match (self.smooth, flags.iter().find(|(given, _)| *given)) {
            (Some(smoothing), Some((_, flag))) if smoothing.needs_counts() => bail!(
                "--smooth {smoothing} is for counts, and {flag} says that the numbers are something else\n    hint: leave out {flag} if they are counts, or use epsilon:1e-10 or jelinek-mercer:0.1"
            ),
            _ => Ok(()),
        }
    }

    fn meaning(&self) -> Meaning {
        let scale = match self {
            Self {
                generalized: true, ..
            } => Scale::Masses,
            Self {
                log_probs: true, ..
            } => Scale::LogProbs,
            Self { logits: true, .. } => Scale::Logits,
            Self { counts: true, .. } => Scale::Counts,
            _ => Scale::Probs,
        };
        Meaning {
            scale,
            normalize: self.normalize,
            smoothing: self.smooth,
        }
    }

    fn compare(&self, prepared: &Prepared, names: Option<&[String]>) -> Result<Compared> {
        match prepared {
            Prepared::Distributions(p, q) => self.distributions(p, q, names),
            Prepared::Measures(p, q) => self.measures(p, q, names),
            Prepared::Samples(p, q) => {
                let bootstrap = Bootstrap {
                    resamples: self.resamples,
                    seed: self.seed,
                };
                let estimates = Some(count::estimate(p, q, &bootstrap)?);
                let frequencies = self.distributions(&frequencies(p)?, &frequencies(q)?, names)?;
                Ok(Compared {
                    kind: Kind::Samples,
                    estimates,
                    ..frequencies
                })
            }
        }
    }

    fn distributions(
        &self,
        p: &Distribution,
        q: &Distribution,
        names: Option<&[String]>,
    ) -> Result<Compared> {
        let orders = Orders {
            renyi_alpha: self.alpha,
            js_beta: self.js_beta,
            skew_alpha: self.skew_alpha,
        };
        Ok(Compared {
            kind: Kind::Distributions,
            values: Values::Distributions(Divergences::between(p, q, &orders)?),
            contributions: Contribution::largest(
                Contribution::of_distributions(p, q, names)?,
                self.top,
            ),
            only_in_reference: OneSided::of_distributions(p, q, names, self.top)?,
            only_in_candidate: OneSided::of_distributions(q, p, names, self.top)?,
            estimates: None,
        })
    }

    fn measures(&self, p: &Measure, q: &Measure, names: Option<&[String]>) -> Result<Compared> {
        Ok(Compared {
            kind: Kind::Measures,
            values: Values::Measures(GeneralizedKl::between(p, q)?),
            contributions: Contribution::largest(Contribution::of_measures(p, q, names)?, self.top),
            only_in_reference: OneSided::of_measures(p, q, names, self.top)?,
            only_in_candidate: OneSided::of_measures(q, p, names, self.top)?,
            estimates: None,
        })
    }
}

/// The part of the result that depends on what was compared.
struct Compared {
    kind: Kind,
    values: Values,
    contributions: Vec<Contribution>,
    only_in_reference: OneSided,
    only_in_candidate: OneSided,
    estimates: Option<CountEstimates>,
}

fn frequencies(counts: &Counts) -> Result<Distribution> {
    Ok(Distribution::normalized(Measure::new(
        counts.counts().iter().map(|&count| count as f64).collect(),
    )?))
}

/// Parses the order of a Rényi divergence.
fn order(text: &str) -> Result<f64, String> {
    let order = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=f64::MAX).contains(&order) {
        Ok(order)
    } else {
        Err("expected a number from 0 on".to_owned())
    }
}

/// Parses a share.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("expected a number from 0 to 1".to_owned())
    }
}
