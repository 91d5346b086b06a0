//! Smoothing: mass for what was never seen. Only ever at the user's word, and always on both sides.
//!
//! | name | what is done to P, and likewise to Q |
//! |---|---|
//! | `epsilon:ε` | (P + ε) / (1 + S·ε), with S the number of entries |
//! | `laplace:k` | (a + k) / (n + S·k), with a the counts of P and n their sum |
//! | `krichevsky-trofimov` | the same with k = ½, the mean under Jeffreys' prior |
//! | `jelinek-mercer:λ` | (1−λ)·P + λ·(P+Q)/2: a share λ comes from the pool of both |
//! | `absolute:δ` | max(a−δ, 0)/n + δK/n·(P+Q)/2: each of the K counts above 0 gives up δ, and the pool of both gets it |
//!
//! After Jelinek and Mercer, D(P‖Q) is at most ln((2−λ)/λ), and entries that both sides lack stay impossible, so that the
//! result does not depend on how many of them are listed; the same holds for absolute discounting. The others spread mass over every entry listed.
//!
//! F. Jelinek, R. L. Mercer, "Interpolated estimation of Markov source parameters from sparse data" (1980). R. Krichevsky, V. Trofimov, "The
//! performance of universal encoding" (1981). H. Ney, U. Essen, R. Kneser, "On structuring probabilistic dependences in stochastic language
//! modelling" (1994).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Error,
    distribution::{Distribution, Measure},
    sum::sum,
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
    /// Adds ½ to every count, then divides by the new sum.
    KrichevskyTrofimov,
    /// Takes 0 < δ ≤ 1 from every count above 0 and gives it to the mean of both distributions.
    Absolute(f64),
}

/// The most that is added to an entry: beyond it nothing would be left of the input, and far beyond it sums overflow.
const MOST: f64 = 1e9;

impl Smoothing {
    /// Smooths two distributions.
    ///
    /// # Panics
    ///
    /// If they have different lengths, the smoothing is that of counts (see [`samples`](Self::samples)), or its strength is so
    /// large that sums overflow, which no parsed one is.
    #[must_use]
    pub fn distributions(self, p: &Distribution, q: &Distribution) -> (Distribution, Distribution) {
        let (p, q) = (p.probs(), q.probs());
        assert_eq!(p.len(), q.len(), "two distributions over the same entries");
        match self {
            Self::Epsilon(epsilon) => (raised(p, epsilon), raised(q, epsilon)),
            Self::JelinekMercer(lambda) => (mixed(p, q, lambda), mixed(q, p, lambda)),
            Self::Laplace(_) | Self::KrichevskyTrofimov | Self::Absolute(_) => {
                panic!("{self} is for counts")
            }
        }
    }

    /// Is it a smoothing of counts, which needs to know how large the samples are?
    #[must_use]
    pub fn needs_counts(self) -> bool {
        match self {
            Self::Laplace(_) | Self::KrichevskyTrofimov | Self::Absolute(_) => true,
            Self::Epsilon(_) | Self::JelinekMercer(_) => false,
        }
    }

    /// The smoothed distributions behind two samples.
    ///
    /// # Panics
    ///
    /// As [`distributions`](Self::distributions), and if the samples are not about the same outcomes.
    #[must_use]
    pub fn samples(self, p: &Measure, q: &Measure) -> (Distribution, Distribution) {
        let (a, b) = (p.masses(), q.masses());
        assert_eq!(a.len(), b.len(), "two samples of the same outcomes");
        match self {
            Self::Laplace(k) => (raised(a, k), raised(b, k)),
            Self::KrichevskyTrofimov => (raised(a, 0.5), raised(b, 0.5)),
            Self::Absolute(delta) => (discounted(p, q, delta), discounted(q, p, delta)),
            Self::Epsilon(_) | Self::JelinekMercer(_) => {
                let [p, q] = [p, q].map(|sample| Distribution::normalized(sample.clone()));
                self.distributions(&p, &q)
            }
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

fn discounted(own: &Measure, other: &Measure, delta: f64) -> Distribution {
    let given_up = own.masses().iter().map(|&count| count.min(delta));
    let share = sum(given_up) / own.total();
    let pool = |own_count: f64, other_count: f64| {
        0.5 * (own_count / own.total() + other_count / other.total())
    };
    let discounted = |(&own_count, &other_count): (&f64, &f64)| {
        (own_count - delta).max(0.0) / own.total() + share * pool(own_count, other_count)
    };
    normalized(
        own.masses()
            .iter()
            .zip(other.masses())
            .map(discounted)
            .collect(),
    )
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
        if name == "krichevsky-trofimov" && strength.is_empty() {
            return Ok(Self::KrichevskyTrofimov);
        }
        let strength: f64 = strength.parse().map_err(|_| refused(EXPECTED))?;
        // NaN is neither.
        if !(strength > 0.0 && strength <= MOST) {
            return Err(refused("its strength must be above 0 and at most 1e9"));
        }
        match name {
            "epsilon" => Ok(Self::Epsilon(strength)),
            "laplace" => Ok(Self::Laplace(strength)),
            "jelinek-mercer" if strength <= 1.0 => Ok(Self::JelinekMercer(strength)),
            "jelinek-mercer" => Err(refused("the share of the pool must be at most 1")),
            "absolute" if strength <= 1.0 => Ok(Self::Absolute(strength)),
            "absolute" => Err(refused("no more than 1 can be taken from a count")),
            _ => Err(refused(EXPECTED)),
        }
    }
}

const EXPECTED: &str =
    "expected epsilon:1e-10, laplace:1, krichevsky-trofimov, jelinek-mercer:0.1 or absolute:0.5";

impl fmt::Display for Smoothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epsilon(epsilon) => write!(f, "epsilon:{epsilon:e}"),
            Self::Laplace(k) => write!(f, "laplace:{k}"),
            Self::JelinekMercer(lambda) => write!(f, "jelinek-mercer:{lambda}"),
            Self::KrichevskyTrofimov => f.write_str("krichevsky-trofimov"),
            Self::Absolute(delta) => write!(f, "absolute:{delta}"),
        }
    }
}
