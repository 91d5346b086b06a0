//! Noise of the size of an error: the control that tells whether an error does more, or less, than any other of its size.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::NativeModel;
use super::change::{Change, squared_distance, squares};
use super::replace::{Replacement, Replacements};
use super::store::Stored;
use crate::Result;
use crate::gguf::BlockType;

impl NativeModel {
    /// For each replaced matrix W′ the matrix W + N, where N is Gaussian noise, equally strong in all directions, scaled to
    /// ‖N‖ = ‖W′ − W‖. A matrix's noise depends on `seed` and its name alone.
    ///
    /// # Errors
    ///
    /// If the replacements are not of this model.
    pub fn noisy(&self, replacements: &Replacements, seed: u64) -> Result<Replacements> {
        let tensors = replacements.tensors.par_iter();
        let noisy = tensors.map(|(name, replacement)| {
            Ok((name.clone(), self.noisy_matrix(name, replacement, seed)?))
        });
        Ok(Replacements {
            tensors: noisy.collect::<Result<BTreeMap<_, _>>>()?,
            quantized: None,
        })
    }

    fn noisy_matrix(
        &self,
        name: &str,
        replacement: &Replacement,
        seed: u64,
    ) -> Result<Replacement> {
        let stored = self.store.get(name, &replacement.stored.shape)?;
        let weights = self.store.read(stored)?;
        let mut random = generator(name, seed);
        let noise = weights.iter().map(|_| StandardNormal.sample(&mut random));
        let noise: Vec<f32> = noise.collect();
        let scale = (replacement.change.squared_error / squares(&noise)).sqrt();
        let sum =
            |(weight, noise): (&f32, &f32)| (f64::from(*weight) + scale * f64::from(*noise)) as f32;
        let made: Vec<f32> = weights.iter().zip(&noise).map(sum).collect();
        let change = Change {
            squared_error: squared_distance(&weights, &made),
            ..replacement.change
        };
        let bytes: Arc<[u8]> = made.iter().flat_map(|value| value.to_le_bytes()).collect();
        let f32 = BlockType::F32;
        Ok(Replacement {
            stored: Stored::in_memory(stored.shape.clone(), f32, bytes, f32),
            change,
        })
    }
}

/// The generator of a matrix's noise.
pub(super) fn generator(name: &str, seed: u64) -> Xoshiro256PlusPlus {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(name);
    Xoshiro256PlusPlus::from_seed(hasher.finalize().into())
}
