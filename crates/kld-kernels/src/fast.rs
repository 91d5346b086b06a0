//! The fast path: two rows in one logical pass.
//!
//! ```text
//! for each block of both rows:                        first pass, from memory
//!     m  = max so far (sums are rescaled when it grows)
//!     S += Σ e^(x−m),  A += Σ (x−m)·e^(x−m)           → log-sum-exp = m + ln S, entropy = ln S − A/S
//!     top-k, rank of the observed token
//! c = lse_q − lse_p
//! for each block of both rows:                        second pass, from cache
//!     t = (y − x) − c
//!     KL += e^(x−m_p)·φ(t), …                          → divided by S_p
//! ```
//!
//! How the code differs: with a temperature T, x stands for x/T; blocks of half precision are widened to a buffer first;
//! and a row whose sums are not finite (a fault, or logits beyond what f32 lanes can hold) gives `None`, upon which the
//! caller turns to [`crate::scalar`] for the fault or the number.

use crate::lanes::{Lanes, PairSums, Shifts};
use crate::logit::Logit;
use crate::row::{Observed, ObservedSingle, PairOptions, RowPair, RowSingle};
use crate::top::Top;

/// How many entries of a row are handled at a time: few enough for the L1 cache.
const BLOCK: usize = 2048;

/// How many entries are looked through at a time for candidates of the top k.
const PEEK: usize = 64;

/// See [`crate::Kernel::pair`].
pub(crate) fn pair<L: Logit, M: Logit>(
    lanes: &'static Lanes,
    p: &[L],
    q: &[M],
    options: &PairOptions,
) -> Option<RowPair> {
    let scale = 1.0 / options.temperature;
    let k = options.top_k.max(1);
    let mut scan_p = Scan::new(
        lanes,
        scale,
        k,
        options
            .observed
            .map(|token| (token, p[token as usize].widen())),
    );
    let mut scan_q = Scan::new(
        lanes,
        scale,
        k,
        options
            .observed
            .map(|token| (token, q[token as usize].widen())),
    );
    let (mut buffer_p, mut buffer_q) = ([0.0; BLOCK], [0.0; BLOCK]);
    for (p, q) in p.chunks(BLOCK).zip(q.chunks(BLOCK)) {
        scan_p.block(L::widen_row(p, &mut buffer_p));
        scan_q.block(M::widen_row(q, &mut buffer_q));
    }
    let (ends_p, ends_q) = (scan_p.finish()?, scan_q.finish()?);
    let shifts = shifts(
        scale,
        &scan_p,
        &scan_q,
        ends_q.log_sum_exp - ends_p.log_sum_exp,
    );
    let mut sums = PairSums::default();
    for (p, q) in p.chunks(BLOCK).zip(q.chunks(BLOCK)) {
        let (p, q) = (
            L::widen_row(p, &mut buffer_p),
            M::widen_row(q, &mut buffer_q),
        );
        lanes.pair_sums(p, q, &shifts, &mut sums);
    }
    let sums = sums.normalized(scan_p.sum)?;
    let overlap = if options.top_k == 0 {
        0
    } else {
        scan_p.top.overlap(&scan_q.top)
    };
    Some(RowPair {
        kl: sums.kl,
        reverse_kl: sums.reverse_kl,
        js: sums.js,
        entropy_p: ends_p.entropy,
        entropy_q: ends_q.entropy,
        log_sum_exp_p: ends_p.log_sum_exp,
        log_sum_exp_q: ends_q.log_sum_exp,
        top1_p: ends_p.top1,
        top1_q: ends_q.top1,
        top1_prob_p: ends_p.top1_prob,
        top1_prob_q: ends_q.top1_prob,
        topk_overlap: overlap,
        observed: ends_p.observed.zip(ends_q.observed).map(|(p, q)| Observed {
            nll_p: p.nll,
            nll_q: q.nll,
            rank_p: p.rank,
            rank_q: q.rank,
        }),
    })
}

/// See [`crate::Kernel::single`].
pub(crate) fn single<L: Logit>(
    lanes: &'static Lanes,
    row: &[L],
    observed: Option<u32>,
) -> Option<RowSingle> {
    let observed = observed.map(|token| (token, row[token as usize].widen()));
    let mut scan = Scan::new(lanes, 1.0, 1, observed);
    let mut buffer = [0.0; BLOCK];
    for block in row.chunks(BLOCK) {
        scan.block(L::widen_row(block, &mut buffer));
    }
    scan.finish()
}

/// See [`crate::Kernel::add_probs`].
pub(crate) fn add_probs<L: Logit>(
    lanes: &'static Lanes,
    row: &[L],
    log_sum_exp: f64,
    acc: &mut [f64],
) {
    let (high, low) = split(log_sum_exp);
    let mut buffer = [0.0; BLOCK];
    for (block, acc) in row.chunks(BLOCK).zip(acc.chunks_mut(BLOCK)) {
        lanes.add_exp(L::widen_row(block, &mut buffer), high, low, acc);
    }
}

/// The first pass over one row, block by block.
struct Scan {
    lanes: &'static Lanes,
    scale: f32,
    /// Entries seen so far.
    seen: usize,
    /// The largest entry so far.
    max: f32,
    /// `scale·max`: what is subtracted before the exponential.
    shift: f32,
    /// S = Σ eᵃ, a = scale·x − shift; NaN once a fault was seen.
    sum: f64,
    /// A = Σ a·eᵃ.
    weighted: f64,
    top: Top,
    /// The observed token and its logit.
    observed: Option<(u32, f32)>,
    /// How many entries come before the observed token.
    ahead: usize,
}

impl Scan {
    fn new(lanes: &'static Lanes, scale: f32, top_k: usize, observed: Option<(u32, f32)>) -> Scan {
        Scan {
            lanes,
            scale,
            seen: 0,
            max: f32::NEG_INFINITY,
            shift: 0.0,
            sum: 0.0,
            weighted: 0.0,
            top: Top::new(top_k),
            observed,
            ahead: 0,
        }
    }

    /// Takes the next block in.
    fn block(&mut self, block: &[f32]) {
        let max = self.lanes.max(block);
        if max > self.max {
            self.raise(max);
        }
        if self.max > f32::NEG_INFINITY {
            let [sum, weighted] = self.lanes.exp_sums(block, self.scale, self.shift);
            self.sum += sum;
            self.weighted += weighted;
        } else if block.iter().fold(0.0, |sum, x| sum + x).is_nan() {
            self.sum = f64::NAN;
        }
        if max > self.top.bar() {
            self.offer(block);
        }
        self.count(block, max);
        self.seen += block.len();
    }

    /// Makes `max` the largest entry and brings the sums to the new shift.
    fn raise(&mut self, max: f32) {
        let shift = self.scale * max;
        if self.sum > 0.0 {
            let lower = f64::from(self.shift) - f64::from(shift);
            let factor = lower.exp();
            self.weighted = factor * (self.weighted + lower * self.sum);
            self.sum *= factor;
        }
        (self.max, self.shift) = (max, shift);
    }

    /// Offers a block to the top k.
    fn offer(&mut self, block: &[f32]) {
        for (peek, entries) in block.chunks(PEEK).enumerate() {
            if self.lanes.count_above(entries, self.top.bar()) > 0 {
                let start = self.seen + peek * PEEK;
                for (entry, &x) in (start..).zip(entries) {
                    self.top.offer(entry as u32, x);
                }
            }
        }
    }

    /// Counts the entries of a block that come before the observed token.
    fn count(&mut self, block: &[f32], max: f32) {
        let Some((token, own)) = self.observed else {
            return;
        };
        if max < own {
            return;
        }
        let split = (token as usize).saturating_sub(self.seen).min(block.len());
        let (before, after) = block.split_at(split);
        // In front of the token equals count too: what is not below `own` is above the next lower float.
        self.ahead +=
            self.lanes.count_above(before, own.next_down()) + self.lanes.count_above(after, own);
    }

    /// What the pass gives of its row; none if a sum is not finite.
    fn finish(&self) -> Option<RowSingle> {
        if !(self.sum.is_finite() && self.weighted.is_finite() && self.sum > 0.0) {
            return None;
        }
        let ln_sum = self.sum.ln();
        let log_sum_exp = f64::from(self.shift) + ln_sum;
        let ln = |x: f32| f64::from(self.scale) * f64::from(x) - log_sum_exp;
        Some(RowSingle {
            log_sum_exp,
            entropy: ln_sum - self.weighted / self.sum,
            top1: self.top.first()?,
            top1_prob: ln(self.max).exp(),
            observed: self.observed.map(|(_, own)| ObservedSingle {
                nll: -ln(own),
                rank: 1 + self.ahead as u32,
            }),
        })
    }
}

impl PairSums {
    /// The divergences: divided by Σ eᵃ of the reference, infinite where a zero met a probability. None if f32 overflowed.
    fn normalized(self, sum: f64) -> Option<PairSums> {
        if !(self.kl.is_finite() && self.reverse_kl.is_finite() && self.js.is_finite()) {
            return None;
        }
        let or_infinite = |infinite, value: f64| if infinite { f64::INFINITY } else { value / sum };
        Some(PairSums {
            kl: or_infinite(self.infinite, self.kl),
            reverse_kl: or_infinite(self.reverse_infinite, self.reverse_kl),
            js: (self.js / sum).min(std::f64::consts::LN_2),
            ..self
        })
    }
}

/// What the second pass needs of the first.
fn shifts(scale: f32, p: &Scan, q: &Scan, offset: f64) -> Shifts {
    let (offset_high, offset_low) = split(offset / f64::from(scale));
    let ratio = (p.sum / q.sum) as f32;
    Shifts {
        scale,
        shift_p: p.shift,
        shift_q: q.shift,
        ratio,
        offset_high,
        offset_low,
    }
}

/// `x` as the sum of two floats.
fn split(x: f64) -> (f32, f32) {
    let high = x as f32;
    (high, (x - f64::from(high)) as f32)
}
