//! The family of divergences: value and gradient behind one seam.
//!
//! Every member is D = F(Σᵢ term(Pᵢ, Qᵢ)) and is written as two functions of one vocabulary [`Entry`]:
//!
//! - [`Divergence::term`], the summand;
//! - [`Divergence::pull`], rᵢ = Qᵢ·∂termᵢ/∂Qᵢ, from which the gradient with respect to the candidate's logits y follows
//!   by the softmax: ∂D/∂yⱼ = F′·(rⱼ − Qⱼ·Σᵢ rᵢ).
//!
//! Most have F(s) = s. Reading logits, log-probs or probabilities, checking them, and summing are shared.
//!
//! ```
//! use kld_kernels::divergence::{Divergence, from_probs};
//!
//! let (p, q) = ([0.5, 0.5, 0.0], [0.25, 0.5, 0.25]);
//! assert!((from_probs(Divergence::Kl, &p, &q) - 0.5 * 2_f64.ln()).abs() < 1e-15);
//! assert_eq!(from_probs(Divergence::ReverseKl, &p, &q), f64::INFINITY);
//! ```

mod entry;
mod gradient;
mod terms;

pub use entry::{Entry, phi};
pub use gradient::{GradientOptions, value_and_gradient};

use crate::fault::{FaultKind, RowFault, Side};
use crate::logit::Logit;
use crate::scalar;

/// How far the probabilities of a row of log-probs may sum from one: wide enough for log-probs that were computed in
/// half precision, far too narrow for raw logits.
pub const LOG_PROBS_TOLERANCE: f64 = 1e-2;

/// A divergence between P (reference) and Q (candidate), in nats where it is a quantity of information.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Divergence {
    /// D(P‖Q) = Σ P·ln(P/Q), forward KL.
    Kl,
    /// D(Q‖P), reverse KL.
    ReverseKl,
    /// D(P‖Q) + D(Q‖P).
    Jeffreys,
    /// The Jensen–Shannon divergence: `GeneralizedJs` with β = ½.
    Js,
    /// β·D(P‖M) + (1−β)·D(Q‖M), M = βP + (1−β)Q, for 0 ≤ β ≤ 1.
    GeneralizedJs {
        /// The weight of P.
        beta: f64,
    },
    /// D(P‖αP + (1−α)Q), for 0 ≤ α ≤ 1.
    SkewKl {
        /// The share of P in the mixture.
        alpha: f64,
    },
    /// D(Q‖αQ + (1−α)P), for 0 ≤ α ≤ 1.
    ReverseSkewKl {
        /// The share of Q in the mixture.
        alpha: f64,
    },
    /// ln(Σ Pᵅ·Q¹⁻ᵅ)/(α−1), for finite α ≥ 0; D(P‖Q) at α = 1.
    Renyi {
        /// The order.
        alpha: f64,
    },
    /// ½·Σ |P − Q|, from 0 to 1.
    TotalVariation,
    /// √(½·Σ (√P − √Q)²), from 0 to 1.
    Hellinger,
    /// Σ (P − Q)²/Q.
    ChiSquare,
    /// −Σ P·ln Q: D(P‖Q) plus the entropy of P.
    CrossEntropy,
}

/// The divergence between softmax(`p`) and softmax(`q`), in f64 throughout.
///
/// # Errors
///
/// The first [`RowFault`], of the reference before that of the candidate.
///
/// # Panics
///
/// If the rows differ in length, or a parameter of the divergence lies outside its range.
pub fn from_logits<L: Logit, M: Logit>(d: Divergence, p: &[L], q: &[M]) -> Result<f64, RowFault> {
    let lse_p = scalar::log_sum_exp_scaled(p, 1.0, Side::Reference)?;
    let lse_q = scalar::log_sum_exp_scaled(q, 1.0, Side::Candidate)?;
    Ok(sum(d, p, q, |x, y| {
        Entry::from_log_probs(
            scalar::log_prob(x, 1.0, lse_p),
            scalar::log_prob(y, 1.0, lse_q),
        )
    }))
}

/// The divergence between two rows of natural log-probs.
///
/// # Errors
///
/// A [`RowFault`] where an entry is NaN or above 0 by more than rounding, where a row is empty, and where its
/// probabilities do not sum to one within [`LOG_PROBS_TOLERANCE`]: then they are likely raw logits.
///
/// # Panics
///
/// If the rows differ in length, or a parameter of the divergence lies outside its range.
pub fn from_log_probs<T: Copy + Into<f64>>(
    d: Divergence,
    p: &[T],
    q: &[T],
) -> Result<f64, RowFault> {
    check_log_probs(p, Side::Reference)?;
    check_log_probs(q, Side::Candidate)?;
    Ok(sum(d, p, q, |a, b| {
        Entry::from_log_probs(a.into(), b.into())
    }))
}

/// The divergence between two rows of non-negative numbers; NaN if one is negative or NaN.
///
/// For rows that both sum to one this is the divergence of its name. For others `Kl`, `ReverseKl` and `Jeffreys` are
/// the generalized ones, Σ P·ln(P/Q) − ΣP + ΣQ, which stay defined and non-negative.
///
/// # Panics
///
/// If the rows differ in length, or a parameter of the divergence lies outside its range.
pub fn from_probs<T: Copy + Into<f64>>(d: Divergence, p: &[T], q: &[T]) -> f64 {
    sum(d, p, q, |a, b| Entry::from_probs(a.into(), b.into()))
}

/// F(Σ term) over two rows whose entries `read` understands.
fn sum<A: Copy, B: Copy>(d: Divergence, p: &[A], q: &[B], read: impl Fn(A, B) -> Entry) -> f64 {
    assert_eq!(p.len(), q.len(), "the rows differ in length");
    d.check_parameters();
    let entries = || p.iter().zip(q).map(|(&a, &b)| read(a, b));
    let sum = entries().map(|entry| d.term(&entry)).sum();
    match d {
        // Σ Pᵅ·Q¹⁻ᵅ is near zero, and its distance from one says little: sum it plainly.
        Divergence::Renyi { alpha } if sum < -0.5 => {
            entries()
                .map(|entry| terms::power_mean(&entry, alpha))
                .sum::<f64>()
                .ln()
                / (alpha - 1.0)
        }
        _ => d.finish(sum),
    }
}

/// Whether a row can be one of log-probs.
fn check_log_probs<T: Copy + Into<f64>>(row: &[T], side: Side) -> Result<(), RowFault> {
    let fault = |entry, kind| Err(RowFault { side, entry, kind });
    if row.is_empty() {
        return fault(0, FaultKind::Empty);
    }
    let mut total = 0.0;
    for (entry, ln) in row.iter().map(|&ln| ln.into()).enumerate() {
        if ln.is_nan() {
            return fault(entry, FaultKind::Nan);
        }
        if ln > LOG_PROBS_TOLERANCE {
            return fault(entry, FaultKind::AboveZero);
        }
        total += ln.exp();
    }
    if (total - 1.0).abs() > LOG_PROBS_TOLERANCE {
        return fault(0, FaultKind::NotNormalized { total });
    }
    Ok(())
}
