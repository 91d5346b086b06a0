//! The divergence frontier of two distributions, and what is read off it: MAUVE and the frontier integral.
//!
//! Every mixture R = λP + (1−λ)Q makes two kinds of error: KL(Q‖R) for what Q has and R lacks, KL(P‖R) for what P has and R lacks. The
//! frontier is the curve of (e^(−c·KL(Q‖R)), e^(−c·KL(P‖R))) for λ from 0 to 1, from (1, 0) to (0, 1). MAUVE is the area under it, 1 where
//! P = Q and 0 where they share nothing. The frontier integral is 2·∫ λ·KL(P‖R) + (1−λ)·KL(Q‖R) dλ, 0 where P = Q and 1 where they share nothing.
//!
//! K. Pillutla et al., *MAUVE Scores for Generative Models* (2023); L. Liu et al., *Divergence Frontiers for Generative Models* (2021).
//!
//! ```
//! use kld_text::quality::Frontier;
//! let same = Frontier::of(&[0.25, 0.75], &[0.25, 0.75], 5.0);
//! assert!((same.mauve() - 1.0).abs() < 1e-9 && same.integral() == 0.0);
//! ```

use kld_core::{result::FrontierPoint, sum::sum};

/// Mixtures on the curve, besides its two ends; as many as the reference implementation has.
const MIXTURES: usize = 25;

/// How far the first and last mixture are from Q and P: with one of them alone a divergence may be infinite.
const MARGIN: f64 = 1e-6;

/// The frontier of two distributions.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontier {
    points: Vec<FrontierPoint>,
    integral: f64,
}

impl Frontier {
    /// The frontier of P and Q, with the factor c of divergences in exponents.
    ///
    /// # Panics
    ///
    /// If the distributions are not about the same things.
    #[must_use]
    pub fn of(p: &[f64], q: &[f64], scaling: f64) -> Self {
        assert_eq!(p.len(), q.len(), "two distributions over the same buckets");
        let end = |of_candidate, of_reference, weight| FrontierPoint {
            weight,
            of_candidate,
            of_reference,
        };
        let mut points = vec![end(1.0, 0.0, 0.0)];
        points.extend((0..MIXTURES).map(|i| {
            let weight = MARGIN + i as f64 * (1.0 - 2.0 * MARGIN) / (MIXTURES - 1) as f64;
            let mixture = |(p, q): (&f64, &f64)| weight * p + (1.0 - weight) * q;
            let mixture: Vec<f64> = p.iter().zip(q).map(mixture).collect();
            end(
                (-scaling * kl(q, &mixture)).exp(),
                (-scaling * kl(p, &mixture)).exp(),
                weight,
            )
        }));
        points.push(end(0.0, 1.0, 1.0));
        Self {
            points,
            integral: sum(p.iter().zip(q).map(|(p, q)| integral_term(*p, *q))),
        }
    }

    /// The curve, from (1, 0) to (0, 1).
    #[must_use]
    pub fn points(&self) -> &[FrontierPoint] {
        &self.points
    }

    /// The area under the curve, by trapezoids.
    #[must_use]
    pub fn mauve(&self) -> f64 {
        sum(self.points.windows(2).map(|pair| {
            let height = 0.5 * (pair[0].of_reference + pair[1].of_reference);
            height * (pair[0].of_candidate - pair[1].of_candidate)
        }))
    }

    /// The frontier integral.
    #[must_use]
    pub fn integral(&self) -> f64 {
        self.integral
    }
}

/// KL(P‖R) for an R that has all that P has.
fn kl(p: &[f64], r: &[f64]) -> f64 {
    let terms = p.iter().zip(r).filter(|(p, _)| **p > 0.0);
    sum(terms.map(|(p, r)| p * (p / r).ln())).max(0.0)
}

/// (p + q)/2 − p·q·ln(p/q)/(p − q), the part of one bucket in the integral.
///
/// With m = (p + q)/2 and δ = (p − q)/(p + q) it is m·(1 − (1 − δ²)·artanh(δ)/δ) = m·Σ 2·δ²ᵏ/((2k − 1)(2k + 1)); the series keeps its digits where
/// p ≈ q.
fn integral_term(p: f64, q: f64) -> f64 {
    let (middle, difference) = (0.5 * (p + q), (p - q).abs());
    if difference == 0.0 {
        return 0.0;
    }
    let delta = 0.5 * difference / middle;
    if delta == 1.0 {
        return middle;
    }
    if delta > 0.3 {
        return middle * (1.0 - (1.0 - delta * delta) * delta.atanh() / delta);
    }
    // At δ = 0.3 the next term is 0.09¹⁵ ≈ 2e-16 of the first.
    let term = |k: i32| 2.0 * delta.powi(2 * k) / f64::from((2 * k - 1) * (2 * k + 1));
    middle * (1..16).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        let masses = |k| prop::collection::vec(prop_oneof![Just(0.0), 0.001..1.0_f64], k);
        let normalized = |mut masses: Vec<f64>| {
            masses[0] += 0.01;
            let total: f64 = masses.iter().sum();
            masses.iter().map(|mass| mass / total).collect::<Vec<f64>>()
        };
        (1_usize..30).prop_flat_map(move |k| {
            (
                masses(k).prop_map(normalized),
                masses(k).prop_map(normalized),
            )
        })
    }

    proptest! {
        #[test]
        fn both_scores_are_shares_and_do_not_depend_on_the_order((p, q) in pair()) {
            let (there, back) = (Frontier::of(&p, &q, 5.0), Frontier::of(&q, &p, 5.0));
            prop_assert!((0.0..=1.0 + 1e-12).contains(&there.mauve()));
            prop_assert!((0.0..=1.0 + 1e-12).contains(&there.integral()));
            prop_assert!((there.mauve() - back.mauve()).abs() < 1e-12);
            prop_assert!((there.integral() - back.integral()).abs() < 1e-12);
        }

        #[test]
        fn the_area_is_the_same_along_either_axis((p, q) in pair()) {
            let frontier = Frontier::of(&p, &q, 5.0);
            let other: f64 = frontier.points().windows(2).map(|pair| {
                let width = 0.5 * (pair[0].of_candidate + pair[1].of_candidate);
                width * (pair[1].of_reference - pair[0].of_reference)
            }).sum();
            prop_assert!((frontier.mauve() - other).abs() < 1e-12);
        }

        #[test]
        fn a_distribution_against_itself_has_all_the_area((p, _) in pair()) {
            let frontier = Frontier::of(&p, &p, 5.0);
            prop_assert!((frontier.mauve() - 1.0).abs() < 1e-12);
            prop_assert_eq!(frontier.integral(), 0.0);
        }

        #[test]
        fn the_series_continues_the_closed_form(p in 0.01..1.0_f64) {
            let q = p * (1.0 - 0.3) / (1.0 + 0.3);
            let (near, far) = (integral_term(p, q * (1.0 + 1e-12)), integral_term(p, q * (1.0 - 1e-12)));
            prop_assert!((near - far).abs() < 1e-10 * far, "{} {}", near, far);
        }
    }

    #[test]
    fn distributions_that_share_nothing_have_no_area() {
        let frontier = Frontier::of(&[1.0, 0.0], &[0.0, 1.0], 5.0);
        // Under the curve (1−λ)^5, λ^5, whose area is that of Euler's beta: 5·B(6, 5).
        assert!(
            (frontier.mauve() - 1.0 / 252.0).abs() < 1e-3,
            "{}",
            frontier.mauve()
        );
        assert_eq!(frontier.integral(), 1.0);
    }
}
