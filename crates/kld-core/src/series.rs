//! Series of a training: what was measured after so many steps, where it is heading, and rules about it.
//!
//! Less is better in a series that is judged: a divergence, a loss. A [`Trend`] says how it falls or rises, with an error that knows of
//! autocorrelation; [`Convergence`] makes a verdict of it; a [`Rule`] is what somebody wants to be told of.

mod convergence;
mod parse;
mod rule;
mod trend;

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;

pub use convergence::{Convergence, FEWEST, Judging, Rise, Tolerance, Verdict};
pub use parse::RuleError;
pub use rule::{Alert, Rule};
pub use trend::Trend;

/// What was measured after so many steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The step.
    pub step: f64,
    /// The value; `null` in JSON where it was not a number.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// Its standard error, where the trainer tells it.
    #[serde(with = "crate::number::option", default)]
    pub standard_error: Option<f64>,
}

impl Point {
    /// A value whose error is not known.
    #[must_use]
    pub fn bare(step: f64, value: f64) -> Self {
        Self {
            step,
            value,
            standard_error: None,
        }
    }

    /// The value with its error and 95 % interval.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        Estimate::normal(self.value, self.standard_error)
    }
}

/// A named series in the order of its steps, each of which comes once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What rules call it.
    pub name: String,
    /// What it was called where it was read.
    pub key: String,
    /// Its points.
    pub points: Vec<Point>,
}

impl Series {
    /// A series of points in any order. Of a step that was told again, as a trainer does that went on from a checkpoint, the last telling counts.
    #[must_use]
    pub fn new(name: &str, key: &str, mut points: Vec<Point>) -> Self {
        points.sort_by(|a, b| a.step.total_cmp(&b.step));
        let mut kept: Vec<Point> = Vec::with_capacity(points.len());
        for point in points {
            match kept.last_mut() {
                Some(last) if last.step == point.step => *last = point,
                _ => kept.push(point),
            }
        }
        Self {
            name: name.to_owned(),
            key: key.to_owned(),
            points: kept,
        }
    }

    /// The last point.
    #[must_use]
    pub fn last(&self) -> Option<Point> {
        self.points.last().copied()
    }

    /// The least of the points whose value is finite; the first of equals.
    #[must_use]
    pub fn least(&self) -> Option<Point> {
        let finite = self.points.iter().filter(|p| p.value.is_finite());
        finite
            .copied()
            .reduce(|least, p| if p.value < least.value { p } else { least })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_step_told_again_the_last_telling_counts() {
        let told = [(1.0, 5.0), (2.0, 4.0), (3.0, 9.0), (2.0, 4.5), (3.0, 3.0)];
        let series = Series::new("a", "a", told.map(|(s, v)| Point::bare(s, v)).to_vec());
        let values: Vec<f64> = series.points.iter().map(|p| p.value).collect();
        assert_eq!(values, [5.0, 4.5, 3.0]);
        assert_eq!(series.least(), series.last());
    }
}
