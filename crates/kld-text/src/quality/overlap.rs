//! How the perplexities of the documents of two bodies lie to each other.

use kld_core::{
    count::{estimate_from_redrawn, quantile},
    result::{PerplexityOverlap, Quantiles},
};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// The overlap of the perplexities of two bodies, a value for each document; errors by redrawing documents.
///
/// # Panics
///
/// If a body has no document.
#[must_use]
pub fn perplexity_overlap(
    reference: &[f64],
    candidate: &[f64],
    resamples: usize,
    seed: u64,
) -> PerplexityOverlap {
    let sorted = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (p, q) = (sorted(reference), sorted(candidate));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut redraw = |of: &[f64]| {
        let draws: Vec<f64> = (0..of.len())
            .map(|_| of[random.random_range(0..of.len())])
            .collect();
        sorted(&draws)
    };
    // It takes two documents on each side to see how much they differ.
    let resamples = if p.len().min(q.len()) < 2 {
        0
    } else {
        resamples
    };
    let redrawn: Vec<[f64; 2]> = (0..resamples)
        .map(|_| measures(&redraw(&p), &redraw(&q)))
        .collect();
    let [overlap, higher] = measures(&p, &q);
    let estimate = |value, i: usize| {
        estimate_from_redrawn(value, redrawn.iter().map(|r| r[i]).collect()).within(0.0, 1.0)
    };
    PerplexityOverlap {
        reference: quantiles(&p),
        candidate: quantiles(&q),
        overlap: estimate(overlap, 0),
        candidate_higher: estimate(higher, 1),
        resamples,
    }
}

/// 1 − sup |F − G|, and how likely a value of the second is the higher one, of sorted values.
fn measures(p: &[f64], q: &[f64]) -> [f64; 2] {
    let share =
        |of: &[f64], up_to: f64| of.partition_point(|x| *x <= up_to) as f64 / of.len() as f64;
    let apart = p
        .iter()
        .chain(q)
        .map(|&x| (share(p, x) - share(q, x)).abs());
    let higher: f64 = q
        .iter()
        .map(|&x| {
            let below = p.partition_point(|y| *y < x) as f64;
            let equal = p.partition_point(|y| *y <= x) as f64 - below;
            below + 0.5 * equal
        })
        .sum();
    [
        1.0 - apart.fold(0.0, f64::max),
        higher / (p.len() * q.len()) as f64,
    ]
}

fn quantiles(sorted: &[f64]) -> Quantiles {
    let at = |share| quantile(sorted, share);
    Quantiles {
        count: sorted.len(),
        p5: at(0.05),
        p25: at(0.25),
        p50: at(0.5),
        p75: at(0.75),
        p95: at(0.95),
    }
}
