//! In which forms a comparison is told, and how it is judged: shared by the verbs that end in one.

use std::path::{Path, PathBuf};

use clap::Args;
use kld_core::{
    Detailed,
    gate::Gate,
    pick::{Pick, Wanted},
    result::Comparison,
};
use kld_report::{Csv, Html, Json, Markdown, Terminal as Table, Tokens, Unit};

use crate::{
    args::{Size, refuse_overwriting},
    exit::Outcome,
    output::Output,
    progress::Terminal,
};

/// Judgement and output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ReportArgs {
    /// Exit with 1 when a candidate exceeds a limit, e.g. mean=0.01,p99=0.2,top1=0.05 (top1: share of positions whose most likely
    /// token differs)
    #[arg(long, value_name = "METRIC=LIMIT,…")]
    fail_above: Option<Gate>,

    /// Name the candidate to ship, and exit with 1 where none passes: max-kl=0.02 (the smallest whose mean KL, in nats, is at most
    /// that) or max-size=90MB (the closest of at most that size)
    #[arg(long, value_name = "max-kl=NATS|max-size=SIZE", value_parser = wanted)]
    pick: Option<Wanted>,

    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write a tidy table (one row per candidate and scope) as CSV to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-")]
    csv: Option<PathBuf>,

    /// Write one self-contained HTML page with charts and the text, coloured by KL, to a file
    #[arg(long, value_name = "FILE|-")]
    html: Option<PathBuf>,

    /// Write Markdown, with a block for each candidate's model card, to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-")]
    markdown: Option<PathBuf>,

    /// Write every scored token of every candidate as Parquet to a file
    #[arg(long, value_name = "FILE|-")]
    tokens: Option<PathBuf>,

    /// Show divergences in bits instead of nats
    #[arg(long)]
    bits: bool,
}

impl ReportArgs {
    /// Opens the outputs before the work begins; none of them may be one of `inputs`.
    pub(crate) fn open(&self, inputs: &[&Path]) -> anyhow::Result<ComparisonOutputs> {
        let files = [
            &self.json,
            &self.csv,
            &self.html,
            &self.markdown,
            &self.tokens,
        ];
        refuse_overwriting(&files.map(Option::as_ref), inputs)?;
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        Ok(ComparisonOutputs {
            json: open(&self.json)?,
            csv: open(&self.csv)?,
            html: open(&self.html)?,
            markdown: open(&self.markdown)?,
            tokens: open(&self.tokens)?,
            unit: if self.bits { Unit::Bits } else { Unit::Nats },
        })
    }

    /// Is something asked for that only single tokens can tell?
    pub(crate) fn needs_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Judges a result that has been judged before: by what is given now, or else as it was.
    pub(crate) fn judge_again(&self, result: &mut Comparison) {
        let before: Vec<_> = result
            .candidates
            .iter()
            .map(|c| c.verdict.clone())
            .collect();
        let picked = result.pick.clone();
        self.judge(result);
        if self.fail_above.is_none() {
            for (candidate, verdict) in result.candidates.iter_mut().zip(before) {
                candidate.verdict = verdict;
            }
        }
        if self.pick.is_none() {
            result.pick = picked;
        }
    }

    /// Puts the verdicts into the result: from there text, JSON, page and exit code have them.
    pub(crate) fn judge(&self, result: &mut Comparison) {
        let complete = result.run.complete;
        for candidate in &mut result.candidates {
            let gate = self.fail_above.as_ref();
            candidate.verdict = gate.map(|gate| gate.judge(candidate, complete));
        }
        let ranking = result.ranking.as_ref();
        let pick = |wanted| Pick::new(wanted, &result.candidates, ranking, complete);
        result.pick = self.pick.map(pick);
    }
}

/// The opened outputs of a comparison.
#[derive(Debug)]
pub(crate) struct ComparisonOutputs {
    json: Option<Output>,
    csv: Option<Output>,
    html: Option<Output>,
    markdown: Option<Output>,
    tokens: Option<Output>,
    unit: Unit,
}

impl ComparisonOutputs {
    /// Does any of them show single tokens?
    pub(crate) fn shows_tokens(&self) -> bool {
        self.html.is_some() || self.tokens.is_some()
    }

    /// Writes them all, and the table where nothing else goes to stdout.
    pub(crate) fn write(self, result: &Detailed, observer: &Terminal) -> anyhow::Result<()> {
        let all = [
            &self.json,
            &self.csv,
            &self.html,
            &self.markdown,
            &self.tokens,
        ];
        let stdout_is_taken = all.into_iter().flatten().any(Output::is_stdout);
        if let Some(json) = self.json {
            json.write(&Json, result.comparison)?;
        }
        if let Some(csv) = self.csv {
            csv.write(&Csv, result.comparison)?;
        }
        if let Some(html) = self.html {
            html.write(&Html, result)?;
        }
        if let Some(markdown) = self.markdown {
            markdown.write(&Markdown, result.comparison)?;
        }
        if let Some(tokens) = self.tokens {
            tokens.write(&Tokens, result)?;
        }
        if stdout_is_taken {
            observer.warn_all(warnings(result.comparison));
            return Ok(());
        }
        let table = Table { unit: self.unit };
        Output::Stdout.write(&table, result.comparison)
    }
}

/// The exit code follows the verdicts that stand in the result.
pub(crate) fn outcome(result: &Comparison) -> Outcome {
    let failed = result
        .candidates
        .iter()
        .filter_map(|c| c.verdict.as_ref())
        .any(|verdict| !verdict.passed)
        || result.pick.as_ref().is_some_and(|p| p.candidate.is_none());
    let unmeasured = result.candidates.iter().any(|c| c.positions == 0);
    match () {
        () if !result.run.complete => Outcome::Interrupted,
        () if unmeasured => Outcome::NothingMeasured,
        () if failed => Outcome::GateExceeded,
        () => Outcome::Fine,
    }
}

/// What is told on stderr where the table goes nowhere.
fn warnings(result: &Comparison) -> Vec<String> {
    let of_candidates = result.candidates.iter().flat_map(|c| c.warnings.clone());
    let nothing_picked = result.pick.as_ref().is_some_and(|p| p.candidate.is_none());
    of_candidates
        .chain(nothing_picked.then(|| "no candidate is what --pick asks for".to_owned()))
        .collect()
}

/// Reads `max-kl=0.02` or `max-size=90MB`.
fn wanted(text: &str) -> Result<Wanted, String> {
    let expected = || format!("expected max-kl=NATS or max-size=SIZE, found {text:?}");
    let (name, limit) = text.split_once('=').ok_or_else(expected)?;
    match name.trim() {
        "max-kl" => match limit.trim().parse() {
            Ok(nats) if f64::is_finite(nats) && nats >= 0.0 => Ok(Wanted::MaxKl(nats)),
            _ => Err(format!(
                "expected nats ≥ 0 such as max-kl=0.02, found {text:?}"
            )),
        },
        "max-size" => Ok(Wanted::MaxSize(limit.trim().parse::<Size>()?.0)),
        _ => Err(expected()),
    }
}
