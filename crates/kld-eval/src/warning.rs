//! What the user should know before trusting a result, said once for all verbs.

use kld_core::estimate::{ClusterUnit, Estimate, FEW_FRAGMENTS};

/// Fewer effective windows of one fragment than this do not make an error to be trusted much.
const FEW_WINDOWS: f64 = 5.0;

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

pub(crate) fn noise(above_floor: Option<&Estimate>) -> Option<String> {
    // Without an interval nothing is known; that is another warning.
    let not_above = above_floor?.low? <= 0.0;
    not_above.then(|| {
        "the mean KL is not clearly above the noise floor: computing P in another valid way changes as much".to_owned()
    })
}

pub(crate) fn padding(mass: f64) -> Option<String> {
    (mass > MUCH_PADDING).then(|| {
        format!("a mean probability of {mass:.1e} lay on padding columns of a head and was cut off")
    })
}
