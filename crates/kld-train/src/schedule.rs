//! How the learning rate goes over the steps.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The course of the learning rate: a linear warm-up to the peak, then a shape down to a floor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The peak.
    pub rate: f64,
    /// Steps of warm-up: step i of them, counted from 1, has i/`warmup` of the peak.
    pub warmup: u64,
    /// What comes after it.
    pub shape: Shape,
    /// The share of the peak at the very end.
    pub floor: f64,
}

/// The shape after warm-up, at x from 0 to 1 of the remaining steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The peak throughout.
    Constant,
    /// 1 − x.
    Linear,
    /// (1 + cos πx)/2.
    Cosine,
    /// The peak, then linearly down over so large a last share of the remaining steps (warm-up, stable, decay).
    Wsd {
        /// From 0 (exclusive) to 1.
        decay: f64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            rate: 1e-3,
            warmup: 0,
            shape: Shape::Cosine,
            floor: 0.1,
        }
    }
}

impl Schedule {
    /// The rate of a step, counted from 0, of so many.
    #[must_use]
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return self.rate * (step + 1) as f64 / self.warmup as f64;
        }
        let rest = steps.saturating_sub(self.warmup).max(1);
        let x = ((step - self.warmup) as f64 / rest as f64).min(1.0);
        let fall = match self.shape {
            Shape::Constant => return self.rate,
            Shape::Linear => 1.0 - x,
            Shape::Cosine => f64::midpoint(1.0, (PI * x).cos()),
            Shape::Wsd { decay } => ((1.0 - x) / decay).min(1.0),
        };
        self.rate * (self.floor + (1.0 - self.floor) * fall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(shape: Shape) -> Vec<f64> {
        let schedule = Schedule {
            rate: 1.0,
            warmup: 4,
            shape,
            floor: 0.2,
        };
        (0..=12).map(|step| schedule.at(step, 12)).collect()
    }

    #[test]
    fn warm_up_climbs_to_the_peak_and_shapes_fall_to_the_floor() {
        let decay = Shape::Wsd { decay: 0.5 };
        for shape in [Shape::Constant, Shape::Linear, Shape::Cosine, decay] {
            let rates = rates(shape);
            assert_eq!(rates[..5], [0.25, 0.5, 0.75, 1.0, 1.0], "{shape:?}");
            let end = if shape == Shape::Constant { 1.0 } else { 0.2 };
            assert!((rates[12] - end).abs() < 1e-12, "{shape:?}");
            assert!(rates[4..].is_sorted_by(|a, b| a >= b), "{shape:?}");
        }
        assert!((rates(Shape::Linear)[8] - 0.6).abs() < 1e-12);
        assert!((rates(Shape::Cosine)[8] - 0.6).abs() < 1e-12);
        assert_eq!(rates(decay)[8], 1.0);
        assert!((rates(decay)[10] - 0.6).abs() < 1e-12);
    }
}
