//! Matrix products on one thread: a checked door to the `gemm` crate.
//!
//! The tensor library's own product asks for as many threads as the machine has; here each window already has its
//! thread, so `gemm` is called directly and told to start none.

use gemm::{Parallelism, gemm};

/// A matrix within a slice; entry (i, j) is at i · `row_stride` + j · `column_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// What becomes of the values that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onto {
    Replace,
    Add,
}

impl<'a> View<'a> {
    /// Rows of `columns` values that begin `stride` apart.
    pub(crate) fn rows(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(
            span(rows, columns, stride) <= values.len(),
            "the matrix reaches beyond its slice"
        );
        Self {
            values,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    /// Number of rows.
    pub(crate) fn height(&self) -> usize {
        self.rows
    }

    /// The same matrix with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// out ← scale · left · right, or out ← out + that; the rows of `out` begin `stride` apart.
///
/// # Panics
///
/// If the inner sizes differ or `out` is too short.
pub(crate) fn multiply(
    left: View,
    right: View,
    scale: f32,
    out: &mut [f32],
    stride: usize,
    onto: Onto,
) {
    assert_eq!(left.columns, right.rows, "inner sizes differ");
    assert!(stride >= right.columns, "rows of the product overlap");
    assert!(
        span(left.rows, right.columns, stride) <= out.len(),
        "the product reaches beyond its slice"
    );
    let keep = if onto == Onto::Add { 1.0 } else { 0.0 };
    // SAFETY: `View` and the assertions above keep every entry that is read or written inside its slice; `out` is
    // borrowed mutably, so it overlaps no operand; slices are no longer than isize::MAX, so strides fit.
    #[expect(unsafe_code, reason = "the product takes pointers")]
    unsafe {
        gemm(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            stride.cast_signed(),
            onto == Onto::Add,
            left.values.as_ptr(),
            left.column_stride.cast_signed(),
            left.row_stride.cast_signed(),
            right.values.as_ptr(),
            right.column_stride.cast_signed(),
            right.row_stride.cast_signed(),
            keep,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Values from the first entry to the last.
fn span(rows: usize, columns: usize, stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1)
        .checked_mul(stride)
        .and_then(|start| start.checked_add(columns))
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_the_sum_of_products_and_can_be_added() {
        let (left, right) = ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0]);
        let mut out = [0.5; 5];
        let (l, r) = (View::rows(&left, 2, 2, 2), View::rows(&right, 2, 2, 2));
        multiply(l, r, 1.0, &mut out, 3, Onto::Replace);
        assert_eq!(out, [201.0, 2010.0, 0.5, 403.0, 4030.0]);
        multiply(l, r, 2.0, &mut out, 3, Onto::Add);
        assert_eq!(out, [603.0, 6030.0, 0.5, 1209.0, 12090.0]);
        multiply(
            l.transposed(),
            r.transposed(),
            1.0,
            &mut out,
            2,
            Onto::Replace,
        );
        assert_eq!(out[..4], [31.0, 3100.0, 42.0, 4200.0]);
    }

    #[test]
    #[should_panic(expected = "beyond its slice")]
    fn a_view_cannot_reach_beyond_its_slice() {
        let _ = View::rows(&[0.0; 5], 2, 3, 3);
    }
}
