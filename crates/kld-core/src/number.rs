//! Numbers in JSON: finite as numbers, +∞ as the string `"inf"`, −∞ as `"-inf"`; NaN, which here means "nothing was measured", as
//! `null`.
//!
//! For use with serde: `#[serde(with = "kld_core::number")]` on `f64` fields, `kld_core::number::option` on `Option<f64>`.

use serde::{Deserialize, Deserializer, Serializer};

/// Either form in which a number may stand in our JSON.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Name(String),
}

impl Written {
    fn value<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Written::Number(value) => Ok(value),
            Written::Name(name) => match name.as_str() {
                "inf" => Ok(f64::INFINITY),
                "-inf" => Ok(f64::NEG_INFINITY),
                other => Err(E::custom(format!(
                    "expected a number, \"inf\" or \"-inf\", found {other:?}"
                ))),
            },
        }
    }
}

/// Writes a number.
///
/// # Errors
///
/// If the serializer fails.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        v if v.is_nan() => serializer.serialize_none(),
        f64::INFINITY => serializer.serialize_str("inf"),
        f64::NEG_INFINITY => serializer.serialize_str("-inf"),
        finite => serializer.serialize_f64(finite),
    }
}

/// Reads what [`serialize`] wrote.
///
/// # Errors
///
/// If it is neither a number nor one of the two names.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Option::<Written>::deserialize(deserializer)?.map_or(Ok(f64::NAN), Written::value)
}

/// The same for `Option<f64>`: `None` is `null` and means "not defined here".
pub mod option {
    use super::{Deserialize, Deserializer, Serializer, Written};

    /// Writes the number, or `null`.
    ///
    /// # Errors
    ///
    /// As [`serialize`](super::serialize).
    pub fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    ///
    /// As [`deserialize`](super::deserialize).
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Option::<Written>::deserialize(deserializer)?
            .map(Written::value)
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        #[serde(with = "super")]
        kl: f64,
        #[serde(with = "super::option")]
        error: Option<f64>,
    }

    #[test]
    fn infinity_survives_the_round_trip_and_nan_is_null() {
        for (kl, error) in [
            (1.5, None),
            (f64::INFINITY, Some(f64::NEG_INFINITY)),
            (0.0, Some(2.0)),
        ] {
            let row = Row { kl, error };
            let json = serde_json::to_string(&row).unwrap();
            assert_eq!(serde_json::from_str::<Row>(&json).unwrap(), row, "{json}");
        }
        let json = serde_json::to_string(&Row {
            kl: f64::NAN,
            error: None,
        })
        .unwrap();
        assert_eq!(json, r#"{"kl":null,"error":null}"#);
        assert!(serde_json::from_str::<Row>(&json).unwrap().kl.is_nan());
        assert!(serde_json::from_str::<Row>(r#"{"kl":"NaN","error":null}"#).is_err());
    }
}
