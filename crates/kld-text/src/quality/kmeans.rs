//! k-means: documents to buckets by Lloyd's iterations, from several seeded starts; the tightest result is kept.
//!
//! ```text
//! start: as many points as buckets, drawn without replacement
//! repeat: give every point to its nearest centre; move every centre to the mean of its points
//! until no point changes its bucket
//! ```
//!
//! How the code differs, without another result but for rounding:
//!
//! 1. A centre that was not moved is as far from every point as before. So all points look at moved centres, and at those at
//!    rest only where a point's own centre went farther away than the runner-up was, a bound in the manner of Hamerly (2010);
//!    most centres come to rest after a few rounds.
//! 2. How near a point's own centre is now tells from a part of the coordinates that most others are farther
//!    ([`candidates`](super::candidates)).
//! 3. A bucket with the same points as before keeps its mean.
//! 4. A bucket that lost all its points gets the point that is farthest from its centre.
//!
//! Starts are drawn as in the reference implementation of MAUVE: k-means++ gives tighter buckets, but more that hold a
//! single odd document, and with them other scores. Points are dealt to threads in fixed blocks and every mean is summed in
//! the order of the points, so no bit depends on the number of threads.

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};
use rayon::prelude::*;

use super::{
    candidates::{Candidates, Centre, Nearest, Points},
    features::Features,
    pca::TASK,
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
        let packed = Points::new(points);
        let mut best: Option<Buckets> = None;
        for _ in 0..self.starts {
            let drawn = index::sample(&mut random, points.count(), self.buckets);
            let found = Lloyd::from_points(&packed, drawn.into_iter()).run(self.rounds);
            if best.as_ref().is_none_or(|best| found.spread < best.spread) {
                best = Some(found);
            }
        }
        best.unwrap_or_else(|| unreachable!("there is at least one start"))
    }
}

/// One start under way.
struct Lloyd<'a> {
    packed: &'a Points<'a>,
    points: &'a Features,
    centres: Vec<Centre>,
    /// Centres that the last round has moved.
    moved: Vec<bool>,
    /// Centres whose points are others than at their last move.
    stale: Vec<bool>,
    nearest: Vec<Nearest>,
}

impl<'a> Lloyd<'a> {
    fn from_points(packed: &'a Points<'a>, drawn: impl Iterator<Item = usize>) -> Self {
        let points = packed.features();
        let centres: Vec<Centre> = drawn
            .map(|i| packed.centre(points.row(i).to_vec()))
            .collect();
        let buckets = centres.len();
        Self {
            packed,
            points,
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
        let candidates = |numbers| Candidates::new(self.packed, &self.centres, numbers);
        let (moved, at_rest) = (candidates(moved), candidates(at_rest));
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
        moved: &Candidates<'_>,
        at_rest: &Candidates<'_>,
    ) {
        let first = block * TASK;
        let own = (first..).zip(&*nearest);
        let own: Option<Vec<f32>> = own
            .map(|(i, before)| self.own_nearness(i, before))
            .collect();
        let found = moved.nearest(self.packed.block(block), own.as_deref());
        let (mut left, mut left_at_least) = (Vec::new(), Vec::new());
        for (i, mut found) in found.into_iter().enumerate() {
            let before = nearest[i];
            // The centre of before may be at rest, or rounding may have left it out of those found.
            if let Some(own) = &own
                && found.centre != before.centre
            {
                found = found.or(Nearest {
                    centre: before.centre,
                    nearness: own[i],
                    ..Nearest::NONE
                });
            }
            let is_at_rest = self.moved.get(before.centre as usize) == Some(&false);
            if is_at_rest || found.nearness > before.runner_up {
                found.runner_up = found.runner_up.max(before.runner_up);
            } else {
                left.push(i);
                left_at_least.push(found.nearness);
            }
            nearest[i] = found;
        }
        if left.is_empty() {
            return;
        }
        let block = self.packed.some(left.iter().map(|i| first + i));
        for (i, found) in left
            .iter()
            .zip(at_rest.nearest(&block, Some(&left_at_least)))
        {
            nearest[*i] = nearest[*i].or(found);
        }
    }

    /// How near the centre that a point had before is now; nothing if it had none.
    fn own_nearness(&self, point: usize, before: &Nearest) -> Option<f32> {
        if *self.moved.get(before.centre as usize)? {
            Some(self.centres[before.centre as usize].nearness(self.points.row(point)))
        } else {
            Some(before.nearness)
        }
    }

    /// Moves every centre to the mean of its points, and those without a point to where they are missed most.
    fn update(&mut self) {
        let members = self.members();
        let stale = std::mem::replace(&mut self.stale, vec![false; members.len()]);
        let (packed, points) = (self.packed, self.points);
        (self.moved.par_iter_mut().zip(&mut self.centres))
            .zip(members.par_iter().zip(stale))
            .for_each(|((moved, centre), (members, stale))| {
                let mean = (stale && !members.is_empty()).then(|| mean(points, members));
                let other = mean.filter(|mean| mean != centre.values());
                *moved = other.is_some();
                if let Some(other) = other {
                    *centre = packed.centre(other);
                }
            });
        let empty: Vec<usize> = (0..members.len())
            .filter(|&c| members[c].is_empty())
            .collect();
        for (centre, point) in empty.iter().zip(self.farthest(empty.len())) {
            self.centres[*centre] = packed.centre(points.row(point).to_vec());
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
        let centre = &self.centres[self.nearest[point].centre as usize];
        let squares = self.points.row(point).iter().zip(centre.values());
        squares.map(|(x, c)| f64::from(x - c).powi(2)).sum()
    }
}

fn mean(points: &Features, members: &[usize]) -> Vec<f32> {
    let mut sums = vec![0.0_f64; points.width()];
    for &member in members {
        for (sum, x) in sums.iter_mut().zip(points.row(member)) {
            *sum += f64::from(*x);
        }
    }
    let count = members.len() as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
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

    /// Where a point is much shorter than its centre, rounding alone is more than what their coordinates multiply to, and no bound on that tells
    /// how near the centre is.
    #[test]
    fn points_in_the_middle_of_all_have_a_bucket_too() {
        const WIDTH: usize = 40;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
        let mut number = || random.random::<f32>() - 0.5;
        let topics: Vec<f32> = (0..50 * WIDTH).map(|_| number()).collect();
        for length in [0.0, 1e-9, 1e-8, 3e-8, 1e-7, 3e-7, 1e-6] {
            let values = (0..600 * WIDTH).map(|i| {
                let (row, coordinate) = (i / WIDTH, i % WIDTH);
                match row % 20 {
                    0 if coordinate < WIDTH / 2 => length * number(),
                    0 => 0.0,
                    _ => topics[row % 50 * WIDTH + coordinate] + 0.1 * number(),
                }
            });
            let points = Features::new(values.collect(), WIDTH).unwrap();
            for seed in 0..20 {
                let buckets = KMeans {
                    buckets: 40,
                    starts: 1,
                    rounds: 100,
                    seed,
                };
                assert!(buckets.run(&points).of.iter().all(|of| *of < 40));
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
