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
//! 1. Distances are products, |x−c|² = |x|² − 2x·c + |c|², of blocks of points with all centres.
//! 2. A centre that was not moved cannot attract a point which it did not attract before. So a point whose own centre has not
//!    gone away from it looks at moved centres only; most centres come to rest after a few rounds.
//! 3. A bucket that lost all its points gets the point that is farthest from its centre.
//!
//! Starts are drawn as in the reference implementation of MAUVE: k-means++ gives tighter buckets, but more that hold a
//! single odd document, and with them other scores. Points are dealt to threads in fixed blocks and every mean is summed in
//! the order of the points, so no bit depends on the number of threads.

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::index};
use rayon::prelude::*;

use super::{
    features::Features,
    pca::TASK,
    product::{Groups, TALL, multiply, wide},
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
        let mut best: Option<Buckets> = None;
        for _ in 0..self.starts {
            let drawn = index::sample(&mut random, points.count(), self.buckets);
            let found = Lloyd::from_points(points, drawn.into_iter()).run(self.rounds);
            if best.as_ref().is_none_or(|best| found.spread < best.spread) {
                best = Some(found);
            }
        }
        best.unwrap_or_else(|| unreachable!("there is at least one start"))
    }
}

/// One start under way.
struct Lloyd<'a> {
    points: &'a Features,
    centres: Vec<f32>,
    /// Centres that the last round has moved.
    moved: Vec<bool>,
    nearest: Vec<Nearest>,
}

/// The nearest centre of a point, and |c|² − 2x·c for it: the squared distance but for |x|².
#[derive(Clone, Copy)]
struct Nearest {
    centre: u32,
    excess: f32,
}

impl Nearest {
    const NONE: Self = Self {
        centre: u32::MAX,
        excess: f32::INFINITY,
    };

    /// The nearer of both; of two equally near ones that with the lower number.
    fn or(self, other: Self) -> Self {
        if (other.excess, other.centre) < (self.excess, self.centre) {
            other
        } else {
            self
        }
    }
}

impl<'a> Lloyd<'a> {
    fn from_points(points: &'a Features, drawn: impl Iterator<Item = usize>) -> Self {
        let centres: Vec<f32> = drawn.flat_map(|i| points.row(i)).copied().collect();
        Self {
            points,
            moved: vec![true; centres.len() / points.width()],
            centres,
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
            spread: self.spread(),
            of: self.nearest.iter().map(|n| n.centre).collect(),
            rounds: done,
        }
    }

    /// Gives every point to its nearest centre.
    fn assign(&mut self) {
        let all: Vec<usize> = (0..self.moved.len()).collect();
        let moved: Vec<usize> = all.iter().copied().filter(|&c| self.moved[c]).collect();
        if moved.is_empty() {
            return;
        }
        let (all, moved) = (Candidates::new(self, all), Candidates::new(self, moved));
        let mut nearest = std::mem::take(&mut self.nearest);
        nearest
            .par_chunks_mut(TASK)
            .enumerate()
            .for_each(|(task, nearest)| {
                self.assign_some(task * TASK, nearest, &all, &moved);
            });
        self.nearest = nearest;
    }

    /// The same for the points from number `first` on.
    fn assign_some(
        &self,
        first: usize,
        nearest: &mut [Nearest],
        all: &Candidates,
        moved: &Candidates,
    ) {
        let before = nearest.to_vec();
        for nearest in nearest.iter_mut() {
            if self.moved.get(nearest.centre as usize) != Some(&false) {
                *nearest = Nearest::NONE;
            }
        }
        let everyone: Vec<usize> = (0..nearest.len()).collect();
        moved.attract(self.points, first, &everyone, nearest);
        // Those that a centre at rest may have now: their own went away, and no other moved one came as near as it was.
        let went_away = |&i: &usize| {
            self.moved.get(before[i].centre as usize) == Some(&true)
                && nearest[i].excess >= before[i].excess
        };
        let left: Vec<usize> = everyone.into_iter().filter(went_away).collect();
        all.attract(self.points, first, &left, nearest);
    }

    /// Moves every centre to the mean of its points, and those without a point to where they are missed most.
    fn update(&mut self) {
        let members = self.members();
        let width = self.points.width();
        let moves: Vec<bool> = self
            .centres
            .par_chunks_mut(width)
            .zip(&members)
            .map(|(centre, members)| {
                !members.is_empty() && set_to_mean(centre, self.points, members)
            })
            .collect();
        self.moved = moves;
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
        let distances: Vec<f64> = (0..self.nearest.len()).map(|i| self.distance(i)).collect();
        let mut order: Vec<usize> = (0..distances.len())
            .filter(|&i| distances[i] > 0.0)
            .collect();
        order.sort_by(|a, b| distances[*b].total_cmp(&distances[*a]).then(a.cmp(b)));
        order.truncate(count);
        order
    }

    fn spread(&self) -> f64 {
        (0..self.nearest.len()).map(|i| self.distance(i)).sum()
    }

    /// Squared distance between a point and its centre.
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
    squares: Vec<f32>,
}

impl Candidates {
    fn new(lloyd: &Lloyd<'_>, numbers: Vec<usize>) -> Self {
        let width = lloyd.points.width();
        let row = |i: usize| &lloyd.centres[numbers[i] * width..][..width];
        let square = |i| row(i).iter().map(|c| f64::from(*c).powi(2)).sum::<f64>() as f32;
        Self {
            panels: Groups::of_rows(wide(), width, numbers.len(), row),
            squares: (0..numbers.len()).map(square).collect(),
            numbers,
        }
    }

    /// Gives the points `first` + `which` to the nearest of these centres where it is nearer than what they have.
    fn attract(&self, points: &Features, first: usize, which: &[usize], nearest: &mut [Nearest]) {
        if which.is_empty() {
            return;
        }
        let row = |i: usize| points.row(first + which[i]);
        let tiles = Groups::of_rows(TALL, points.width(), which.len(), row);
        let mut excess = vec![0.0; wide()];
        multiply(
            &tiles,
            &self.panels,
            self.numbers.len(),
            |row, column, products| {
                let excess = &mut excess[..products.len()];
                let mut least = f32::INFINITY;
                for ((excess, product), square) in
                    excess.iter_mut().zip(products).zip(&self.squares[column..])
                {
                    *excess = square - 2.0 * product;
                    least = least.min(*excess);
                }
                let nearest = &mut nearest[which[row]];
                if least <= nearest.excess
                    && let Some(offset) = excess.iter().position(|e| *e == least)
                {
                    *nearest = nearest.or(Nearest {
                        centre: self.numbers[column + offset] as u32,
                        excess: least,
                    });
                }
            },
        );
    }
}
