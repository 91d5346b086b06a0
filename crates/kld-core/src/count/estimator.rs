//! The estimators: what two samples say about entropy, KL and JS, with and without correction for their size.
//!
//! With counts a, b of n and m draws, p̂ = a/n, q̂ = b/m, K the number of outcomes seen, S the number known:
//!
//! | estimator | entropy of P | D(P‖Q) |
//! |---|---|---|
//! | plug-in | −Σ p̂ ln p̂ | Σ p̂ ln(p̂/q̂) |
//! | Miller–Madow | plug-in + (K−1)/2n | plug-in − (K−1)/2n − (Σ p̂/q̂ − 1)/2m |
//! | Chao–Shen | −Σ p̃ ln p̃ / w | Σ p̃ ln(p̃/q̃) / w, with p̃ = C·p̂ and w = 1 − (1−p̃)ⁿ |
//! | Krichevsky–Trofimov | plug-in of (a+½)/(n+S/2) | plug-in of both smoothed so |
//! | Zhang–Grabchak | Σ p̂ (ψ(n) − ψ(a)) | Σ p̂ (ψ(m+1) − ψ(b+1) − ψ(n) + ψ(a)) |
//!
//! **Miller–Madow.** To second order E[p̂ ln p̂] exceeds p ln p by (1−p)/2n, and E[−ln q̂] exceeds −ln q by (1−q)/2mq. Summed
//! over outcomes, the negative entropy is too large by (K−1)/2n and the cross-entropy by Σ p(1−q)/2mq = (Σ p/q − 1)/2m. JS
//! is H(M) − ½H(P) − ½H(Q) with M the mean of both, and the plug-in H(M) is too small by Σ (p(1−p)/n + q(1−q)/m) / 8M. The
//! corrected value may lie below 0, and then the samples do not tell P from Q; it is not clipped, as that would bring bias back.
//!
//! **Chao–Shen.** C = 1 − f₁/n is the Good–Turing coverage of the sample; w, the chance to be seen at all, is the weight of
//! Horvitz and Thompson. Here q̃ = C′·q̂ where Q's sample has the outcome, and the rest 1 − C′ is shared equally by the known outcomes
//! that it has not; it is 0, and the divergence +∞, only if Q's sample has no singletons. JS is not defined.
//!
//! **Krichevsky–Trofimov.** The mean under Jeffreys' prior, Dirichlet(½). It needs the number of outcomes known, and pulls
//! towards the uniform distribution where that is large. Always finite.
//!
//! **Zhang–Grabchak.** Replaces every power (1−p)ᵛ in the series of ln p by its unbiased estimate, which sums to digamma
//! functions; the bias falls exponentially in n and m where all Q > 0. Always finite. JS is not defined.
//!
//! Sources: G. A. Miller, "Note on the bias of information estimates" (1955). A. Chao, T.-J. Shen, Environmental and Ecological
//! Statistics 10 (2003). R. Krichevsky, V. Trofimov, IEEE Trans. Inf. Theory 27 (1981). Z. Zhang, M. Grabchak, Neural
//! Computation 26 (2014); the closed form after T. Schürmann, Neural Computation 27 (2015).

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use statrs::function::gamma::digamma;

use super::Counts;
use crate::sum::sum;

/// A way to estimate entropy and divergence from counts. See the table of this module for the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Estimator {
    /// Relative frequencies taken for probabilities.
    PlugIn,
    /// The first-order bias subtracted.
    MillerMadow,
    /// Coverage-corrected frequencies, weighted by the chance to be seen.
    ChaoShen,
    /// Half a count added to every known outcome.
    KrichevskyTrofimov,
    /// Unbiased estimates of the terms of a series.
    ZhangGrabchak,
}

impl Estimator {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::PlugIn,
        Self::MillerMadow,
        Self::ChaoShen,
        Self::KrichevskyTrofimov,
        Self::ZhangGrabchak,
    ];

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PlugIn => "plug-in",
            Self::MillerMadow => "Miller-Madow",
            Self::ChaoShen => "Chao-Shen",
            Self::KrichevskyTrofimov => "Krichevsky-Trofimov",
            Self::ZhangGrabchak => "Zhang-Grabchak",
        }
    }

    /// The entropy of the distribution behind a sample, in nats.
    #[must_use]
    pub fn entropy(self, p: &Counts) -> f64 {
        match self {
            // `0.0 -` and not a minus sign: the entropy of a certain outcome is 0, not -0.
            Self::PlugIn => 0.0 - over_seen(p, |i| xlnx(p.frequency(i))),
            Self::MillerMadow => Self::PlugIn.entropy(p) + entropy_bias(p),
            Self::ChaoShen => 0.0 - over_seen(p, |i| xlnx(covered(p, i)) / chance_to_be_seen(p, i)),
            Self::KrichevskyTrofimov => {
                0.0 - sum((0..p.known()).map(|i| xlnx(with_half_a_count(p, i))))
            }
            Self::ZhangGrabchak => over_seen(p, |i| {
                p.frequency(i) * (digamma_of(p.total) - digamma_of(p.seen[i]))
            }),
        }
    }

    /// D(P‖Q) of the distributions behind two samples, in nats; +∞ where the estimator gives an outcome of P no chance under Q.
    ///
    /// # Panics
    ///
    /// If the samples are not about the same outcomes.
    #[must_use]
    pub fn kl(self, p: &Counts, q: &Counts) -> f64 {
        assert_eq!(p.known(), q.known(), "two samples of the same outcomes");
        match self {
            Self::PlugIn => sum((0..p.known()).map(|i| kl_term(p.frequency(i), q.frequency(i)))),
            Self::MillerMadow => Self::PlugIn.kl(p, q) - entropy_bias(p) - cross_entropy_bias(p, q),
            Self::ChaoShen => chao_shen_kl(p, q),
            Self::KrichevskyTrofimov => {
                sum((0..p.known())
                    .map(|i| kl_term(with_half_a_count(p, i), with_half_a_count(q, i))))
            }
            Self::ZhangGrabchak => over_seen(p, |i| zhang_grabchak_term(p, q, i)),
        }
    }

    /// The signed part of one outcome in [`kl`](Self::kl); over all outcomes the parts add up to it.
    ///
    /// # Panics
    ///
    /// If the samples are not about the same outcomes, or there is no such outcome.
    #[must_use]
    pub fn kl_part(self, p: &Counts, q: &Counts, index: usize) -> f64 {
        assert_eq!(p.known(), q.known(), "two samples of the same outcomes");
        if self == Self::KrichevskyTrofimov {
            return bare_term(with_half_a_count(p, index), with_half_a_count(q, index));
        }
        if p.seen[index] == 0 {
            return 0.0;
        }
        let (here, there) = (p.frequency(index), q.frequency(index));
        match self {
            Self::PlugIn => bare_term(here, there),
            Self::MillerMadow if there == 0.0 => f64::INFINITY,
            Self::MillerMadow => {
                let of_p = (1.0 - here) / (2.0 * p.total as f64);
                let of_q = here * (1.0 - there) / (2.0 * q.total as f64 * there);
                bare_term(here, there) - of_p - of_q
            }
            Self::ChaoShen => chao_shen_term(p, q, index),
            Self::ZhangGrabchak => zhang_grabchak_term(p, q, index),
            Self::KrichevskyTrofimov => unreachable!("dealt with above"),
        }
    }

    /// The part of one outcome in [`js`](Self::js), where the estimator defines one; over all outcomes the parts add up to it.
    ///
    /// # Panics
    ///
    /// If the samples are not about the same outcomes, or there is no such outcome.
    #[must_use]
    pub fn js_part(self, p: &Counts, q: &Counts, index: usize) -> Option<f64> {
        assert_eq!(p.known(), q.known(), "two samples of the same outcomes");
        let plug_in = || js_term(p.frequency(index), q.frequency(index));
        match self {
            Self::PlugIn => Some(plug_in()),
            Self::MillerMadow if p.seen[index] + q.seen[index] == 0 => Some(0.0),
            Self::MillerMadow => {
                let of = |x: &Counts| {
                    let seen = f64::from(u8::from(x.seen[index] > 0));
                    (seen - x.frequency(index)) / (2.0 * x.total as f64)
                };
                Some(plug_in() + mixture_bias_term(p, q, index) - 0.5 * (of(p) + of(q)))
            }
            Self::KrichevskyTrofimov => Some(js_term(
                with_half_a_count(p, index),
                with_half_a_count(q, index),
            )),
            Self::ChaoShen | Self::ZhangGrabchak => None,
        }
    }

    /// The Jensen–Shannon divergence of the distributions behind two samples, in nats, if the estimator defines one.
    ///
    /// # Panics
    ///
    /// If the samples are not about the same outcomes.
    #[must_use]
    pub fn js(self, p: &Counts, q: &Counts) -> Option<f64> {
        assert_eq!(p.known(), q.known(), "two samples of the same outcomes");
        let js = |p_of: fn(&Counts, usize) -> f64| {
            sum((0..p.known()).map(|i| js_term(p_of(p, i), p_of(q, i))))
        };
        match self {
            Self::PlugIn => Some(js(Counts::frequency)),
            Self::MillerMadow => {
                let halves = 0.5 * (entropy_bias(p) + entropy_bias(q));
                Some(js(Counts::frequency) + mixture_entropy_bias(p, q) - halves)
            }
            Self::KrichevskyTrofimov => Some(js(with_half_a_count)),
            Self::ChaoShen | Self::ZhangGrabchak => None,
        }
    }
}

/// Σ over the outcomes that the sample has.
fn over_seen(sample: &Counts, term: impl Fn(usize) -> f64) -> f64 {
    sum((0..sample.known())
        .filter(|&i| sample.seen[i] > 0)
        .map(term))
}

fn xlnx(x: f64) -> f64 {
    x * x.ln()
}

/// p ln(p/q) − p + q, which is never below 0; the added parts cancel in the sum over two distributions.
pub(super) fn kl_term(p: f64, q: f64) -> f64 {
    if p == 0.0 {
        return q;
    }
    let excess = (q - p) / p;
    p * (excess - excess.ln_1p())
}

/// p ln(p/q).
pub(super) fn bare_term(p: f64, q: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * (p / q).ln() }
}

pub(super) fn js_term(p: f64, q: f64) -> f64 {
    let middle = 0.5 * (p + q);
    0.5 * (kl_term(p, middle) + kl_term(q, middle))
}

/// By how much the plug-in entropy is too small: (K−1)/2n.
fn entropy_bias(sample: &Counts) -> f64 {
    (sample.observed() as f64 - 1.0) / (2.0 * sample.total as f64)
}

/// By how much the plug-in cross-entropy is too large: (Σ p/q − 1)/2m.
fn cross_entropy_bias(p: &Counts, q: &Counts) -> f64 {
    let ratios = over_seen(p, |i| {
        if q.seen[i] == 0 {
            0.0
        } else {
            p.frequency(i) / q.frequency(i)
        }
    });
    (ratios - 1.0) / (2.0 * q.total as f64)
}

/// By how much the plug-in entropy of the mean of both distributions is too small.
fn mixture_entropy_bias(p: &Counts, q: &Counts) -> f64 {
    let seen = (0..p.known()).filter(|&i| p.seen[i] + q.seen[i] > 0);
    sum(seen.map(|i| mixture_bias_term(p, q, i)))
}

fn mixture_bias_term(p: &Counts, q: &Counts, i: usize) -> f64 {
    let variance = |x: &Counts| x.frequency(i) * (1.0 - x.frequency(i)) / x.total as f64;
    (variance(p) + variance(q)) / (4.0 * (p.frequency(i) + q.frequency(i)))
}

/// Frequency times coverage: the share of the outcome when some of the mass is not seen yet.
fn covered(sample: &Counts, index: usize) -> f64 {
    sample.coverage() * sample.frequency(index)
}

/// 1 − (1−p̃)ⁿ, without loss for small p̃.
fn chance_to_be_seen(sample: &Counts, index: usize) -> f64 {
    -(sample.total as f64 * (-covered(sample, index)).ln_1p()).exp_m1()
}

fn chao_shen_kl(p: &Counts, q: &Counts) -> f64 {
    over_seen(p, |i| chao_shen_term(p, q, i))
}

/// The term of an outcome that P's sample has.
fn chao_shen_term(p: &Counts, q: &Counts, i: usize) -> f64 {
    let p_covered = covered(p, i);
    let q_covered = if q.seen[i] == 0 {
        let unseen = q.known() - q.observed();
        (1.0 - q.coverage()) / unseen as f64
    } else {
        covered(q, i)
    };
    p_covered * (p_covered / q_covered).ln() / chance_to_be_seen(p, i)
}

/// The term of an outcome that P's sample has.
fn zhang_grabchak_term(p: &Counts, q: &Counts, i: usize) -> f64 {
    let minus_ln_q = digamma_of(q.total + 1) - digamma_of(q.seen[i] + 1);
    let minus_ln_p = digamma_of(p.total) - digamma_of(p.seen[i]);
    p.frequency(i) * (minus_ln_q - minus_ln_p)
}

fn with_half_a_count(sample: &Counts, index: usize) -> f64 {
    (sample.seen[index] as f64 + 0.5) / (sample.total as f64 + 0.5 * sample.known() as f64)
}

/// Most counts are small, and digamma is dear: those below are computed once.
const KEPT: usize = 1 << 12;

static DIGAMMA: LazyLock<Vec<f64>> =
    LazyLock::new(|| (0..KEPT).map(|count| digamma(count as f64)).collect());

fn digamma_of(count: u64) -> f64 {
    match DIGAMMA.get(count as usize) {
        Some(value) => *value,
        None => digamma(count as f64),
    }
}
