//! `score`: a model against the text itself.
//!
//! Windows are dealt to threads as in [`compare`](crate::compare); here a row meets no other row but the token that came. What a
//! window gave is a [`WindowScore`], and a [`Tally`] of them, in the order of the text, makes the result without the model.

mod sums;
mod tally;

use std::time::Instant;

use kld_core::{
    Observer, Plan,
    observer::{Pace, Progress},
    result::Score,
};
use kld_kernels::Kernel;
use kld_models::LogitSource;
use rand::{SeedableRng, rngs::StdRng};

pub(crate) use sums::Sums;
pub use tally::Tally;

use crate::{
    Error, Result, Work,
    compare::{HEAD_SLICE, padding_mass, run_record},
    deal::{InMemory, Store, deal},
    frequency::Frequencies,
    prepare::prepare_one,
    run::{Run, Worker},
    text::Fragment,
    window::{Cut, Window},
};

/// Scores a text under a model.
///
/// When `observer` asks for a stop, the result covers the windows done so far and says that it is not complete.
///
/// # Errors
///
/// If there is nothing to score, the windows do not suit the model, or the model fails.
pub fn score(
    model: &dyn LogitSource,
    fragments: &[Fragment],
    cut: &Cut,
    work: Work,
    observer: &dyn Observer,
) -> Result<Score> {
    Job::new(model, fragments, cut)?.measure(work, observer)
}

/// A score that is ready to be measured: model, windows and plan.
#[derive(Debug)]
pub struct Job<'a> {
    /// What is scored on which windows; without candidates.
    pub plan: Plan,
    model: &'a dyn LogitSource,
    windows: Vec<Window>,
}

/// What one window gave.
#[derive(Clone, Debug)]
pub struct WindowScore {
    /// The window.
    pub window: u32,
    pub(crate) sums: Sums,
    pub(crate) frequencies: Frequencies,
}

impl<'a> Job<'a> {
    /// Cuts the text into windows for the model; without any text, those of a recording.
    ///
    /// # Errors
    ///
    /// If there is nothing to score, or the windows do not suit the model.
    pub fn new(model: &'a dyn LogitSource, fragments: &[Fragment], cut: &Cut) -> Result<Self> {
        let (prepared, protocol) = prepare_one(model, fragments, cut)?;
        let plan = Plan {
            reference: model.card().clone(),
            candidates: Vec::new(),
            protocol,
            transcript: prepared.transcript(model.tokenizer()),
            order: (0..prepared.windows.windows.len() as u32).collect(),
            noise_floor: false,
            stop: None,
            warnings: prepared.warnings(),
        };
        Ok(Self {
            plan,
            model,
            windows: prepared.windows.windows,
        })
    }

    /// Measures all windows, or those until `observer` asks for a stop.
    ///
    /// # Errors
    ///
    /// If the model fails.
    pub fn measure(&self, work: Work, observer: &dyn Observer) -> Result<Score> {
        let order = &self.plan.order;
        self.measure_with(&InMemory::new(order.len()), order, work, observer)
    }

    /// The same in a run folder, perhaps beside other processes: windows that are there are read, each new one is written before
    /// it is counted.
    ///
    /// # Errors
    ///
    /// If the model fails, or the folder cannot be read or written.
    pub fn measure_in(&self, run: &Run, work: Work, observer: &dyn Observer) -> Result<Score> {
        let worker = Worker::join(run, observer)?;
        self.measure_with(&worker, worker.order(), work, observer)
    }

    /// `order` holds the windows by the number under which the store knows them.
    fn measure_with(
        &self,
        store: &dyn Store<WindowScore, Error>,
        order: &[u32],
        work: Work,
        observer: &dyn Observer,
    ) -> Result<Score> {
        let started = Instant::now();
        let mut pace = Pace::default();
        let mut tally = Tally::new(&self.plan);
        let total = order.len();
        let scored = |visit: usize| self.window_score(order[visit], work.kernel);
        let done = deal(total, work.threads, store, scored, |visit, window| {
            tally.add(&window);
            pace.tell(observer, visit + 1 == total, || Progress {
                stage: "windows",
                done: visit + 1,
                total,
                estimate: tally.estimate(),
            });
            !observer.interrupted()
        })?;
        let record = run_record(work, started, done, self.plan.order.len());
        Ok(tally.conclude(record))
    }

    /// All scored rows of one window.
    fn window_score(&self, index: u32, kernel: Kernel) -> Result<WindowScore> {
        let (window, model) = (&self.windows[index as usize], self.model);
        let columns = columns(&self.plan);
        let logits = model.forward(&window.input)?;
        let (mut sums, mut frequencies) = (Sums::default(), Frequencies::new(columns));
        // Seeded by the window, so that the draws do not depend on which thread makes them.
        let mut rng = StdRng::seed_from_u64(u64::from(index));
        let mut rows = Vec::new();
        let mut begin = window.scored.start;
        while begin < window.scored.end {
            let slice = begin..window.scored.end.min(begin + HEAD_SLICE);
            logits.rows(slice.clone(), &mut rows)?;
            for (position, row) in slice.clone().zip(rows.chunks_exact(model.vocabulary())) {
                let ((row, padding), observed) = (row.split_at(columns), window.observed(position));
                let single = kernel.single(row, Some(observed)).ok();
                let Some((single, nll)) = single
                    .and_then(|s| Some((s, s.observed?.nll)))
                    .filter(|(_, nll)| nll.is_finite())
                else {
                    sums.not_finite += 1;
                    continue;
                };
                let padding = padding_mass(padding, single.log_sum_exp, kernel);
                sums.push(&single, (observed, nll), padding, model.tokenizer());
                frequencies.push(row, single.log_sum_exp, (observed, nll), kernel, &mut rng);
            }
            begin = slice.end;
        }
        Ok(WindowScore {
            window: index,
            sums,
            frequencies,
        })
    }
}

/// The columns that are scored: the tokens that exist. What a head has beyond them is padding.
pub(crate) fn columns(plan: &Plan) -> usize {
    plan.transcript
        .vocabulary
        .len()
        .min(plan.reference.vocabulary)
}
