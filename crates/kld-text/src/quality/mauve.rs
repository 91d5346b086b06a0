//! MAUVE: how alike two bodies of documents are in meaning, from features of the documents.
//!
//! ```text
//! features ─► unit norm ─► principal components ─► k-means over both bodies ─► two histograms of buckets ─► frontier ─► scores
//! ```
//!
//! The steps and their settings are those of the reference implementation, the Python package `mauve-text`; k-means draws other
//! random numbers, so scores agree within what another seed changes there.
//!
//! The score of one quantization moves by a few hundredths with the seed. So several are made and the scores averaged; an error comes from
//! redrawing the documents of each side, every time under another quantization, and so has both kinds of chance in it.

use kld_core::{
    count::estimate_from_redrawn,
    estimate::Estimate,
    result::{FeatureCard, FrontierPoint, FrontierScores, Halved, MauveResult, Quantization},
};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};
use rayon::prelude::*;

use super::{features::Features, frontier::Frontier, kmeans::KMeans, pca::principal_coordinates};
use crate::Result;

/// Fewer documents than this are not halved: there would be a handful of buckets.
const ENOUGH_TO_HALVE: usize = 40;

/// How MAUVE is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct MauveOptions {
    /// Buckets; a tenth of the documents of the smaller side where it is `None`, at least 2.
    pub buckets: Option<usize>,
    /// The share of the variance that principal components explain.
    pub variance: f64,
    /// Starts of k-means, of which the tightest is kept.
    pub starts: usize,
    /// The most rounds of a start.
    pub rounds: usize,
    /// The factor c of divergences in the exponents of the curve.
    pub scaling: f64,
    /// Quantizations over which scores are averaged.
    pub seeds: usize,
    /// The first seed; those of the others follow from it.
    pub seed: u64,
    /// How often documents are redrawn for errors and intervals; 0 leaves out the scores of halves too.
    pub resamples: usize,
}

impl Default for MauveOptions {
    fn default() -> Self {
        Self {
            buckets: None,
            variance: 0.9,
            starts: 5,
            rounds: 500,
            scaling: 5.0,
            seeds: 5,
            seed: 0,
            resamples: 300,
        }
    }
}

/// MAUVE of the candidate's features beside the reference's.
///
/// # Errors
///
/// If their rows are not equally wide, or there are more buckets than documents.
///
/// # Panics
///
/// If no quantization or no start is asked for.
pub fn mauve(
    reference: &Features,
    candidate: &Features,
    options: &MauveOptions,
) -> Result<MauveResult> {
    assert!(options.seeds > 0, "scores are means over quantizations");
    // Within the threads that do the work, so that none has to be woken for each of many short steps.
    rayon::scope(|_| Bodies::new(reference, candidate, options)?.result(reference.width()))
}

/// Where documents lie about the mean of all of both sides, and in which bucket under the first quantization of [`mauve`]; those of the
/// reference come first.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    /// Coordinates along the principal components.
    pub points: Features,
    /// The bucket of each document.
    pub buckets: Vec<u32>,
}

/// Places the documents of both sides.
///
/// # Errors
///
/// As [`mauve`].
pub fn places(
    reference: &Features,
    candidate: &Features,
    options: &MauveOptions,
) -> Result<Places> {
    let bodies = Bodies::new(reference, candidate, options)?;
    let quantized = bodies.quantize(bodies.buckets()?, options.seed);
    Ok(Places {
        buckets: [quantized.reference, quantized.candidate].concat(),
        points: bodies.points,
    })
}

/// Documents of both sides as points, those of the reference first.
struct Bodies<'a> {
    points: Features,
    split: usize,
    options: &'a MauveOptions,
}

/// The buckets of the documents of each side.
struct Histograms {
    reference: Vec<u32>,
    candidate: Vec<u32>,
    buckets: usize,
}

/// Both scores of a frontier, plain and smoothed.
type Scores = [f64; 4];

impl<'a> Bodies<'a> {
    fn new(reference: &Features, candidate: &Features, options: &'a MauveOptions) -> Result<Self> {
        let mut joined = reference.joined_and_normalized(candidate)?;
        joined.center();
        Ok(Self {
            points: principal_coordinates(&joined, options.variance),
            split: reference.count(),
            options,
        })
    }

    fn result(&self, width: usize) -> Result<MauveResult> {
        let buckets = self.buckets()?;
        let quantized: Vec<Histograms> = (0..self.options.seeds)
            .map(|number| self.quantize(buckets, self.options.seed + number as u64))
            .collect();
        let scaling = self.options.scaling;
        let scores: Vec<Scores> = quantized.iter().map(|h| h.scores(scaling)).collect();
        let [mauve, integral, mauve_smoothed, integral_smoothed] =
            self.estimates(&scores, &quantized);
        Ok(MauveResult {
            features: FeatureCard {
                reference_documents: self.split,
                candidate_documents: self.points.count() - self.split,
                width,
            },
            quantization: Quantization {
                variance: self.options.variance,
                components: self.points.width(),
                buckets,
                starts: self.options.starts,
                seeds: self.options.seeds,
                seed: self.options.seed,
            },
            scaling,
            plain: FrontierScores {
                mauve,
                frontier_integral: integral,
            },
            smoothed: FrontierScores {
                mauve: mauve_smoothed,
                frontier_integral: integral_smoothed,
            },
            deviation_over_seeds: deviation(scores.iter().map(|s| s[0])),
            resamples: self.resamples(),
            curve: mean_curve(&quantized, scaling),
            halved: self.halved(&mauve),
        })
    }

    fn sizes(&self) -> (usize, usize) {
        (self.split, self.points.count() - self.split)
    }

    fn buckets(&self) -> Result<usize> {
        let (reference, candidate) = self.sizes();
        let buckets = self
            .options
            .buckets
            .unwrap_or_else(|| usual_buckets(reference.min(candidate)));
        if buckets > self.points.count() {
            return Err(crate::Error::TooManyBuckets {
                buckets,
                documents: self.points.count(),
            });
        }
        Ok(buckets)
    }

    /// A document drawn again is a document: it takes two on each side to see how much they differ.
    fn resamples(&self) -> usize {
        let (reference, candidate) = self.sizes();
        if reference.min(candidate) < 2 {
            0
        } else {
            self.options.resamples
        }
    }

    fn quantize(&self, buckets: usize, seed: u64) -> Histograms {
        let found = KMeans {
            buckets,
            starts: self.options.starts,
            rounds: self.options.rounds,
            seed,
        }
        .run(&self.points);
        let (reference, candidate) = found.of.split_at(self.split);
        Histograms {
            reference: reference.to_vec(),
            candidate: candidate.to_vec(),
            buckets,
        }
    }

    fn estimates(&self, scores: &[Scores], quantized: &[Histograms]) -> [Estimate; 4] {
        let redrawn: Vec<Scores> = (0..self.resamples())
            .into_par_iter()
            .map(|number| {
                let mut random = random(self.options.seed, number);
                let histograms = &quantized[number % quantized.len()];
                histograms.redrawn(&mut random).scores(self.options.scaling)
            })
            .collect();
        std::array::from_fn(|i| {
            let mean = scores.iter().map(|s| s[i]).sum::<f64>() / scores.len() as f64;
            let estimate = estimate_from_redrawn(mean, redrawn.iter().map(|s| s[i]).collect());
            estimate.within(0.0, 1.0)
        })
    }

    /// MAUVE with half the documents, a mean over as many random halves as there are quantizations.
    fn halved(&self, whole: &Estimate) -> Option<Halved> {
        let (reference, candidate) = self.sizes();
        if self.resamples() == 0 || reference.min(candidate) < ENOUGH_TO_HALVE {
            return None;
        }
        let mut sums = [0.0; 2];
        for number in 0..self.options.seeds {
            let mut random = random(!self.options.seed, number);
            let mut shuffled = |from: usize, count: usize| -> Vec<usize> {
                let order = index::sample(&mut random, count, count);
                order.into_iter().map(|i| from + i).collect()
            };
            let (p, q) = (shuffled(0, reference), shuffled(self.split, candidate));
            let seed = self.options.seed + number as u64;
            let middle = reference / 2;
            sums[0] += self.mauve_of(&p[..middle], &q[..candidate / 2], seed);
            sums[1] += self.mauve_of(&p[..middle], &p[middle..], seed);
        }
        let [both, reference_with_itself] = sums.map(|sum| sum / self.options.seeds as f64);
        Some(Halved {
            both,
            reference_with_itself,
            falls_with_size: both - whole.value > whole.standard_error.unwrap_or(0.0),
        })
    }

    /// The plain MAUVE of some of the points against others.
    fn mauve_of(&self, reference: &[usize], candidate: &[usize], seed: u64) -> f64 {
        let chosen = reference.iter().chain(candidate);
        let values = chosen.flat_map(|&i| self.points.row(i)).copied().collect();
        let part = Bodies {
            points: Features::from_parts(values, self.points.width()),
            split: reference.len(),
            options: self.options,
        };
        let asked = self.options.buckets.map(|buckets| (buckets / 2).max(2));
        let usual = usual_buckets(reference.len().min(candidate.len()));
        part.quantize(asked.unwrap_or(usual), seed)
            .frontier(self.options.scaling, 0.0)
            .mauve()
    }
}

impl Histograms {
    fn scores(&self, scaling: f64) -> Scores {
        let (plain, smoothed) = (self.frontier(scaling, 0.0), self.frontier(scaling, 0.5));
        [
            plain.mauve(),
            plain.integral(),
            smoothed.mauve(),
            smoothed.integral(),
        ]
    }

    /// The frontier of the relative frequencies after something was added to every count.
    fn frontier(&self, scaling: f64, added: f64) -> Frontier {
        let frequencies = |of: &[u32]| {
            let mut counts = vec![added; self.buckets];
            for &bucket in of {
                counts[bucket as usize] += 1.0;
            }
            let total = of.len() as f64 + added * self.buckets as f64;
            counts.iter().map(|count| count / total).collect::<Vec<_>>()
        };
        Frontier::of(
            &frequencies(&self.reference),
            &frequencies(&self.candidate),
            scaling,
        )
    }

    /// As many documents of each side, drawn with replacement.
    fn redrawn(&self, random: &mut Xoshiro256PlusPlus) -> Self {
        let mut redraw = |of: &[u32]| -> Vec<u32> {
            let draws = (0..of.len()).map(|_| of[random.random_range(0..of.len())]);
            draws.collect()
        };
        Self {
            reference: redraw(&self.reference),
            candidate: redraw(&self.candidate),
            buckets: self.buckets,
        }
    }
}

/// A tenth of the documents, as the reference implementation has it.
fn usual_buckets(documents: usize) -> usize {
    ((documents as f64 / 10.0).round_ties_even() as usize).max(2)
}

/// Random numbers of one of many draws.
fn random(seed: u64, number: usize) -> Xoshiro256PlusPlus {
    // 2⁶⁴ over the golden ratio, as seeds are usually spread.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    Xoshiro256PlusPlus::seed_from_u64(seed ^ MIX.wrapping_mul(number as u64 + 1))
}

fn mean_curve(quantized: &[Histograms], scaling: f64) -> Vec<FrontierPoint> {
    let curves: Vec<Frontier> = quantized.iter().map(|h| h.frontier(scaling, 0.0)).collect();
    let point = |i: usize| {
        let mean = |of: fn(&FrontierPoint) -> f64| {
            curves.iter().map(|c| of(&c.points()[i])).sum::<f64>() / curves.len() as f64
        };
        FrontierPoint {
            weight: curves[0].points()[i].weight,
            of_candidate: mean(|p| p.of_candidate),
            of_reference: mean(|p| p.of_reference),
        }
    };
    (0..curves[0].points().len()).map(point).collect()
}

fn deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (count > 1.0).then(|| (squares / (count - 1.0)).sqrt())
}
