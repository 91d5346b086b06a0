//! The gradient of any divergence with respect to the candidate's logits.
//!
//! Through the softmax, ∂D/∂yⱼ = F′·(rⱼ − Qⱼ·Σᵢ rᵢ)/temperature with rᵢ = [`Divergence::pull`]. Two loops: the first sums
//! terms and pulls, the second writes the gradient.

use super::terms::{log_power, log_sum_of_powers};
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
    let entries = || p.iter().zip(q).map(|(&x, &y)| entry(x, y));
    let (mut sum, mut pulls) = (0.0, 0.0);
    for entry in entries() {
        sum += d.term(&entry);
        pulls += finite(d.pull(&entry));
    }
    let outer = f64::from(options.scale) * scale;
    if let Some(alpha) = d.far_order(sum) {
        let log_sum = log_sum_of_powers(alpha, entries, |terms| terms.sum());
        for (grad, entry) in grad_q.iter_mut().zip(entries()) {
            *grad = (outer * far_gradient(&entry, alpha, log_sum)) as f32;
        }
        return Ok(log_sum / (alpha - 1.0));
    }
    let outer = outer * finite(d.finish_slope(sum));
    for (grad, entry) in grad_q.iter_mut().zip(entries()) {
        *grad = (outer * (finite(d.pull(&entry)) - entry.q * pulls)) as f32;
    }
    Ok(d.finish(sum))
}

/// ∂D/∂yⱼ of Rényi's divergence from the logarithm of its sum of powers: Qⱼ less the share of entry j in that sum. Zero
/// where that sum is zero or infinite, as no entry can be told to have a share.
fn far_gradient(entry: &Entry, alpha: f64, log_sum: f64) -> f64 {
    if log_sum.is_infinite() {
        return 0.0;
    }
    entry.q - (log_power(entry, alpha) - log_sum).exp()
}

/// `x`, or 0 where it is not finite.
fn finite(x: f64) -> f64 {
    if x.is_finite() { x } else { 0.0 }
}
