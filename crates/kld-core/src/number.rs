//! Numbers on their way in and out: sums that keep their digits, text that drops the noise, JSON that can say +∞.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The sum of `terms` with Neumaier's compensation: the rounding error of every addition is carried along, so the
/// result is off by little more than one rounding, whatever the order and number of terms.
///
/// A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", ZAMM 54 (1974).
///
/// ```
/// assert_eq!(kld_core::number::sum([1.0, 1e100, 1.0, -1e100]), 2.0);
/// assert_eq!(kld_core::number::sum([0.1; 10]), 1.0);
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

/// At most six significant digits and no trailing zeros, for messages: `0.6000000000000001` becomes `0.6`.
///
/// ```
/// assert_eq!(kld_core::number::short(1.6 - 1.0), "0.6");
/// assert_eq!(kld_core::number::short(1e-10), "1e-10");
/// ```
#[must_use]
pub fn short(value: f64) -> String {
    let rounded = format!("{value:.5e}").parse().unwrap_or(value);
    if rounded != 0.0 && !(1e-4..1e9).contains(&rounded.abs()) {
        format!("{rounded:e}")
    } else {
        format!("{rounded}")
    }
}

/// A number that JSON can carry even where it is infinite: `+∞` is the string `"inf"`, `−∞` is `"-inf"`, NaN is `null`.
///
/// Numbers without a value are `Option<Number>` and `null`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            f64::INFINITY => serializer.serialize_str("inf"),
            f64::NEG_INFINITY => serializer.serialize_str("-inf"),
            value if value.is_nan() => serializer.serialize_none(),
            value => serializer.serialize_f64(value),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Finite(f64),
            Word(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Finite(value) => Ok(Self(value)),
            Form::Word(word) if word == "inf" => Ok(Self(f64::INFINITY)),
            Form::Word(word) if word == "-inf" => Ok(Self(f64::NEG_INFINITY)),
            Form::Word(word) => Err(serde::de::Error::custom(format!("`{word}` is no number"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn infinity_survives_json() {
        for (value, text) in [
            (f64::INFINITY, "\"inf\""),
            (f64::NEG_INFINITY, "\"-inf\""),
            (0.25, "0.25"),
        ] {
            assert_eq!(serde_json::to_string(&Number(value)).unwrap(), text);
            assert_eq!(serde_json::from_str::<Number>(text).unwrap(), Number(value));
        }
        assert_eq!(serde_json::to_string(&Number(f64::NAN)).unwrap(), "null");
    }

    #[test]
    fn an_infinite_term_makes_an_infinite_sum_not_nan() {
        assert_eq!(sum([1.0, f64::INFINITY, 2.0]), f64::INFINITY);
    }

    #[test]
    fn short_numbers_keep_what_matters() {
        assert_eq!(short(0.0), "0");
        assert_eq!(short(-0.123_456_789), "-0.123457");
        assert_eq!(short(1_234_567.0), "1234570");
        assert_eq!(short(f64::INFINITY), "inf");
    }
}
