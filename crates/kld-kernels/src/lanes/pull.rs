//! The bodies of the loops that write gradients.

use super::WIDTH;
use super::arith::Arith;
use super::loops::{NATURAL, Shifts, finite_or};
use super::math::twice_phi;

/// How the gradient of a row pair is made: `difference`·(Q − P) + `log_ratio`·Q·(t − `mean`), t = ln(Q/P).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pull {
    /// Scales whose `max` is the log-sum-exp times the temperature, rounded.
    pub(crate) shifts: Shifts,
    /// What the rounding takes from the probabilities: e^(what is left)/temperature.
    pub(crate) rest: [f32; 2],
    pub(crate) difference: f32,
    pub(crate) log_ratio: f32,
    pub(crate) mean: f32,
}

/// See [`super::Lanes::pull`].
#[inline(always)]
pub(super) fn pull<A: Arith>(
    p: &[[f32; WIDTH]],
    q: &[[f32; WIDTH]],
    s: &Pull,
    out: &mut [[f32; WIDTH]],
) {
    for ((p, q), out) in p.iter().zip(q).zip(out) {
        for j in 0..WIDTH {
            let w = s.shifts.p.exp_or_zero::<A>(p[j]) * s.rest[0];
            let v = s.shifts.q.exp_or_zero::<A>(q[j]) * s.rest[1];
            let half = s.shifts.half_difference::<A, false>(p[j], q[j]);
            let half = finite_or(half, p[j] == f32::NEG_INFINITY);
            let u = if half.abs() <= 1.0 { half } else { 0.0 };
            let grown = A::mul_add(0.5, twice_phi::<A>(u, u * u), u);
            let near = w * A::mul_add(grown, grown, 2.0 * grown);
            let difference = if half.abs() <= 1.0 { near } else { v - w };
            let ratio = A::mul_add(2.0, half, -s.mean);
            out[j] = A::mul_add(s.log_ratio * v, ratio, s.difference * difference);
        }
    }
}

/// See [`super::Lanes::add_softmax`].
#[inline(always)]
pub(super) fn add_softmax<A: Arith>(block: &[f32], high: f32, low: f32, by: f32, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(block) {
        *out = A::mul_add(NATURAL.exp_or_zero::<A>((x - high) - low), by, *out);
    }
}
