//! Centres that points may go to, and which of them is nearest to a point.
//!
//! Distances are products: |x−c|² = |x|² − 2s with the nearness s = x·c − ½|c|² = (1, x)·(−½|c|², c), for blocks of points and all centres.
//! Where something is known of a point's nearest centre, the first coordinates, the *head*, tell for most centres that they are no nearer:
//! the others, the *tail*, add at most |x″|·|c″| to s, where x″ and c″ are the tails. Only centres that this bound lets through are looked at whole.
//!
//! Principal coordinates fall in variance, and a mean of points has a shorter tail than they have: on the features of
//! `bench/rival_quality.py` 3 of 100 centres get through after a head of 128 out of 449 coordinates.

#![expect(
    clippy::inline_always,
    reason = "bodies must be compiled with their caller's instruction set"
)]

use std::cmp::Reverse;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    features::Features,
    pca::TASK,
    product::{Groups, TALL, dot, multiply, wide},
    race::Races,
};

/// The share of the points' squares that the head holds.
const HEAD: f64 = 0.5;

/// What rounding may add to a product of tails, as a root of its share in |x|·|c|: far more than it ever adds.
const SLACK: f32 = 3e-3;

/// Above this share of centres that get through it is quicker to look at all of them.
const MANY: f64 = 0.2;

/// Points in blocks as they are multiplied: every round of every start needs them so.
pub(super) struct Points<'a> {
    features: &'a Features,
    head: usize,
    blocks: Vec<Block<'a>>,
}

/// Some points.
pub(super) struct Block<'a> {
    rows: Vec<&'a [f32]>,
    /// Each with a 1 before it.
    tiles: Groups,
    tails: Vec<f32>,
}

impl<'a> Points<'a> {
    pub(super) fn new(features: &'a Features) -> Self {
        let mut points = Self {
            features,
            head: head(features),
            blocks: Vec::new(),
        };
        let blocks = (0..features.count().div_ceil(TASK)).into_par_iter();
        points.blocks = blocks
            .map(|block| points.some(points.numbers(block)))
            .collect();
        points
    }

    pub(super) fn features(&self) -> &'a Features {
        self.features
    }

    pub(super) fn block(&self, number: usize) -> &Block<'a> {
        &self.blocks[number]
    }

    /// The points of a block.
    fn numbers(&self, block: usize) -> std::ops::Range<usize> {
        block * TASK..self.features.count().min((block + 1) * TASK)
    }

    /// A centre at a place.
    pub(super) fn centre(&self, values: Vec<f32>) -> Centre {
        let squares = values.iter().map(|c| f64::from(*c).powi(2));
        Centre {
            offset: (-0.5 * squares.sum::<f64>()) as f32,
            tail: tail(&values, self.head),
            values,
        }
    }

    /// A block of other points.
    pub(super) fn some(&self, which: impl Iterator<Item = usize>) -> Block<'a> {
        let rows: Vec<&[f32]> = which.map(|i| self.features.row(i)).collect();
        Block {
            tiles: augmented(TALL, self.features.width(), &rows, |_| 1.0),
            tails: rows.iter().map(|row| tail(row, self.head)).collect(),
            rows,
        }
    }
}

/// Coordinates that hold [`HEAD`] of the squares, as about a thousand points tell.
fn head(features: &Features) -> usize {
    let mut squares = vec![0.0_f64; features.width()];
    for row in features.rows().step_by(1 + features.count() / 1000) {
        for (sum, x) in squares.iter_mut().zip(row) {
            *sum += f64::from(*x).powi(2);
        }
    }
    let all: f64 = squares.iter().sum();
    let mut held = 0.0;
    let reached = squares.iter().position(|square| {
        held += square;
        held >= HEAD * all
    });
    reached.map_or(features.width(), |last| last + 1)
}

/// Rows of a width, each with a number before it.
fn augmented(group: usize, width: usize, rows: &[&[f32]], before: impl Fn(usize) -> f32) -> Groups {
    let augmented: Vec<f32> = (rows.iter().enumerate())
        .flat_map(|(i, row)| std::iter::once(before(i)).chain(row.iter().copied()))
        .collect();
    let row = |i: usize| &augmented[i * (1 + width)..][..=width];
    Groups::of_rows(group, 1 + width, rows.len(), row)
}

/// The length of a row's tail, so much longer that the product of two is more than any product of tails after rounding, and never 0.
fn tail(row: &[f32], head: usize) -> f32 {
    let squares = |row| product(row, row);
    let tail = squares(&row[head..]);
    let all = squares(&row[..head]) + tail;
    tail.sqrt() + SLACK * all.sqrt() + f32::MIN_POSITIVE
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(Dot(a, b))
}

struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        dot(self.0, self.1)
    }
}

/// A centre, with what is asked of it again and again.
pub(super) struct Centre {
    values: Vec<f32>,
    /// −½|c|².
    offset: f32,
    tail: f32,
}

impl Centre {
    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    pub(super) fn nearness(&self, point: &[f32]) -> f32 {
        product(point, &self.values) + self.offset
    }
}

/// The nearest of some centres to a point.
#[derive(Clone, Copy)]
pub(super) struct Nearest {
    pub(super) centre: u32,
    pub(super) nearness: f32,
    /// No other of these centres is nearer than this.
    pub(super) runner_up: f32,
}

impl Nearest {
    pub(super) const NONE: Self = Self {
        centre: u32::MAX,
        nearness: f32::NEG_INFINITY,
        runner_up: f32::NEG_INFINITY,
    };

    /// The nearest of the centres of both; of two equally near ones that with the lower number.
    pub(super) fn or(self, other: Self) -> Self {
        let order = |n: &Self| (n.nearness, Reverse(n.centre));
        let (first, second) = if order(&other) > order(&self) {
            (other, self)
        } else {
            (self, other)
        };
        let runner_up = first.runner_up.max(second.runner_up).max(second.nearness);
        Self { runner_up, ..first }
    }
}

/// Centres that points may go to.
pub(super) struct Candidates<'a> {
    numbers: Vec<usize>,
    centres: Vec<&'a Centre>,
    panels: Groups,
    /// Lengths of tails, and −∞ for what fills up the last panel: no bound lets it through.
    tails: Vec<f32>,
    head: usize,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(points: &Points<'_>, centres: &'a [Centre], numbers: Vec<usize>) -> Self {
        let centres: Vec<&Centre> = numbers.iter().map(|&number| &centres[number]).collect();
        let rows: Vec<&[f32]> = centres.iter().map(|centre| centre.values()).collect();
        let mut tails: Vec<f32> = centres.iter().map(|centre| centre.tail).collect();
        tails.resize(rows.len().next_multiple_of(wide()), f32::NEG_INFINITY);
        Self {
            panels: augmented(wide(), points.features.width(), &rows, |i| {
                centres[i].offset
            }),
            head: points.head,
            numbers,
            centres,
            tails,
        }
    }

    /// The nearest of these centres to each of the points.
    ///
    /// Where it is known how near the nearest is at least, those that are less near may be left out; how near they are at most is then in
    /// `runner_up`, and where it is all of them, there is no nearest.
    pub(super) fn nearest(&self, points: &Block<'_>, at_least: Option<&[f32]>) -> Vec<Nearest> {
        let mut races = Races::new(points.rows.len());
        let mut bounds = at_least.map(Bounds::new);
        let whole = points.tiles.depth();
        let depth = at_least.map_or(whole, |_| 1 + self.head);
        multiply(
            &points.tiles,
            &self.panels,
            self.numbers.len(),
            depth,
            |products| {
                let first = products.column();
                let tails = &self.tails[first..][..wide()];
                if let Some(bounds) = &mut bounds
                    && bounds.find(products.values(), &points.tails, tails)
                {
                    self.race_few(&mut races, first, points, bounds);
                } else {
                    products.go_on_to(whole);
                    races.enter(products);
                }
            },
        );
        (0..points.rows.len())
            .map(|row| {
                let finish = races.finish(row);
                Nearest {
                    centre: finish
                        .column
                        .map_or(u32::MAX, |column| self.numbers[column] as u32),
                    nearness: finish.greatest,
                    runner_up: finish.second,
                }
            })
            .collect()
    }

    /// Lets the centres of a panel race that a bound lets through, and notes the bounds of the others.
    fn race_few(&self, races: &mut Races, first: usize, points: &Block<'_>, bounds: &Bounds<'_>) {
        races.lose(&bounds.values, bounds.at_least);
        let rows = bounds.values.chunks(wide()).zip(bounds.at_least);
        for (row, (values, at_least)) in rows.enumerate().filter(|(row, _)| bounds.passed[*row] > 0)
        {
            for (column, _) in (first..)
                .zip(values)
                .filter(|(_, bound)| *bound >= at_least)
            {
                races.enter_one(row, column, self.centres[column].nearness(points.rows[row]));
            }
        }
    }
}

/// How near the centres of a panel are at most to some points.
struct Bounds<'a> {
    /// How near centres must be at least, for each point.
    at_least: &'a [f32],
    /// A bound for each lane of the points' rows.
    values: Vec<f32>,
    /// How many bounds of each row are no lower than they must be.
    passed: Vec<u32>,
}

impl<'a> Bounds<'a> {
    fn new(at_least: &'a [f32]) -> Self {
        Self {
            at_least,
            values: vec![0.0; at_least.len() * wide()],
            passed: vec![0; at_least.len()],
        }
    }

    /// Finds the bounds for a panel from the products of heads and the lengths of tails; says whether only a few are passed.
    fn find(&mut self, heads: &[f32], points: &[f32], centres: &[f32]) -> bool {
        Arch::new().dispatch(Find {
            heads,
            points,
            centres,
            bounds: self,
        });
        let passed: u32 = self.passed.iter().sum();
        f64::from(passed) <= MANY * heads.len() as f64
    }
}

struct Find<'a, 'b> {
    heads: &'a [f32],
    points: &'a [f32],
    centres: &'a [f32],
    bounds: &'a mut Bounds<'b>,
}

impl WithSimd for Find<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = self.centres.len();
        let Bounds {
            at_least,
            values,
            passed,
        } = self.bounds;
        let rows = (self
            .heads
            .chunks_exact(lanes)
            .zip(values.chunks_exact_mut(lanes)))
        .zip(self.points.iter().zip(*at_least).zip(passed));
        let (one, none) = (simd.splat_f32s(1.0), simd.splat_f32s(0.0));
        let (centres, _) = S::as_simd_f32s(self.centres);
        for ((heads, bounds), ((point, at_least), passed)) in rows {
            let (point, at_least) = (simd.splat_f32s(*point), simd.splat_f32s(*at_least));
            let (heads, bounds) = (S::as_simd_f32s(heads).0, S::as_mut_simd_f32s(bounds).0);
            let mut count = none;
            for ((bound, head), centre) in bounds.iter_mut().zip(heads).zip(centres) {
                *bound = simd.mul_add_f32s(point, *centre, *head);
                let passes = simd.less_than_or_equal_f32s(at_least, *bound);
                count = simd.add_f32s(count, simd.select_f32s(passes, one, none));
            }
            *passed = simd.reduce_sum_f32s(count) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;

    /// Points about 20 topics, with coordinates that fall in size as a power.
    fn points(fall: f32, width: usize) -> Features {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut values = |count: usize| -> Vec<f32> {
            (0..count * width)
                .map(|i| (random.random::<f32>() - 0.5) * (1.0 + (i % width) as f32).powf(-fall))
                .collect()
        };
        let (topics, noise) = (values(20), values(300));
        let all = noise.iter().enumerate();
        let all = all.map(|(i, noise)| 2.0 * topics[(i / width) % 20 * width + i % width] + noise);
        Features::new(all.collect(), width).unwrap()
    }

    /// With coordinates that fall fast nearly all centres are left out, with flat ones hardly any.
    #[test]
    fn what_is_left_out_is_neither_nearest_nor_nearer_than_the_runner_up() {
        for (fall, width) in [(0.0, 3), (0.0, 70), (0.5, 70), (1.0, 70), (3.0, 40)] {
            let features = points(fall, width);
            let points = Points::new(&features);
            let centres: Vec<Centre> = (0..50)
                .map(|i| points.centre(features.row(i * 5).to_vec()))
                .collect();
            let numbers: Vec<usize> = (0..50).filter(|number| number % 7 != 3).collect();
            let candidates = Candidates::new(&points, &centres, numbers.clone());
            let block = points.some(0..300);
            let whole = candidates.nearest(&block, None);
            for below in [0.0, 0.01, 0.5] {
                let at_least: Vec<f32> = whole.iter().map(|w| w.nearness - below).collect();
                let found = candidates.nearest(&block, Some(&at_least));
                for (row, (found, whole)) in found.iter().zip(&whole).enumerate() {
                    let exact = |number: &usize| {
                        let pairs = features.row(row).iter().zip(&centres[*number].values);
                        let s: f64 = pairs
                            .map(|(x, c)| f64::from(c * x) - 0.5 * f64::from(*c).powi(2))
                            .sum();
                        s as f32
                    };
                    let mut exact: Vec<f32> = numbers.iter().map(exact).collect();
                    exact.sort_by(|a, b| b.total_cmp(a));
                    assert!((whole.nearness - exact[0]).abs() < 1e-5);
                    assert!((whole.runner_up - exact[1]).abs() < 1e-5);
                    assert!(found.runner_up > exact[1] - 1e-5);
                    if found.centre == u32::MAX {
                        assert!(below == 0.0 && found.runner_up > exact[0] - 1e-5);
                    } else {
                        assert!((found.nearness - exact[0]).abs() < 1e-5);
                        assert!(found.runner_up < found.nearness + 1e-5);
                    }
                }
            }
            // Nothing is near enough: there is no nearest, only a bound.
            let found = candidates.nearest(&block, Some(&[f32::MAX; 300]));
            assert!(
                found
                    .iter()
                    .zip(&whole)
                    .all(|(f, w)| f.centre == u32::MAX && f.runner_up > w.nearness - 1e-5)
            );
        }
    }
}
