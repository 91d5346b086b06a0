//! Every tolerance of these tests, by name, and the one way to compare.

/// f64 definitions against 50 digits: what some thousand roundings may add up to.
pub(crate) const DEFINITION: f64 = 1e-12;

/// Divergences of the vector lanes against the definition, relative, for divergences of at least [`FLOOR_NATS`].
pub(crate) const DIVERGENCE: f64 = 1e-6;

/// The smallest divergence for which [`DIVERGENCE`] is promised.
pub(crate) const FLOOR_NATS: f64 = 1e-6;

/// Log-sum-exps, entropies and negative log-likelihoods of the vector lanes: absolute for values below one, relative above.
pub(crate) const NATS: f64 = 1e-6;

/// Probabilities of the vector lanes, relative.
pub(crate) const PROBABILITY: f64 = 1e-6;

/// Gradients against central differences in f64, relative to the largest entry.
pub(crate) const GRADIENT: f64 = 2e-6;

/// Asserts |got − expected| ≤ tolerance·max(|expected|, floor), infinities being equal only to themselves.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: f64, expected: f64, tolerance: f64, floor: f64) {
    let close = got == expected || (got - expected).abs() <= tolerance * expected.abs().max(floor);
    assert!(
        close,
        "{what}: got {got:e}, expected {expected:e}, off by {:e}",
        got - expected
    );
}
