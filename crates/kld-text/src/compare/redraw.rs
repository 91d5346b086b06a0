//! Bodies drawn again, part by part.

use std::convert::Infallible;

use kld_core::count::{Bootstrap, Counts, estimate_from_redrawn};
use kld_core::estimate::Estimate;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::pair::{Pair, Side};
use crate::count::in_order;

/// Draws both bodies of a pair again and again.
pub(super) struct Redraws<'a> {
    pair: &'a Pair<'a>,
    seed: u64,
    resamples: usize,
}

/// What every figure was on every redrawn pair.
pub(super) struct Values(Vec<Vec<f64>>);

impl<'a> Redraws<'a> {
    /// There are none where a body has not two parts, as its spread is not known.
    pub(super) fn new(pair: &'a Pair<'a>, bootstrap: &Bootstrap) -> Self {
        let several = [&pair.p, &pair.q]
            .iter()
            .all(|side| side.part_ids().len() > 1);
        Self {
            pair,
            seed: bootstrap.seed,
            resamples: if several { bootstrap.resamples } else { 0 },
        }
    }

    /// Computes figures on every redrawn pair.
    pub(super) fn values(
        &self,
        threads: usize,
        figures: impl Fn(&Counts, &Counts) -> Vec<f64> + Sync,
    ) -> Values {
        let mut values: Vec<Vec<f64>> = Vec::new();
        let work = |number: usize| {
            let mut random =
                Xoshiro256PlusPlus::seed_from_u64(self.seed ^ MIX.wrapping_mul(number as u64 + 1));
            let p = redraw(&self.pair.p, &mut random);
            let q = redraw(&self.pair.q, &mut random);
            Ok::<_, Infallible>(figures(&p, &q))
        };
        let Ok(()) = in_order((0..self.resamples).map(Ok), threads, work, |figures| {
            values.resize(figures.len(), Vec::new());
            for (all, figure) in values.iter_mut().zip(figures) {
                all.push(figure);
            }
            Ok(())
        });
        Values(values)
    }
}

impl Values {
    /// The figures of the bodies themselves, with errors and intervals.
    pub(super) fn estimates(self, figures: &[f64]) -> Vec<Estimate> {
        let mut redrawn = self.0.into_iter();
        figures
            .iter()
            .map(|figure| estimate_from_redrawn(*figure, redrawn.next().unwrap_or_default()))
            .collect()
    }
}

/// Sets the random numbers of one redrawing apart from those of the next: 2⁶⁴ over the golden ratio, as seeds are usually spread.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// As many parts as the body has, drawn from them with replacement.
fn redraw(side: &Side, random: &mut Xoshiro256PlusPlus) -> Counts {
    let ids = side.part_ids();
    let mut weights = [0; 256];
    for _ in ids {
        weights[usize::from(ids[random.random_range(0..ids.len())])] += 1;
    }
    // Every part has terms; only sums beyond 2⁵³ could fail, and those of the body itself did not.
    side.weighted(&weights)
        .unwrap_or_else(|| side.counts.clone())
}
