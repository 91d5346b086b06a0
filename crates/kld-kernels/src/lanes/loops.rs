//! The bodies of the loops, generic over [`Arith`] and inlined into each instruction set's wrappers.

use super::WIDTH;
use super::arith::Arith;
use super::math::{GROWN, LOWEST, TINY, cosh_sinh, exp2, js_even, ln_1p, twice_phi};
use crate::moments::{Moments, ORDERS};

/// How many entries of a row are summed in f32 lanes before the sums are widened to f64.
const ROW_STRETCH: usize = 64 * WIDTH;

/// How many vectors ahead of the arithmetic memory is asked for: 4 KiB.
const AHEAD: usize = 64;

/// The largest (t/2)² for which the near formulas hold.
const NEAR: f32 = 1.0;

/// How much larger than 1 the exponentials should be at most, as a power of two: little, since the rounding of x − max is in
/// proportion to it.
const CLOSE: f32 = 4.0;

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

    /// Whether a row whose largest entry is `max` is served well by this scale.
    pub(crate) fn is_close(&self, max: f32) -> bool {
        max - self.max <= CLOSE / self.per
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
    pub(super) fn exp_or_zero<A: Arith>(&self, x: f32) -> f32 {
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

/// What [`super::Lanes::moments`] gives of two blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockMoments {
    /// The moments.
    pub(crate) moments: Moments,
    /// The largest entries, NaN left aside.
    pub(crate) max: [f32; 2],
    /// The largest |u|.
    pub(crate) reach: f64,
}

/// Sums over two blocks for [`crate::Kernel::pair_one_pass`], with w and v the exponentials of x and y.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnePassSums {
    /// Σ w, Σ v, Σ w·(y − x), Σ v·(y − x).
    pub(crate) sums: [f64; 4],
    /// The largest entries.
    pub(crate) max: [f32; 2],
}

/// Where [`super::Lanes::moments`] counts from: values of both rows that are near their maxima, and a guess of the
/// difference of their log-sum-exps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Centre {
    /// Of P and of Q: the largest entry, or one that is not much smaller.
    pub(crate) max: [f32; 2],
    /// The guess, times the temperature.
    pub(crate) offset: f32,
    /// 1/(2·temperature).
    pub(crate) half: f32,
    /// `half` times [`GROWN`].
    pub(crate) grown_half: f32,
    /// log₂e/(2·temperature).
    pub(crate) per: f32,
    /// What (x − max) + (y − max) is cut off at. It leaves room for products with small u, lest they fall below the normal
    /// floats.
    pub(crate) lowest: f32,
}

impl Centre {
    /// For two rows with these largest entries, and y − x of some entry.
    pub(crate) fn new(max: [f32; 2], offset: f32, temperature: f32) -> Centre {
        let per = 0.5 * std::f32::consts::LOG2_E / temperature;
        Centre {
            max,
            offset,
            half: 0.5 / temperature,
            grown_half: GROWN * 0.5 / temperature,
            per,
            lowest: -100.0 / per,
        }
    }

    /// As [`Scale::is_close`], for both rows.
    pub(crate) fn is_close(&self, max: [f32; 2]) -> bool {
        let close = |side: usize| max[side] - self.max[side] <= 0.5 * CLOSE / self.per;
        close(0) && close(1)
    }

    /// Raises both `max` to these, if they are larger; gives the sum of the differences.
    pub(crate) fn raise(&mut self, max: [f32; 2]) -> f64 {
        let mut risen = 0.0;
        for (old, max) in self.max.iter_mut().zip(max) {
            let new = larger(*old, max);
            risen += f64::from(new) - f64::from(*old);
            *old = new;
        }
        risen
    }

    /// Moves the offset so that u becomes smaller by about h; gives by how much it does.
    pub(crate) fn shift(&mut self, h: f64) -> f64 {
        let (half, old) = (f64::from(self.half), f64::from(self.offset));
        self.offset = (old + h / half) as f32;
        (f64::from(self.offset) - old) * half
    }

    /// (max of Q − max of P) − offset.
    pub(crate) fn gap(&self) -> f64 {
        f64::from(self.max[1]) - f64::from(self.max[0]) - f64::from(self.offset)
    }
}

/// What the sums over a row pair must know of both rows beforehand.
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
    pub(super) fn half_difference<A: Arith, const ONE_SIZE: bool>(&self, x: f32, y: f32) -> f32 {
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
///
/// Sixteen vectors at a time without a branch in them. Plain loops, since an iterator's adapters are not always inlined, and
/// then not compiled for the wrapper's features.
#[inline(always)]
pub(super) fn find_above(block: &[f32], bar: f32) -> Option<usize> {
    let (chunks, tail) = block.as_chunks::<WIDTH>();
    let mut start = 0;
    for group in chunks.chunks(16) {
        let mut first = [u32::MAX; WIDTH];
        for (index, chunk) in group.iter().enumerate() {
            for j in 0..WIDTH {
                let entry = if chunk[j] > bar {
                    (index * WIDTH + j) as u32
                } else {
                    u32::MAX
                };
                first[j] = first[j].min(entry);
            }
        }
        let first = first
            .iter()
            .fold(u32::MAX, |first, &entry| first.min(entry));
        if first < u32::MAX {
            return Some(start + first as usize);
        }
        start += group.len() * WIDTH;
    }
    for (index, &x) in tail.iter().enumerate() {
        if x > bar {
            return Some(start + index);
        }
    }
    None
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
            prefetch(chunk, AHEAD);
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

/// See [`super::Lanes::one_pass_sums`].
#[inline(always)]
pub(super) fn one_pass_sums<A: Arith>(
    p: &[[f32; WIDTH]],
    q: &[[f32; WIDTH]],
    s: &[Scale; 2],
) -> OnePassSums {
    let mut lanes = [[0.0; WIDTH]; 4];
    let mut largest = [[f32::NEG_INFINITY; WIDTH]; 2];
    for (p, q) in p.iter().zip(q) {
        prefetch(p, AHEAD);
        prefetch(q, AHEAD);
        for j in 0..WIDTH {
            largest[0][j] = larger(largest[0][j], p[j]);
            largest[1][j] = larger(largest[1][j], q[j]);
            let (_, w) = s[0].clamped_exp::<A>(p[j]);
            let (_, v) = s[1].clamped_exp::<A>(q[j]);
            let d = q[j] - p[j];
            lanes[0][j] += w;
            lanes[1][j] += v;
            lanes[2][j] = A::mul_add(w, d, lanes[2][j]);
            lanes[3][j] = A::mul_add(v, d, lanes[3][j]);
        }
    }
    OnePassSums {
        sums: [
            total(&lanes[0]),
            total(&lanes[1]),
            total(&lanes[2]),
            total(&lanes[3]),
        ],
        max: largest.map(|lanes| {
            lanes
                .iter()
                .fold(f32::NEG_INFINITY, |max, &x| larger(max, x))
        }),
    }
}

/// See [`super::Lanes::moments`], where v is u times [`GROWN`].
#[inline(always)]
pub(super) fn moments<A: Arith>(
    p: &[[f32; WIDTH]],
    q: &[[f32; WIDTH]],
    s: &Centre,
) -> Option<BlockMoments> {
    let mut lanes = [[0.0; WIDTH]; ORDERS + 2];
    let mut top = [[f32::NEG_INFINITY; WIDTH]; 2];
    let mut largest = [0; WIDTH];
    for (p, q) in p.iter().zip(q) {
        prefetch(p, AHEAD);
        prefetch(q, AHEAD);
        for j in 0..WIDTH {
            top[0][j] = larger(top[0][j], p[j]);
            top[1][j] = larger(top[1][j], q[j]);
            let both = (p[j] - s.max[0]) + (q[j] - s.max[1]);
            let both = if both < s.lowest { s.lowest } else { both };
            let r = exp2::<A>(both, s.per);
            let v = ((q[j] - p[j]) - s.offset) * s.grown_half;
            // Both rows masked: weight and difference are zero. A fault still shows in r.
            let v = if v.is_nan() { 0.0 } else { v };
            let square = v * v;
            // The bits of floats that are not negative sort like integers.
            largest[j] = largest[j].max(square.to_bits());

            let odd = r * v;
            lanes[0][j] += r;
            lanes[1][j] += odd;
            lanes[2][j] = A::mul_add(r, square, lanes[2][j]);
            lanes[3][j] = A::mul_add(odd, square, lanes[3][j]);
            let mut power = if square < TINY { 0.0 } else { square * square };
            for order in (4..ORDERS - 1).step_by(2) {
                lanes[order][j] = A::mul_add(r, power, lanes[order][j]);
                lanes[order + 1][j] = A::mul_add(odd, power, lanes[order + 1][j]);
                power *= square;
            }
            lanes[ORDERS - 1][j] = A::mul_add(r, power, lanes[ORDERS - 1][j]);
            let (cosh, sinh) = cosh_sinh::<A>(square);
            lanes[ORDERS][j] = A::mul_add(r * both, cosh, lanes[ORDERS][j]);
            lanes[ORDERS + 1][j] = A::mul_add(odd * both, sinh, lanes[ORDERS + 1][j]);
        }
    }
    let largest = largest.iter().fold(0, |most: u32, &bits| most.max(bits));
    if largest > (GROWN * GROWN * NEAR).to_bits() {
        return None;
    }
    let mut moments = Moments::default();
    let mut shrink = 1.0;
    for (sum, lanes) in moments.orders.iter_mut().zip(&lanes) {
        *sum = shrink * total(lanes);
        shrink /= f64::from(GROWN);
    }
    (moments.cosh, moments.sinh) = (total(&lanes[ORDERS]), total(&lanes[ORDERS + 1]));
    let mut max = [f32::NEG_INFINITY; 2];
    for (max, lanes) in max.iter_mut().zip(&top) {
        *max = lanes.iter().fold(*max, |max, &x| larger(max, x));
    }
    let reach = f64::from(f32::from_bits(largest)).sqrt() / f64::from(GROWN);
    Some(BlockMoments {
        moments,
        max,
        reach,
    })
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
        prefetch(p, AHEAD);
        prefetch(q, AHEAD);
        for j in 0..WIDTH {
            let (_, w) = s.p.clamped_exp::<A>(p[j]);
            let u = s.half_difference::<A, ONE_SIZE>(p[j], q[j]);
            let square = u * u;
            // The bits of floats that are not negative sort like integers, and NaN above all of them.
            largest[j] = largest[j].max(square.to_bits());
            let sums = near_terms::<A>(w, u, square, [lanes[0][j], lanes[1][j], lanes[2][j]]);
            [lanes[0][j], lanes[1][j], lanes[2][j]] = sums;
        }
    }
    let largest = largest.iter().fold(0, |most: u32, &bits| most.max(bits));
    let [kl, half_jeffreys, js] = [total(&lanes[0]), total(&lanes[1]), total(&lanes[2])];
    (largest <= NEAR.to_bits()).then_some([kl, 2.0 * half_jeffreys - kl, js])
}

/// `sums` with the terms of KL, of half of Jeffreys, ½·w·t·(eᵗ − 1), and of JS added, for t = 2u. Within the reach of these
/// formulas neither direction is much the smaller, so that the reverse may be had from Jeffreys by subtraction.
#[inline(always)]
fn near_terms<A: Arith>(w: f32, u: f32, square: f32, sums: [f32; 3]) -> [f32; 3] {
    let twice = twice_phi::<A>(u, square);
    let grown = A::mul_add(0.5, twice, u);
    let phi = A::mul_add(grown, grown, twice);
    let root = A::mul_add(w, grown, w);
    [
        A::mul_add(w, phi, sums[0]),
        A::mul_add(w * u, A::mul_add(2.0, u, phi), sums[1]),
        A::mul_add(root, js_even::<A>(square), sums[2]),
    ]
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
    let [near_kl, half_jeffreys, near_js] = near_terms::<A>(w, u, u * u, [0.0; 3]);

    let size = if near { 2.0 } else { t.abs() };
    let (_, small) = NATURAL.clamped_exp::<A>(-size);
    let rest = std::f32::consts::LN_2 - ln_1p::<A>(small);
    let lesser = if t > 0.0 { w } else { v };
    let kl = (v - w) - w * t;
    let reverse_kl = (w - v) + v * t;
    let js = 0.5 * ((w + v) * rest - size * lesser);
    let select = |near_term, far_term: f32| {
        if near {
            near_term
        } else {
            not_negative(far_term)
        }
    };
    [
        select(near_kl, kl),
        select(2.0 * half_jeffreys - near_kl, reverse_kl),
        select(near_js, js),
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
pub(super) const NATURAL: Scale = Scale {
    max: 0.0,
    per: std::f32::consts::LOG2_E,
    lowest: LOWEST / std::f32::consts::LOG2_E,
};

/// `t` if it is a number; otherwise a stand-in for ±∞ that 0 can be multiplied by.
#[inline(always)]
pub(super) fn finite_or(t: f32, positive: bool) -> f32 {
    let huge = if positive { 1e9 } else { -1e9 };
    if t.abs() <= f32::MAX { t } else { huge }
}

#[inline(always)]
fn not_negative(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

/// Asks for the memory that lies some vectors ahead, while the arithmetic of this one goes on.
///
/// The hardware looks ahead too, but not across the border of a page.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn prefetch(chunk: &[f32; WIDTH], ahead: usize) {
    let address = chunk.as_ptr().wrapping_add(ahead * WIDTH).cast();
    // SAFETY: a prefetch is a hint: it reads nothing and may be given any address.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address) }
}

/// Stable Rust has no prefetch for this target; the hardware's must do.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: &[f32; WIDTH], _: usize) {}

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
