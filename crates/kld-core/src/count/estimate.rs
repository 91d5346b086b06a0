//! All estimates from two samples at once, with intervals, and a verdict on whether the samples are large enough.

use serde::{Deserialize, Serialize};

use super::{Bootstrap, Counts, Estimator, bootstrap};
use crate::{Error, Result, estimate::Estimate};

/// What two samples say: plain data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountEstimates {
    /// The sample of P.
    pub reference: SampleCard,
    /// The sample of Q.
    pub candidate: SampleCard,
    /// One for each of [`Estimator::ALL`].
    pub estimators: Vec<EstimatorResult>,
    /// How the intervals were made.
    pub bootstrap: Bootstrap,
    /// Why the samples may be too small to say; empty if nothing speaks against them.
    pub warnings: Vec<Warning>,
}

/// A sample in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleCard {
    /// Number of draws.
    pub draws: u64,
    /// Number of outcomes seen.
    pub observed: usize,
    /// Number of outcomes seen once.
    pub singletons: usize,
    /// Good–Turing estimate of the probability that the next draw shows an outcome already seen.
    pub coverage: f64,
}

/// The values of one estimator, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatorResult {
    /// Which one.
    pub estimator: Estimator,
    /// D(P‖Q).
    pub kl: Estimate,
    /// D(Q‖P).
    pub reverse_kl: Estimate,
    /// Jensen–Shannon divergence, where the estimator defines it.
    pub js: Option<Estimate>,
    /// Entropy of P.
    pub entropy_reference: Estimate,
    /// Entropy of Q.
    pub entropy_candidate: Estimate,
}

/// A reason not to trust the estimates too far. Sides are `P` or `Q`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// More than a tenth of the distribution is estimated to be unseen: Good–Turing coverage below [`ENOUGH_COVERAGE`].
    LowCoverage {
        /// Whose sample.
        side: char,
        /// Its coverage.
        coverage: f64,
    },
    /// Fewer than [`ENOUGH_DRAWS`] draws for every outcome seen.
    FewDraws {
        /// Whose sample.
        side: char,
        /// Its size.
        draws: u64,
        /// Outcomes in it.
        observed: usize,
    },
    /// Outcomes seen in the sample of `side` never occur in the other: the plug-in estimate in this direction is +∞.
    UnseenInOther {
        /// Whose sample has them.
        side: char,
        /// How many outcomes.
        outcomes: usize,
        /// Their share of the draws of `side`.
        share: f64,
    },
    /// An estimate by Zhang and Grabchak lies below 0 with its whole interval, where no divergence is: too much is unseen.
    BelowZero {
        /// The side that comes first in the divergence.
        side: char,
        /// The upper end of the interval, in nats.
        high: f64,
    },
    /// The interval of D(P‖Q) by Zhang and Grabchak is wider than the estimate itself.
    WideInterval {
        /// The estimate, in nats.
        value: f64,
        /// The width of its interval, in nats.
        width: f64,
    },
    /// A sample consists of few clusters, such as documents: their spread is hardly known, and neither is the interval.
    FewClusters {
        /// Whose sample.
        side: char,
        /// How many.
        clusters: usize,
    },
    /// More than half of the plug-in Jensen–Shannon divergence is what two samples of this size show of one distribution.
    MostlyBias {
        /// The plug-in, in nats.
        plug_in: f64,
        /// The estimate after Miller and Madow, in nats.
        corrected: f64,
    },
}

impl Warning {
    /// What two samples alone say: are they small, and has one what the other lacks?
    #[must_use]
    pub fn of_samples(p: &Counts, q: &Counts) -> Vec<Self> {
        let sides = [
            small('P', p),
            small('Q', q),
            unseen('P', p, q),
            unseen('Q', q, p),
        ];
        sides.into_iter().flatten().collect()
    }

    /// What the estimates by Zhang and Grabchak of D(P‖Q) and D(Q‖P) say.
    #[must_use]
    pub fn of_estimates(kl: &Estimate, reverse_kl: &Estimate) -> Vec<Self> {
        let directions = [below_zero('P', kl), below_zero('Q', reverse_kl), wide(kl)];
        directions.into_iter().flatten().collect()
    }
}

/// Coverage below which a sample is called small: the unseen tenth can carry most of a divergence.
pub const ENOUGH_COVERAGE: f64 = 0.9;

/// Draws for every outcome seen below which a sample is called small, the customary five of χ² tests.
pub const ENOUGH_DRAWS: f64 = 5.0;

/// Estimates entropy, KL and JS by every estimator, with intervals.
///
/// # Errors
///
/// If the samples are not about the same number of outcomes.
pub fn estimate(p: &Counts, q: &Counts, bootstrap: &Bootstrap) -> Result<CountEstimates> {
    if p.known() != q.known() {
        return Err(Error::Lengths {
            reference: p.known(),
            candidate: q.known(),
        });
    }
    let mut redrawn = vec![Vec::new(); FIGURES * Estimator::ALL.len()];
    bootstrap.for_each_pair(p, q, |p, q| {
        let figures = Estimator::ALL
            .iter()
            .flat_map(|&estimator| figures(estimator, p, q));
        for (values, figure) in redrawn.iter_mut().zip(figures) {
            values.push(figure);
        }
    });
    let mut redrawn = redrawn.into_iter();
    let estimators: Vec<_> = Estimator::ALL
        .iter()
        .map(|&estimator| result(estimator, p, q, &mut redrawn))
        .collect();
    let warnings = warnings(p, q, &estimators);
    Ok(CountEstimates {
        reference: SampleCard::of(p),
        candidate: SampleCard::of(q),
        estimators,
        bootstrap: *bootstrap,
        warnings,
    })
}

const FIGURES: usize = 5;

/// KL, reverse KL, JS (NaN if not defined), both entropies.
fn figures(estimator: Estimator, p: &Counts, q: &Counts) -> [f64; FIGURES] {
    let js = estimator.js(p, q).unwrap_or(f64::NAN);
    [
        estimator.kl(p, q),
        estimator.kl(q, p),
        js,
        estimator.entropy(p),
        estimator.entropy(q),
    ]
}

fn result(
    estimator: Estimator,
    p: &Counts,
    q: &Counts,
    redrawn: &mut impl Iterator<Item = Vec<f64>>,
) -> EstimatorResult {
    let [kl, reverse_kl, js, entropy_reference, entropy_candidate] = figures(estimator, p, q)
        .map(|value| bootstrap::estimate_from_redrawn(value, redrawn.next().unwrap_or_default()));
    let js = Some(js).filter(|js| !js.value.is_nan());
    EstimatorResult {
        estimator,
        kl,
        reverse_kl,
        js,
        entropy_reference,
        entropy_candidate,
    }
}

impl SampleCard {
    /// The card of a sample.
    #[must_use]
    pub fn of(sample: &Counts) -> Self {
        Self {
            draws: sample.total(),
            observed: sample.observed(),
            singletons: sample.singletons(),
            coverage: sample.coverage(),
        }
    }
}

fn warnings(p: &Counts, q: &Counts, estimators: &[EstimatorResult]) -> Vec<Warning> {
    let mut warnings = Warning::of_samples(p, q);
    if let Some(last) = estimators.last() {
        warnings.extend(Warning::of_estimates(&last.kl, &last.reverse_kl));
    }
    warnings
}

fn small(side: char, sample: &Counts) -> Option<Warning> {
    let (coverage, draws, observed) = (sample.coverage(), sample.total(), sample.observed());
    if coverage < ENOUGH_COVERAGE {
        Some(Warning::LowCoverage { side, coverage })
    } else if (draws as f64) < ENOUGH_DRAWS * observed as f64 {
        Some(Warning::FewDraws {
            side,
            draws,
            observed,
        })
    } else {
        None
    }
}

fn unseen(side: char, here: &Counts, there: &Counts) -> Option<Warning> {
    let only_here = here
        .counts()
        .iter()
        .zip(there.counts())
        .filter(|(here, there)| **here > 0 && **there == 0);
    let (outcomes, draws) = only_here.fold((0, 0), |(outcomes, draws), (here, _)| {
        (outcomes + 1, draws + here)
    });
    (outcomes > 0).then(|| Warning::UnseenInOther {
        side,
        outcomes,
        share: draws as f64 / here.total() as f64,
    })
}

fn below_zero(side: char, kl: &Estimate) -> Option<Warning> {
    let high = kl.high.filter(|high| *high < 0.0)?;
    Some(Warning::BelowZero { side, high })
}

fn wide(kl: &Estimate) -> Option<Warning> {
    let (value, width) = (kl.value, kl.high? - kl.low?);
    (width > value.abs()).then_some(Warning::WideInterval { value, width })
}
