//! Tiny models and how close numbers must be; for tests only.
//!
//! The models are the folders of `golden/models`, each with the logits that another engine computed.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What another engine computed for a tiny model.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    /// The window.
    pub tokens: Vec<u32>,
    /// Entries of a row.
    pub vocabulary: usize,
    /// A row for each position.
    pub logits: Vec<Vec<f32>>,
}

/// The folder of a tiny model, e.g. `llama`, `gpt2`.
#[must_use]
pub fn tiny_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/models")
        .join(name)
}

/// The expected logits of a tiny model.
///
/// # Panics
///
/// If there is no such model.
#[must_use]
pub fn expected(name: &str) -> Expected {
    let path = tiny_model(name).join("expected.json");
    let text = std::fs::read_to_string(&path).expect("the fixture is in the repository");
    serde_json::from_str(&text).expect("the fixture is what the generator writes")
}

/// The largest |Δ logit| of rows of `width` entries, each relative to its row's scale (the largest |logit| there).
///
/// # Panics
///
/// If the lengths differ or are no whole rows.
#[must_use]
pub fn largest_difference(found: &[f32], expected: &[f32], width: usize) -> f32 {
    assert_eq!(found.len(), expected.len(), "different numbers of logits");
    assert!(expected.len().is_multiple_of(width), "no whole rows");
    let row = |(found, expected): (&[f32], &[f32])| {
        let scale = expected.iter().fold(0f32, |top, x| top.max(x.abs()));
        // NaN in either makes the difference NaN, which `max` would drop: count it as infinite.
        let difference = |(x, y): (&f32, &f32)| {
            if (x - y).is_nan() {
                f32::INFINITY
            } else {
                (x - y).abs()
            }
        };
        found
            .iter()
            .zip(expected)
            .map(difference)
            .fold(0.0, f32::max)
            / scale
    };
    found
        .chunks(width)
        .zip(expected.chunks(width))
        .map(row)
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_their_row() {
        assert_eq!(largest_difference(&[1.0, 9.0], &[1.0, 10.0], 2), 0.1);
        assert_eq!(
            largest_difference(&[f32::NAN, 9.0], &[1.0, 10.0], 2),
            f32::INFINITY
        );
    }
}
