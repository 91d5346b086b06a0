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
    /// The interval of D(P‖Q) by Zhang and Grabchak is wider than the estimate itself.
    WideInterval {
        /// The estimate, in nats.
        value: f64,
        /// The width of its interval, in nats.
        width: f64,
    },
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
        reference: card(p),
        candidate: card(q),
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
        .map(|value| bootstrap::estimate(value, redrawn.next().unwrap_or_default()));
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

fn card(sample: &Counts) -> SampleCard {
    SampleCard {
        draws: sample.total(),
        observed: sample.observed(),
        singletons: sample.singletons(),
        coverage: sample.coverage(),
    }
}

fn warnings(p: &Counts, q: &Counts, estimators: &[EstimatorResult]) -> Vec<Warning> {
    let sides = [
        small('P', p),
        small('Q', q),
        unseen('P', p, q),
        unseen('Q', q, p),
    ];
    sides
        .into_iter()
        .flatten()
        .chain(estimators.last().and_then(wide))
        .collect()
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

fn wide(result: &EstimatorResult) -> Option<Warning> {
    let (value, width) = (result.kl.value, result.kl.high? - result.kl.low?);
    (width > value.abs()).then_some(Warning::WideInterval { value, width })
}
