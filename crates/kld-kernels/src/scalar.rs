//! The definition of every function of this crate: the obvious f64 loops, kept obvious.
//!
//! With aᵢ = ln Pᵢ, bᵢ = ln Qᵢ and tᵢ = bᵢ − aᵢ:
//!
//! - D(P‖Q) = Σ Pᵢ·φ(tᵢ), φ(t) = eᵗ − 1 − t. It equals Σ Pᵢ·(aᵢ − bᵢ), since both rows sum to one, but no term is
//!   negative and nothing cancels when the rows are nearly equal.
//! - D(Q‖P) is the same with the rows exchanged.
//! - JS = ½·Σ Pᵢ·ln(Pᵢ/Mᵢ) + ½·Σ Qᵢ·ln(Qᵢ/Mᵢ), M = (P + Q)/2.
//! - H(P) = −Σ Pᵢ·aᵢ.

use crate::divergence::{Divergence, Entry};
use crate::fault::{FaultKind, RowFault, Side};
use crate::logit::Logit;
use crate::row::{Observed, ObservedSingle, PairOptions, RowPair, RowSingle};
use crate::top::Top;

/// The divergences, entropies, most likely tokens and the observed token of one row pair: see [`RowPair`].
///
/// # Errors
///
/// The first [`RowFault`], of the reference before that of the candidate.
///
/// # Panics
///
/// If the rows differ in length, `top_k` exceeds [`crate::MAX_TOP_K`], the temperature is not positive and finite,
/// or the observed token lies outside the row.
pub fn pair<L: Logit, M: Logit>(
    p: &[L],
    q: &[M],
    options: &PairOptions,
) -> Result<RowPair, RowFault> {
    check_arguments(p.len(), q.len(), options);
    let scale = 1.0 / f64::from(options.temperature);
    let lse_p = log_sum_exp_scaled(p, scale, Side::Reference)?;
    let lse_q = log_sum_exp_scaled(q, scale, Side::Candidate)?;
    let mut row = RowPair {
        log_sum_exp_p: lse_p,
        log_sum_exp_q: lse_q,
        ..RowPair::default()
    };
    for (&x, &y) in p.iter().zip(q) {
        let entry = Entry::from_log_probs(log_prob(x, scale, lse_p), log_prob(y, scale, lse_q));
        row.kl += Divergence::Kl.term(&entry);
        row.reverse_kl += Divergence::ReverseKl.term(&entry);
        row.js += Divergence::Js.term(&entry);
        row.entropy_p += entropy_term(entry.p, entry.ln_p);
        row.entropy_q += entropy_term(entry.q, entry.ln_q);
    }
    row.js = row.js.min(std::f64::consts::LN_2);
    (row.top1_p, row.top1_q) = (top1(p), top1(q));
    row.top1_prob_p = log_prob(p[row.top1_p as usize], scale, lse_p).exp();
    row.top1_prob_q = log_prob(q[row.top1_q as usize], scale, lse_q).exp();
    let (top_p, top_q) = (top(p, options.top_k), top(q, options.top_k));
    row.topk_overlap = top_p.overlap(&top_q);
    row.likely_p = top_p.likely(|x| log_prob(x, scale, lse_p).exp());
    row.likely_q = top_q.likely(|x| log_prob(x, scale, lse_q).exp());
    row.observed = options.observed.map(|token| Observed {
        nll_p: -log_prob(p[token as usize], scale, lse_p),
        nll_q: -log_prob(q[token as usize], scale, lse_q),
        rank_p: rank(p, token),
        rank_q: rank(q, token),
    });
    Ok(row)
}

/// The log-sum-exp, entropy, most likely token and observed token of one row: see [`RowSingle`].
///
/// # Errors
///
/// The first [`RowFault`].
///
/// # Panics
///
/// If the observed token lies outside the row.
pub fn single<L: Logit>(row: &[L], observed: Option<u32>) -> Result<RowSingle, RowFault> {
    let log_sum_exp = log_sum_exp(row)?;
    let ln = |x: L| log_prob(x, 1.0, log_sum_exp);
    let top1 = top1(row);
    Ok(RowSingle {
        log_sum_exp,
        entropy: row.iter().map(|&x| entropy_term(ln(x).exp(), ln(x))).sum(),
        top1,
        top1_prob: ln(row[top1 as usize]).exp(),
        observed: observed.map(|token| ObservedSingle {
            nll: -ln(row[token as usize]),
            rank: rank(row, token),
        }),
    })
}

/// ln Σ exp(xᵢ).
///
/// # Errors
///
/// The first [`RowFault`].
pub fn log_sum_exp<L: Logit>(row: &[L]) -> Result<f64, RowFault> {
    log_sum_exp_scaled(row, 1.0, Side::Only)
}

/// Adds the probabilities exp(xᵢ − `log_sum_exp`) to `acc`.
///
/// # Panics
///
/// If `acc` and the row differ in length.
pub fn add_probs<L: Logit>(row: &[L], log_sum_exp: f64, acc: &mut [f64]) {
    assert_eq!(
        row.len(),
        acc.len(),
        "the row and the sum of probabilities differ in length"
    );
    for (sum, &x) in acc.iter_mut().zip(row) {
        *sum += log_prob(x, 1.0, log_sum_exp).exp();
    }
}

/// Panics where a caller broke the contract of [`pair`].
pub(crate) fn check_arguments(len_p: usize, len_q: usize, options: &PairOptions) {
    assert_eq!(len_p, len_q, "the rows differ in length");
    check_temperature(options.temperature);
}

/// Panics where a temperature is not positive and finite.
pub(crate) fn check_temperature(temperature: f32) {
    assert!(
        temperature > 0.0 && temperature.is_finite(),
        "the temperature is {temperature}"
    );
}

/// ln Σ exp(scale·xᵢ), or what is wrong with the row.
pub(crate) fn log_sum_exp_scaled<L: Logit>(
    row: &[L],
    scale: f64,
    side: Side,
) -> Result<f64, RowFault> {
    let max = scale * checked_max(row, side)?;
    let sum: f64 = row
        .iter()
        .map(|&x| (scale * f64::from(x.widen()) - max).exp())
        .sum();
    Ok(max + sum.ln())
}

/// The largest entry, or what is wrong with the row.
pub(crate) fn checked_max<L: Logit>(row: &[L], side: Side) -> Result<f64, RowFault> {
    let fault = |entry, kind| Err(RowFault { side, entry, kind });
    let mut max = f64::NEG_INFINITY;
    for (entry, x) in row.iter().map(|&x| f64::from(x.widen())).enumerate() {
        if x.is_nan() {
            return fault(entry, FaultKind::Nan);
        }
        if x == f64::INFINITY {
            return fault(entry, FaultKind::PositiveInfinity);
        }
        max = max.max(x);
    }
    match (row.is_empty(), max == f64::NEG_INFINITY) {
        (true, _) => fault(0, FaultKind::Empty),
        (_, true) => fault(0, FaultKind::AllNegativeInfinity),
        _ => Ok(max),
    }
}

/// ln P of one logit.
pub(crate) fn log_prob<L: Logit>(x: L, scale: f64, log_sum_exp: f64) -> f64 {
    scale * f64::from(x.widen()) - log_sum_exp
}

/// −P·ln P, with 0·ln 0 = 0.
fn entropy_term(prob: f64, ln: f64) -> f64 {
    if prob == 0.0 { 0.0 } else { -prob * ln }
}

/// The index of the largest entry; the lowest among equals.
fn top1<L: Logit>(row: &[L]) -> u32 {
    let mut best = 0;
    for (entry, &x) in row.iter().enumerate() {
        if x.widen() > row[best].widen() {
            best = entry;
        }
    }
    best as u32
}

/// The `k` largest entries.
fn top<L: Logit>(row: &[L], k: usize) -> Top {
    let mut top = Top::new(k);
    for (entry, &x) in row.iter().enumerate() {
        top.offer(entry as u32, x.widen());
    }
    top
}

/// 1 + the number of entries that come before `token` by value, equals by index.
fn rank<L: Logit>(row: &[L], token: u32) -> u32 {
    let own = row[token as usize].widen();
    let (before, after) = row.split_at(token as usize);
    let ahead = before.iter().filter(|x| x.widen() >= own).count();
    1 + (ahead + after.iter().filter(|x| x.widen() > own).count()) as u32
}
