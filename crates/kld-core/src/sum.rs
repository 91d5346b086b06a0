//! Sums that keep their digits.

/// The sum of `terms` with Neumaier's compensation: the rounding error of every addition is carried along, so the
/// result is off by little more than one rounding, whatever the order and number of terms.
///
/// A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", ZAMM 54 (1974).
///
/// ```
/// assert_eq!(kld_core::sum::sum([1.0, 1e100, 1.0, -1e100]), 2.0);
/// assert_eq!(kld_core::sum::sum([0.1; 10]), 1.0);
/// ```
#[must_use]
pub fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let (mut total, mut carry) = (0.0_f64, 0.0_f64);
    for term in terms {
        let next = total + term;
        carry += if total.abs() >= term.abs() {
            (total - next) + term
        } else {
            (term - next) + total
        };
        total = next;
    }
    // An infinite term makes the carry NaN, and the total is then the answer.
    if total.is_finite() {
        total + carry
    } else {
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_term_makes_an_infinite_sum_not_nan() {
        assert_eq!(sum([1.0, f64::INFINITY, 2.0]), f64::INFINITY);
    }
}
