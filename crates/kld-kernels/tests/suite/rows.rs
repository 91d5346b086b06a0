//! Rows of logits to test with.

/// A row of `n` logits, roughly normal with the given spread, from a seed.
pub(crate) fn noise(n: usize, seed: u64, spread: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    (0..n)
        .map(|_| (uniform() + uniform() + uniform() + uniform()) * 1.732 * spread)
        .collect()
}

/// `row` with noise added to every entry.
pub(crate) fn disturbed(row: &[f32], seed: u64, spread: f32) -> Vec<f32> {
    row.iter()
        .zip(noise(row.len(), seed, spread))
        .map(|(x, d)| x + d)
        .collect()
}

/// `row` with every `step`th entry masked, from `start` on.
pub(crate) fn masked(row: &[f32], start: usize, step: usize) -> Vec<f32> {
    let mut row = row.to_vec();
    row.iter_mut()
        .skip(start)
        .step_by(step)
        .for_each(|x| *x = f32::NEG_INFINITY);
    row
}

/// `row` with a constant added.
pub(crate) fn shifted(row: &[f32], by: f32) -> Vec<f32> {
    row.iter().map(|x| x + by).collect()
}
