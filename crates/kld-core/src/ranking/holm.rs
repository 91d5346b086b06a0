//! Holm's correction: many comparisons, one chance of a false alarm.

/// Adjusted p-values by Holm's step-down: with p₍₁₎ ≤ … ≤ p₍ₘ₎, the k-th becomes max over j ≤ k of min(1, (m − j + 1)·p₍ⱼ₎).
///
/// Calling those below α different makes *any* false call with a chance of at most α, however the tests depend on each other.
/// S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
///
/// ```
/// assert_eq!(kld_core::ranking::holm(&[0.03, 0.01, 0.9]), [0.06, 0.03, 0.9]);
/// ```
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (smaller, index) in order.into_iter().enumerate() {
        let remaining = (p_values.len() - smaller) as f64;
        largest = largest.max((remaining * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}
