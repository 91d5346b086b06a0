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
/// Rows off by what [`LOG_PROBS_TOLERANCE`] allows are normalised first: their log-sum-exp is subtracted. Otherwise
/// −ΣP + ΣQ, up to a hundredth of a nat, would stand in the divergence, which may be far smaller.
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
    let lse_p = checked_log_total(p, Side::Reference)?;
    let lse_q = checked_log_total(q, Side::Candidate)?;
    Ok(sum(d, p, q, |a, b| {
        Entry::from_log_probs(a.into() - lse_p, b.into() - lse_q)
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
    d.total(
        || p.iter().zip(q).map(|(&a, &b)| read(a, b)),
        |terms| terms.sum(),
    )
}

/// The log-sum-exp of a row that can be one of log-probs; it is near 0.
fn checked_log_total<T: Copy + Into<f64>>(row: &[T], side: Side) -> Result<f64, RowFault> {
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
    Ok(total.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f64; 3] = [0.2, 0.3, 0.5];
    const Q: [f64; 3] = [0.25, 0.25, 0.5];

    #[track_caller]
    fn assert_near(value: f64, expected: f64) {
        let off = (value - expected).abs() / expected.abs();
        assert!(off < 1e-12, "{value} against {expected}");
    }

    #[test]
    fn what_log_probs_lack_to_one_is_not_divergence() {
        let logs = |probs: [f64; 3], off: f64| probs.map(|p| p.ln() + off);
        let families = [
            Divergence::Kl,
            Divergence::ReverseKl,
            Divergence::Js,
            Divergence::CrossEntropy,
            Divergence::Renyi { alpha: 2.0 },
        ];
        for d in families {
            let shifted = from_log_probs(d, &logs(P, 5e-3), &logs(Q, -5e-3)).unwrap();
            assert_near(shifted, from_probs(d, &P, &Q));
        }
        let same = from_log_probs(Divergence::Kl, &logs(P, 5e-3), &logs(P, -5e-3)).unwrap();
        assert!(same < 1e-30, "{same}");
    }

    #[test]
    fn renyi_is_finite_where_its_sum_of_powers_is_not() {
        // 2⁻¹·(2⁻¹/e⁻⁹⁰⁰)⁹ is e⁸⁰⁹³; the divergence is its logarithm over 9.
        let d = Divergence::Renyi { alpha: 10.0 };
        let (p, q) = ([0.0_f32, 0.0], [0.0_f32, -900.0]);
        let expected = (9.0 * 900.0 - 10.0 * 2_f64.ln()) / 9.0;
        assert_near(from_logits(d, &p, &q).unwrap(), expected);
        let mut grad = [0.0; 2];
        let options = GradientOptions::default();
        let value = value_and_gradient(d, &p, &q, &options, &mut grad).unwrap();
        assert_near(value, expected);
        // All of the sum is the second entry's, all of Q the first's.
        assert_eq!(grad, [1.0, -1.0]);
        assert_eq!(from_probs(d, &[0.5, 0.5], &[1.0, 0.0]), f64::INFINITY);
    }

    #[test]
    fn renyi_keeps_its_digits_where_its_sum_of_powers_is_near_zero() {
        let d = Divergence::Renyi { alpha: 0.5 };
        let (p, q) = ([0.0_f32, -900.0], [-900.0_f32, 0.0]);
        let expected = 900.0 - 2.0 * 2_f64.ln();
        assert_near(from_logits(d, &p, &q).unwrap(), expected);
        let mut grad = [0.0; 2];
        let options = GradientOptions::default();
        let value = value_and_gradient(d, &p, &q, &options, &mut grad).unwrap();
        assert_near(value, expected);
        assert_eq!(grad, [-0.5, 0.5]);
        assert_eq!(from_probs(d, &[1.0, 0.0], &[0.0, 1.0]), f64::INFINITY);
        assert!(from_probs(d, &[-1.0, 0.0], &[0.0, 1.0]).is_nan());
    }
}
