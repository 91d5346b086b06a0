//! The bodies of the loops, generic over [`Arith`] and inlined into each instruction set's wrappers.

use super::WIDTH;
use super::arith::Arith;
use super::math::{LOWEST, exp2, js_even, ln_1p, twice_phi};

/// How many entries of a row are summed in f32 lanes before the sums are widened to f64.
const ROW_STRETCH: usize = 64 * WIDTH;

/// The largest (t/2)² for which the near formulas hold.
const NEAR: f32 = 1.0;

/// The exponential scale of one row: x ↦ e^((x − max)/temperature) = 2^((x − max)·per).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The largest entry, or one that is not much smaller.
    pub(crate) max: f32,
    /// log₂e/temperature.
    pub(crate) per: f32,
    /// The difference x − max below which the exponential counts as zero.
    pub(crate) lowest: f32,
}

impl Scale {
    /// For a row whose largest entry is `max`.
    pub(crate) fn new(max: f32, temperature: f32) -> Scale {
        let per = std::f32::consts::LOG2_E / temperature;
        Scale {
            max,
            per,
            lowest: LOWEST / per,
        }
    }

    /// By how much an entry may exceed `max`, while the exponentials stay far from what f32 can hold.
    pub(crate) fn room(&self) -> f32 {
        40.0 / self.per
    }

    /// x − max, but no lower than `lowest`; and its exponential. NaN stays NaN.
    #[inline(always)]
    fn clamped_exp<A: Arith>(&self, x: f32) -> (f32, f32) {
        let a = x - self.max;
        let a = if a < self.lowest { self.lowest } else { a };
        (a, exp2::<A>(a, self.per))
    }

    /// The exponential, or 0 below `lowest`.
    #[inline(always)]
    fn exp_or_zero<A: Arith>(&self, x: f32) -> f32 {
        let (_, e) = self.clamped_exp::<A>(x);
        if x - self.max < self.lowest { 0.0 } else { e }
    }
}

/// Sums over a block of a row, with w = e^((x − max)/temperature).
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSums {
    /// Σ w.
    pub(crate) sum: f64,
    /// Σ (x − max)·w.
    pub(crate) weighted: f64,
    /// The largest entry of the block, NaN left aside.
    pub(crate) max: f32,
}

/// What [`pair_sums`] must know of two rows beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shifts {
    /// The scale of the reference.
    pub(crate) p: Scale,
    /// The scale of the candidate.
    pub(crate) q: Scale,
    /// (Σ over P of e^…)/(Σ over Q of e^…): brings Q's exponentials to the scale of P's.
    pub(crate) ratio: f32,
    /// 1/(2·temperature).
    pub(crate) half: f32,
    /// The difference of the log-sum-exps, Q's less P's, times the temperature, rounded to f32.
    pub(crate) offset_high: f32,
    /// What the rounding of `offset_high` left out, times `half`.
    pub(crate) offset_low: f32,
    /// Whether the rows lie so close that y − x is as good as exact.
    pub(crate) one_size: bool,
}

impl Shifts {
    /// t/2 = ((y − x) − offset)·half, to full relative accuracy where both rows nearly agree.
    ///
    /// The difference of two floats is a float only if they are of one size; `error` is what its rounding lost, by
    /// Knuth's branch-free two-sum. It matters when one row is the other plus a large constant.
    #[inline(always)]
    fn half_difference<A: Arith, const ONE_SIZE: bool>(&self, x: f32, y: f32) -> f32 {
        let d = y - x;
        let back = d - y;
        let error = if ONE_SIZE {
            0.0
        } else {
            (y - (d - back)) - (x + back)
        };
        let rest = A::mul_add(error, self.half, -self.offset_low);
        A::mul_add(d - self.offset_high, self.half, rest)
    }
}

/// Sums of terms over entries of a row pair, still to be divided by Σ eᵃ of the reference.
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

/// See [`super::Lanes::find_above`].
#[inline(always)]
pub(super) fn find_above(block: &[f32], bar: f32) -> Option<usize> {
    const PEEK: usize = 4 * WIDTH;
    let (chunks, tail) = block.as_chunks::<PEEK>();
    let hit = chunks.iter().position(|chunk| count_above(chunk, bar) > 0);
    let start = hit.map_or(block.len() - tail.len(), |chunk| chunk * PEEK);
    Some(start + block[start..].iter().position(|&x| x > bar)?)
}

/// See [`super::Lanes::exp_sums`].
#[inline(always)]
pub(super) fn exp_sums<A: Arith>(block: &[f32], scale: &Scale) -> RowSums {
    let (mut sum, mut weighted) = (0.0, 0.0);
    let mut largest = [f32::NEG_INFINITY; WIDTH];
    for stretch in block.chunks(ROW_STRETCH) {
        let mut lanes = [[0.0; WIDTH]; 2];
        let (chunks, tail) = stretch.as_chunks::<WIDTH>();
        for chunk in chunks {
            exp_lanes::<A>(chunk, scale, &mut lanes, &mut largest);
        }
        if !tail.is_empty() {
            exp_lanes::<A>(&padded(tail), scale, &mut lanes, &mut largest);
        }
        sum += total(&lanes[0]);
        weighted += total(&lanes[1]);
    }
    RowSums {
        sum,
        weighted,
        max: largest
            .iter()
            .fold(f32::NEG_INFINITY, |max, &x| larger(max, x)),
    }
}

#[inline(always)]
fn exp_lanes<A: Arith>(
    chunk: &[f32; WIDTH],
    scale: &Scale,
    lanes: &mut [[f32; WIDTH]; 2],
    largest: &mut [f32; WIDTH],
) {
    for j in 0..WIDTH {
        largest[j] = larger(largest[j], chunk[j]);
        let (a, w) = scale.clamped_exp::<A>(chunk[j]);
        lanes[0][j] += w;
        lanes[1][j] = A::mul_add(w, a, lanes[1][j]);
    }
}

/// See [`super::Lanes::near_sums`].
///
/// With u = t/2, everything follows from 2·φ(u) without cancellation: eᵘ − 1 = u + φ(u), φ(t) = (eᵘ − 1)² + 2·φ(u), and
/// the term of JS is √(PQ)·(u·sinh u − cosh u·ln cosh u), whose second factor is even in u.
#[inline(always)]
pub(super) fn near_sums<A: Arith, const ONE_SIZE: bool>(
    p: &[[f32; WIDTH]],
    q: &[[f32; WIDTH]],
    s: &Shifts,
) -> Option<[f64; 3]> {
    let mut lanes = [[0.0; WIDTH]; 3];
    let mut largest = [0; WIDTH];
    for (p, q) in p.iter().zip(q) {
        for j in 0..WIDTH {
            let (_, w) = s.p.clamped_exp::<A>(p[j]);
            let u = s.half_difference::<A, ONE_SIZE>(p[j], q[j]);
            let square = u * u;
            // The bits of floats that are not negative sort like integers, and NaN above all of them.
            largest[j] = largest[j].max(square.to_bits());
            let [kl, jeffreys, js] = near_functions::<A>(u, square);
            lanes[0][j] = A::mul_add(w, kl, lanes[0][j]);
            lanes[1][j] = A::mul_add(w, jeffreys, lanes[1][j]);
            lanes[2][j] = A::mul_add(w, js, lanes[2][j]);
        }
    }
    let largest = largest.iter().fold(0, |most: u32, &bits| most.max(bits));
    let [kl, jeffreys, js] = [total(&lanes[0]), total(&lanes[1]), total(&lanes[2])];
    (largest <= NEAR.to_bits()).then_some([kl, jeffreys - kl, js])
}

/// φ(t), t·(eᵗ − 1) and the term of JS per unit of P, for t = 2u. The second is the term of Jeffreys: within the reach
/// of these formulas neither of its halves is much the smaller, so that the reverse may be had by subtraction.
#[inline(always)]
fn near_functions<A: Arith>(u: f32, square: f32) -> [f32; 3] {
    let twice = twice_phi::<A>(u, square);
    let grown = A::mul_add(0.5, twice, u);
    let phi = A::mul_add(grown, grown, twice);
    let jeffreys = 2.0 * u * A::mul_add(2.0, u, phi);
    [phi, jeffreys, (grown + 1.0) * js_even::<A>(square)]
}

/// See [`super::Lanes::far_sums`].
#[inline(always)]
pub(super) fn far_sums<A: Arith>(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &Shifts) -> PairSums {
    let mut lanes = [[0.0; WIDTH]; 3];
    let (mut infinite, mut reverse_infinite) = ([0; WIDTH], [0; WIDTH]);
    for (p, q) in p.iter().zip(q) {
        for j in 0..WIDTH {
            let (p_is_zero, q_is_zero) = (p[j] == f32::NEG_INFINITY, q[j] == f32::NEG_INFINITY);
            infinite[j] |= u32::from(q_is_zero) & !u32::from(p_is_zero);
            reverse_infinite[j] |= u32::from(p_is_zero) & !u32::from(q_is_zero);
            let w = s.p.exp_or_zero::<A>(p[j]);
            let v = s.ratio * s.q.exp_or_zero::<A>(q[j]);
            let t = finite_or(2.0 * s.half_difference::<A, false>(p[j], q[j]), p_is_zero);
            let terms = far_functions::<A>(w, v, t);
            lanes[0][j] += terms[0];
            lanes[1][j] += terms[1];
            lanes[2][j] += terms[2];
        }
    }
    PairSums {
        kl: total(&lanes[0]),
        reverse_kl: total(&lanes[1]),
        js: total(&lanes[2]),
        infinite: infinite.contains(&1),
        reverse_infinite: reverse_infinite.contains(&1),
    }
}

/// The terms of KL, reverse KL and JS from the exponentials w of P and v of Q on one scale, and t = ln(v/w).
///
/// Where |t| > 2 the terms are the differences that define them; JS uses ln(2P/(P+Q)) = ln 2 − ln(1 + eᵗ) and the like,
/// with s = e^(−|t|) as the only argument of a logarithm.
#[inline(always)]
fn far_functions<A: Arith>(w: f32, v: f32, t: f32) -> [f32; 3] {
    let near = t.abs() <= 2.0;
    let u = if near { 0.5 * t } else { 0.0 };
    let near_terms = near_functions::<A>(u, u * u);

    let size = if near { 2.0 } else { t.abs() };
    let (_, small) = NATURAL.clamped_exp::<A>(-size);
    let rest = std::f32::consts::LN_2 - ln_1p::<A>(small);
    let lesser = if t > 0.0 { w } else { v };
    let kl = (v - w) - w * t;
    let reverse_kl = (w - v) + v * t;
    let js = 0.5 * ((w + v) * rest - size * lesser);
    [
        if near {
            w * near_terms[0]
        } else {
            not_negative(kl)
        },
        if near {
            w * (near_terms[1] - near_terms[0])
        } else {
            not_negative(reverse_kl)
        },
        if near {
            w * near_terms[2]
        } else {
            not_negative(js)
        },
    ]
}

/// See [`super::Lanes::add_exp`].
#[inline(always)]
pub(super) fn add_exp<A: Arith>(block: &[f32], high: f32, low: f32, acc: &mut [f64]) {
    for (sum, &x) in acc.iter_mut().zip(block) {
        *sum += f64::from(NATURAL.exp_or_zero::<A>((x - high) - low));
    }
}

/// eᵃ.
const NATURAL: Scale = Scale {
    max: 0.0,
    per: std::f32::consts::LOG2_E,
    lowest: LOWEST / std::f32::consts::LOG2_E,
};

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
pub(super) fn padded(tail: &[f32]) -> [f32; WIDTH] {
    let mut chunk = [f32::NEG_INFINITY; WIDTH];
    chunk[..tail.len()].copy_from_slice(tail);
    chunk
}

/// The sum of the lanes, by halves: a chain of additions, or sixteen conversions, would take as long as the loop before.
#[inline(always)]
fn total(lanes: &[f32; WIDTH]) -> f64 {
    let eight: [f32; 8] = std::array::from_fn(|j| lanes[j] + lanes[j + 8]);
    let four: [f32; 4] = std::array::from_fn(|j| eight[j] + eight[j + 4]);
    (f64::from(four[0]) + f64::from(four[2])) + (f64::from(four[1]) + f64::from(four[3]))
}
