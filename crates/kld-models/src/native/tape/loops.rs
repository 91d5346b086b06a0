//! The way back through the loops between matrix products, compiled like those.

use super::super::plain::loops::{exp, sum, vectorized};

vectorized! {
    /// Back through y = x·r·weight with r = 1/√(mean x² + ε): with g = ∂L/∂y · weight, ∂L/∂x = r·g − x·r³·mean(g·x), written to
    /// `grad_x`; ∂L/∂weight = ∂L/∂y · x·r, added to `grad_weight`.
    pub(super) fn rms_norm(
        x: &[f32],
        weight: &[f32],
        epsilon: f32,
        grad: &[f32],
        grad_x: &mut [f32],
        grad_weight: &mut [f32]
    ) {
        let count = x.len() as f32;
        let scale = 1.0 / (sum(x, |x| x * x) / count + epsilon).sqrt();
        for ((g, &grad), &weight) in grad_x.iter_mut().zip(grad).zip(weight) {
            *g = grad * weight;
        }
        for ((grad_weight, &grad), &x) in grad_weight.iter_mut().zip(grad).zip(x) {
            *grad_weight += grad * x * scale;
        }
        let along = product(grad_x, x) / count * scale * scale * scale;
        for (g, &x) in grad_x.iter_mut().zip(x) {
            *g = *g * scale - x * along;
        }
    }
}

vectorized! {
    /// Back through y = z·weight + bias with z = (x − mean)·r: with g = ∂L/∂y · weight, ∂L/∂x = r·(g − mean g − z·mean(g·z)), written
    /// to `grad_x`; what weight and bias get is added to theirs.
    pub(super) fn layer_norm(
        x: &[f32],
        weight: &[f32],
        epsilon: f32,
        grad: &[f32],
        grad_x: &mut [f32],
        grad_weight: &mut [f32],
        grad_bias: &mut [f32]
    ) {
        let count = x.len() as f32;
        let mean = sum(x, |x| x) / count;
        let scale = 1.0 / (sum(x, |x| (x - mean) * (x - mean)) / count + epsilon).sqrt();
        for ((g, &grad), &weight) in grad_x.iter_mut().zip(grad).zip(weight) {
            *g = grad * weight;
        }
        for ((grad_weight, &grad), &x) in grad_weight.iter_mut().zip(grad).zip(x) {
            *grad_weight += grad * (x - mean) * scale;
        }
        for (grad_bias, &grad) in grad_bias.iter_mut().zip(grad) {
            *grad_bias += grad;
        }
        let all = sum(grad_x, |g| g) / count;
        let along = (product(grad_x, x) / count - mean * all) * scale * scale;
        for (g, &x) in grad_x.iter_mut().zip(x) {
            *g = (*g - all - (x - mean) * along) * scale;
        }
    }
}

vectorized! {
    /// Back through silu(gate) · up, for rows that are `width` gates and then `width` ups.
    pub(super) fn silu_times(x: &[f32], width: usize, grad: &[f32], grad_x: &mut [f32]) {
        let rows = x.chunks_exact(2 * width).zip(grad.chunks_exact(width));
        for ((row, grad), out) in rows.zip(grad_x.chunks_exact_mut(2 * width)) {
            let ((gate, up), (grad_gate, grad_up)) = (row.split_at(width), out.split_at_mut(width));
            let ins = gate.iter().zip(up).zip(grad);
            for (((&gate, &up), &grad), (grad_gate, grad_up)) in ins.zip(grad_gate.iter_mut().zip(grad_up)) {
                let sigmoid = 1.0 / (1.0 + exp(-gate));
                *grad_gate = grad * up * sigmoid * (1.0 + gate * (1.0 - sigmoid));
                *grad_up = grad * gate * sigmoid;
            }
        }
    }
}

vectorized! {
    /// Back through x·σ(2u) with u = √(2/π)·(x + 0.044715·x³): times σ + x·σ·(1−σ)·2u′.
    pub(super) fn gelu_tanh(x: &[f32], grad: &mut [f32]) {
        use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
        const TWICE_ROOT: f32 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
        for (grad, &x) in grad.iter_mut().zip(x) {
            let square = x * x;
            let sigmoid = 1.0 / (1.0 + exp(-TWICE_ROOT * x * (1.0 + 0.044_715 * square)));
            let slope = TWICE_ROOT * (1.0 + 0.134_145 * square);
            *grad *= sigmoid + x * sigmoid * (1.0 - sigmoid) * slope;
        }
    }
}

vectorized! {
    /// Back through the softmax of a row whose exponentials sum to `total`: `exponentials` become probabilities p, and `grad`, the
    /// gradient with respect to them, becomes that with respect to the scores, p·(grad − Σ p·grad).
    pub(super) fn softmax(exponentials: &mut [f32], total: f32, grad: &mut [f32]) {
        for p in exponentials.iter_mut() {
            *p /= total;
        }
        let mean = product(exponentials, grad);
        for (grad, &p) in grad.iter_mut().zip(exponentials.iter()) {
            *grad = p * (*grad - mean);
        }
    }
}

vectorized! {
    /// `sums` + the sum of rows, whose first values they are.
    pub(super) fn add_rows(rows: &[f32], stride: usize, sums: &mut [f32]) {
        for row in rows.chunks(stride) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += x;
            }
        }
    }
}

/// Σ x·y, in lanes.
#[inline(always)]
fn product(x: &[f32], y: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0; LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        for j in 0..LANES {
            lanes[j] += x[j] * y[j];
        }
    }
    let rest = x_rest.iter().zip(y_rest).map(|(x, y)| x * y);
    rest.sum::<f32>() + sum(&lanes, |x| x)
}
