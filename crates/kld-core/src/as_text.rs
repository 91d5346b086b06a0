//! Types that are told as text, in files as on the command line.

/// Lets serde write a type as its `Display` tells it, and read it by its `FromStr`.
///
/// ```
/// use std::{fmt, num::ParseIntError, str::FromStr};
///
/// #[derive(Debug, PartialEq)]
/// struct Rank(u32);
///
/// impl fmt::Display for Rank {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "rank={}", self.0)
///     }
/// }
///
/// impl FromStr for Rank {
///     type Err = ParseIntError;
///
///     fn from_str(text: &str) -> Result<Self, ParseIntError> {
///         text.trim_start_matches("rank=").parse().map(Self)
///     }
/// }
///
/// kld_core::serde_as_text!(Rank);
///
/// assert_eq!(serde_json::to_string(&Rank(8))?, r#""rank=8""#);
/// assert_eq!(serde_json::from_str::<Rank>(r#""rank=8""#)?, Rank(8));
/// assert!(serde_json::from_str::<Rank>(r#""rank=x""#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
