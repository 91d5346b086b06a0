//! The functions inside the loops: straight-line f32 code without branches, so that it vectorises.
//!
//! The coefficients come from `golden/kernels/polynomials.py`, which states their errors.

use super::arith::Arith;

/// (eʳ − 1 − r)/r² on |r| ≤ ½·ln 2: relative error 1.3e-7, which is 1e-8 of eʳ.
const EXP: [f32; 5] = [
    0.5,
    0.166_665_78,
    0.041_666_854,
    0.008_363_146,
    0.001_390_128_7,
];
/// 2·(eᵘ − 1 − u)/u² on |u| ≤ 1: relative error 1.1e-7.
const PHI: [f32; 7] = [
    1.0,
    0.333_333_9,
    0.083_333_03,
    0.016_661_86,
    0.002_778_267,
    0.000_406_509_67,
    0.000_049_921_626,
];
/// (u·sinh u − cosh u·ln cosh u)/u² in u² on |u| ≤ 1: relative error 2.3e-8.
const JS: [f32; 6] = [
    0.5,
    4.324_647e-7,
    0.006_939_133,
    -0.001_364_673,
    0.000_314_540_14,
    -0.000_047_038_3,
];
/// ln(1 + s)/s on 0 ≤ s ≤ e⁻²: relative error 2.2e-8.
const LN_1P: [f32; 5] = [
    1.0,
    -0.499_995_92,
    0.333_087_27,
    -0.244_751_89,
    0.152_853_3,
];

/// The lowest exponent of [`exp`]: below it, probabilities count as zero.
pub(super) const LOWEST: f32 = -87.0;

/// `a`, but at least [`LOWEST`]. NaN stays NaN.
#[inline(always)]
pub(super) fn clamped(a: f32) -> f32 {
    if a < LOWEST { LOWEST } else { a }
}

/// eᵃ for −87 ≤ a ≤ 87, within 1 ulp with fused multiply-add. NaN stays NaN.
///
/// a = n·ln 2 + r, eᵃ = 2ⁿ·eʳ. Adding 1.5·2²³ leaves the rounded n in the low bits of the sum; with 127 added too, those
/// bits shifted to the exponent's place are the float 2ⁿ.
#[inline(always)]
pub(super) fn exp<A: Arith>(a: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0 + 127.0;
    let z = A::mul_add(a, std::f32::consts::LOG2_E, ROUND);
    let n = z - ROUND;
    let r = if A::FUSED {
        A::mul_add(n, -std::f32::consts::LN_2, a)
    } else {
        // n·0.693359375 is exact; the rest of ln 2 follows.
        (a - n * 0.693_359_4) + n * 2.121_944_4e-4
    };
    let power = f32::from_bits(z.to_bits() << 23);
    let tail = polynomial::<A, 5>(r, &EXP);
    power * A::mul_add(r * r, tail, r + 1.0)
}

/// 2·(eᵘ − 1 − u) for |u| ≤ 1 and u² at hand.
#[inline(always)]
pub(super) fn twice_phi<A: Arith>(u: f32, square: f32) -> f32 {
    square * polynomial::<A, 7>(u, &PHI)
}

/// (u·sinh u − cosh u·ln cosh u)/u² for u² ≤ 1.
#[inline(always)]
pub(super) fn js_even<A: Arith>(square: f32) -> f32 {
    polynomial::<A, 6>(square, &JS)
}

/// ln(1 + s) for 0 ≤ s ≤ e⁻².
#[inline(always)]
pub(super) fn ln_1p<A: Arith>(s: f32) -> f32 {
    s * polynomial::<A, 5>(s, &LN_1P)
}

/// Horner's rule, lowest power first.
#[inline(always)]
fn polynomial<A: Arith, const N: usize>(x: f32, coefficients: &[f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        sum = A::mul_add(sum, x, coefficients[k]);
    }
    sum
}
