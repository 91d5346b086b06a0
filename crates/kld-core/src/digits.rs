//! Numbers in messages: as many digits as somebody reads.

/// At most six significant digits and no trailing zeros: `0.6000000000000001` becomes `0.6`.
///
/// ```
/// assert_eq!(kld_core::digits::short(1.6 - 1.0), "0.6");
/// assert_eq!(kld_core::digits::short(1e-10), "1e-10");
/// ```
#[must_use]
pub fn short(value: f64) -> String {
    let rounded = format!("{value:.5e}").parse().unwrap_or(value);
    if rounded == 0.0 || (1e-4..1e9).contains(&rounded.abs()) || !rounded.is_finite() {
        format!("{rounded}")
    } else {
        format!("{rounded:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_keep_what_matters() {
        assert_eq!(short(0.0), "0");
        assert_eq!(short(-0.123_456_789), "-0.123457");
        assert_eq!(short(1_234_567.0), "1234570");
        assert_eq!(short(2.5e12), "2.5e12");
        assert_eq!(short(f64::INFINITY), "inf");
    }
}
