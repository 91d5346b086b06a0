//! The delete-a-group jackknife: errors of statistics that are no means, such as the number of different words.
//!
//! A body is parted into G groups, the statistic is computed without each of them, and its variance is (G−1)/G · Σ (θ₍g₎ − θ̄)². Redrawing with
//! replacement would not do here: it makes copies, and a copied document is a repetition.
//!
//! J. Shao and D. Tu, *The Jackknife and Bootstrap* (1995), ch. 2.
//!
//! ```
//! use kld_core::estimate::Jackknife;
//! // Of a mean it gives the textbook error: here of 1, 2, 3.
//! let mean = Jackknife { value: 2.0, left_out: vec![2.5, 2.0, 1.5] }.estimate();
//! assert!((mean.standard_error.unwrap() - 1.0 / 3.0_f64.sqrt()).abs() < 1e-12);
//! ```

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Estimate, student_t};

/// A statistic of the whole, and of the whole without each of its groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Jackknife {
    /// Of the whole.
    pub value: f64,
    /// Without each group.
    pub left_out: Vec<f64>,
}

impl Jackknife {
    /// The value with its error, and an interval by Student's t with G − 1 degrees of freedom; no error where there are less than two groups
    /// or the statistic is not defined without one of them.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        with_error(self.value, self.standard_error(), self.degrees())
    }

    /// candidate − reference, two independent bodies, with the two-sided p-value of "they are equal" by Student's t; the degrees of freedom are
    /// those of the side with fewer groups, which errs on the safe side.
    #[must_use]
    pub fn difference(reference: &Self, candidate: &Self) -> (Estimate, Option<f64>) {
        let value = candidate.value - reference.value;
        let errors = reference.standard_error().zip(candidate.standard_error());
        let error = errors.map(|(p, q)| p.hypot(q));
        let degrees = reference.degrees().min(candidate.degrees());
        let p_value = error.and_then(|error| p_of_zero(value, error, degrees));
        (with_error(value, error, degrees), p_value)
    }

    fn degrees(&self) -> f64 {
        self.left_out.len() as f64 - 1.0
    }

    fn standard_error(&self) -> Option<f64> {
        let groups = self.left_out.len() as f64;
        let mean = self.left_out.iter().sum::<f64>() / groups;
        let squares: f64 = self.left_out.iter().map(|v| (v - mean).powi(2)).sum();
        let error = ((groups - 1.0) / groups * squares).sqrt();
        (groups >= 2.0 && error.is_finite()).then_some(error)
    }
}

fn with_error(value: f64, error: Option<f64>, degrees: f64) -> Estimate {
    let half = error.map(|error| student_t(0.975, degrees) * error);
    Estimate {
        value,
        standard_error: error,
        low: half.map(|half| value - half),
        high: half.map(|half| value + half),
    }
}

fn p_of_zero(value: f64, error: f64, degrees: f64) -> Option<f64> {
    if error == 0.0 {
        return Some(f64::from(u8::from(value == 0.0)));
    }
    let t = StudentsT::new(0.0, 1.0, degrees).ok()?;
    Some(2.0 * t.cdf(-(value / error).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bodies_differ_where_the_interval_of_their_difference_leaves_zero_out() {
        let side = |value: f64, step: f64| Jackknife {
            value,
            left_out: (0..10)
                .map(|i| value + step * (f64::from(i) - 4.5))
                .collect(),
        };
        let (apart, p) = Jackknife::difference(&side(1.0, 0.01), &side(2.0, 0.01));
        assert!(apart.low.unwrap() > 0.0 && p.unwrap() < 0.001);
        let (near, p) = Jackknife::difference(&side(1.0, 0.1), &side(1.1, 0.1));
        assert!(near.low.unwrap() < 0.0 && p.unwrap() > 0.05);
        // √(2 · 9/10 · 82.5 · 0.01²), and t₉ = 2.262157.
        let error = (2.0 * 0.9 * 82.5_f64).sqrt() * 0.01;
        assert!((apart.standard_error.unwrap() - error).abs() < 1e-12);
        assert!((apart.high.unwrap() - 1.0 - 2.262_157_16 * error).abs() < 1e-7);
    }

    #[test]
    fn one_group_has_no_error() {
        let alone = Jackknife {
            value: 1.0,
            left_out: vec![1.0],
        };
        assert_eq!(alone.estimate(), Estimate::bare(1.0));
        assert_eq!(Jackknife::difference(&alone, &alone).1, None);
    }
}
