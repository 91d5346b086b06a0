//! The fast path: two rows in one logical pass.
//!
//! ```text
//! for each block of both rows:                        from memory
//!     if the rows nearly agree: moments of y − x      (see `near`)
//!     otherwise, with m = max so far:
//!         S += Σ e^(x−m),  A += Σ (x−m)·e^(x−m)
//!     top-k, rank of the observed token
//! log-sum-exp = m + ln S, entropy = ln S − A/S        of all blocks
//! c = lse_q − lse_p
//! KL = that of the moments, moved to c
//! for each other block:                               second pass, from cache
//!     t = (y − x) − c
//!     KL += e^(x−m_p)·φ(t), …                          → divided by S_p
//! ```
//!
//! Where the moments are not good enough, all blocks go through the second pass.
//!
//! How the code differs: with a temperature T, x stands for x/T; blocks of half precision are widened to a buffer first;
//! and a row whose sums are not finite (a fault, or logits beyond what f32 lanes can hold) gives `None`, upon which the
//! caller turns to [`crate::scalar`] for the fault or the number.

use crate::divergence::{Divergence, GradientOptions};
use crate::lanes::{Lanes, PairSums, Pull, Scale, Shifts, WIDTH};
use crate::logit::Logit;
use crate::near::Near;
use crate::row::{Likely, NAMED, Observed, ObservedSingle, PairOptions, RowPair, RowSingle};
use crate::top::Top;

/// How many entries of a row are handled at a time: few enough for the L1 cache.
const BLOCK: usize = 1024;

/// The least divergence, per square of the offset c, for which y − x need not be computed exactly.
///
/// The difference is off by at most 2⁻²⁵·|c|, where it is not exact at all, and t by as much. With KL ≈ ½·t² the relative
/// error of KL is then at most 2·2⁻²⁵·|c|/t, which is below 1e-6 from KL = 2e-3·c² on.
const ONE_SIZE: f64 = 2e-3;

/// See [`crate::Kernel::pair`].
pub(crate) fn pair<L: Logit, M: Logit>(
    lanes: &'static Lanes,
    p: &[L],
    q: &[M],
    options: &PairOptions,
) -> Option<RowPair> {
    let own_p = options
        .observed
        .map(|token| (token, p[token as usize].widen()));
    let own_q = options
        .observed
        .map(|token| (token, q[token as usize].widen()));
    let mut scan_p = Scan::new(lanes, options, own_p);
    let mut scan_q = Scan::new(lanes, options, own_q);
    let mut near = Near::new(lanes, options.temperature);
    let mut far = Vec::new();
    let (mut buffer_p, mut buffer_q) = ([0.0; BLOCK], [0.0; BLOCK]);
    for (p, q) in p.chunks(BLOCK).zip(q.chunks(BLOCK)) {
        let wide_p = L::widen_row(p, &mut buffer_p);
        let wide_q = M::widen_row(q, &mut buffer_q);
        if let Some([max_p, max_q]) = near.block(wide_p, wide_q) {
            scan_p.order(wide_p, max_p);
            scan_q.order(wide_q, max_q);
        } else {
            scan_p.block(wide_p);
            scan_q.block(wide_q);
            far.push((p, q));
        }
    }
    near.join(&mut scan_p, &mut scan_q);
    let (ends_p, ends_q) = (scan_p.finish()?, scan_q.finish()?);
    let offset = ends_q.log_sum_exp - ends_p.log_sum_exp;
    let mut shifts = shifts(&scan_p, &scan_q, offset, offset.abs() < 1.0);
    let all = || p.chunks(BLOCK).zip(q.chunks(BLOCK));
    let (sums, least) = match near.sums(offset, ends_p.log_sum_exp, scan_p.sum) {
        Some(near) => (near.sums + second_pass(lanes, far, &shifts), near.least),
        None => (second_pass(lanes, all(), &shifts), 0.0),
    };
    let mut sums = sums.normalized(scan_p.sum)?;
    let least = least.max(ONE_SIZE * offset * offset);
    if sums.kl < least || sums.reverse_kl < least || 4.0 * sums.js < least {
        shifts.one_size = false;
        sums = second_pass(lanes, all(), &shifts).normalized(scan_p.sum)?;
    }
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
        likely_p: scan_p.likely(options.top_k, ends_p.log_sum_exp),
        likely_q: scan_q.likely(options.top_k, ends_q.log_sum_exp),
        observed: ends_p.observed.zip(ends_q.observed).map(|(p, q)| Observed {
            nll_p: p.nll,
            nll_q: q.nll,
            rank_p: p.rank,
            rank_q: q.rank,
        }),
    })
}

/// The terms of the divergences over some blocks, with both log-sum-exps known.
fn second_pass<'a, L: Logit, M: Logit>(
    lanes: &'static Lanes,
    blocks: impl IntoIterator<Item = (&'a [L], &'a [M])>,
    shifts: &Shifts,
) -> PairSums {
    let (mut buffer_p, mut buffer_q) = ([0.0; BLOCK], [0.0; BLOCK]);
    let mut sums = PairSums::default();
    for (p, q) in blocks {
        let p = L::widen_row(p, &mut buffer_p);
        let q = M::widen_row(q, &mut buffer_q);
        sums += lanes.pair_sums(p, q, shifts);
    }
    sums
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

/// See [`crate::Kernel::value_and_gradient`]; none where the scalar definition must be asked: for other divergences, and where one
/// row is zero where the other is not.
pub(crate) fn value_and_gradient<L: Logit, M: Logit>(
    lanes: &'static Lanes,
    d: Divergence,
    p: &[L],
    q: &[M],
    options: GradientOptions,
    grad_q: &mut [f32],
) -> Option<f64> {
    let (difference, log_ratio) = match d {
        Divergence::Kl => (1.0, 0.0),
        Divergence::ReverseKl => (0.0, 1.0),
        Divergence::Jeffreys => (1.0, 1.0),
        _ => return None,
    };
    let temperature = options.temperature;
    let row = PairOptions {
        temperature,
        ..PairOptions::default()
    };
    let pair = pair(lanes, p, q, &row)?;
    if !(pair.kl.is_finite() && pair.reverse_kl.is_finite()) {
        return None;
    }
    let scale = |log_sum_exp: f64| {
        let (high, low) = split(log_sum_exp * f64::from(temperature));
        (Scale::new(high, temperature), (-low / temperature).exp())
    };
    let (scale_p, rest_p) = scale(pair.log_sum_exp_p);
    let (scale_q, rest_q) = scale(pair.log_sum_exp_q);
    let offset = (pair.log_sum_exp_q - pair.log_sum_exp_p) * f64::from(temperature);
    let (offset_high, offset_low) = split(offset);
    let (half, outer) = (0.5 / temperature, options.scale / temperature);
    let pull = Pull {
        shifts: Shifts {
            p: scale_p,
            q: scale_q,
            ratio: 1.0,
            half,
            offset_high,
            offset_low: offset_low * half,
            one_size: false,
        },
        rest: [rest_p, rest_q],
        difference: outer * difference,
        log_ratio: outer * log_ratio,
        mean: pair.reverse_kl as f32,
    };
    let (mut buffer_p, mut buffer_q) = ([0.0; BLOCK], [0.0; BLOCK]);
    let blocks = p.chunks(BLOCK).zip(q.chunks(BLOCK));
    for ((p, q), out) in blocks.zip(grad_q.chunks_mut(BLOCK)) {
        let p = L::widen_row(p, &mut buffer_p);
        let q = M::widen_row(q, &mut buffer_q);
        lanes.pull(p, q, &pull, out);
    }
    Some(match d {
        Divergence::Kl => pair.kl,
        Divergence::ReverseKl => pair.reverse_kl,
        _ => pair.kl + pair.reverse_kl,
    })
}

/// See [`crate::Kernel::add_softmax`].
pub(crate) fn add_softmax(
    lanes: &'static Lanes,
    row: &[f32],
    log_sum_exp: f64,
    by: f32,
    out: &mut [f32],
) {
    let (high, low) = split(log_sum_exp);
    lanes.add_softmax(row, high, low, by, out);
}

/// One row, block by block: its log-sum-exp and entropy, and what its order tells.
pub(crate) struct Scan {
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
        self.order(block, max);
    }

    /// Takes in what the order of the next block's entries tells, given the largest.
    fn order(&mut self, block: &[f32], max: f32) {
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
        if !self.scale.is_close(sums.max) {
            self.raise(sums.max);
            sums = self.lanes.exp_sums(block, &self.scale);
        }
        self.sum += sums.sum;
        self.weighted += sums.weighted;
        sums.max
    }

    /// Adds sums that others made, on the scale on which `max` has the exponential 1.
    pub(crate) fn join(&mut self, max: f32, sum: f64, weighted: f64) {
        if max > self.scale.max {
            self.raise(max);
        }
        let lower = f64::from(max) - f64::from(self.scale.max);
        let factor = (lower / f64::from(self.temperature)).exp();
        self.weighted += factor * (weighted + lower * sum);
        self.sum += factor * sum;
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
        let least = if self.seen == 0 {
            self.least(block)
        } else {
            f32::NEG_INFINITY
        };
        let mut start = 0;
        while let Some(found) = self
            .lanes
            .find_above(&block[start..], self.top.bar().max(least))
        {
            let entry = start + found;
            self.top.offer((self.seen + entry) as u32, block[entry]);
            start = entry + 1;
        }
    }

    /// A bar that as many entries of a block exceed as are wanted, so that not each of the first few is taken in.
    fn least(&self, block: &[f32]) -> f32 {
        let mut top = Top::new(self.top.k());
        for (group, entries) in block.chunks(WIDTH).enumerate() {
            top.offer(group as u32, self.lanes.max(entries));
        }
        top.bar().next_down()
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

    /// The first of the `top_k` most likely entries (a scan keeps one more than none).
    fn likely(&self, top_k: usize, log_sum_exp: f64) -> [Likely; NAMED] {
        if top_k == 0 {
            return Default::default();
        }
        let temperature = f64::from(self.temperature);
        self.top
            .likely(|x| (f64::from(x) / temperature - log_sum_exp).exp())
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
fn shifts(p: &Scan, q: &Scan, offset: f64, one_size: bool) -> Shifts {
    let (offset_high, offset_low) = split(offset * f64::from(p.temperature));
    let half = 0.5 / p.temperature;
    Shifts {
        p: p.scale,
        q: q.scale,
        ratio: (p.sum / q.sum) as f32,
        half,
        offset_high,
        offset_low: offset_low * half,
        one_size,
    }
}

/// `x` as the sum of two floats.
fn split(x: f64) -> (f32, f32) {
    let high = x as f32;
    (high, (x - f64::from(high)) as f32)
}
