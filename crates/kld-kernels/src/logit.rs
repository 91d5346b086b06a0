//! The number types a logit may be stored in.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// A stored logit: `f32`, or `f16` and `bf16`, which are widened to `f32` without loss as they are read.
///
/// Sealed: the kernels are exact for these three only.
pub trait Logit: Copy + sealed::Sealed + 'static {
    /// The same number as `f32`.
    fn widen(self) -> f32;

    /// The same numbers as `f32`: `row` itself where it is that already, otherwise written to the front of `buffer`.
    ///
    /// # Panics
    ///
    /// If `buffer` is needed and shorter than `row`.
    fn widen_row<'a>(row: &'a [Self], buffer: &'a mut [f32]) -> &'a [f32];
}

impl Logit for f32 {
    fn widen(self) -> f32 {
        self
    }

    fn widen_row<'a>(row: &'a [f32], _: &'a mut [f32]) -> &'a [f32] {
        row
    }
}

impl Logit for f16 {
    fn widen(self) -> f32 {
        self.to_f32()
    }

    fn widen_row<'a>(row: &'a [f16], buffer: &'a mut [f32]) -> &'a [f32] {
        let wide = &mut buffer[..row.len()];
        row.convert_to_f32_slice(wide);
        wide
    }
}

impl Logit for bf16 {
    fn widen(self) -> f32 {
        self.to_f32()
    }

    fn widen_row<'a>(row: &'a [bf16], buffer: &'a mut [f32]) -> &'a [f32] {
        let wide = &mut buffer[..row.len()];
        for (wide, &narrow) in wide.iter_mut().zip(row) {
            *wide = f32::from_bits(u32::from(narrow.to_bits()) << 16);
        }
        wide
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
}
