//! The loops of the fast path, written once and compiled per instruction set.
//!
//! [`loops`] holds plain Rust over arrays of [`WIDTH`] floats, which the compiler turns into vectors of whatever width the
//! enclosing `#[target_feature]` allows; [`math`] the functions in them. The macro below stamps one module of thin
//! wrappers per instruction set and collects them in a [`Lanes`] table.
//!
//! All sums run over the same `WIDTH` lanes in the same order everywhere, so all that fuse multiply-adds (AVX2, AVX-512, NEON) give the same bits;
//! only plain x86-64, which has no fused multiply-add, differs by rounding.

#![expect(
    clippy::inline_always,
    reason = "a body must be inlined to be compiled for its wrapper's features"
)]

mod arith;
mod loops;
mod math;
mod pull;

pub(crate) use loops::{BlockMoments, Centre, OnePassSums, PairSums, RowSums, Scale, Shifts};
pub(crate) use math::JS;
pub(crate) use pull::Pull;

use std::ops::{Add, AddAssign};

use crate::isa::Isa;

/// How many floats are worked on together: one AVX-512 vector, two of AVX2, four of SSE2 or NEON.
pub(crate) const WIDTH: usize = 16;

/// How many vectors of a row pair are summed in f32 lanes before the sums are widened to f64, and share one choice
/// between the near and the far formulas.
const STRETCH: usize = 32;

/// A loop over two blocks of whole vectors.
type PairLoop<T, S = Shifts> = unsafe fn(&[[f32; WIDTH]], &[[f32; WIDTH]], &S) -> T;

/// A loop that writes the gradient of two blocks of whole vectors.
type PullLoop = unsafe fn(&[[f32; WIDTH]], &[[f32; WIDTH]], &Pull, &mut [[f32; WIDTH]]);

/// The terms of KL, reverse KL and JS, summed.
type NearSums = [f64; 3];

/// The loops compiled for one instruction set.
///
/// A table is only reachable through [`Lanes::of`], which checks that the machine can run it.
#[derive(Debug)]
pub(crate) struct Lanes {
    max: unsafe fn(&[f32]) -> f32,
    count_above: unsafe fn(&[f32], f32) -> usize,
    find_above: unsafe fn(&[f32], f32) -> Option<usize>,
    exp_sums: unsafe fn(&[f32], &Scale) -> RowSums,
    moments: PairLoop<Option<BlockMoments>, Centre>,
    near_sums: PairLoop<Option<NearSums>>,
    near_sums_one_size: PairLoop<Option<NearSums>>,
    far_sums: PairLoop<PairSums>,
    one_pass_sums: PairLoop<OnePassSums, [Scale; 2]>,
    add_exp: unsafe fn(&[f32], f32, f32, &mut [f64]),
    pull: PullLoop,
    add_softmax: unsafe fn(&[f32], f32, f32, f32, &mut [f32]),
}

impl Lanes {
    /// The loops for `isa`; none for the scalar definition and for what this machine cannot run.
    pub(crate) fn of(isa: Isa) -> Option<&'static Lanes> {
        if !isa.is_available() {
            return None;
        }
        match isa {
            Isa::Scalar => None,
            Isa::Baseline => Some(&baseline::LANES),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(&avx2::LANES),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(&avx512::LANES),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => None,
        }
    }

    /// The largest entry, NaN left aside; −∞ of an empty block.
    pub(crate) fn max(&self, block: &[f32]) -> f32 {
        // SAFETY: `Lanes::of` gave this table out, so the machine has the instructions; likewise below.
        unsafe { (self.max)(block) }
    }

    /// How many entries exceed `bar`.
    pub(crate) fn count_above(&self, block: &[f32], bar: f32) -> usize {
        // SAFETY: as in `max`.
        unsafe { (self.count_above)(block, bar) }
    }

    /// The first entry that exceeds `bar`.
    pub(crate) fn find_above(&self, block: &[f32], bar: f32) -> Option<usize> {
        // SAFETY: as in `max`.
        unsafe { (self.find_above)(block, bar) }
    }

    /// The sums of a block, whose entries exceed `scale.max` by less than [`Scale::room`]. NaN if an entry is NaN or +∞.
    pub(crate) fn exp_sums(&self, block: &[f32], scale: &Scale) -> RowSums {
        // SAFETY: as in `max`.
        unsafe { (self.exp_sums)(block, scale) }
    }

    /// The moments of two blocks of equal length; none if an entry has |u| > 1, or is masked in one row only.
    pub(crate) fn moments(&self, p: &[f32], q: &[f32], centre: &Centre) -> Option<BlockMoments> {
        let ((p, tail_p), (q, tail_q)) = (p.as_chunks::<WIDTH>(), q.as_chunks::<WIDTH>());
        // SAFETY: as in `max`.
        let block = unsafe { (self.moments)(p, q, centre) }?;
        if tail_p.is_empty() {
            return Some(block);
        }
        let (tail_p, tail_q) = ([loops::padded(tail_p)], [loops::padded(tail_q)]);
        // SAFETY: as in `max`.
        let tail = unsafe { (self.moments)(&tail_p, &tail_q, centre) }?;
        Some(block + tail)
    }

    /// The terms of the divergences of two blocks, which are of equal length and without NaN and +∞.
    pub(crate) fn pair_sums(&self, p: &[f32], q: &[f32], shifts: &Shifts) -> PairSums {
        let mut sums = PairSums::default();
        let ((p, tail_p), (q, tail_q)) = (p.as_chunks::<WIDTH>(), q.as_chunks::<WIDTH>());
        // After a far stretch the next is likely to be far, and its beginning is tried first.
        let mut peek = false;
        for (p, q) in p.chunks(STRETCH).zip(q.chunks(STRETCH)) {
            let some = p.len().min(STRETCH / 8);
            let hopeless = peek && self.near_sums(&p[..some], &q[..some], shifts).is_none();
            let near = if hopeless {
                None
            } else {
                self.near_sums(p, q, shifts)
            };
            peek = near.is_none();
            sums += near.map_or_else(
                || self.far_sums(p, q, shifts),
                |[kl, reverse_kl, js]| PairSums {
                    kl,
                    reverse_kl,
                    js,
                    ..PairSums::default()
                },
            );
        }
        if !tail_p.is_empty() {
            sums += self.far_sums(&[loops::padded(tail_p)], &[loops::padded(tail_q)], shifts);
        }
        sums
    }

    /// The terms of KL, reverse KL and JS over a stretch in which every |t| ≤ 2; none if one is larger.
    fn near_sums(
        &self,
        p: &[[f32; WIDTH]],
        q: &[[f32; WIDTH]],
        shifts: &Shifts,
    ) -> Option<NearSums> {
        let near_sums = if shifts.one_size {
            self.near_sums_one_size
        } else {
            self.near_sums
        };
        // SAFETY: as in `max`.
        unsafe { near_sums(p, q, shifts) }
    }

    /// The terms over a stretch whatever its logits: t of any size, and −∞ on either side.
    fn far_sums(&self, p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], shifts: &Shifts) -> PairSums {
        // SAFETY: as in `max`.
        unsafe { (self.far_sums)(p, q, shifts) }
    }

    /// The sums of two blocks for the variant that reads each logit once.
    pub(crate) fn one_pass_sums(
        &self,
        p: &[[f32; WIDTH]],
        q: &[[f32; WIDTH]],
        scales: &[Scale; 2],
    ) -> OnePassSums {
        // SAFETY: as in `max`.
        unsafe { (self.one_pass_sums)(p, q, scales) }
    }

    /// Adds exp(x − high − low) to `acc`, entry by entry.
    pub(crate) fn add_exp(&self, block: &[f32], high: f32, low: f32, acc: &mut [f64]) {
        // SAFETY: as in `max`.
        unsafe { (self.add_exp)(block, high, low, acc) }
    }

    /// The gradient of two blocks of equal length.
    pub(crate) fn pull(&self, p: &[f32], q: &[f32], pull: &Pull, out: &mut [f32]) {
        let ((p, tail_p), (q, tail_q)) = (p.as_chunks::<WIDTH>(), q.as_chunks::<WIDTH>());
        let (out, tail) = out.as_chunks_mut::<WIDTH>();
        // SAFETY: as in `max`.
        unsafe { (self.pull)(p, q, pull, out) }
        if !tail.is_empty() {
            let (tail_p, tail_q) = ([loops::padded(tail_p)], [loops::padded(tail_q)]);
            let mut padded = [[0.0; WIDTH]];
            // SAFETY: as in `max`.
            unsafe { (self.pull)(&tail_p, &tail_q, pull, &mut padded) }
            tail.copy_from_slice(&padded[0][..tail.len()]);
        }
    }

    /// Adds `by`·exp(x − high − low) to `out`, entry by entry.
    pub(crate) fn add_softmax(&self, block: &[f32], high: f32, low: f32, by: f32, out: &mut [f32]) {
        // SAFETY: as in `max`.
        unsafe { (self.add_softmax)(block, high, low, by, out) }
    }
}

/// Stamps a module with the loops compiled for some target features.
macro_rules! lanes {
    ($name:ident, $arith:ty, $doc:literal $(, $features:literal)?) => {
        #[doc = $doc]
        mod $name {
            use super::{BlockMoments, Centre, Lanes, NearSums, OnePassSums, WIDTH, PairSums, Pull, RowSums, Scale, Shifts, arith, loops, pull};

            pub(super) static LANES: Lanes =
                Lanes { max, count_above, find_above, exp_sums, moments, near_sums, near_sums_one_size, far_sums, one_pass_sums, add_exp, pull, add_softmax };

            $(#[target_feature(enable = $features)])?
            fn max(block: &[f32]) -> f32 {
                loops::max(block)
            }

            $(#[target_feature(enable = $features)])?
            fn count_above(block: &[f32], bar: f32) -> usize {
                loops::count_above(block, bar)
            }

            $(#[target_feature(enable = $features)])?
            fn find_above(block: &[f32], bar: f32) -> Option<usize> {
                loops::find_above(block, bar)
            }

            $(#[target_feature(enable = $features)])?
            fn exp_sums(block: &[f32], scale: &Scale) -> RowSums {
                loops::exp_sums::<$arith>(block, scale)
            }

            $(#[target_feature(enable = $features)])?
            fn moments(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &Centre) -> Option<BlockMoments> {
                loops::moments::<$arith>(p, q, s)
            }

            $(#[target_feature(enable = $features)])?
            fn near_sums(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &Shifts) -> Option<NearSums> {
                loops::near_sums::<$arith, false>(p, q, s)
            }

            $(#[target_feature(enable = $features)])?
            fn near_sums_one_size(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &Shifts) -> Option<NearSums> {
                loops::near_sums::<$arith, true>(p, q, s)
            }

            $(#[target_feature(enable = $features)])?
            fn far_sums(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &Shifts) -> PairSums {
                loops::far_sums::<$arith>(p, q, s)
            }

            $(#[target_feature(enable = $features)])?
            fn one_pass_sums(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &[Scale; 2]) -> OnePassSums {
                loops::one_pass_sums::<$arith>(p, q, s)
            }

            $(#[target_feature(enable = $features)])?
            fn add_exp(block: &[f32], high: f32, low: f32, acc: &mut [f64]) {
                loops::add_exp::<$arith>(block, high, low, acc);
            }

            $(#[target_feature(enable = $features)])?
            fn pull(p: &[[f32; WIDTH]], q: &[[f32; WIDTH]], s: &Pull, out: &mut [[f32; WIDTH]]) {
                pull::pull::<$arith>(p, q, s, out);
            }

            $(#[target_feature(enable = $features)])?
            fn add_softmax(block: &[f32], high: f32, low: f32, by: f32, out: &mut [f32]) {
                pull::add_softmax::<$arith>(block, high, low, by, out);
            }
        }
    };
}

lanes!(
    baseline,
    arith::Target,
    "What every machine of this target has: SSE2 or NEON."
);
#[cfg(target_arch = "x86_64")]
lanes!(
    avx2,
    arith::Fused,
    "AVX2 with fused multiply-add.",
    "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt"
);
#[cfg(target_arch = "x86_64")]
lanes!(
    avx512,
    arith::Fused,
    "AVX-512 as every server core since 2017 has it.",
    "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt"
);

impl Add for BlockMoments {
    type Output = BlockMoments;

    fn add(mut self, other: BlockMoments) -> BlockMoments {
        self.moments += other.moments;
        self.reach = self.reach.max(other.reach);
        for (max, theirs) in self.max.iter_mut().zip(other.max) {
            *max = max.max(theirs);
        }
        self
    }
}

impl Add for PairSums {
    type Output = PairSums;

    fn add(mut self, other: PairSums) -> PairSums {
        self += other;
        self
    }
}

impl AddAssign for PairSums {
    fn add_assign(&mut self, other: PairSums) {
        self.kl += other.kl;
        self.reverse_kl += other.reverse_kl;
        self.js += other.js;
        self.infinite |= other.infinite;
        self.reverse_infinite |= other.reverse_infinite;
    }
}
