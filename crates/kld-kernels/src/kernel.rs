//! The entry point: one [`Kernel`] per program, chosen once.

use crate::fast;
use crate::fault::RowFault;
use crate::isa::Isa;
use crate::lanes::Lanes;
use crate::logit::Logit;
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
