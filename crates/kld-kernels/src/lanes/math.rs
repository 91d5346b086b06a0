//! The functions inside the loops: straight-line f32 code without branches, so that it vectorises.
//!
//! The coefficients come from `golden/kernels/polynomials.py`, which states their errors.

use super::arith::Arith;

/// (2ʳ − 1)/r on |r| ≤ ½: relative error 2.1e-8.
const EXP2: [f32; 6] = [
    std::f32::consts::LN_2,
    0.240_226_5,
    0.055_503_573,
    0.009_618_238,
    0.001_339_073_8,
    0.000_154_035_12,
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
pub(crate) const JS: [f32; 6] = [
    0.5,
    4.324_647e-7,
    0.006_939_133,
    -0.001_364_673,
    0.000_314_540_14,
    -0.000_047_038_3,
];
/// cosh u in (GROWN·u)² on |u| ≤ 1: relative error 3.6e-9.
const COSH: [f32; 5] = shrunk(
    1.0,
    [
        1.0,
        0.499_999_97,
        0.041_666_87,
        0.001_388_305_9,
        0.000_025_484_078,
    ],
);
/// (sinh u)/(GROWN·u) in (GROWN·u)² on |u| ≤ 1: relative error 4.1e-8.
const SINH: [f32; 4] = shrunk(
    1.0 / GROWN,
    [1.0, 0.166_667_34, 0.008_329_912, 0.000_203_939_9],
);
/// ln(1 + s)/s on 0 ≤ s ≤ e⁻²: relative error 2.2e-8.
const LN_1P: [f32; 5] = [1.0, -0.499_995_92, 0.333_087_27, -0.244_751_89, 0.152_853_3];

/// What u is multiplied by where its powers are summed. See [`TINY`].
pub(super) const GROWN: f32 = 512.0;
/// The (GROWN·u)² below which higher powers of u count as zero. They would fall below the normal floats, with which a processor
/// is slow, and u⁴ is no more than 4e-12 of u² there.
pub(super) const TINY: f32 = 1.0 / 1_048_576.0;

/// The largest integer exponent below zero for which 2ⁿ is a normal float.
pub(super) const LOWEST: f32 = -126.0;

/// 2^(a·per), where the exponent is cut off at [`LOWEST`]; valid up to 127. NaN stays NaN.
///
/// With `per` = log₂e this is eᵃ. The exponent is n + r: adding 1.5·2²³ leaves the rounded n in the low bits of the sum;
/// with 127 added too, those bits shifted to the exponent's place are the float 2ⁿ. The product a·per is not rounded
/// before n is taken off, if the multiply-add is fused.
#[inline(always)]
pub(super) fn exp2<A: Arith>(a: f32, per: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0 + 127.0;
    let z = A::mul_add(a, per, ROUND);
    let r = A::mul_add(a, per, ROUND - z);
    let power = f32::from_bits(z.to_bits() << 23);
    power * A::mul_add(r, polynomial::<A, 6>(r, &EXP2), 1.0)
}

/// 2·(eᵘ − 1 − u) for |u| ≤ 1 and u² at hand.
#[inline(always)]
pub(super) fn twice_phi<A: Arith>(u: f32, square: f32) -> f32 {
    square * polynomial::<A, 7>(u, &PHI)
}

/// u·sinh u − cosh u·ln cosh u for u² ≤ 1.
#[inline(always)]
pub(super) fn js_even<A: Arith>(square: f32) -> f32 {
    square * polynomial::<A, 6>(square, &JS)
}

/// The coefficients of a polynomial in u², times `factor`, for (GROWN·u)² instead. All factors are powers of two: exact.
const fn shrunk<const N: usize>(mut factor: f32, mut coefficients: [f32; N]) -> [f32; N] {
    let mut k = 0;
    while k < N {
        coefficients[k] *= factor;
        factor /= GROWN * GROWN;
        k += 1;
    }
    coefficients
}

/// cosh u and (sinh u)/(GROWN·u) for (GROWN·u)² at hand, |u| ≤ 1.
#[inline(always)]
pub(super) fn cosh_sinh<A: Arith>(square: f32) -> (f32, f32) {
    (
        polynomial::<A, 5>(square, &COSH),
        polynomial::<A, 4>(square, &SINH),
    )
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
