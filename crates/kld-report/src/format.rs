//! Numbers as people read them: as many digits as the error bears, thousands apart, percentages.

use kld_core::estimate::Estimate;

/// A whole number with its thousands apart: `81 920` (with a no-break space).
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// A number with three significant digits: `0.0127`, `12.3`, `4.50e-6`, `∞`.
#[must_use]
pub fn significant(value: f64) -> String {
    digits(value, 3)
}

/// A number with so many significant digits.
#[must_use]
pub fn digits(value: f64, digits: i32) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let magnitude = value.abs();
    if value.is_nan() {
        "–".to_owned()
    } else if magnitude == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e7).contains(&magnitude) {
        minus(&format!(
            "{value:.*e}",
            usize::try_from(digits - 1).unwrap_or(0)
        ))
    } else {
        fixed(value, digits - 1 - magnitude.log10().floor() as i32)
    }
}

/// A value with its standard error, both to the error's second digit: `0.01273 ± 0.00021`.
#[must_use]
pub fn plus_minus(estimate: &Estimate) -> String {
    match estimate.standard_error {
        Some(error) if error > 0.0 && error.is_finite() => {
            let digits = 1 - error.log10().floor() as i32;
            // Six leading zeros are no longer readable at a glance.
            if digits > 7 || estimate.value.abs() >= 1e7 {
                return format!("{} ± {}", significant(estimate.value), significant(error));
            }
            format!(
                "{} ± {}",
                fixed(estimate.value, digits),
                fixed(error, digits)
            )
        }
        _ => significant(estimate.value),
    }
}

/// The same in percent: `94.61 ± 0.12 %`.
#[must_use]
pub fn percent(estimate: &Estimate) -> String {
    let scaled = estimate.map(|v| 100.0 * v, 100.0);
    match scaled.standard_error {
        // An agreement of 100 ± 0 % has no digit to round to.
        _ if scaled.value.is_nan() => "–".to_owned(),
        None | Some(0.0) => format!("{} %", fixed(scaled.value, 2)),
        Some(_) => format!("{} %", plus_minus(&scaled)),
    }
}

/// A share as a percentage with one digit: `12.3 %`.
#[must_use]
pub fn share(value: f64) -> String {
    if value.is_nan() {
        "–".to_owned()
    } else {
        format!("{} %", fixed(100.0 * value, 1))
    }
}

/// Bytes in the largest unit that leaves at least one: `91.7 MB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1000.0 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!(
        "{} {}",
        if unit == 0 {
            value.to_string()
        } else {
            significant(scaled)
        },
        units[unit]
    )
}

/// Parameters: `135 M`.
#[must_use]
pub fn parameters(value: u64) -> String {
    let units = ["", " k", " M", " G"];
    let mut scaled = value as f64;
    let mut unit = 0;
    while scaled >= 1000.0 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    format!("{}{}", significant(scaled), units[unit])
}

/// A fixed number of decimals (at most 12, at least none), with a real minus sign.
#[must_use]
pub fn fixed(value: f64, decimals: i32) -> String {
    minus(&format!(
        "{value:.*}",
        usize::try_from(decimals.clamp(0, 12)).unwrap_or(0)
    ))
}

/// Text from a file's name or content, safe for a terminal: control characters become `\u{fffd}`.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// [`plain`] text cut to a width in characters, the middle replaced by `…`.
#[must_use]
pub fn shortened(text: &str, width: usize) -> String {
    let text = plain(text);
    let length = text.chars().count();
    if length <= width || width < 3 {
        return text;
    }
    let (head, tail) = (width / 3, width - width / 3 - 1);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

fn minus(text: &str) -> String {
    text.replace('-', "−").replace("e−", "e-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, error: f64) -> Estimate {
        Estimate {
            value,
            standard_error: Some(error),
            low: None,
            high: None,
        }
    }

    #[test]
    fn digits_follow_the_error() {
        assert_eq!(
            plus_minus(&estimate(0.012_734, 0.000_213)),
            "0.01273 ± 0.00021"
        );
        assert_eq!(plus_minus(&estimate(123.456, 3.21)), "123.5 ± 3.2");
        assert_eq!(plus_minus(&estimate(1.5e-9, 2.5e-10)), "1.50e-9 ± 2.50e-10");
        assert_eq!(plus_minus(&Estimate::bare(0.5)), "0.500");
        assert_eq!(percent(&estimate(0.946_1, 0.001_2)), "94.61 ± 0.12 %");
        assert_eq!(percent(&estimate(1.0, 0.0)), "100.00 %");
    }

    #[test]
    fn magnitudes_are_readable() {
        let texts = [0.0, 0.5, 12.345, 1234.5, 4.5e-6, -0.25, f64::INFINITY].map(significant);
        assert_eq!(
            texts,
            ["0", "0.500", "12.3", "1234", "4.50e-6", "−0.250", "∞"]
        );
        assert_eq!(
            [0, 999, 1000, 81_920, 1_234_567].map(count),
            [
                "0",
                "999",
                "1\u{a0}000",
                "81\u{a0}920",
                "1\u{a0}234\u{a0}567"
            ]
        );
        assert_eq!([1.234e30, f64::NAN].map(significant), ["1.23e30", "–"]);
        assert_eq!(shortened("a\u{1b}[31mb", 20), "a\u{fffd}[31mb");
        assert_eq!([512, 91_730_000].map(bytes), ["512 B", "91.7 MB"]);
        assert_eq!(shortened("abcdefghij", 7), "ab…ghij");
    }
}
