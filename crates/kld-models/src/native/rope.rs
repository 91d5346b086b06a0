//! Rotary position embedding: which angles, at which position.
//!
//! Pair *i* of a head of *d* values turns by position · ωᵢ with ωᵢ = θ^(−2i/d) (Su et al. 2021, `RoFormer`). A model
//! made for longer windows slows some pairs down; that is a change of ωᵢ alone, so all schemes end in one list.

use std::path::Path;

use crate::{Error, Result};

/// The angular speed of each pair of a head, in radians per position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rope {
    pub(crate) speeds: Vec<f32>,
}

/// Cosines and sines of the angles of a window's positions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotation {
    /// Pairs of a head.
    pairs: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotation {
    /// The cosines and sines of a position, one of each per pair.
    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let at = position * self.pairs..(position + 1) * self.pairs;
        (&self.cos[at.clone()], &self.sin[at])
    }

    /// The rotation that undoes this one.
    pub(crate) fn inverse(&self) -> Self {
        Self {
            sin: self.sin.iter().map(|sin| -sin).collect(),
            ..self.clone()
        }
    }
}

/// How the speeds differ from θ^(−2i/d).
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scaling {
    /// Not at all.
    None,
    /// All are divided by a factor.
    Linear { factor: f64 },
    /// Slow pairs are divided by a factor, fast ones kept, with a passage between (Llama 3.1).
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original_context: f64,
    },
    /// Each is divided by its own factor, as a GGUF file lists them.
    Factors(Vec<f32>),
}

impl Rope {
    /// The speeds of a head of `width` values with base `theta`; `path` is the file that said so.
    pub(crate) fn new(width: usize, theta: f64, scaling: &Scaling, path: &Path) -> Result<Self> {
        let speed = |pair: usize| {
            // Rounded to f32 as the reference implementations do: the product with the position is what counts.
            let plain = theta.powf(-((2 * pair) as f64) / width as f64) as f32;
            scaling.apply(pair, plain)
        };
        let speeds: Vec<f32> = (0..width / 2).map(speed).collect();
        if speeds.iter().all(|speed| speed.is_finite() && *speed > 0.0) {
            return Ok(Self { speeds });
        }
        Err(Error::malformed(
            path,
            format!("base {theta} with {scaling:?} gives no rotation"),
        ))
    }

    /// The rotations of the first positions.
    pub(crate) fn rotation(&self, positions: usize) -> Rotation {
        let angles =
            (0..positions).flat_map(|at| self.speeds.iter().map(move |speed| at as f32 * speed));
        let (cos, sin) = angles
            .map(|angle| (f64::from(angle).cos() as f32, f64::from(angle).sin() as f32))
            .unzip();
        Rotation {
            pairs: self.speeds.len(),
            cos,
            sin,
        }
    }
}

impl Scaling {
    fn apply(&self, pair: usize, speed: f32) -> f32 {
        match self {
            Self::None => speed,
            Self::Linear { factor } => (f64::from(speed) / factor) as f32,
            Self::Llama3 {
                factor,
                low,
                high,
                original_context,
            } => {
                let turns = original_context * f64::from(speed) / std::f64::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                (f64::from(speed) * (kept + (1.0 - kept) / factor)) as f32
            }
            Self::Factors(factors) => speed / factors.get(pair).copied().unwrap_or(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(width: usize, theta: f64, scaling: &Scaling) -> Rope {
        Rope::new(width, theta, scaling, Path::new("x")).unwrap()
    }

    #[test]
    fn settings_that_give_no_rotation_are_refused() {
        let endless = Scaling::Linear { factor: 0.0 };
        for (theta, scaling) in [
            (0.0, Scaling::None),
            (-1.0, Scaling::None),
            (f64::NAN, Scaling::None),
            (1e4, endless),
        ] {
            assert!(
                Rope::new(8, theta, &scaling, Path::new("x")).is_err(),
                "{theta} {scaling:?}"
            );
        }
    }

    #[test]
    fn the_first_pair_turns_one_radian_per_position() {
        let rope = rope(8, 10_000.0, &Scaling::None);
        assert_eq!(rope.speeds, [1.0, 0.1, 0.01, 0.001]);
        let rotation = rope.rotation(3);
        assert_eq!(rotation.at(0), (&[1.0; 4][..], &[0.0; 4][..]));
        let (cos, _) = rotation.at(1);
        let (_, sin) = rotation.at(2);
        assert!((cos[0] - 1f32.cos()).abs() < 1e-7 && (sin[1] - 0.2f32.sin()).abs() < 1e-7);
    }

    #[test]
    fn llama3_keeps_fast_pairs_and_divides_slow_ones() {
        let scaling = Scaling::Llama3 {
            factor: 8.0,
            low: 1.0,
            high: 4.0,
            original_context: 8192.0,
        };
        let plain = rope(64, 500_000.0, &Scaling::None);
        let scaled = rope(64, 500_000.0, &scaling);
        assert_eq!(scaled.speeds[0], plain.speeds[0]);
        assert!((scaled.speeds[31] * 8.0 / plain.speeds[31] - 1.0).abs() < 1e-6);
    }
}
