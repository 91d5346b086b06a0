//! Each divergence as two functions of one vocabulary entry: the summand and its pull on Q.
//!
//! With t = ln(Q/P), φ(t) = eᵗ − 1 − t, and the mixture M as the variant defines it. Where Σ P = Σ Q = 1 makes a sum
//! vanish, it is added to the term so that no term is negative and nothing cancels between rows that are nearly equal.
//!
//! | divergence | term | pull r = Q·∂term/∂Q |
//! |---|---|---|
//! | KL | P·ln(P/Q) − P + Q = P·φ(t) | Q − P |
//! | reverse KL | Q·ln(Q/P) − Q + P | Q·t |
//! | generalized JS | β·P·ln(P/M) + (1−β)·Q·ln(Q/M) | (1−β)·Q·ln(Q/M) |
//! | skew KL | P·ln(P/M) − P + M | (1−α)·Q·(1 − P/M) |
//! | reverse skew KL | Q·ln(Q/M) − Q + M | Q·(ln(Q/M) + α·(1 − Q/M)) |
//! | Rényi | Pᵅ·Q¹⁻ᵅ − P − (1−α)·(Q − P) = P·(φ((1−α)t) − (1−α)·φ(t)) | (1−α)·(Pᵅ·Q¹⁻ᵅ − Q) |
//! | total variation | ½·\|P − Q\| | ½·Q·sign(Q − P) |
//! | Hellinger | ½·(√P − √Q)² | ½·(Q − √(PQ)) |
//! | χ² | (P − Q)²/Q | (Q² − P²)/Q |
//! | cross-entropy | −P·ln Q | −P |

#![expect(
    clippy::float_cmp,
    reason = "the order 1, and differences of exactly zero, are meant"
)]

use super::Divergence;
use super::entry::{Entry, phi};

impl Divergence {
    /// The summand of one entry.
    #[must_use]
    pub fn term(self, entry: &Entry) -> f64 {
        match self {
            Divergence::Kl | Divergence::Renyi { alpha: 1.0 } => entry.relative(),
            Divergence::ReverseKl => entry.swapped().relative(),
            Divergence::Jeffreys => entry.relative() + entry.swapped().relative(),
            Divergence::Js => js_term(entry, 0.5),
            Divergence::GeneralizedJs { beta } => js_term(entry, beta),
            Divergence::SkewKl { alpha } => entry.against_mixture(alpha).relative(),
            Divergence::ReverseSkewKl { alpha } => {
                entry.swapped().against_mixture(alpha).relative()
            }
            Divergence::Renyi { alpha } => renyi_term(entry, alpha),
            Divergence::TotalVariation => 0.5 * difference(entry).abs(),
            Divergence::Hellinger => 0.5 * root_difference(entry).powi(2),
            Divergence::ChiSquare => chi_square_term(entry),
            Divergence::CrossEntropy => cross_entropy_term(entry),
        }
    }

    /// How the summand changes with the candidate: Q·∂term/∂Q, up to a multiple of Q, which the softmax cancels.
    #[must_use]
    pub fn pull(self, entry: &Entry) -> f64 {
        match self {
            Divergence::Kl | Divergence::Renyi { alpha: 1.0 } => difference(entry),
            Divergence::ReverseKl => times(entry.q, entry.t),
            Divergence::Jeffreys => difference(entry) + times(entry.q, entry.t),
            Divergence::Js => js_pull(entry, 0.5),
            Divergence::GeneralizedJs { beta } => js_pull(entry, beta),
            Divergence::SkewKl { alpha } => {
                let t = entry.against_mixture(alpha).t;
                (1.0 - alpha) * times(entry.q, -(-t).exp_m1())
            }
            Divergence::ReverseSkewKl { alpha } => {
                let t = entry.swapped().against_mixture(alpha).t;
                times(entry.q, -t - alpha * (-t).exp_m1())
            }
            Divergence::Renyi { alpha } => (1.0 - alpha) * (power_mean(entry, alpha) - entry.q),
            Divergence::TotalVariation => 0.5 * entry.q * sign(entry.t),
            Divergence::Hellinger => 0.5 * entry.q.sqrt() * root_difference(entry),
            Divergence::ChiSquare => times(difference(entry), 1.0 + (-entry.t).exp()),
            Divergence::CrossEntropy => -entry.p,
        }
    }

    /// F(Σ term) over all entries of two rows; `add` sums, so that the caller says how exactly.
    ///
    /// Rényi's sum of powers may be beyond the largest float, or so near zero that its distance from one says little,
    /// where its logarithm is an ordinary number: then it is taken by log-sum-exp.
    #[must_use]
    pub fn total<I: Iterator<Item = Entry>>(
        self,
        entries: impl Fn() -> I,
        add: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
    ) -> f64 {
        let sum = add(&mut entries().map(|entry| self.term(&entry)));
        match self.far_order(sum) {
            Some(alpha) => log_sum_of_powers(alpha, entries, add) / (alpha - 1.0),
            None => self.finish(sum),
        }
    }

    /// The order of a Rényi divergence whose sum of terms is no good measure of it.
    pub(super) fn far_order(self, sum: f64) -> Option<f64> {
        match self {
            Divergence::Renyi { alpha } if alpha != 1.0 && (sum < -0.5 || sum == f64::INFINITY) => {
                Some(alpha)
            }
            _ => None,
        }
    }

    /// F: what is made of the sum of the terms, where that is near enough to zero; see [`total`](Self::total).
    #[must_use]
    pub fn finish(self, sum: f64) -> f64 {
        match self {
            Divergence::Js => at_most(std::f64::consts::LN_2, sum),
            Divergence::Renyi { alpha } if alpha != 1.0 => sum.ln_1p() / (alpha - 1.0),
            Divergence::TotalVariation => at_most(1.0, sum),
            Divergence::Hellinger => at_most(1.0, sum.sqrt()),
            _ => sum,
        }
    }

    /// F′ at the sum of the terms; 0 where the divergence is at its minimum and F has no slope.
    #[must_use]
    pub fn finish_slope(self, sum: f64) -> f64 {
        match self {
            Divergence::Renyi { alpha } if alpha != 1.0 => 1.0 / ((alpha - 1.0) * (1.0 + sum)),
            Divergence::Hellinger if sum > 0.0 => 0.5 / sum.sqrt(),
            Divergence::Hellinger => 0.0,
            _ => 1.0,
        }
    }

    /// Panics where a parameter lies outside the range that the variant documents.
    pub(super) fn check_parameters(self) {
        let (name, value, most) = match self {
            Divergence::GeneralizedJs { beta } => ("beta", beta, 1.0),
            Divergence::SkewKl { alpha } | Divergence::ReverseSkewKl { alpha } => {
                ("alpha", alpha, 1.0)
            }
            Divergence::Renyi { alpha } => ("alpha", alpha, f64::MAX),
            _ => return,
        };
        assert!(
            (0.0..=most).contains(&value),
            "{name} is {value}, outside 0..={most}"
        );
    }
}

/// Q − P, to full relative accuracy.
fn difference(entry: &Entry) -> f64 {
    if entry.t.abs() >= 1.0 {
        entry.q - entry.p
    } else {
        entry.p * entry.t.exp_m1()
    }
}

/// √Q − √P, to full relative accuracy.
fn root_difference(entry: &Entry) -> f64 {
    let half = 0.5 * entry.t;
    if half.abs() >= 1.0 {
        entry.q.sqrt() - entry.p.sqrt()
    } else {
        entry.p.sqrt() * half.exp_m1()
    }
}

/// `x`, or the bound that only rounding can exceed. NaN stays NaN.
fn at_most(bound: f64, x: f64) -> f64 {
    if x > bound { bound } else { x }
}

/// a·b with 0·∞ = 0.
fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a * b }
}

/// −1, 0 or 1.
fn sign(t: f64) -> f64 {
    if t == 0.0 { 0.0 } else { t.signum() }
}

/// The sides of weight zero are left out: against itself as the mixture a row may be infinitely far.
fn js_term(entry: &Entry, beta: f64) -> f64 {
    let p_side = entry.against_mixture(beta);
    let q_side = entry.swapped().against_mixture(1.0 - beta);
    times(beta, p_side.relative()) + times(1.0 - beta, q_side.relative())
}

fn js_pull(entry: &Entry, beta: f64) -> f64 {
    let ln_m_over_q = entry.swapped().against_mixture(1.0 - beta).t;
    (1.0 - beta) * times(entry.q, -ln_m_over_q)
}

/// Pᵅ·Q¹⁻ᵅ, taken over the support of P.
fn power_mean(entry: &Entry, alpha: f64) -> f64 {
    log_power(entry, alpha).exp()
}

/// ln(Pᵅ·Q¹⁻ᵅ), −∞ outside the support of P.
pub(super) fn log_power(entry: &Entry, alpha: f64) -> f64 {
    match (entry.p_is_zero(), entry.q_is_zero()) {
        (true, _) => f64::NEG_INFINITY,
        (_, true) if alpha > 1.0 => f64::INFINITY,
        (_, true) => f64::NEG_INFINITY,
        _ => alpha * entry.ln_p + (1.0 - alpha) * entry.ln_q,
    }
}

/// ln Σ Pᵅ·Q¹⁻ᵅ, with the largest power taken out so that nothing overflows.
pub(super) fn log_sum_of_powers<I: Iterator<Item = Entry>>(
    alpha: f64,
    entries: impl Fn() -> I,
    add: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> f64 {
    let powers = || entries().map(|entry| log_power(&entry, alpha));
    let highest = powers().fold(f64::NEG_INFINITY, f64::max);
    if highest.is_infinite() {
        return highest;
    }
    highest + add(&mut powers().map(|power| (power - highest).exp())).ln()
}

fn renyi_term(entry: &Entry, alpha: f64) -> f64 {
    let s = 1.0 - alpha;
    if entry.t.abs() < 1.0 && (s * entry.t).abs() < 1.0 {
        entry.p * (phi(s * entry.t) - s * phi(entry.t))
    } else {
        power_mean(entry, alpha) - entry.p - s * (entry.q - entry.p)
    }
}

fn chi_square_term(entry: &Entry) -> f64 {
    match (entry.p_is_zero(), entry.q_is_zero()) {
        (true, _) => entry.q,
        (_, true) => f64::INFINITY,
        _ => times(difference(entry), -(-entry.t).exp_m1()),
    }
}

fn cross_entropy_term(entry: &Entry) -> f64 {
    if entry.p_is_zero() {
        0.0
    } else {
        -entry.p * entry.ln_q
    }
}
