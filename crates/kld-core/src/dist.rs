//! Everything `kld dist` says of two distributions or measures, as plain data in nats.
//!
//! The pointwise divergences are those of `kld-kernels`; here they are summed with compensation, so that what is printed
//! is right to the last digit that the inputs have.
//!
//! ```
//! use kld_core::{dist::{Divergences, Orders}, distribution::{Distribution, Measure}};
//! let p = Distribution::new(Measure::new(vec![0.5, 0.5])?, 1e-6)?;
//! let q = Distribution::new(Measure::new(vec![1.0, 0.0])?, 1e-6)?;
//! let divergences = Divergences::between(&p, &q, &Orders::default())?;
//! assert_eq!(divergences.kl, f64::INFINITY);
//! assert_eq!(divergences.reverse_kl, std::f64::consts::LN_2);
//! # Ok::<(), kld_core::Error>(())
//! ```

mod contribution;
mod result;

use kld_kernels::{Divergence, divergence::Entry};
use serde::{Deserialize, Serialize};

pub use contribution::{Contribution, Mass, OneSided};
pub use result::{DistResult, Input, Kind, SCHEMA, Scale, Values};

use crate::{
    Error, Result,
    distribution::{Distribution, Measure},
    number,
    sum::sum,
};

/// The parameters of the divergences that have one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Orders {
    /// The order of the Rényi divergence, ≥ 0; 1 is KL.
    pub renyi_alpha: f64,
    /// The weight of P in the generalized Jensen–Shannon divergence, from 0 to 1; ½ is JS.
    pub js_beta: f64,
    /// The share of the first distribution in the mixture of skew KL, from 0 to 1; 0 is KL.
    pub skew_alpha: f64,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            renyi_alpha: 2.0,
            js_beta: 0.5,
            skew_alpha: 0.1,
        }
    }
}

/// A value that depends on a parameter α.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtAlpha {
    /// The parameter.
    pub alpha: f64,
    /// From P to Q, in nats.
    #[serde(with = "number")]
    pub value: f64,
    /// From Q to P, in nats.
    #[serde(with = "number")]
    pub reverse: f64,
}

/// The generalized Jensen–Shannon divergence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtBeta {
    /// The weight of P.
    pub beta: f64,
    /// β·D(P‖M) + (1−β)·D(Q‖M) with M = βP + (1−β)Q, in nats.
    #[serde(with = "number")]
    pub value: f64,
}

/// Every divergence between two distributions, in nats where it is a quantity of information.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergences {
    /// D(P‖Q) = Σ P ln(P/Q).
    #[serde(with = "number")]
    pub kl: f64,
    /// D(Q‖P).
    #[serde(with = "number")]
    pub reverse_kl: f64,
    /// D(P‖Q) + D(Q‖P).
    #[serde(with = "number")]
    pub jeffreys: f64,
    /// Jensen–Shannon divergence, at most ln 2.
    pub js: f64,
    /// √JS, a metric; in √nats.
    pub js_distance: f64,
    /// Generalized Jensen–Shannon divergence.
    pub generalized_js: AtBeta,
    /// D(P‖αP + (1−α)Q) and D(Q‖αQ + (1−α)P).
    pub skew_kl: AtAlpha,
    /// ln(Σ Pᵅ Q¹⁻ᵅ)/(α−1), and the same from Q to P.
    pub renyi: AtAlpha,
    /// ½ Σ |P − Q|, from 0 to 1.
    pub total_variation: f64,
    /// √(½ Σ (√P − √Q)²), from 0 to 1.
    pub hellinger: f64,
    /// Σ (P − Q)²/Q.
    #[serde(with = "number")]
    pub chi_square: f64,
    /// Σ (P − Q)²/P.
    #[serde(with = "number")]
    pub reverse_chi_square: f64,
    /// −Σ P ln Q.
    #[serde(with = "number")]
    pub cross_entropy: f64,
    /// −Σ Q ln P.
    #[serde(with = "number")]
    pub reverse_cross_entropy: f64,
    /// −Σ P ln P.
    pub entropy_reference: f64,
    /// −Σ Q ln Q.
    pub entropy_candidate: f64,
}

impl Divergences {
    /// Computes all of them.
    ///
    /// # Errors
    ///
    /// If the distributions have different numbers of entries.
    ///
    /// # Panics
    ///
    /// If a parameter lies outside the range that [`Orders`] gives.
    pub fn between(p: &Distribution, q: &Distribution, orders: &Orders) -> Result<Self> {
        orders.check();
        let entries = entries(p, q)?;
        let swapped = self::entries(q, p)?;
        let forward = |d| total(d, &entries);
        let reverse = |d| total(d, &swapped);
        let skew = Divergence::SkewKl {
            alpha: orders.skew_alpha,
        };
        let renyi = Divergence::Renyi {
            alpha: orders.renyi_alpha,
        };
        let (kl, reverse_kl) = (forward(Divergence::Kl), reverse(Divergence::Kl));
        let js = forward(Divergence::Js);
        Ok(Self {
            kl,
            reverse_kl,
            jeffreys: kl + reverse_kl,
            js,
            js_distance: js.sqrt(),
            generalized_js: AtBeta {
                beta: orders.js_beta,
                value: forward(Divergence::GeneralizedJs {
                    beta: orders.js_beta,
                }),
            },
            skew_kl: AtAlpha {
                alpha: orders.skew_alpha,
                value: forward(skew),
                reverse: reverse(skew),
            },
            renyi: AtAlpha {
                alpha: orders.renyi_alpha,
                value: forward(renyi),
                reverse: reverse(renyi),
            },
            total_variation: forward(Divergence::TotalVariation),
            hellinger: forward(Divergence::Hellinger),
            chi_square: forward(Divergence::ChiSquare),
            reverse_chi_square: reverse(Divergence::ChiSquare),
            cross_entropy: forward(Divergence::CrossEntropy),
            reverse_cross_entropy: reverse(Divergence::CrossEntropy),
            entropy_reference: p.entropy(),
            entropy_candidate: q.entropy(),
        })
    }
}

impl Orders {
    fn check(&self) {
        let Self {
            renyi_alpha,
            js_beta,
            skew_alpha,
        } = *self;
        assert!(
            renyi_alpha >= 0.0 && renyi_alpha.is_finite(),
            "the order of Rényi's divergence is {renyi_alpha}"
        );
        assert!(
            (0.0..=1.0).contains(&js_beta),
            "the weight of P in JS is {js_beta}"
        );
        assert!(
            (0.0..=1.0).contains(&skew_alpha),
            "the share in skew KL is {skew_alpha}"
        );
    }
}

/// The KL divergence of measures that need not sum to 1: Σ P ln(P/Q) − ΣP + ΣQ, never negative, and 0 only for P = Q.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneralizedKl {
    /// From P to Q, in nats.
    #[serde(with = "number")]
    pub kl: f64,
    /// From Q to P, in nats.
    #[serde(with = "number")]
    pub reverse_kl: f64,
    /// Their sum, in nats.
    #[serde(with = "number")]
    pub jeffreys: f64,
}

impl GeneralizedKl {
    /// Computes it in both directions.
    ///
    /// # Errors
    ///
    /// If the measures have different numbers of entries.
    pub fn between(p: &Measure, q: &Measure) -> Result<Self> {
        let entries = measure_entries(p, q)?;
        let value = |d| total(d, &entries);
        Ok(Self {
            kl: value(Divergence::Kl),
            reverse_kl: value(Divergence::ReverseKl),
            jeffreys: value(Divergence::Jeffreys),
        })
    }
}

/// Pairs the entries of two distributions, from their logarithms where both kept them.
fn entries(p: &Distribution, q: &Distribution) -> Result<Vec<Entry>> {
    same_length(p.probs().len(), q.probs().len())?;
    let pairs = 0..p.probs().len();
    Ok(match (p.log_probs(), q.log_probs()) {
        (None, None) => pairs
            .map(|i| Entry::from_probs(p.probs()[i], q.probs()[i]))
            .collect(),
        _ => pairs
            .map(|i| Entry::from_log_probs(p.log_prob(i), q.log_prob(i)))
            .collect(),
    })
}

fn measure_entries(p: &Measure, q: &Measure) -> Result<Vec<Entry>> {
    same_length(p.masses().len(), q.masses().len())?;
    Ok(p.masses()
        .iter()
        .zip(q.masses())
        .map(|(&p, &q)| Entry::from_probs(p, q))
        .collect())
}

fn same_length(reference: usize, candidate: usize) -> Result<()> {
    if reference == candidate {
        Ok(())
    } else {
        Err(Error::Lengths {
            reference,
            candidate,
        })
    }
}

fn total(divergence: Divergence, entries: &[Entry]) -> f64 {
    divergence.total(|| entries.iter().copied(), |terms| sum(terms))
}
