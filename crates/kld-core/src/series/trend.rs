//! A straight line through a stretch of a series, with an error that autocorrelation does not fool.
//!
//! - **Slope**: Theil–Sen, the median of the slopes between all pairs of points. Nearly a third of the points may be spikes before it gives way
//!   (Sen, *JASA* 63, 1968). The level is the median of what the points say of it at the last step.
//! - **Noise**: what is left over, taken in to three robust standard deviations (1.4826 · median absolute deviation), is described as a first-order
//!   autoregression. Its correlation ρ is the lag-1 correlation r of the residuals of a least-squares line, less the bias that fitting the line puts in:
//!   ρ = (n·r + 2) / (n − 4), kept within 0 … 0.9. Its variance is the residual sum of squares over n − tr(H·R), where Rᵢⱼ = ρ^|i−j| and H is the
//!   hat matrix of the line: the residuals of correlated noise are smaller than the noise.
//! - **Error of the slope**: that of a least-squares line under this noise, exactly: σ²·tᵀRt / (tᵀt)², times π/3, which is what the median of slopes is
//!   less efficient under normal noise. Student's t has n − 3 degrees of freedom: the line took two, ρ one.
//!
//! A slower change than a line's is noise to this model: it raises ρ and with it the error, so a curved series is judged with care.

use crate::estimate::student_t;

use super::Point;

/// More points than so many are averaged in groups of neighbours first: the median of slopes takes time with their square.
const MOST: usize = 256;
/// Residuals beyond so many robust standard deviations are taken in to them.
const FAR: f64 = 3.0;
/// The strongest correlation believed of so few points.
const STRONGEST: f64 = 0.9;

/// A line through a stretch of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Change per step.
    pub slope: f64,
    /// Its standard error.
    pub slope_error: f64,
    /// The line's value at the last step.
    pub level: f64,
    /// Standard deviation of the noise about the line.
    pub noise: f64,
    /// The noise's correlation from one point to the next.
    pub correlation: f64,
    /// Points that the line goes through, after neighbours were averaged.
    pub points: usize,
}

impl Trend {
    /// The trend of these points, whose values must be finite and whose steps must rise; `None` of fewer than six.
    #[must_use]
    pub fn of(points: &[Point]) -> Option<Self> {
        let points = averaged(points);
        let [.., last] = &points[..] else {
            return None;
        };
        let (n, end) = (points.len(), last.0);
        if n < 6 {
            return None;
        }
        // Counted from the last step, so that the line's value there is its intercept.
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|(s, v)| (s - end, *v)).unzip();
        let slope = theil_sen(&x, &y);
        let level = median(x.iter().zip(&y).map(|(x, y)| y - slope * x).collect());
        let left = x.iter().zip(&y).map(|(x, y)| y - level - slope * x);
        let noise = Noise::of(&x, taken_in(left.collect()));
        Some(Self {
            slope,
            slope_error: noise.slope_error,
            level,
            noise: noise.deviation,
            correlation: noise.correlation,
            points: n,
        })
    }

    /// The slope's interval, of which each end is passed with probability 1 − `level`.
    #[must_use]
    pub fn slope_between(&self, level: f64) -> (f64, f64) {
        let half = student_t(level, self.points as f64 - 3.0) * self.slope_error;
        (self.slope - half, self.slope + half)
    }
}

/// What is left over from a line.
struct Noise {
    deviation: f64,
    correlation: f64,
    slope_error: f64,
}

impl Noise {
    fn of(x: &[f64], mut left: Vec<f64>) -> Self {
        let n = x.len() as f64;
        let middle = x.iter().sum::<f64>() / n;
        let t: Vec<f64> = x.iter().map(|x| x - middle).collect();
        let squares = dot(&t, &t);
        // Least squares on what is left: the formulas below are about its residuals.
        let mean = left.iter().sum::<f64>() / n;
        let slope = dot(&t, &left) / squares;
        for (left, t) in left.iter_mut().zip(&t) {
            *left -= mean + slope * t;
        }
        let sum = dot(&left, &left);
        if sum <= 0.0 {
            return Self {
                deviation: 0.0,
                correlation: 0.0,
                slope_error: 0.0,
            };
        }
        let lag = dot(&left[1..], &left[..left.len() - 1]) / sum;
        let correlation = ((n * lag + 2.0) / (n - 4.0)).clamp(0.0, STRONGEST);
        let ones = vec![1.0; t.len()];
        let of_mean = correlated(&ones, correlation) / n;
        let of_slope = correlated(&t, correlation) / squares;
        let variance = sum / (n - of_mean - of_slope);
        let efficiency = std::f64::consts::FRAC_PI_3;
        Self {
            deviation: variance.sqrt(),
            correlation,
            slope_error: (efficiency * variance * of_slope / squares).sqrt(),
        }
    }
}

/// Steps and values; means of neighbours where there are many.
fn averaged(points: &[Point]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(MOST).max(1);
    // The first group may be smaller: the latest points are what matters.
    let (first, rest) = points.split_at(points.len() % group);
    let groups = std::iter::once(first).chain(rest.chunks(group));
    let mean = |group: &[Point], of: fn(&Point) -> f64| {
        group.iter().map(of).sum::<f64>() / group.len() as f64
    };
    groups
        .filter(|group| !group.is_empty())
        .map(|group| (mean(group, |p| p.step), mean(group, |p| p.value)))
        .collect()
}

fn theil_sen(x: &[f64], y: &[f64]) -> f64 {
    let pairs = (0..x.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
    median(pairs.map(|(i, j)| (y[j] - y[i]) / (x[j] - x[i])).collect())
}

/// The residuals with those far out taken in.
fn taken_in(mut left: Vec<f64>) -> Vec<f64> {
    let middle = median(left.clone());
    let deviation = 1.4826 * median(left.iter().map(|v| (v - middle).abs()).collect());
    // Where more than half of them are equal nothing is known of a spread.
    if deviation > 0.0 {
        let (low, high) = (middle - FAR * deviation, middle + FAR * deviation);
        for value in &mut left {
            *value = value.clamp(low, high);
        }
    }
    left
}

/// vᵀRv with Rᵢⱼ = ρ^|i−j|: the sum that goes along, Σᵢ vᵢ·(vᵢ + 2·cᵢ), cᵢ = ρ·(vᵢ₋₁ + cᵢ₋₁).
fn correlated(v: &[f64], correlation: f64) -> f64 {
    let (mut sum, mut carried) = (0.0, 0.0);
    for v in v {
        sum += v * (v + 2.0 * carried);
        carried = correlation * (carried + v);
    }
    sum
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The mean of the two in the middle where their number is even.
fn median(mut values: Vec<f64>) -> f64 {
    let half = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let middle = *middle;
    if even {
        let below = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        f64::midpoint(below, middle)
    } else {
        middle
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        let steps = (0..).map(|i| f64::from(i) * 10.0);
        steps.zip(values).map(|(s, v)| Point::bare(s, *v)).collect()
    }

    #[test]
    fn a_line_is_its_own_trend_whatever_spikes_stand_on_it() {
        let mut values: Vec<f64> = (0..20).map(|i| 3.0 - 0.1 * f64::from(i)).collect();
        let trend = Trend::of(&points(&values)).unwrap();
        assert!((trend.slope + 0.01).abs() < 1e-12 && trend.slope_error < 1e-9);
        assert!((trend.level - 1.1).abs() < 1e-12);
        for spike in [3, 9, 14, 18] {
            values[spike] += 100.0;
        }
        let trend = Trend::of(&points(&values)).unwrap();
        assert!((trend.slope + 0.01).abs() < 1e-12, "{trend:?}");
    }

    #[test]
    fn too_few_points_have_no_trend_and_equal_ones_are_level() {
        assert_eq!(Trend::of(&points(&[1.0; 5])), None);
        let trend = Trend::of(&points(&[1.0; 12])).unwrap();
        assert_eq!(
            (trend.slope, trend.slope_error, trend.noise),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn the_sum_that_goes_along_is_the_quadratic_form() {
        let v = [1.0, -2.0, 0.5, 3.0];
        let power = |i: usize, j: usize| 0.7_f64.powf(i.abs_diff(j) as f64);
        let form: f64 = (0..4)
            .flat_map(|i| (0..4).map(move |j| (i, j)))
            .map(|(i, j)| v[i] * v[j] * power(i, j))
            .sum();
        assert!((correlated(&v, 0.7) - form).abs() < 1e-12);
    }

    #[test]
    fn a_thousand_points_are_averaged_and_the_last_ones_are_among_them() {
        let values: Vec<f64> = (0..1001).map(f64::from).collect();
        let averaged = averaged(&points(&values));
        assert_eq!(averaged.len(), 251);
        assert_eq!(averaged.last().unwrap().1, 998.5);
        assert_eq!(averaged[0].1, 0.0);
    }

    proptest! {
        /// Shifted, tilted and stretched, a series has the trend that was put on it, with an error stretched alike.
        #[test]
        fn trends_add_up(values in prop::collection::vec(-1.0_f64..1.0, 6..40), tilt in -5.0_f64..5.0, scale in 0.1_f64..10.0) {
            let plain = Trend::of(&points(&values)).unwrap();
            let made: Vec<f64> = (0..).zip(&values).map(|(i, v)| scale * v + tilt * f64::from(i) + 7.0).collect();
            let made = Trend::of(&points(&made)).unwrap();
            prop_assert!((made.slope - (scale * plain.slope + tilt / 10.0)).abs() < 1e-9);
            prop_assert!((made.slope_error - scale * plain.slope_error).abs() < 1e-9);
            prop_assert!((made.correlation - plain.correlation).abs() < 1e-6);
        }
    }
}
