//! The bodies of the loops, generic over [`Arith`] and inlined into each instruction set's wrappers.

use super::WIDTH;
use super::arith::Arith;
use super::math::{LOWEST, clamped, exp, js_even, ln_1p, twice_phi};

/// How many entries are summed in f32 lanes before the sums are widened to f64, and share one choice between the near
/// and the far formulas.
const STRETCH: usize = 16 * WIDTH;

/// The largest half difference |t/2| of log-probs for which the near formulas hold.
const NEAR: f32 = 1.0;

/// What [`pair_sums`] must know of two rows beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shifts {
    /// 1/temperature.
    pub(crate) scale: f32,
    /// What is subtracted from scale·x before the exponential.
    pub(crate) shift_p: f32,
    /// What is subtracted from scale·y before the exponential.
    pub(crate) shift_q: f32,
    /// (Σ over P of e^…)/(Σ over Q of e^…): brings Q's exponentials to the scale of P's.
    pub(crate) ratio: f32,
    /// The difference of the log-sum-exps, Q's less P's, divided by `scale` and rounded to f32.
    pub(crate) offset_high: f32,
    /// What the rounding of `offset_high` left out.
    pub(crate) offset_low: f32,
}

/// Sums over a row pair, still to be divided by Σ eᵃ of the reference.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PairSums {
    /// Σ P·φ(t).
    pub(crate) kl: f64,
    /// Σ Q·φ(−t).
    pub(crate) reverse_kl: f64,
    /// Σ of the terms of JS.
    pub(crate) js: f64,
    /// Whether Q = 0 < P was seen.
    pub(crate) infinite: bool,
    /// Whether P = 0 < Q was seen.
    pub(crate) reverse_infinite: bool,
}

/// See [`super::Lanes::max`].
#[inline(always)]
pub(super) fn max(block: &[f32]) -> f32 {
    let (chunks, tail) = block.as_chunks::<WIDTH>();
    let mut lanes = [f32::NEG_INFINITY; WIDTH];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x);
        }
    }
    lanes
        .iter()
        .chain(tail)
        .fold(f32::NEG_INFINITY, |max, &x| larger(max, x))
}

/// The larger of two; `max` if `x` is NaN. One instruction, unlike `f32::max`.
#[inline(always)]
fn larger(max: f32, x: f32) -> f32 {
    if x > max { x } else { max }
}

/// See [`super::Lanes::count_above`].
#[inline(always)]
pub(super) fn count_above(block: &[f32], bar: f32) -> usize {
    block.iter().map(|&x| u32::from(x > bar)).sum::<u32>() as usize
}

/// See [`super::Lanes::exp_sums`].
#[inline(always)]
pub(super) fn exp_sums<A: Arith>(block: &[f32], scale: f32, shift: f32) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for stretch in block.chunks(STRETCH) {
        let mut lanes = [[0.0; WIDTH]; 2];
        let (chunks, tail) = stretch.as_chunks::<WIDTH>();
        for chunk in chunks {
            exp_lanes::<A>(chunk, scale, shift, &mut lanes);
        }
        if !tail.is_empty() {
            exp_lanes::<A>(&padded(tail), scale, shift, &mut lanes);
        }
        for (sum, lanes) in sums.iter_mut().zip(&lanes) {
            *sum += total(lanes);
        }
    }
    sums
}

#[inline(always)]
fn exp_lanes<A: Arith>(
    chunk: &[f32; WIDTH],
    scale: f32,
    shift: f32,
    lanes: &mut [[f32; WIDTH]; 2],
) {
    for j in 0..WIDTH {
        let a = clamped(A::mul_add(chunk[j], scale, -shift));
        let w = exp::<A>(a);
        lanes[0][j] += w;
        lanes[1][j] = A::mul_add(w, a, lanes[1][j]);
    }
}

/// See [`super::Lanes::pair_sums`].
#[inline(always)]
pub(super) fn pair_sums<A: Arith>(p: &[f32], q: &[f32], shifts: &Shifts, sums: &mut PairSums) {
    for (p, q) in p.chunks(STRETCH).zip(q.chunks(STRETCH)) {
        let ((p, tail_p), (q, tail_q)) = (p.as_chunks::<WIDTH>(), q.as_chunks::<WIDTH>());
        if !near_sums::<A>(p, q, shifts, sums) {
            far_sums::<A>(p, q, shifts, sums);
        }
        if !tail_p.is_empty() {
            far_sums::<A>(&[padded(tail_p)], &[padded(tail_q)], shifts, sums);
        }
    }
}

/// Adds the terms of a stretch if all its |t| are near; otherwise adds nothing and says so.
///
/// With u = t/2, everything follows from 2·φ(u) without cancellation: eᵘ − 1 = u + φ(u), φ(t) = (eᵘ − 1)² + 2·φ(u), and
/// the term of JS is √(PQ)·(u·sinh u − cosh u·ln cosh u), whose second factor is even in u.
#[inline(always)]
fn near_sums<A: Arith>(
    p: &[[f32; WIDTH]],
    q: &[[f32; WIDTH]],
    s: &Shifts,
    sums: &mut PairSums,
) -> bool {
    let mut lanes = [[0.0_f32; WIDTH]; 3];
    let mut near = [0_u32; WIDTH];
    let half = 0.5 * s.scale;
    for (p, q) in p.iter().zip(q) {
        for j in 0..WIDTH {
            let w = exp::<A>(clamped(A::mul_add(p[j], s.scale, -s.shift_p)));
            let u = half * difference(p[j], q[j], s);
            near[j] += u32::from(u.abs() <= NEAR);
            let square = u * u;
            let twice = twice_phi::<A>(u, square);
            let grown = A::mul_add(0.5, twice, u);
            let phi = A::mul_add(grown, grown, twice);
            let reverse = A::mul_add(A::mul_add(2.0, u, -1.0), phi, 4.0 * square);
            let js = (grown + 1.0) * (square * js_even::<A>(square));
            lanes[0][j] = A::mul_add(w, phi, lanes[0][j]);
            lanes[1][j] = A::mul_add(w, reverse, lanes[1][j]);
            lanes[2][j] = A::mul_add(w, js, lanes[2][j]);
        }
    }
    let near = near.iter().sum::<u32>() as usize == p.len() * WIDTH;
    if near {
        sums.kl += total(&lanes[0]);
        sums.reverse_kl += total(&lanes[1]);
        sums.js += total(&lanes[2]);
    }
    near
}

/// Adds the terms of a stretch, whatever its logits: t of any size, and −∞ on either side.
///
/// Both exponentials are taken, and where |t| > 2 the terms are the differences that define them. JS uses
/// ln(2P/(P+Q)) = ln 2 − ln(1 + eᵗ) and the like, with s = e^(−|t|) as the only argument of a logarithm.
#[inline(always)]
fn far_sums<A: Arith>(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &Shifts, sums: &mut PairSums) {
    let mut lanes = [[0.0_f32; WIDTH]; 3];
    let (mut infinite, mut reverse_infinite) = ([0_u32; WIDTH], [0_u32; WIDTH]);
    for (p, q) in p.iter().zip(q) {
        for j in 0..WIDTH {
            let (p_zero, q_zero) = (p[j] == f32::NEG_INFINITY, q[j] == f32::NEG_INFINITY);
            infinite[j] |= u32::from(q_zero > p_zero);
            reverse_infinite[j] |= u32::from(p_zero > q_zero);
            let w = exp_or_zero::<A>(A::mul_add(p[j], s.scale, -s.shift_p));
            let v = s.ratio * exp_or_zero::<A>(A::mul_add(q[j], s.scale, -s.shift_q));
            let t = finite_or(s.scale * difference(p[j], q[j], s), p_zero);
            let terms = far_terms::<A>(w, v, t);
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[j] += term;
            }
        }
    }
    sums.kl += total(&lanes[0]);
    sums.reverse_kl += total(&lanes[1]);
    sums.js += total(&lanes[2]);
    sums.infinite |= infinite.contains(&1);
    sums.reverse_infinite |= reverse_infinite.contains(&1);
}

/// The terms of KL, reverse KL and JS from P's and Q's exponentials on one scale, and t.
#[inline(always)]
fn far_terms<A: Arith>(w: f32, v: f32, t: f32) -> [f32; 3] {
    let near = t.abs() <= 2.0 * NEAR;
    let u = if near { 0.5 * t } else { 0.0 };
    let square = u * u;
    let twice = twice_phi::<A>(u, square);
    let grown = A::mul_add(0.5, twice, u);
    let phi = A::mul_add(grown, grown, twice);
    let reverse = A::mul_add(A::mul_add(2.0, u, -1.0), phi, 4.0 * square);
    let js = (grown + 1.0) * (square * js_even::<A>(square));

    let small = if near {
        0.0
    } else {
        exp::<A>(clamped(-t.abs()))
    };
    let rest = std::f32::consts::LN_2 - ln_1p::<A>(small);
    let lesser = if t > 0.0 { w } else { v };
    let far_js = 0.5 * ((w + v) * rest - t.abs() * lesser);
    let far_kl = (v - w) - w * t;
    let far_reverse = (w - v) + v * t;
    [
        if near { w * phi } else { not_negative(far_kl) },
        if near {
            w * reverse
        } else {
            not_negative(far_reverse)
        },
        if near { w * js } else { not_negative(far_js) },
    ]
}

/// See [`super::Lanes::add_exp`].
#[inline(always)]
pub(super) fn add_exp<A: Arith>(block: &[f32], high: f32, low: f32, acc: &mut [f64]) {
    for (sum, &x) in acc.iter_mut().zip(block) {
        *sum += f64::from(exp_or_zero::<A>((x - high) - low));
    }
}

/// (y − x) − offset: t/scale, to full relative accuracy where both rows nearly agree.
///
/// The difference of two floats is a float only if they are of one size; `error` is what its rounding lost, by Knuth's
/// branch-free two-sum. It matters when one row is the other plus a large constant.
#[inline(always)]
fn difference(x: f32, y: f32, s: &Shifts) -> f32 {
    let d = y - x;
    let back = d - y;
    let error = (y - (d - back)) - (x + back);
    (d - s.offset_high) + (error - s.offset_low)
}

/// eᵃ, or 0 below [`LOWEST`].
#[inline(always)]
fn exp_or_zero<A: Arith>(a: f32) -> f32 {
    let e = exp::<A>(clamped(a));
    if a < LOWEST { 0.0 } else { e }
}

/// `t` if it is a number; otherwise a stand-in for ±∞ that 0 can be multiplied by.
#[inline(always)]
fn finite_or(t: f32, positive: bool) -> f32 {
    let huge = if positive { 1e9 } else { -1e9 };
    if t.abs() <= f32::MAX { t } else { huge }
}

#[inline(always)]
fn not_negative(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// The last, shorter chunk of a row filled up with entries of probability zero.
#[inline(always)]
fn padded(tail: &[f32]) -> [f32; WIDTH] {
    let mut chunk = [f32::NEG_INFINITY; WIDTH];
    chunk[..tail.len()].copy_from_slice(tail);
    chunk
}

/// The sum of the lanes in f64.
#[inline(always)]
fn total(lanes: &[f32; WIDTH]) -> f64 {
    lanes.iter().map(|&x| f64::from(x)).sum()
}
