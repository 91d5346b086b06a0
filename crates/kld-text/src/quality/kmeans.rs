//! k-means: documents to buckets by Lloyd's iterations, from several seeded starts; the tightest result is kept.
//!
//! ```text
//! start: as many points as buckets, drawn without replacement
//! repeat: give every point to its nearest centre; move every centre to the mean of its points
//! until no point changes its bucket
//! ```
//!
//! How the code differs, without another result:
//!
//! 1. Distances are products: |x−c|² = |x|² − 2s with the nearness s = x·c − ½|c|² = (x, 1)·(c, −½|c|²), for blocks of points and
//!    all centres.
//! 2. A centre that was not moved is as far from every point as before. So all points look at moved centres, and at those at
//!    rest only where a point's own centre went farther away than the runner-up was, a bound in the manner of Hamerly (2010);
//!    most centres come to rest after a few rounds.
//! 3. A bucket with the same points as before keeps its mean.
//! 4. A bucket that lost all its points gets the point that is farthest from its centre.
//!
//! Starts are drawn as in the reference implementation of MAUVE: k-means++ gives tighter buckets, but more that hold a
//! single odd document, and with them other scores. Points are dealt to threads in fixed blocks and every mean is summed in
//! the order of the points, so no bit depends on the number of threads.

use std::cmp::Reverse;

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};
use rayon::prelude::*;

use super::{
    features::Features,
    pca::TASK,
    product::{Groups, TALL, multiply, wide},
    race::{Finish, Races},
};

/// How to look for buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KMeans {
    /// Number of buckets.
    pub buckets: usize,
    /// Starts, of which the tightest result is kept.
    pub starts: usize,
    /// The most rounds of a start.
    pub rounds: usize,
    /// Seed of the starts.
    pub seed: u64,
}

/// Which bucket each point is in.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// The bucket of each point.
    pub of: Vec<u32>,
    /// Sum of squared distances between points and the centres of their buckets.
    pub spread: f64,
    /// Rounds that the start took.
    pub rounds: usize,
}

impl KMeans {
    /// Puts points into buckets.
    ///
    /// # Panics
    ///
    /// If there are more buckets than points, or no start.
    #[must_use]
    pub fn run(&self, points: &Features) -> Buckets {
        assert!(
            (1..=points.count()).contains(&self.buckets) && self.starts > 0,
            "a start takes one point for each bucket"
        );
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let packed = pack(points);
        let mut best: Option<Buckets> = None;
        for _ in 0..self.starts {
            let drawn = index::sample(&mut random, points.count(), self.buckets);
            let found = Lloyd::from_points(points, &packed, drawn.into_iter()).run(self.rounds);
            if best.as_ref().is_none_or(|best| found.spread < best.spread) {
                best = Some(found);
            }
        }
        best.unwrap_or_else(|| unreachable!("there is at least one start"))
    }
}

/// The points in blocks as they are multiplied: every round of every start needs them so.
fn pack(points: &Features) -> Vec<Groups> {
    let blocks = points.count().div_ceil(TASK);
    let block = |number: usize| {
        let end = points.count().min((number + 1) * TASK);
        pack_some(points, number * TASK..end)
    };
    (0..blocks).into_par_iter().map(block).collect()
}

/// Some points, each with a 1 behind it.
fn pack_some(points: &Features, which: impl ExactSizeIterator<Item = usize>) -> Groups {
    let (count, depth) = (which.len(), points.width() + 1);
    let rows: Vec<f32> = which
        .flat_map(|i| points.row(i).iter().copied().chain([1.0]))
        .collect();
    Groups::of_rows(TALL, depth, count, |i| &rows[i * depth..][..depth])
}

/// One start under way.
struct Lloyd<'a> {
    points: &'a Features,
    packed: &'a [Groups],
    centres: Vec<f32>,
    /// Centres that the last round has moved.
    moved: Vec<bool>,
    /// Centres whose points are others than at their last move.
    stale: Vec<bool>,
    nearest: Vec<Nearest>,
}

/// The nearest of some centres to a point.
#[derive(Clone, Copy)]
struct Nearest {
    centre: u32,
    nearness: f32,
    /// No other of these centres is nearer than this.
    runner_up: f32,
}

impl Nearest {
    const NONE: Self = Self {
        centre: u32::MAX,
        nearness: f32::NEG_INFINITY,
        runner_up: f32::NEG_INFINITY,
    };

    /// The nearest of the centres of both; of two equally near ones that with the lower number.
    fn or(self, other: Self) -> Self {
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

impl<'a> Lloyd<'a> {
    fn from_points(
        points: &'a Features,
        packed: &'a [Groups],
        drawn: impl Iterator<Item = usize>,
    ) -> Self {
        let centres: Vec<f32> = drawn.flat_map(|i| points.row(i)).copied().collect();
        let buckets = centres.len() / points.width();
        Self {
            points,
            packed,
            centres,
            moved: vec![true; buckets],
            stale: vec![true; buckets],
            nearest: vec![Nearest::NONE; points.count()],
        }
    }

    fn run(mut self, rounds: usize) -> Buckets {
        let mut done = 0;
        while done < rounds && self.moved.contains(&true) {
            self.assign();
            self.update();
            done += 1;
        }
        // The last move may still have changed what is nearest.
        self.assign();
        Buckets {
            spread: self.distances().iter().sum(),
            of: self.nearest.iter().map(|n| n.centre).collect(),
            rounds: done,
        }
    }

    /// Gives every point to its nearest centre.
    fn assign(&mut self) {
        let (moved, at_rest): (Vec<usize>, Vec<usize>) =
            (0..self.moved.len()).partition(|&centre| self.moved[centre]);
        if moved.is_empty() {
            return;
        }
        let (moved, at_rest) = (Candidates::new(self, moved), Candidates::new(self, at_rest));
        let mut nearest = self.nearest.clone();
        nearest
            .par_chunks_mut(TASK)
            .enumerate()
            .for_each(|(block, nearest)| self.assign_block(block, nearest, &moved, &at_rest));
        for (before, now) in self.nearest.iter().zip(&nearest) {
            if before.centre != now.centre {
                self.stale[now.centre as usize] = true;
                if let Some(stale) = self.stale.get_mut(before.centre as usize) {
                    *stale = true;
                }
            }
        }
        self.nearest = nearest;
    }

    /// The same for one block of points.
    fn assign_block(
        &self,
        block: usize,
        nearest: &mut [Nearest],
        moved: &Candidates,
        at_rest: &Candidates,
    ) {
        let mut left = Vec::new();
        for (i, found) in moved.nearest(&self.packed[block]).into_iter().enumerate() {
            let before = nearest[i];
            nearest[i] = if self.moved.get(before.centre as usize) == Some(&false) {
                found.or(before)
            } else if found.nearness > before.runner_up {
                found.or(Nearest {
                    runner_up: before.runner_up,
                    ..Nearest::NONE
                })
            } else {
                left.push(i);
                found
            };
        }
        if left.is_empty() {
            return;
        }
        let tiles = pack_some(self.points, left.iter().map(|i| block * TASK + i));
        for (i, found) in left.iter().zip(at_rest.nearest(&tiles)) {
            nearest[*i] = nearest[*i].or(found);
        }
    }

    /// Moves every centre to the mean of its points, and those without a point to where they are missed most.
    fn update(&mut self) {
        let members = self.members();
        let width = self.points.width();
        let moves: Vec<bool> = self
            .centres
            .par_chunks_mut(width)
            .zip(&members)
            .zip(&self.stale)
            .map(|((centre, members), stale)| {
                *stale && !members.is_empty() && set_to_mean(centre, self.points, members)
            })
            .collect();
        self.moved = moves;
        self.stale.fill(false);
        let empty: Vec<usize> = (0..members.len())
            .filter(|&c| members[c].is_empty())
            .collect();
        for (centre, point) in empty.iter().zip(self.farthest(empty.len())) {
            self.centres[centre * width..][..width].copy_from_slice(self.points.row(point));
            self.moved[*centre] = true;
        }
    }

    /// The points of each bucket, in order.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.moved.len()];
        for (point, nearest) in self.nearest.iter().enumerate() {
            members[nearest.centre as usize].push(point);
        }
        members
    }

    /// The points that are farthest from their centres, at most `count`, none of them on its centre.
    fn farthest(&self, count: usize) -> Vec<usize> {
        if count == 0 {
            return Vec::new();
        }
        let distances = self.distances();
        let mut order: Vec<usize> = (0..distances.len())
            .filter(|&i| distances[i] > 0.0)
            .collect();
        order.sort_by(|a, b| distances[*b].total_cmp(&distances[*a]).then(a.cmp(b)));
        order.truncate(count);
        order
    }

    /// Squared distances between points and the centres of their buckets.
    fn distances(&self) -> Vec<f64> {
        let points = (0..self.nearest.len()).into_par_iter();
        points.map(|point| self.distance(point)).collect()
    }

    fn distance(&self, point: usize) -> f64 {
        let width = self.points.width();
        let centre = &self.centres[self.nearest[point].centre as usize * width..][..width];
        let squares = self.points.row(point).iter().zip(centre);
        squares.map(|(x, c)| f64::from(x - c).powi(2)).sum()
    }
}

/// Sets a centre to the mean of its points; returns whether that moved it.
fn set_to_mean(centre: &mut [f32], points: &Features, members: &[usize]) -> bool {
    let mut sums = vec![0.0_f64; centre.len()];
    for &member in members {
        let point = points.row(member);
        sums.iter_mut()
            .zip(point)
            .for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let mut moved = false;
    for (centre, sum) in centre.iter_mut().zip(sums) {
        let mean = (sum / members.len() as f64) as f32;
        moved |= *centre != mean;
        *centre = mean;
    }
    moved
}

/// Centres that points may go to.
struct Candidates {
    numbers: Vec<usize>,
    panels: Groups,
}

impl Candidates {
    fn new(lloyd: &Lloyd<'_>, numbers: Vec<usize>) -> Self {
        let (width, depth) = (lloyd.points.width(), lloyd.points.width() + 1);
        let mut rows = Vec::with_capacity(numbers.len() * depth);
        for number in &numbers {
            let centre = &lloyd.centres[number * width..][..width];
            rows.extend_from_slice(centre);
            rows.push((-0.5 * centre.iter().map(|c| f64::from(*c).powi(2)).sum::<f64>()) as f32);
        }
        let row = |i: usize| &rows[i * depth..][..depth];
        Self {
            panels: Groups::of_rows(wide(), depth, numbers.len(), row),
            numbers,
        }
    }

    /// The nearest of these centres to each of the points.
    fn nearest(&self, points: &Groups) -> Vec<Nearest> {
        let mut races = Races::new(points.count());
        multiply(
            points,
            &self.panels,
            self.numbers.len(),
            |row, column, products| races.enter(row, column, products),
        );
        let nearest = |finish: Finish| Nearest {
            centre: self.numbers[finish.column] as u32,
            nearness: finish.greatest,
            runner_up: finish.second,
        };
        let of_row = |row| races.finish(row).map(nearest);
        (0..points.count())
            .map(|row| of_row(row).fold(Nearest::NONE, Nearest::or))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// Buckets that skipped a distance too many would leave a point with a centre that is not its nearest.
    #[test]
    fn every_point_ends_with_the_nearest_of_the_means() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let values = (0..500 * 5).map(|_| random.random::<f32>());
        let points = Features::new(values.collect(), 5).unwrap();
        for seed in 0..10 {
            let buckets = KMeans {
                buckets: 60,
                starts: 1,
                rounds: 500,
                seed,
            }
            .run(&points);
            assert!((3..500).contains(&buckets.rounds), "{}", buckets.rounds);
            let means: Vec<[f64; 5]> = (0..60)
                .map(|bucket| mean(&points, &buckets, bucket))
                .collect();
            for (row, bucket) in points.rows().zip(&buckets.of) {
                let to = |mean: &[f64; 5]| {
                    let squares = row
                        .iter()
                        .zip(mean)
                        .map(|(x, m)| (f64::from(*x) - m).powi(2));
                    squares.sum::<f64>()
                };
                let least = means.iter().map(to).fold(f64::INFINITY, f64::min);
                assert!(to(&means[*bucket as usize]) < least + 1e-6);
            }
        }
    }

    fn mean(points: &Features, buckets: &Buckets, bucket: u32) -> [f64; 5] {
        let inside = points
            .rows()
            .zip(&buckets.of)
            .filter(|(_, of)| **of == bucket);
        let count = inside.clone().count();
        std::array::from_fn(|i| {
            let sum: f64 = inside.clone().map(|(row, _)| f64::from(row[i])).sum();
            sum / count as f64
        })
    }
}
