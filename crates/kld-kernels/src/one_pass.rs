//! The variant that touches each logit once, kept to measure what exactness costs.
//!
//! With d = y − x and c the difference of the log-sum-exps: D(P‖Q) = c − Σ P·d and D(Q‖P) = Σ Q·d − c. Both are differences of numbers of the
//! size of c, each known to some 1e-8; see `docs/numerics.md` for what that does to a small divergence.

use crate::lanes::{Lanes, Scale, WIDTH};

/// What [`crate::Kernel::pair_one_pass`] gives, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnePass {
    /// D(P‖Q), with an absolute error; may be negative.
    pub kl: f64,
    /// D(Q‖P), with an absolute error; may be negative.
    pub reverse_kl: f64,
    /// ln Σ exp of the reference's logits.
    pub log_sum_exp_p: f64,
    /// ln Σ exp of the candidate's logits.
    pub log_sum_exp_q: f64,
}

/// How many vectors are summed in f32 lanes before the sums are widened.
const STRETCH: usize = 64;

/// See [`crate::Kernel::pair_one_pass`]. None where a sum is not finite or an entry rises far above the first stretch.
pub(crate) fn pair(lanes: &'static Lanes, p: &[f32], q: &[f32]) -> Option<OnePass> {
    let first = p.len().min(STRETCH * WIDTH);
    let scales = [
        Scale::new(lanes.max(&p[..first]), 1.0),
        Scale::new(lanes.max(&q[..first]), 1.0),
    ];
    let mut sums = [0.0; 4];
    let mut add = |p: &[[f32; WIDTH]], q: &[[f32; WIDTH]]| {
        let block = lanes.one_pass_sums(p, q, &scales);
        for (sum, part) in sums.iter_mut().zip(block.sums) {
            *sum += part;
        }
        scales
            .iter()
            .zip(block.max)
            .all(|(scale, max)| max - scale.max <= scale.room())
    };
    let ((p, tail_p), (q, tail_q)) = (p.as_chunks::<WIDTH>(), q.as_chunks::<WIDTH>());
    let mut low = p
        .chunks(STRETCH)
        .zip(q.chunks(STRETCH))
        .all(|(p, q)| add(p, q));
    if !tail_p.is_empty() {
        // Filled up with two equal entries that weigh nothing.
        let fill = |tail: &[f32], max: f32| {
            let mut chunk = [max - 1e3; WIDTH];
            chunk[..tail.len()].copy_from_slice(tail);
            chunk
        };
        low &= add(
            &[fill(tail_p, scales[0].max)],
            &[fill(tail_q, scales[1].max)],
        );
    }
    let [sum_p, sum_q, p_d, q_d] = sums;
    let log_sum_exp_p = f64::from(scales[0].max) + sum_p.ln();
    let log_sum_exp_q = f64::from(scales[1].max) + sum_q.ln();
    let c = log_sum_exp_q - log_sum_exp_p;
    let (kl, reverse_kl) = (c - p_d / sum_p, q_d / sum_q - c);
    let good = low && kl.is_finite() && reverse_kl.is_finite();
    good.then_some(OnePass {
        kl,
        reverse_kl,
        log_sum_exp_p,
        log_sum_exp_q,
    })
}
