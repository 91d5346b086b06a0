//! The entry point: one [`Kernel`] per program, chosen once.

use crate::divergence::{self, Divergence, GradientOptions};
use crate::fast;
use crate::fault::RowFault;
use crate::isa::Isa;
use crate::lanes::Lanes;
use crate::logit::Logit;
use crate::one_pass::{self, OnePass};
use crate::row::{PairOptions, RowPair, RowSingle};
use crate::scalar;

/// The functions of this crate, compiled for one instruction set. A plain value: copy it freely.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    isa: Isa,
    /// None for the scalar definition.
    lanes: Option<&'static Lanes>,
}

impl Kernel {
    /// The fastest kernel of this machine.
    #[must_use]
    pub fn detect() -> Kernel {
        let isa = Isa::detect();
        Kernel {
            isa,
            lanes: Lanes::of(isa),
        }
    }

    /// The kernel for `isa`, if this machine can run it.
    #[must_use]
    pub fn with_isa(isa: Isa) -> Option<Kernel> {
        isa.is_available().then(|| Kernel {
            isa,
            lanes: Lanes::of(isa),
        })
    }

    /// The instruction set in use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The divergences, entropies, most likely tokens and the observed token of one row pair, in one logical pass.
    ///
    /// # Errors
    ///
    /// The first [`RowFault`], of the reference before that of the candidate.
    ///
    /// # Panics
    ///
    /// If the rows differ in length, `top_k` exceeds [`crate::MAX_TOP_K`], the temperature is not positive and
    /// finite, or the observed token lies outside the row.
    pub fn pair<L: Logit, M: Logit>(
        &self,
        p: &[L],
        q: &[M],
        options: &PairOptions,
    ) -> Result<RowPair, RowFault> {
        scalar::check_arguments(p.len(), q.len(), options);
        let fast = self
            .lanes
            .and_then(|lanes| fast::pair(lanes, p, q, options));
        fast.map_or_else(|| scalar::pair(p, q, options), Ok)
    }

    /// The divergence between softmax(`p`) and softmax(`q`), and its gradient with respect to the logits `q`: as
    /// [`divergence::value_and_gradient`] defines it, and for KL, reverse KL and Jeffreys seven to twelve times as fast (`BENCHMARKS.md`).
    /// What the gradient then lacks is below 3e-6 of its largest entry, or 2e-7 of the outer gradient where rows nearly agree.
    ///
    /// # Errors
    ///
    /// The first [`RowFault`], of the reference before that of the candidate; `grad_q` is untouched then.
    ///
    /// # Panics
    ///
    /// As [`divergence::value_and_gradient`].
    pub fn value_and_gradient<L: Logit, M: Logit>(
        &self,
        d: Divergence,
        p: &[L],
        q: &[M],
        options: &GradientOptions,
        grad_q: &mut [f32],
    ) -> Result<f64, RowFault> {
        let arguments = PairOptions {
            temperature: options.temperature,
            ..PairOptions::default()
        };
        scalar::check_arguments(p.len(), q.len(), &arguments);
        assert_eq!(
            q.len(),
            grad_q.len(),
            "the gradient and the candidate's row differ in length"
        );
        let fast = self
            .lanes
            .and_then(|lanes| fast::value_and_gradient(lanes, d, p, q, *options, grad_q));
        fast.map_or_else(
            || divergence::value_and_gradient(d, p, q, options, grad_q),
            Ok,
        )
    }

    /// Adds `by`·exp(xᵢ − `log_sum_exp`) to `out`: the softmax's part of the gradient of a cross-entropy.
    ///
    /// # Panics
    ///
    /// If `out` and the row differ in length.
    pub fn add_softmax(&self, row: &[f32], log_sum_exp: f64, by: f32, out: &mut [f32]) {
        assert_eq!(row.len(), out.len(), "the rows differ in length");
        match self.lanes {
            Some(lanes) => fast::add_softmax(lanes, row, log_sum_exp, by, out),
            None => {
                for (out, &x) in out.iter_mut().zip(row) {
                    *out += (f64::from(by) * (f64::from(x) - log_sum_exp).exp()) as f32;
                }
            }
        }
    }

    /// D(P‖Q) and D(Q‖P) with one exponential per logit: faster than [`Kernel::pair`] and less exact.
    ///
    /// The divergences are differences of numbers that nearly cancel, so that their *absolute* error is some 1e-7 nats
    /// and a small divergence may come out negative. It stands here to be measured against [`Kernel::pair`]. Rows that
    /// it cannot handle (masked tokens, faults) go to the latter.
    ///
    /// # Errors
    ///
    /// The first [`RowFault`], of the reference before that of the candidate.
    ///
    /// # Panics
    ///
    /// If the rows differ in length.
    pub fn pair_one_pass(&self, p: &[f32], q: &[f32]) -> Result<OnePass, RowFault> {
        assert_eq!(p.len(), q.len(), "the rows differ in length");
        if let Some(row) = self.lanes.and_then(|lanes| one_pass::pair(lanes, p, q)) {
            return Ok(row);
        }
        let row = self.pair(p, q, &PairOptions::default())?;
        Ok(OnePass {
            kl: row.kl,
            reverse_kl: row.reverse_kl,
            log_sum_exp_p: row.log_sum_exp_p,
            log_sum_exp_q: row.log_sum_exp_q,
        })
    }

    /// The log-sum-exp, entropy, most likely token and observed token of one row.
    ///
    /// # Errors
    ///
    /// The first [`RowFault`].
    ///
    /// # Panics
    ///
    /// If the observed token lies outside the row.
    pub fn single<L: Logit>(
        &self,
        row: &[L],
        observed: Option<u32>,
    ) -> Result<RowSingle, RowFault> {
        let fast = self
            .lanes
            .and_then(|lanes| fast::single(lanes, row, observed));
        fast.map_or_else(|| scalar::single(row, observed), Ok)
    }

    /// ln Σ exp(xᵢ).
    ///
    /// # Errors
    ///
    /// The first [`RowFault`].
    pub fn log_sum_exp<L: Logit>(&self, row: &[L]) -> Result<f64, RowFault> {
        match self.lanes {
            Some(_) => self.single(row, None).map(|single| single.log_sum_exp),
            None => scalar::log_sum_exp(row),
        }
    }

    /// Adds the probabilities exp(xᵢ − `log_sum_exp`) to `acc`: the sum of many rows' distributions.
    ///
    /// # Panics
    ///
    /// If `acc` and the row differ in length.
    pub fn add_probs<L: Logit>(&self, row: &[L], log_sum_exp: f64, acc: &mut [f64]) {
        assert_eq!(
            row.len(),
            acc.len(),
            "the row and the sum of probabilities differ in length"
        );
        match self.lanes {
            Some(lanes) => fast::add_probs(lanes, row, log_sum_exp, acc),
            None => scalar::add_probs(row, log_sum_exp, acc),
        }
    }
}
