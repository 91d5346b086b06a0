//! How far the student is, on windows that it may or may not have learnt from.

use kld_core::estimate::{Cluster, Estimate, Window as WindowMean};
use kld_core::result::Gauge;
use kld_kernels::PairOptions;
use kld_models::native::DifferentiableModel;
use kld_models::source::KeptRow;
use kld_models::{LogitSource, Window};
use serde::{Deserialize, Serialize};

use crate::fused::{SLICE, Teaching, wrong_row};
use crate::objective::Reduced;
use crate::threads::{Work, in_parallel};
use crate::{Error, Result, Tail};

/// What was measured, window by window, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What is to become small.
    pub gauge: Gauge,
    /// Sums.
    pub windows: Vec<WindowSums>,
}

/// Sums over the scored rows of a window, in nats, at temperature 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowSums {
    /// The fragment it is cut from.
    pub fragment: u32,
    /// Scored rows.
    pub positions: u64,
    /// Σ D(P‖Q); 0 without a teacher.
    #[serde(with = "kld_core::number")]
    pub kl: f64,
    /// Σ D(Q‖P); 0 without a teacher.
    #[serde(with = "kld_core::number")]
    pub reverse_kl: f64,
    /// Σ −ln Q(observed).
    #[serde(with = "kld_core::number")]
    pub nll: f64,
}

impl Measured {
    /// The mean of what is to become small.
    #[must_use]
    pub fn gauged(&self) -> Estimate {
        self.mean(self.gauge_of())
    }

    /// The mean of a divergence from the teacher, if there is one.
    #[must_use]
    pub fn divergence(&self, sum: impl Fn(&WindowSums) -> f64) -> Option<Estimate> {
        (self.gauge != Gauge::CrossEntropy).then(|| self.mean(sum))
    }

    /// By how much [`gauged`](Self::gauged) is above that of another measurement of the same windows: their difference, paired, whose
    /// error is far smaller than that of either.
    ///
    /// # Panics
    ///
    /// If the windows are not the same.
    #[must_use]
    pub fn above(&self, other: &Self) -> Estimate {
        let of = self.gauge_of();
        assert_eq!(self.windows.len(), other.windows.len(), "the same windows");
        let pairs = self.windows.iter().zip(&other.windows);
        let difference = |(a, b): (&WindowSums, &WindowSums)| a.mean_of(of(a) - of(b));
        let differences: Vec<WindowMean> = pairs.map(difference).collect();
        Estimate::over_windows(&differences)
    }

    /// The mean of a sum over all positions.
    #[must_use]
    pub fn mean(&self, sum: impl Fn(&WindowSums) -> f64) -> Estimate {
        let means = self.windows.iter().map(|w| w.mean_of(sum(w)));
        Estimate::over_windows(&means.collect::<Vec<_>>())
    }

    fn gauge_of(&self) -> fn(&WindowSums) -> f64 {
        match self.gauge {
            Gauge::Kl => |w| w.kl,
            Gauge::ReverseKl => |w| w.reverse_kl,
            Gauge::CrossEntropy => |w| w.nll,
        }
    }
}

impl WindowSums {
    fn mean_of(&self, sum: f64) -> WindowMean {
        WindowMean {
            fragment: self.fragment,
            cluster: Cluster {
                weight: self.positions as f64,
                sum,
            },
        }
    }
}

/// Measures the student as it is now. Where a recording has kept the most likely tokens alone, and their tail is not said to be
/// even, what is known is measured: those tokens, and all others as one outcome, which is at most the divergence itself. Else a student
/// that rightly puts the rest where the teacher does would seem to move away.
///
/// # Errors
///
/// If a row is no distribution, or a model fails.
pub fn measure(
    student: &DifferentiableModel,
    teaching: &Teaching<'_>,
    windows: &[Window],
    work: Work,
) -> Result<Measured> {
    let one = |index: usize| measure_window(student, teaching, index, &windows[index]);
    Ok(Measured {
        gauge: teaching.gauge(),
        windows: in_parallel(windows.len(), work.threads, one)?,
    })
}

fn measure_window(
    student: &DifferentiableModel,
    teaching: &Teaching<'_>,
    number: usize,
    window: &Window,
) -> Result<WindowSums> {
    let logits = student.forward(&window.input)?;
    let given = teaching.teacher.map(|t| t.forward(&window.input));
    let given = given.transpose()?;
    let wide_p = teaching.teacher.map_or(1, LogitSource::vocabulary);
    let (mut p_rows, mut q_rows, mut reduced) = (Vec::new(), Vec::new(), Reduced::default());
    let is_even = teaching.objective.tail == Tail::Uniform;
    let mut sums = WindowSums {
        fragment: window.fragment,
        positions: window.scored.len() as u64,
        ..WindowSums::default()
    };
    for begin in window.scored.clone().step_by(SLICE) {
        let slice = begin..window.scored.end.min(begin + SLICE);
        if let Some(given) = &given {
            given.rows(slice.clone(), &mut p_rows)?;
        }
        logits.rows(slice.clone(), &mut q_rows)?;
        let q_rows = q_rows.chunks_exact(student.vocabulary());
        for (at, (row, q)) in slice.zip(q_rows).enumerate() {
            let p = given.as_ref().map(|_| &p_rows[at * wide_p..]);
            let kept = given.as_ref().filter(|_| !is_even);
            let observed = window.observed(row);
            match kept.and_then(|given| given.kept(row)) {
                Some(kept) => sums.add_kept(teaching, &kept, q, observed, &mut reduced),
                None => sums.add(teaching, p, q, observed),
            }
            .map_err(|fault| wrong_row(fault, number, row))?;
        }
    }
    Ok(sums)
}

impl WindowSums {
    fn add(
        &mut self,
        teaching: &Teaching<'_>,
        p: Option<&[f32]>,
        q: &[f32],
        observed: u32,
    ) -> Result<(), kld_kernels::RowFault> {
        let (kernel, columns) = (teaching.kernel, teaching.columns);
        let q = &q[..columns];
        if let Some(p) = p {
            let options = PairOptions {
                top_k: 1,
                observed: Some(observed),
                ..PairOptions::default()
            };
            let pair = kernel.pair(&p[..columns], q, &options)?;
            self.kl += pair.kl;
            self.reverse_kl += pair.reverse_kl;
            self.nll += pair.observed.map_or(0.0, |seen| seen.nll_q);
        } else {
            let single = kernel.single(q, Some(observed))?;
            self.nll += single.observed.map_or(0.0, |seen| seen.nll);
        }
        Ok(())
    }
}

impl WindowSums {
    fn add_kept(
        &mut self,
        teaching: &Teaching<'_>,
        kept: &KeptRow<'_>,
        q: &[f32],
        observed: u32,
        reduced: &mut Reduced,
    ) -> Result<(), kld_kernels::RowFault> {
        let q = &q[..teaching.columns];
        let single = teaching.kernel.single(q, Some(observed))?;
        self.nll += single.observed.map_or(0.0, |seen| seen.nll);
        let (p, q) = reduced.rows(kept, q);
        let options = PairOptions {
            top_k: 1,
            ..PairOptions::default()
        };
        let pair = teaching.kernel.pair(p, q, &options)?;
        self.kl += pair.kl;
        self.reverse_kl += pair.reverse_kl;
        Ok(())
    }
}

/// Says at which step it was that the student went wrong.
pub(crate) fn at_step(error: Error, step: u64) -> Error {
    match error {
        Error::Diverged { what, .. } => Error::Diverged { step, what },
        other => other,
    }
}
