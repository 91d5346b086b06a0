//! The blocks in which both rows nearly agree: read once, and kept as [`Moments`].
//!
//! ```text
//! o = y − x of a likely entry                         the guess of c = lse_q − lse_p
//! for each block with |u| ≤ 1, u = ((y − x) − o)/2:
//!     B = its moments
//!     if the mean of u over all so far is large:
//!         o = o + 2·mean; move what was summed; B again
//!     M += B
//! move M to the true c
//! ```
//!
//! How the code differs: o is kept times the temperature, and the maxima that the exponentials are taken from rise like o.

use crate::fast::Scan;
use crate::lanes::{Centre, Lanes, PairSums};
use crate::moments::Moments;

/// How many entries the first guess is chosen from.
const GUESS: usize = 32;

/// How much of a block is tried first, where the whole is likely to be in vain.
const PEEK: usize = 128;

/// The largest first guess, in nats. The log-sum-exps inherit the rounding of y − x, which is 1e-7 here; those of rows farther
/// apart are taken of each row by itself.
const SMALL: f32 = 4.0;

/// The share of M₂ that may be due to a poor guess, before a better one is taken.
const POOR: f64 = 0.25;

/// The moments of a row pair, block by block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    lanes: &'static Lanes,
    temperature: f32,
    /// What the moments are counted from; none before the first block.
    centre: Option<Centre>,
    moments: Moments,
    /// M₂ as it was summed, before the centre moved: rounding errors are in proportion to it.
    spent: f64,
    /// What no |u| exceeds.
    reach: f64,
    /// Whether the last block was refused: then the next one likely will be.
    far: bool,
}

/// What the moments say of the divergences.
#[derive(Debug, Default)]
pub(crate) struct NearSums {
    /// The terms, on the scale of the reference's sum.
    pub(crate) sums: PairSums,
    /// The least divergence for which rounding does not count.
    pub(crate) least: f64,
}

impl Near {
    pub(crate) fn new(lanes: &'static Lanes, temperature: f32) -> Near {
        Near {
            lanes,
            temperature,
            centre: None,
            moments: Moments::default(),
            spent: 0.0,
            reach: 0.0,
            far: false,
        }
    }

    /// Takes the next block in and gives its largest entries; none, if the rows differ too much there.
    pub(crate) fn block(&mut self, p: &[f32], q: &[f32]) -> Option<[f32; 2]> {
        let Some((next, max)) = self.with(p, q) else {
            self.far = true;
            return None;
        };
        *self = next;
        Some(max)
    }

    /// With the next block taken in, and its largest entries.
    fn with(&self, p: &[f32], q: &[f32]) -> Option<(Near, [f32; 2])> {
        let mut centre = match self.centre {
            Some(centre) => centre,
            None => self.guess(p, q)?,
        };
        if self.far {
            let peek = p.len().min(PEEK);
            self.lanes.moments(&p[..peek], &q[..peek], &centre)?;
        }
        let mut next = *self;
        let mut block = self.lanes.moments(p, q, &centre)?;
        if !centre.is_close(block.max) {
            next.lower(centre.raise(block.max), centre.half);
            block = self.lanes.moments(p, q, &centre)?;
        }
        let mut all = next.moments;
        all += block.moments;
        let [weight, mean, square, ..] = all.orders;
        if mean * mean > POOR * weight * square {
            next.shift(centre.shift(mean / weight));
            block = self.lanes.moments(p, q, &centre)?;
        }
        next.centre = Some(centre);
        next.moments += block.moments;
        next.spent += block.moments.orders[2];
        next.reach = next.reach.max(block.reach);
        next.far = false;
        Some((next, block.max))
    }

    /// A centre for a row pair that begins with this block, if a likely entry gives one.
    fn guess(&self, p: &[f32], q: &[f32]) -> Option<Centre> {
        let pairs = p.iter().zip(q).take(GUESS);
        let likely = pairs.max_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1)));
        let offset = likely.map(|(x, y)| y - x)?;
        let max = [self.lanes.max(p), self.lanes.max(q)];
        let small = (offset / self.temperature).abs() <= SMALL;
        small.then(|| Centre::new(max, offset, self.temperature))
    }

    /// Follows a rise of the centre's maxima by `risen` in all.
    fn lower(&mut self, risen: f64, half: f32) {
        let factor = (-risen * f64::from(half)).exp();
        self.moments = self.moments.lowered(risen, factor);
        self.spent *= factor;
    }

    /// Follows a move of the centre by h.
    fn shift(&mut self, h: f64) {
        if self.centre.is_some() {
            self.moments = self.moments.moved(h);
            self.reach += h.abs();
        }
    }

    /// Gives both rows' scans the sums of these blocks.
    ///
    /// With g = (max of Q − max of P) − offset and b = (x − max of P) + (y − max of Q): x − max of P = b/2 − (u/half − g)/2,
    /// and y − max of Q = b/2 + (u/half − g)/2.
    pub(crate) fn join(&self, p: &mut Scan, q: &mut Scan) {
        let Some(centre) = self.centre else { return };
        let half = f64::from(centre.half);
        let g = centre.gap();
        for (scan, side, sign) in [(p, 0, -1.0), (q, 1, 1.0)] {
            let sum = self.moments.exp(sign);
            let u = self.moments.u_exp(sign);
            let weighted = 0.5 * (self.moments.ln_exp(sign) + sign * (u / half - g * sum));
            let factor = (-sign * g * half).exp();
            scan.join(centre.max[side], factor * sum, factor * weighted);
        }
    }

    /// The terms of the divergences, given c, and the log-sum-exp and sum of the reference. None if some u is too large.
    pub(crate) fn sums(&self, c: f64, log_sum_exp: f64, sum: f64) -> Option<NearSums> {
        let Some(centre) = self.centre else {
            return Some(NearSums::default());
        };
        let half = f64::from(centre.half);
        let h = 0.5 * c - f64::from(centre.offset) * half;
        let moments = self.moments.moved(h);
        if !moments.converge(self.reach + h.abs()) {
            return None;
        }
        let ln_prob = (2.0 * f64::from(centre.max[0]) + centre.gap()) * half - h - log_sum_exp;
        let prob = ln_prob.exp();
        let scaled = |terms: f64| terms.max(0.0) * prob * sum;
        Some(NearSums {
            sums: PairSums {
                kl: scaled(moments.kl(1.0)),
                reverse_kl: scaled(moments.kl(-1.0)),
                js: scaled(moments.js()),
                ..PairSums::default()
            },
            // The term of KL begins with 2u²: a quarter of what was summed is to be left.
            least: 0.5 * prob * self.spent,
        })
    }
}
