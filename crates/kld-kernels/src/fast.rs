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

use crate::lanes::{Lanes, PairSums, Scale, Shifts};
use crate::logit::Logit;
use crate::row::{Observed, ObservedSingle, PairOptions, RowPair, RowSingle};
use crate::top::Top;

/// How many entries of a row are handled at a time: few enough for the L1 cache.
const BLOCK: usize = 2048;

/// How far two rows may be shifted against each other for their differences to count as exact: f32 then loses no more
/// than 2⁻³¹, which is 1e-6 of the typical difference where KL is 1e-7.
const ONE_SIZE: f32 = 1.0 / 64.0;

/// See [`crate::Kernel::pair`].
pub(crate) fn pair<L: Logit, M: Logit>(
    lanes: &'static Lanes,
    p: &[L],
    q: &[M],
    options: &PairOptions,
) -> Option<RowPair> {
    let mut scan_p = Scan::new(
        lanes,
        options,
        options
            .observed
            .map(|token| (token, p[token as usize].widen())),
    );
    let mut scan_q = Scan::new(
        lanes,
        options,
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
    let shifts = shifts(&scan_p, &scan_q, ends_q.log_sum_exp - ends_p.log_sum_exp);
    let mut sums = PairSums::default();
    for (p, q) in p.chunks(BLOCK).zip(q.chunks(BLOCK)) {
        let (p, q) = (
            L::widen_row(p, &mut buffer_p),
            M::widen_row(q, &mut buffer_q),
        );
        sums += lanes.pair_sums(p, q, &shifts);
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
    let options = PairOptions {
        top_k: 1,
        ..PairOptions::default()
    };
    let mut scan = Scan::new(
        lanes,
        &options,
        observed.map(|token| (token, row[token as usize].widen())),
    );
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
    temperature: f32,
    /// Entries seen so far.
    seen: usize,
    /// The largest entry so far, and the exponential that goes with it.
    scale: Scale,
    /// S = Σ w, w = e^((x − max)/temperature); NaN once a fault was seen.
    sum: f64,
    /// A = Σ (x − max)·w.
    weighted: f64,
    top: Top,
    /// The observed token and its logit.
    observed: Option<(u32, f32)>,
    /// How many entries come before the observed token.
    ahead: usize,
}

impl Scan {
    fn new(lanes: &'static Lanes, options: &PairOptions, observed: Option<(u32, f32)>) -> Scan {
        Scan {
            lanes,
            temperature: options.temperature,
            seen: 0,
            scale: Scale::new(f32::NEG_INFINITY, options.temperature),
            sum: 0.0,
            weighted: 0.0,
            top: Top::new(options.top_k.max(1)),
            observed,
            ahead: 0,
        }
    }

    /// Takes the next block in.
    fn block(&mut self, block: &[f32]) {
        let max = self.add(block);
        if max > self.top.bar() {
            self.offer(block);
        }
        self.count(block, max);
        self.seen += block.len();
    }

    /// Adds a block to the sums and gives its largest entry.
    fn add(&mut self, block: &[f32]) -> f32 {
        if self.scale.max == f32::NEG_INFINITY {
            let max = self.lanes.max(block);
            if max == f32::NEG_INFINITY {
                let fault = block.iter().any(|x| x.is_nan());
                self.sum = if fault { f64::NAN } else { self.sum };
                return max;
            }
            self.scale = Scale::new(max, self.temperature);
        }
        let mut sums = self.lanes.exp_sums(block, &self.scale);
        if sums.max - self.scale.max > self.scale.room() {
            self.raise(sums.max);
            sums = self.lanes.exp_sums(block, &self.scale);
        }
        self.sum += sums.sum;
        self.weighted += sums.weighted;
        sums.max
    }

    /// Brings the sums to a scale on which `max` has the exponential 1.
    fn raise(&mut self, max: f32) {
        if self.sum > 0.0 {
            let lower = f64::from(self.scale.max) - f64::from(max);
            let factor = (lower / f64::from(self.temperature)).exp();
            self.weighted = factor * (self.weighted + lower * self.sum);
            self.sum *= factor;
        }
        self.scale = Scale::new(max, self.temperature);
    }

    /// Offers a block to the top k.
    fn offer(&mut self, block: &[f32]) {
        let mut start = 0;
        while let Some(found) = self.lanes.find_above(&block[start..], self.top.bar()) {
            let entry = start + found;
            self.top.offer((self.seen + entry) as u32, block[entry]);
            start = entry + 1;
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
        let temperature = f64::from(self.temperature);
        // The lanes work with `per`, which is log₂e/temperature rounded to f32; this takes its error out of ln S.
        let slip = 1.0 / temperature - f64::from(self.scale.per) * std::f64::consts::LN_2;
        let ln_sum = self.sum.ln() + slip * self.weighted / self.sum;
        let ln = |x: f32| (f64::from(x) - f64::from(self.scale.max)) / temperature - ln_sum;
        let (top1, max) = self.top.first()?;
        Some(RowSingle {
            log_sum_exp: f64::from(self.scale.max) / temperature + ln_sum,
            entropy: ln_sum - self.weighted / self.sum / temperature,
            top1,
            top1_prob: ln(max).exp(),
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

/// What the second pass needs of the first, given the difference of the log-sum-exps.
fn shifts(p: &Scan, q: &Scan, offset: f64) -> Shifts {
    let (offset_high, offset_low) = split(offset * f64::from(p.temperature));
    let half = 0.5 / p.temperature;
    Shifts {
        p: p.scale,
        q: q.scale,
        ratio: (p.sum / q.sum) as f32,
        half,
        offset_high,
        offset_low: offset_low * half,
        one_size: offset_high.abs() < ONE_SIZE,
    }
}

/// `x` as the sum of two floats.
fn split(x: f64) -> (f32, f32) {
    let high = x as f32;
    (high, (x - f64::from(high)) as f32)
}
