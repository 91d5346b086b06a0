//! Two bodies of text by their counts: how far Q is from P, in both directions, and which terms carry the distance.
//!
//! D(P‖Q) = Σ P ln(P/Q) over terms, with P how often each stands in the reference and Q how often in the candidate. The counts are samples, so
//! there is the plug-in, which is +∞ as soon as one term of P never stands in Q, and estimators that correct it
//! ([`kld_core::count::Estimator`]); smoothing only where asked for.
//!
//! Intervals: the parts of each body (see [`crate::count`]) are redrawn with replacement, all the text of a part together, and the estimates made
//! again; how many times, by what parts and with which seed stands in the result.

mod contributors;
mod pair;
mod redraw;

use kld_core::{
    count::{Bootstrap, Compared, Counts, Estimator, EstimatorResult, Method, Warning},
    estimate::{Estimate, FEW_FRAGMENTS},
    result::{PartsOf, Redrawn, SmoothedResult, TEXT_SCHEMA, TextComparison},
    smoothing::Smoothing,
};

use self::{
    contributors::{Listed, chosen, one_sided},
    pair::{Pair, Side},
    redraw::Redraws,
};
use crate::{Error, Result, count::CountTable};

/// How two bodies are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareOptions {
    /// How mass is given to terms that one body lacks; nothing is done unless asked for.
    pub smoothing: Option<Smoothing>,
    /// How intervals are made.
    pub bootstrap: Bootstrap,
    /// Contributors listed on each side.
    pub listed: usize,
    /// Threads; change no result.
    pub threads: usize,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            smoothing: None,
            bootstrap: Bootstrap {
                resamples: 300,
                seed: 0,
            },
            listed: 20,
            threads: 1,
        }
    }
}

/// The estimators that are reported. The others of [`Estimator`] look at terms that stand there once, which redrawing by parts makes twice.
const ESTIMATORS: [Estimator; 3] = [
    Estimator::PlugIn,
    Estimator::MillerMadow,
    Estimator::ZhangGrabchak,
];

/// Figures of one estimator: KL both ways, JS, both entropies.
const FIGURES: usize = 5;

/// Compares two bodies, given their names and counts; the reference comes first.
///
/// # Errors
///
/// If they do not count the same, or one has no terms.
pub fn compare(
    (reference_name, reference): (&str, &CountTable),
    (candidate_name, candidate): (&str, &CountTable),
    options: &CompareOptions,
) -> Result<TextComparison> {
    if reference.counted() != candidate.counted() {
        return Err(Error::DifferentCounts {
            here: reference.counted().to_string(),
            there: candidate.counted().to_string(),
        });
    }
    let pair = Pair::join(reference, candidate)?;
    let parts_method = options.smoothing.map_or(
        Method::Estimator(Estimator::ZhangGrabchak),
        Method::Smoothed,
    );
    let (p, q) = (&pair.p.counts, &pair.q.counts);
    let compared = parts_method.compare(p, q);
    let listed = chosen(&pair, &compared, options.listed);
    let figures = |p: &Counts, q: &Counts| figures(p, q, parts_method, &listed);
    let redraws = Redraws::new(&pair, &options.bootstrap);
    let mut estimates = redraws
        .values(options.threads, figures)
        .estimates(&figures(p, q))
        .into_iter();
    let estimators = ESTIMATORS.map(|estimator| estimator_result(estimator, &mut estimates));
    let smoothed = smoothed_result(options.smoothing, &mut estimates);
    let contributors = listed.result(&pair, &compared, parts_of(parts_method), &mut estimates);
    Ok(TextComparison {
        schema: TEXT_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        counted: reference.counted().clone(),
        reference: reference.body(reference_name, p),
        candidate: candidate.body(candidate_name, q),
        warnings: warnings(&pair, &estimators),
        estimators: estimators.to_vec(),
        smoothed,
        redrawn: Redrawn {
            bootstrap: options.bootstrap,
            reference: pair.p.parts(),
            candidate: pair.q.parts(),
        },
        contributors,
        only_in_reference: one_sided(&pair.terms, p, q),
        only_in_candidate: one_sided(&pair.terms, q, p),
        fragments: None,
    })
}

/// Every number of the result that has an interval, in the order in which the result takes them up.
fn figures(p: &Counts, q: &Counts, parts_method: Method, listed: &Listed) -> Vec<f64> {
    let mut all = Vec::with_capacity(FIGURES * ESTIMATORS.len() + 3 * (listed.len() + 1));
    for estimator in ESTIMATORS {
        all.extend([
            estimator.kl(p, q),
            estimator.kl(q, p),
            estimator.js(p, q).unwrap_or(f64::NAN),
            estimator.entropy(p),
            estimator.entropy(q),
        ]);
    }
    let compared = parts_method.compare(p, q);
    if matches!(compared, Compared::Smoothed(_)) {
        let whole = compared.whole();
        all.extend([whole.kl, whole.reverse_kl, whole.js]);
    }
    for index in listed.indices() {
        let part = compared.part(index);
        all.extend([part.kl, part.reverse_kl, part.js]);
    }
    all
}

/// Takes the next of the estimates, which stand in the order of [`figures`].
fn next(estimates: &mut impl Iterator<Item = Estimate>) -> Estimate {
    estimates.next().unwrap_or(Estimate::bare(f64::NAN))
}

fn estimator_result(
    estimator: Estimator,
    estimates: &mut impl Iterator<Item = Estimate>,
) -> EstimatorResult {
    EstimatorResult {
        estimator,
        kl: next(estimates),
        reverse_kl: next(estimates),
        js: Some(next(estimates)).filter(|js| !js.value.is_nan()),
        entropy_reference: next(estimates),
        entropy_candidate: next(estimates),
    }
}

fn smoothed_result(
    smoothing: Option<Smoothing>,
    estimates: &mut impl Iterator<Item = Estimate>,
) -> Option<SmoothedResult> {
    smoothing.map(|smoothing| SmoothedResult {
        smoothing,
        kl: next(estimates),
        reverse_kl: next(estimates),
        js: next(estimates),
    })
}

fn parts_of(method: Method) -> PartsOf {
    match method {
        Method::Estimator(_) => PartsOf::ZhangGrabchak,
        Method::Smoothed(_) => PartsOf::Smoothed,
    }
}

fn warnings(pair: &Pair, estimators: &[EstimatorResult]) -> Vec<Warning> {
    let samples = Warning::of_samples(&pair.p.counts, &pair.q.counts).into_iter();
    // Terms of one side stand in a section of their own.
    let mut warnings: Vec<_> = samples
        .filter(|warning| !matches!(warning, Warning::UnseenInOther { .. }))
        .collect();
    warnings.extend([('P', &pair.p), ('Q', &pair.q)].into_iter().filter_map(few));
    let [plug_in, miller_madow, zhang_grabchak] = estimators else {
        return warnings;
    };
    warnings.extend(Warning::of_estimates(
        &zhang_grabchak.kl,
        &zhang_grabchak.reverse_kl,
    ));
    if let (Some(plug_in), Some(corrected)) = (plug_in.js, miller_madow.js)
        && corrected.value < 0.5 * plug_in.value
    {
        warnings.push(Warning::MostlyBias {
            plug_in: plug_in.value,
            corrected: corrected.value,
        });
    }
    warnings
}

fn few((side, body): (char, &Side)) -> Option<Warning> {
    let clusters = body.parts().number;
    ((clusters as f64) < FEW_FRAGMENTS).then_some(Warning::FewClusters { side, clusters })
}
