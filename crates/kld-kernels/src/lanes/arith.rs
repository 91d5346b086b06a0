//! Multiply-add, fused where the hardware has it.

/// How a·b + c is computed.
pub(super) trait Arith {
    /// a·b + c.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// One rounding, one instruction. Only for code compiled with a fused multiply-add: elsewhere it is a slow library call.
pub(super) struct Fused;

/// A multiplication and an addition.
pub(super) struct Separate;

/// What the bare target has.
#[cfg(any(target_arch = "aarch64", target_feature = "fma"))]
pub(super) type Target = Fused;
/// What the bare target has.
#[cfg(not(any(target_arch = "aarch64", target_feature = "fma")))]
pub(super) type Target = Separate;

impl Arith for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Arith for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}
