//! `compare`: every scored position of a text under a reference and one or more candidates.
//!
//! Windows are dealt to threads. A thread runs the reference and each candidate over its window, then goes through the
//! scored rows in slices of [`HEAD_SLICE`]: the reference's rows, a candidate's rows, the kernel over each pair while both
//! are in cache. Nothing is written to disk, and the results enter the summaries in window order.

use std::time::Instant;

use kld_core::{
    ModelCard, Observer, Place, Summary, TokenRow,
    observer::Progress,
    ranking::rank,
    result::{Candidate, Comparison, METRICS_VERSION, Position, RunRecord, WorstToken},
    row::TOP_K,
    summary::Quantity,
};
use kld_kernels::{Kernel, PairOptions};
use kld_models::{LogitSource, Tokenizer};

use crate::{
    Result,
    deal::deal,
    pace::Pace,
    prepare::{Prepared, Tokenized, compared_columns},
    text::Fragment,
    warning,
    window::{Cut, Window},
};

/// Rows of logits made at once: the product with the head is some 15 % faster with 128 rows than with 64, and a slice of both
/// models (2 · 128 · 49,152 · 4 bytes = 50 MB) stays in the last-level cache until the kernel has read it.
pub const HEAD_SLICE: usize = 128;

/// How a comparison or a score is to be done; what does not change the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Worker threads; each computes one window at a time.
    pub threads: usize,
    /// The kernel to use.
    pub kernel: Kernel,
}

/// Compares candidates with a reference on a text.
///
/// When `observer` asks for a stop, the result covers the windows done so far and says that it is not complete.
///
/// # Errors
///
/// If the models cannot be compared on this text (see [`Tokenized::check_pair`]), there is nothing to score, or a model fails.
pub fn compare(
    reference: &dyn LogitSource,
    candidates: &[&dyn LogitSource],
    fragments: &[Fragment],
    cut: &Cut,
    work: Work,
    observer: &dyn Observer,
) -> Result<Comparison> {
    let started = Instant::now();
    let tokens = Tokenized::new(fragments, reference, cut)?;
    for candidate in candidates {
        tokens.check_pair(reference, *candidate, cut)?;
    }
    let prepared = Prepared::new(tokens, reference, cut)?;
    let windows = &prepared.windows.windows;
    let mut pace = Pace::default();
    let mut summaries = vec![Summary::default(); candidates.len()];
    let score =
        |index: usize| score_window(index, &windows[index], reference, candidates, work.kernel);
    let done = deal(windows.len(), work.threads, score, |index, rows| {
        for (summary, rows) in summaries.iter_mut().zip(&rows) {
            enter(summary, rows);
        }
        if pace.is_due() || index + 1 == windows.len() {
            observer.progress(&progress(index + 1, windows.len(), &summaries));
        }
        !observer.interrupted()
    })?;
    let of = |(candidate, summary): (&&dyn LogitSource, &Summary)| {
        let worst = summary
            .worst()
            .iter()
            .map(|row| tell(row, &prepared, reference.tokenizer()))
            .collect();
        let mut result = Candidate::from_summary(
            candidate.card().clone(),
            summary,
            &prepared.fragment_names,
            worst,
        );
        result.warnings = warnings(&result, reference.card(), &prepared);
        result
    };
    let candidates: Vec<Candidate> = candidates.iter().zip(&summaries).map(of).collect();
    Ok(Comparison {
        schema: Comparison::SCHEMA.to_owned(),
        reference: reference.card().clone(),
        protocol: prepared.windows.record(cut),
        ranking: rank(&candidates, &summaries),
        pick: None,
        sequential: None,
        candidates,
        run: run_record(work, started, done, windows.len()),
    })
}

/// How the run went, for the result.
pub(crate) fn run_record(
    work: Work,
    started: Instant,
    windows_done: usize,
    windows: usize,
) -> RunRecord {
    RunRecord {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        metrics: METRICS_VERSION,
        isa: work.kernel.isa().name().to_owned(),
        threads: work.threads,
        elapsed_s: started.elapsed().as_secs_f64(),
        windows_done,
        complete: windows_done == windows,
    }
}

/// One scored position; `Err` where the logits are no distribution.
type RowOutcome = Result<TokenRow, Place>;

/// All scored rows of one window, per candidate.
fn score_window(
    index: usize,
    window: &Window,
    reference: &dyn LogitSource,
    candidates: &[&dyn LogitSource],
    kernel: Kernel,
) -> Result<Vec<Vec<RowOutcome>>> {
    let p_logits = reference.forward(&window.input)?;
    let q_logits = candidates
        .iter()
        .map(|q| Ok(q.forward(&window.input)?))
        .collect::<Result<Vec<_>>>()?;
    let mut outcomes = vec![Vec::with_capacity(window.scored.len()); candidates.len()];
    let (mut p_rows, mut q_rows) = (Vec::new(), Vec::new());
    let mut begin = window.scored.start;
    while begin < window.scored.end {
        let slice = begin..window.scored.end.min(begin + HEAD_SLICE);
        p_logits.rows(slice.clone(), &mut p_rows)?;
        for (candidate, (logits, outcomes)) in
            candidates.iter().zip(q_logits.iter().zip(&mut outcomes))
        {
            logits.rows(slice.clone(), &mut q_rows)?;
            let columns = compared_columns(reference, *candidate);
            let pairs = p_rows
                .chunks_exact(reference.vocabulary())
                .zip(q_rows.chunks_exact(candidate.vocabulary()));
            for (row, (p, q)) in slice.clone().zip(pairs) {
                let place = Place {
                    fragment: window.fragment,
                    window: index as u32,
                    row: row as u32,
                };
                outcomes.push(
                    score_row(place, window.observed(row), p, q, columns, kernel).ok_or(place),
                );
            }
        }
        begin = slice.end;
    }
    Ok(outcomes)
}

/// One position; `None` where the logits are no distribution.
fn score_row(
    place: Place,
    observed: u32,
    p: &[f32],
    q: &[f32],
    columns: usize,
    kernel: Kernel,
) -> Option<TokenRow> {
    let options = PairOptions {
        observed: Some(observed),
        top_k: TOP_K,
        ..PairOptions::default()
    };
    let pair = kernel.pair(&p[..columns], &q[..columns], &options).ok()?;
    let seen = pair.observed?;
    Some(TokenRow {
        place,
        observed,
        nll_p: seen.nll_p,
        nll_q: seen.nll_q,
        padding_mass_p: padding_mass(&p[columns..], pair.log_sum_exp_p, kernel),
        padding_mass_q: padding_mass(&q[columns..], pair.log_sum_exp_q, kernel),
        pair,
    })
}

/// The probability on the columns cut off, given the log-sum-exp of those kept: 1 / (1 + e^(kept − cut off)).
pub(crate) fn padding_mass(padding: &[f32], kept_log_sum_exp: f64, kernel: Kernel) -> f64 {
    // No padding, or nothing but −∞ in it, is no mass.
    kernel.log_sum_exp(padding).map_or(0.0, |padding| {
        1.0 / (1.0 + (kept_log_sum_exp - padding).exp())
    })
}

fn enter(summary: &mut Summary, rows: &[RowOutcome]) {
    for row in rows {
        match row {
            Ok(row) => summary.push(row),
            Err(place) => summary.push_not_finite(*place),
        }
    }
}

fn progress(done: usize, total: usize, summaries: &[Summary]) -> Progress {
    let estimate = |summary: &Summary| {
        let mean = summary.mean(|w| Some(&w.all), |s| s[Quantity::Kl]);
        match mean.standard_error {
            Some(error) => format!("{:.5} ± {error:.5}", mean.value),
            None => format!("{:.5}", mean.value),
        }
    };
    let estimates: Vec<String> = summaries.iter().map(estimate).collect();
    Progress {
        stage: "windows",
        done,
        total,
        estimate: format!("KL {} nats", estimates.join(" | ")),
    }
}

/// Tells a row so that a person can look at it.
fn tell(row: &TokenRow, prepared: &Prepared, tokenizer: &Tokenizer) -> WorstToken {
    /// Tokens of context that are shown.
    const SHOWN: usize = 16;
    let window = &prepared.windows.windows[row.place.window as usize];
    let end = row.place.row as usize + 1;
    let pair = &row.pair;
    let rank = pair.observed.map_or((0, 0), |o| (o.rank_p, o.rank_q));
    WorstToken {
        kl: pair.kl,
        reverse_kl: pair.reverse_kl,
        position: Position {
            fragment: prepared.fragment_names[row.place.fragment as usize].clone(),
            window: row.place.window,
            row: row.place.row,
        },
        context: tokenizer.decode(&window.input[end.saturating_sub(SHOWN)..end]),
        observed: tokenizer.token_text(row.observed),
        observed_prob_reference: (-row.nll_p).exp(),
        observed_prob_candidate: (-row.nll_q).exp(),
        observed_rank_reference: rank.0,
        observed_rank_candidate: rank.1,
        top1_reference: tokenizer.token_text(pair.top1_p),
        top1_prob_reference: pair.top1_prob_p,
        top1_candidate: tokenizer.token_text(pair.top1_q),
        top1_prob_candidate: pair.top1_prob_q,
    }
}

fn warnings(result: &Candidate, reference: &ModelCard, prepared: &Prepared) -> Vec<String> {
    let mut warnings = prepared.warnings();
    let nothing_moved = result.kl.max == 0.0 && result.positions > 0;
    let same_weights = result.model.sha256 == reference.sha256;
    let same_settings = result.model.config_sha256 == reference.config_sha256;
    match (same_weights, same_settings, nothing_moved) {
        (true, true, true) => warnings.push("candidate and reference are the same file: this measures nothing".to_owned()),
        (true, _, _) => {
            warnings.push("the weights are the same: what differs is the configuration, the tokenizer or the engine".to_owned());
        }
        (false, _, true) => warnings.push(
            "KL is exactly zero at every position although the files differ: nothing was quantized or changed".to_owned(),
        ),
        (false, _, false) => {}
    }
    warnings.extend(warning::not_finite(result.not_finite, result.positions));
    warnings.extend(warning::few_clusters(
        result.errors_clustered_by,
        result.clusters,
        result.effective_clusters,
        result.positions,
    ));
    warnings.extend(warning::padding(
        result
            .padding_mass_reference
            .max(result.padding_mass_candidate),
    ));
    warnings
}
