//! Smoothing: mass for what was never seen. Only ever at the user's word, and always on both sides.
//!
//! | name | what is done to P, and likewise to Q |
//! |---|---|
//! | `epsilon:ε` | (P + ε) / (1 + S·ε), with S the number of entries |
//! | `laplace:k` | (a + k) / (n + S·k), with a the counts of P and n their sum |
//! | `jelinek-mercer:λ` | (1−λ)·P + λ·(P+Q)/2: a share λ comes from the pool of both |
//!
//! After Jelinek and Mercer, D(P‖Q) is at most ln((2−λ)/λ), and entries that both sides lack stay impossible, so that the
//! result does not depend on how many of them are listed; the two others spread mass over every entry listed.
//!
//! F. Jelinek, R. L. Mercer, "Interpolated estimation of Markov source parameters from sparse data" (1980).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    distribution::{Distribution, Measure},
};

/// A way to give mass to entries that have none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "strength", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Smoothing {
    /// Adds ε > 0 to every probability, then divides by the new sum.
    Epsilon(f64),
    /// Adds k > 0 to every count, then divides by the new sum.
    Laplace(f64),
    /// Takes a share 0 < λ ≤ 1 from the mean of both distributions.
    JelinekMercer(f64),
}

/// The most that is added to an entry: beyond it nothing would be left of the input, and far beyond it sums overflow.
const MOST: f64 = 1e9;

impl Smoothing {
    /// Smooths two distributions.
    ///
    /// # Panics
    ///
    /// If they have different lengths, the smoothing is that of counts (see [`counts`](Self::counts)), or its strength is so
    /// large that sums overflow, which no parsed one is.
    #[must_use]
    pub fn distributions(self, p: &Distribution, q: &Distribution) -> (Distribution, Distribution) {
        let (p, q) = (p.probs(), q.probs());
        assert_eq!(p.len(), q.len(), "two distributions over the same entries");
        match self {
            Self::Epsilon(epsilon) => (raised(p, epsilon), raised(q, epsilon)),
            Self::JelinekMercer(lambda) => (mixed(p, q, lambda), mixed(q, p, lambda)),
            Self::Laplace(_) => panic!("Laplace's smoothing is for counts"),
        }
    }

    /// The smoothed distribution behind counts, if the smoothing is one of counts.
    #[must_use]
    pub fn counts(self, counts: &Measure) -> Option<Distribution> {
        match self {
            Self::Laplace(k) => Some(raised(counts.masses(), k)),
            Self::Epsilon(_) | Self::JelinekMercer(_) => None,
        }
    }
}

fn raised(masses: &[f64], by: f64) -> Distribution {
    normalized(masses.iter().map(|mass| mass + by).collect())
}

fn mixed(own: &[f64], other: &[f64], lambda: f64) -> Distribution {
    let pool = |(own, other): (&f64, &f64)| (1.0 - lambda) * own + lambda * 0.5 * (own + other);
    normalized(own.iter().zip(other).map(pool).collect())
}

#[expect(
    clippy::expect_used,
    reason = "sums of finite masses >= 0, one of them above 0"
)]
fn normalized(masses: Vec<f64>) -> Distribution {
    Distribution::normalized(Measure::new(masses).expect("smoothed masses are masses"))
}

impl FromStr for Smoothing {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self, Error> {
        let refused = |expected| Error::Smoothing {
            given: given.to_owned(),
            expected,
        };
        let (name, strength) = given.split_once(':').unwrap_or((given, ""));
        let strength: f64 = strength
            .parse()
            .map_err(|_| refused("expected epsilon:1e-10, laplace:1 or jelinek-mercer:0.1"))?;
        // NaN is neither.
        if !(strength > 0.0 && strength <= MOST) {
            return Err(refused("its strength must be above 0 and at most 1e9"));
        }
        match name {
            "epsilon" => Ok(Self::Epsilon(strength)),
            "laplace" => Ok(Self::Laplace(strength)),
            "jelinek-mercer" if strength <= 1.0 => Ok(Self::JelinekMercer(strength)),
            "jelinek-mercer" => Err(refused("the share of the pool must be at most 1")),
            _ => Err(refused(
                "expected epsilon:1e-10, laplace:1 or jelinek-mercer:0.1",
            )),
        }
    }
}

impl fmt::Display for Smoothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epsilon(epsilon) => write!(f, "epsilon:{epsilon:e}"),
            Self::Laplace(k) => write!(f, "laplace:{k}"),
            Self::JelinekMercer(lambda) => write!(f, "jelinek-mercer:{lambda}"),
        }
    }
}
