//! The gradient of any divergence with respect to the candidate's logits.
//!
//! Through the softmax, ∂D/∂yⱼ = F′·(rⱼ − Qⱼ·Σᵢ rᵢ)/temperature with rᵢ = [`Divergence::pull`]. Two loops: the first sums
//! terms and pulls, the second writes the gradient.

use super::{Divergence, Entry};
use crate::fault::{RowFault, Side};
use crate::logit::Logit;
use crate::scalar;

/// How a loss uses a divergence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientOptions {
    /// Both rows are divided by it before the softmax. Positive and finite.
    pub temperature: f32,
    /// The outer gradient: what the loss changes per unit of the divergence. It multiplies the gradient, not the value.
    pub scale: f32,
}

impl Default for GradientOptions {
    fn default() -> Self {
        GradientOptions {
            temperature: 1.0,
            scale: 1.0,
        }
    }
}

/// The divergence between softmax(`p`) and softmax(`q`), and its gradient with respect to the logits `q`, written to
/// `grad_q`.
///
/// The gradient is always finite: an entry whose own pull is infinite (say Q > 0 = P under reverse KL) is left out of
/// it, while the value says +∞.
///
/// # Errors
///
/// The first [`RowFault`], of the reference before that of the candidate; `grad_q` is untouched then.
///
/// # Panics
///
/// If the three slices differ in length, the temperature is not positive and finite, or a parameter of the divergence
/// lies outside its range.
pub fn value_and_gradient<L: Logit, M: Logit>(
    d: Divergence,
    p: &[L],
    q: &[M],
    options: &GradientOptions,
    grad_q: &mut [f32],
) -> Result<f64, RowFault> {
    assert_eq!(p.len(), q.len(), "the rows differ in length");
    assert_eq!(
        q.len(),
        grad_q.len(),
        "the gradient and the candidate's row differ in length"
    );
    scalar::check_temperature(options.temperature);
    d.check_parameters();
    let scale = 1.0 / f64::from(options.temperature);
    let lse_p = scalar::log_sum_exp_scaled(p, scale, Side::Reference)?;
    let lse_q = scalar::log_sum_exp_scaled(q, scale, Side::Candidate)?;
    let entry = |x, y| {
        Entry::from_log_probs(
            scalar::log_prob(x, scale, lse_p),
            scalar::log_prob(y, scale, lse_q),
        )
    };
    let (mut value, mut pulls) = (0.0, 0.0);
    for (&x, &y) in p.iter().zip(q) {
        value += d.term(&entry(x, y));
        pulls += finite_pull(d, &entry(x, y));
    }
    let outer = f64::from(options.scale) * scale * finite(d.finish_slope(value));
    for ((grad, &x), &y) in grad_q.iter_mut().zip(p).zip(q) {
        let entry = entry(x, y);
        *grad = (outer * (finite_pull(d, &entry) - entry.q * pulls)) as f32;
    }
    Ok(d.finish(value))
}

fn finite_pull(d: Divergence, entry: &Entry) -> f64 {
    finite(d.pull(entry))
}

/// `x`, or 0 where it is not finite.
fn finite(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}
