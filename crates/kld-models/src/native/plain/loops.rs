//! The loops between matrix products, written plainly and compiled for the machine's vector instructions.
//!
//! `pulp` calls the body with the best instruction set switched on; the compiler does the rest. Sums run in
//! [`LANES`] partial sums whatever the instruction set, so a machine's width does not change a bit.

#![expect(
    clippy::inline_always,
    reason = "bodies must be compiled with their caller's instruction set"
)]

/// Partial sums: one AVX-512 register.
const LANES: usize = 16;

/// Defines a function whose body is compiled for every instruction set and called for the machine's best.
///
/// A closure would be shorter, but the compiler need not inline it where the instruction set is switched on.
macro_rules! vectorized {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $type:ty),*) $(-> $output:ty)? $body:block) => {
        $(#[$doc])*
        $visible fn $name($($argument: $type),*) $(-> $output)? {
            struct Body<T>(T);
            impl pulp::WithSimd for Body<($($type,)*)> {
                type Output = vectorized!(@output $($output)?);
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
                    let ($($argument,)*) = self.0;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Body(($($argument,)*)))
        }
    };
    (@output) => { () };
    (@output $output:ty) => { $output };
}
pub(crate) use vectorized;

vectorized! {
    /// x ← x + y.
    pub(crate) fn add(x: &mut [f32], y: &[f32]) {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    }
}

vectorized! {
    /// out = x / √(mean x² + ε) · weight.
    pub(crate) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        let mean = sum(x, |x| x * x) / x.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

vectorized! {
    /// out = (x − mean) / √(variance + ε) · weight + bias.
    pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
        let mean = sum(x, |x| x) / x.len() as f32;
        let variance = sum(x, |x| (x - mean) * (x - mean)) / x.len() as f32;
        let scale = 1.0 / (variance + epsilon).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = (x - mean) * scale * weight + bias;
        }
    }
}

vectorized! {
    /// out = silu(gate) · up, for rows that are `width` gates and then `width` ups; silu(x) = x / (1 + e⁻ˣ).
    pub(crate) fn silu_times(x: &[f32], width: usize, out: &mut [f32]) {
        for (row, out) in x.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate / (1.0 + exp(-gate)) * up;
            }
        }
    }
}

vectorized! {
    /// x ← ½x·(1 + tanh u) with u = √(2/π)·(x + 0.044715·x³), which is x / (1 + e⁻²ᵘ).
    pub(crate) fn gelu_tanh(x: &mut [f32]) {
        use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
        const TWICE_ROOT: f32 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
        for x in x.iter_mut() {
            let twice_u = TWICE_ROOT * (*x + 0.044_715 * *x * *x * *x);
            *x /= 1.0 + exp(-twice_u);
        }
    }
}

vectorized! {
    /// Turns pair (i, i + width / 2) of each head of `width` values by the angle of `cos[i]`, `sin[i]`.
    pub(crate) fn rotate(heads: &mut [f32], cos: &[f32], sin: &[f32]) {
        for head in heads.chunks_exact_mut(2 * cos.len()) {
            let (first, second) = head.split_at_mut(cos.len());
            for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

vectorized! {
    /// x ← exp(x − max x); the sum of the results.
    pub(crate) fn exponentials(x: &mut [f32]) -> f32 {
        let top = maximum(x);
        for x in x.iter_mut() {
            *x = exp(*x - top);
        }
        sum(x, |x| x)
    }
}

/// x ← x · factor.
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

/// Σ f(x), in lanes.
#[inline(always)]
pub(crate) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        lanes
            .iter_mut()
            .zip(block)
            .for_each(|(lane, &x)| *lane += f(x));
    }
    lanes
        .iter_mut()
        .zip(rest)
        .for_each(|(lane, &x)| *lane += f(x));
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut()
            .zip(high)
            .for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    lanes[0]
}

/// The largest value; NaN only if all are.
#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        lanes
            .iter_mut()
            .zip(block)
            .for_each(|(lane, &x)| *lane = if x > *lane { x } else { *lane });
    }
    rest.iter()
        .chain(&lanes)
        .fold(f32::NEG_INFINITY, |top, &x| if x > top { x } else { top })
}

/// eˣ to 2 ULP for −87 ≤ x ≤ 88, 0 below, 2¹²⁸-ish above, NaN for NaN (Cephes' `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.0;
    const HIGHEST: f32 = 88.0;
    /// 1.5 · 2²³: adding it rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // Comparisons, not `clamp` and `max`: they must let NaN through.
    let y = if x > HIGHEST { HIGHEST } else { x };
    let y = if y < LOWEST { LOWEST } else { y };
    let shifted = y * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = y - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_2e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = f32::from_bits(
        shifted
            .to_bits()
            .wrapping_sub(ROUND.to_bits())
            .wrapping_add(127)
            << 23,
    );
    if x < LOWEST { 0.0 } else { p * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_two_ulp() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let right = f64::from(x).exp();
            assert!((f64::from(exp(x)) / right - 1.0).abs() < 2.4e-7, "exp({x})");
        }
        assert_eq!(
            (exp(0.0), exp(-1e9), exp(f32::NEG_INFINITY)),
            (1.0, 0.0, 0.0)
        );
        assert!(exp(f32::NAN).is_nan() && exp(1e9) > 1e38);
    }

    #[test]
    fn sums_and_maxima_of_any_length_count_every_value() {
        for length in [1, 15, 16, 17, 33, 100] {
            let x: Vec<f32> = (0..length).map(|i| i as f32).collect();
            assert_eq!(sum(&x, |x| x), (length * (length - 1) / 2) as f32);
            assert_eq!(maximum(&x), (length - 1) as f32);
        }
    }

    #[test]
    fn nothing_hides_a_nan() {
        let mut x = [1.0, f32::NAN, 2.0];
        assert!(exponentials(&mut x).is_nan());
        let mut out = [0.0; 1];
        silu_times(&[f32::NAN, 1.0], 1, &mut out);
        assert!(out[0].is_nan());
    }

    #[test]
    fn activations_are_their_formulas() {
        let xs = [-20.0f32, -3.0, -0.5, 0.0, 0.1, 2.0, 30.0];
        for x in xs {
            let mut out = [0.0];
            silu_times(&[x, 1.5], 1, &mut out);
            let silu = f64::from(x) / (1.0 + (-f64::from(x)).exp()) * 1.5;
            assert!(
                (f64::from(out[0]) - silu).abs() < 1e-6 * silu.abs().max(1e-3),
                "silu({x})"
            );
            let mut out = [x];
            gelu_tanh(&mut out);
            let x = f64::from(x);
            let gelu = 0.5
                * x
                * (1.0
                    + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
            assert!(
                (f64::from(out[0]) - gelu).abs() < 1e-6 * gelu.abs().max(0.1),
                "gelu({x})"
            );
        }
    }
}
