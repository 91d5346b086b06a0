//! The divergences of two samples by one method, and the part of every outcome in them.

use super::{Counts, Estimator, estimator};
use crate::{
    distribution::{Distribution, Measure},
    smoothing::Smoothing,
    sum::sum,
};

/// How divergences are had from two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// By an estimator.
    Estimator(Estimator),
    /// From the smoothed distributions.
    Smoothed(Smoothing),
}

/// Divergences in nats; the parts of all outcomes add up to the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divergence {
    /// D(P‖Q).
    pub kl: f64,
    /// D(Q‖P).
    pub reverse_kl: f64,
    /// Jensen–Shannon; that of the plug-in where the estimator defines none.
    pub js: f64,
}

/// Two samples, ready to be compared by a method.
#[derive(Debug)]
pub enum Compared<'a> {
    /// By an estimator.
    Samples(Estimator, &'a Counts, &'a Counts),
    /// By their smoothed distributions.
    Smoothed(Box<(Distribution, Distribution)>),
}

impl Method {
    /// Compares two samples.
    ///
    /// # Panics
    ///
    /// If they are not about the same outcomes.
    #[must_use]
    pub fn compare<'a>(self, p: &'a Counts, q: &'a Counts) -> Compared<'a> {
        assert_eq!(p.known(), q.known(), "two samples of the same outcomes");
        match self {
            Self::Estimator(estimator) => Compared::Samples(estimator, p, q),
            Self::Smoothed(smoothing) => {
                Compared::Smoothed(Box::new(smoothing.samples(&measure(p), &measure(q))))
            }
        }
    }
}

impl Compared<'_> {
    /// The divergences.
    #[must_use]
    pub fn whole(&self) -> Divergence {
        match self {
            Self::Samples(estimator, p, q) => Divergence {
                kl: estimator.kl(p, q),
                reverse_kl: estimator.kl(q, p),
                js: with_js(*estimator).js(p, q).unwrap_or(f64::NAN),
            },
            Self::Smoothed(pair) => {
                let (p, q) = (pair.0.probs(), pair.1.probs());
                let total =
                    |term: fn(f64, f64) -> f64| sum(p.iter().zip(q).map(|(p, q)| term(*p, *q)));
                Divergence {
                    kl: total(estimator::kl_term),
                    reverse_kl: total(|p, q| estimator::kl_term(q, p)),
                    js: total(estimator::js_term),
                }
            }
        }
    }

    /// The signed part of one outcome.
    ///
    /// # Panics
    ///
    /// If there is no such outcome.
    #[must_use]
    pub fn part(&self, index: usize) -> Divergence {
        match self {
            Self::Samples(estimator, p, q) => Divergence {
                kl: estimator.kl_part(p, q, index),
                reverse_kl: estimator.kl_part(q, p, index),
                js: with_js(*estimator).js_part(p, q, index).unwrap_or(f64::NAN),
            },
            Self::Smoothed(pair) => {
                let (p, q) = (pair.0.probs()[index], pair.1.probs()[index]);
                Divergence {
                    kl: estimator::bare_term(p, q),
                    reverse_kl: estimator::bare_term(q, p),
                    js: estimator::js_term(p, q),
                }
            }
        }
    }
}

fn with_js(estimator: Estimator) -> Estimator {
    match estimator {
        Estimator::ChaoShen | Estimator::ZhangGrabchak => Estimator::PlugIn,
        other => other,
    }
}

#[expect(clippy::expect_used, reason = "counts are masses, and not all are 0")]
fn measure(sample: &Counts) -> Measure {
    let masses = sample.counts().iter().map(|&count| count as f64).collect();
    Measure::new(masses).expect("counts are masses")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_whole(
            counts in prop::collection::vec((0_u64..50, 0_u64..50), 1..40),
        ) {
            let (a, b): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
            prop_assume!(a.iter().sum::<u64>() > 0 && b.iter().sum::<u64>() > 0);
            let (p, q) = (Counts::new(a).unwrap(), Counts::new(b).unwrap());
            let smoothings = ["laplace:1", "krichevsky-trofimov", "jelinek-mercer:0.1", "absolute:0.5", "epsilon:1e-3"];
            let methods = Estimator::ALL.map(Method::Estimator).into_iter().chain(
                smoothings.map(|name| Method::Smoothed(name.parse().unwrap())),
            );
            for method in methods {
                let compared = method.compare(&p, &q);
                let parts: Vec<_> = (0..p.known()).map(|i| compared.part(i)).collect();
                let whole = compared.whole();
                let same = |part: fn(&Divergence) -> f64| {
                    let (added, whole) = (sum(parts.iter().map(part)), part(&whole));
                    added == whole || (added - whole).abs() < 1e-12 * (1.0 + whole.abs())
                };
                prop_assert!(same(|d| d.kl), "{method:?}");
                prop_assert!(same(|d| d.reverse_kl), "{method:?}");
                prop_assert!(same(|d| d.js), "{method:?}");
            }
        }
    }
}
