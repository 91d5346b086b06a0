//! What the user should know before trusting a result, said once for all verbs.

use kld_core::{
    ModelCard,
    estimate::{ClusterUnit, FEW_FRAGMENTS},
    result::Candidate,
};
use kld_models::LogitSource;

/// Fewer effective windows of one fragment than this do not make an error to be trusted much.
const FEW_WINDOWS: f64 = 5.0;

/// A divergence so many times a recording's own loss can be told from it.
const SMALL_BESIDE: f64 = 10.0;

/// A mean probability on padding above this is told.
const MUCH_PADDING: f64 = 1e-6;

pub(crate) fn not_finite(left_out: u64, positions: u64) -> Option<String> {
    let all = positions + left_out;
    (left_out > 0).then(|| {
        format!("{left_out} of {all} positions were not finite and are left out of every mean")
    })
}

pub(crate) fn few_clusters(
    unit: ClusterUnit,
    clusters: usize,
    effective: f64,
    positions: u64,
) -> Option<String> {
    let few = match unit {
        ClusterUnit::Fragment => FEW_FRAGMENTS,
        ClusterUnit::Window => FEW_WINDOWS,
    };
    let name = unit.name();
    // As many clusters of equal size: one large fragment beside many small ones counts for little more than one.
    let as_good_as = if effective + 0.5 < clusters as f64 {
        format!(" (as good as {effective:.1} equal ones)")
    } else {
        String::new()
    };
    match clusters {
        _ if positions == 0 => Some("no position could be measured: there is no result".to_owned()),
        1 => Some(format!(
            "only one {name}: no standard error can be given; use more text"
        )),
        n if effective < few => Some(format!(
            "standard errors rest on {n} {name}s{as_good_as}: use more text, in more pieces"
        )),
        _ => None,
    }
}

/// Of a recording that was not finished.
pub(crate) fn unfinished(source: &dyn LogitSource) -> Option<String> {
    let script = source.script()?;
    let (has, all) = (script.recorded, script.windows.len());
    (has < all).then(|| {
        format!(
            "the recording {} was stopped after {has} of {all} windows: only those can be compared",
            source.card().name
        )
    })
}

/// Of a recording whose own loss is not small beside what was measured with it.
pub(crate) fn lossy(model: &ModelCard, kl: f64) -> Option<String> {
    let loss = model.recorded.as_ref()?.loss?.kl.value;
    (kl < SMALL_BESIDE * loss).then(|| {
        format!(
            "the recording {} itself loses {loss:.1e} nats a row, which is not small beside a mean KL of {kl:.1e}: record with --keep \
             hidden, or more of every row",
            model.name
        )
    })
}

/// Of a llama.cpp file whose floor puts more probability into its rows than is small beside what was measured with it.
pub(crate) fn lifted(model: &ModelCard, kl: f64) -> Option<String> {
    let floor = model.recorded.as_ref()?.floor?;
    let excess = (floor.mass_mean - 1.0).abs();
    (kl < SMALL_BESIDE * excess).then(|| {
        format!(
            "the rows of {} sum to {:.5}, because what lies {} nats below their top was lifted: a mean KL of {kl:.1e} is in part of that \
             file's making; kld record keeps exact rows",
            model.name, floor.mass_mean, floor.nats
        )
    })
}

pub(crate) fn noise(candidate: &Candidate) -> Option<String> {
    // Without an interval nothing is known; that is another warning.
    candidate.within_noise_floor()?.then(|| {
        "the mean KL is not clearly above the noise floor: computing P in another valid way changes as much".to_owned()
    })
}

pub(crate) fn padding(mass: f64) -> Option<String> {
    (mass > MUCH_PADDING).then(|| {
        format!("a mean probability of {mass:.1e} lay on padding columns of a head and was cut off")
    })
}
