//! `compare`: every scored position of a text under a reference and one or more candidates.
//!
//! Windows are dealt to threads. A thread runs the reference and each candidate over its window, then goes through the
//! scored rows in slices of [`HEAD_SLICE`]: the reference's rows, a candidate's rows, the kernel over each pair while both
//! are in cache. Rows go to a [`Sink`] in the order of the plan, and [`conclude`] makes the result of plan and rows.

mod kept;

use std::time::Instant;

use kld_core::{
    Observer, Place, Plan, RowOutcome, Summary, TokenRow, WindowRows,
    observer::{Pace, Progress},
    result::{Comparison, METRICS_VERSION, ProtocolRecord, RunRecord},
    row::TOP_K,
    sequential::StopRule,
    summary::Quantity,
};
use kld_kernels::{Kernel, PairOptions};
use kld_models::LogitSource;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

pub use kept::{Keep, Kept, Measured};

use crate::{
    Error, Result,
    conclude::conclude,
    deal::{InMemory, Store, deal},
    prepare::{Prepared, Tokenized, check_recorded, compared_columns},
    run::{Run, Worker},
    text::Fragment,
    warning,
    window::{Cut, Window},
};

/// Rows of logits made at once: the product with the head is some 15 % faster with 128 rows than with 64, and a slice of both
/// models (2 · 128 · 49,152 · 4 bytes = 50 MB) stays in the last-level cache until the kernel has read it.
pub const HEAD_SLICE: usize = 128;

/// How a comparison or a score is to be done; what does not change the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Worker threads; each computes one window at a time.
    pub threads: usize,
    /// The kernel to use.
    pub kernel: Kernel,
}

/// Compares candidates with a reference on a text.
///
/// When `observer` asks for a stop, the result covers the windows done so far and says that it is not complete.
///
/// # Errors
///
/// If the models cannot be compared on this text (see [`Tokenized::check_pair`]), there is nothing to score, or a model fails.
pub fn compare(
    reference: &dyn LogitSource,
    candidates: &[&dyn LogitSource],
    fragments: &[Fragment],
    cut: &Cut,
    work: Work,
    observer: &dyn Observer,
) -> Result<Comparison> {
    let job = Job::new(reference, candidates, fragments, cut)?;
    let mut summaries = Summaries::new(&job.plan);
    let run = job.measure(work, observer, &mut summaries)?;
    Ok(conclude(&job.plan, &summaries.0, run))
}

/// A comparison that is ready to be measured: models, windows and plan.
#[derive(Debug)]
pub struct Job<'a> {
    /// What is compared with what.
    pub plan: Plan,
    reference: &'a dyn LogitSource,
    candidates: &'a [&'a dyn LogitSource],
    windows: Vec<Window>,
}

/// Takes the rows of windows, in the order in which the plan visits them.
pub trait Sink {
    /// Takes the rows of the next window.
    fn take(&mut self, rows: WindowRows);

    /// The summaries of the rows taken so far, one per candidate.
    fn summaries(&self) -> &[Summary];

    /// The estimate so far, for people; see [`Progress::estimate`].
    fn estimate(&self) -> String;
}

impl<'a> Job<'a> {
    /// Makes sure that the models can be compared on this text, and plans it.
    ///
    /// # Errors
    ///
    /// If they cannot (see [`Tokenized::check_pair`]), a recording among them is of another token stream, or there is nothing to score.
    pub fn new(
        reference: &'a dyn LogitSource,
        candidates: &'a [&'a dyn LogitSource],
        fragments: &[Fragment],
        cut: &Cut,
    ) -> Result<Self> {
        let tokens = Tokenized::new(fragments, reference, cut)?;
        for candidate in candidates {
            tokens.check_pair(reference, *candidate, cut.context)?;
        }
        let prepared = Prepared::new(&tokens, reference, cut)?;
        let protocol = prepared.windows.record(cut);
        Self::of(reference, candidates, prepared, protocol)
    }

    /// The same on the text of a recording among the models, the reference's if it is one; at most `max_windows`, chosen at random
    /// where there is a seed.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); and if no model is a recording.
    pub fn replay(
        reference: &'a dyn LogitSource,
        candidates: &'a [&'a dyn LogitSource],
        max_windows: Option<usize>,
        seed: Option<u64>,
    ) -> Result<Self> {
        let mut sources = std::iter::once(&reference).chain(candidates);
        let script = sources.find_map(|source| source.script());
        let script = script.ok_or(Error::NothingRecorded)?;
        let tokens = Tokenized::of_script(script, reference)?;
        for candidate in candidates {
            tokens.check_pair(reference, *candidate, script.protocol.context)?;
        }
        let prepared = Prepared::replay(script, max_windows, seed);
        let mut protocol = prepared.windows.record_as(&script.protocol);
        protocol.seed = seed.or(protocol.seed);
        Self::of(reference, candidates, prepared, protocol)
    }

    fn of(
        reference: &'a dyn LogitSource,
        candidates: &'a [&'a dyn LogitSource],
        prepared: Prepared,
        protocol: ProtocolRecord,
    ) -> Result<Self> {
        let sources = || std::iter::once(&reference).chain(candidates);
        for source in sources() {
            check_recorded(*source, &prepared.windows.windows)?;
        }
        let unfinished = sources().filter_map(|source| warning::unfinished(*source));
        let plan = Plan {
            reference: reference.card().clone(),
            candidates: candidates.iter().map(|c| c.card().clone()).collect(),
            protocol,
            transcript: prepared.transcript(reference.tokenizer()),
            order: (0..prepared.windows.windows.len() as u32).collect(),
            noise_floor: false,
            stop: None,
            warnings: prepared.warnings().into_iter().chain(unfinished).collect(),
        };
        Ok(Self {
            plan,
            reference,
            candidates,
            windows: prepared.windows.windows,
        })
    }

    /// The last candidate is P itself, computed in another equally valid way: a noise floor for the others.
    #[must_use]
    pub fn with_noise_floor(mut self) -> Self {
        self.plan.noise_floor = true;
        self
    }

    /// Visits the windows in a random order, and only until the rule is met.
    #[must_use]
    pub fn until(mut self, rule: StopRule) -> Self {
        let order = &mut self.plan.order;
        order.shuffle(&mut StdRng::seed_from_u64(rule.seed));
        self.plan.stop = Some(rule);
        self
    }

    /// Measures the windows in the plan's order and hands their rows on in that order, until the plan says that it is enough. Ends
    /// early where `observer` asks for it; the record then says so.
    ///
    /// # Errors
    ///
    /// If a model fails; the rows of the windows before it were handed on.
    pub fn measure(
        &self,
        work: Work,
        observer: &dyn Observer,
        sink: &mut dyn Sink,
    ) -> Result<RunRecord> {
        let order = &self.plan.order;
        self.measure_with(&InMemory::new(order.len()), order, work, observer, sink)
    }

    /// The same in a run folder, perhaps beside other processes: windows that are there are read, each new one is written before
    /// it is handed on, and the sink gets them all.
    ///
    /// # Errors
    ///
    /// If a model fails, or the folder cannot be read or written.
    pub fn measure_in(
        &self,
        run: &Run,
        work: Work,
        observer: &dyn Observer,
        sink: &mut dyn Sink,
    ) -> Result<RunRecord> {
        let worker = Worker::join(run, observer)?;
        self.measure_with(&worker, worker.order(), work, observer, sink)
    }

    /// `order` holds the windows by the number under which the store knows them.
    fn measure_with(
        &self,
        store: &dyn Store<WindowRows, Error>,
        order: &[u32],
        work: Work,
        observer: &dyn Observer,
        sink: &mut dyn Sink,
    ) -> Result<RunRecord> {
        let started = Instant::now();
        let mut pace = Pace::default();
        let total = order.len();
        let rows = |visit: usize| self.window_rows(order[visit], work.kernel);
        let (mut done, mut enough) = (0, false);
        deal(total, work.threads, store, rows, |visit, rows| {
            // Other threads had begun windows beyond the one that was enough.
            if enough {
                return false;
            }
            sink.take(rows);
            done = visit + 1;
            enough = self.plan.is_enough(sink.summaries());
            pace.tell(observer, enough || visit + 1 == total, || Progress {
                stage: "windows",
                done: visit + 1,
                total,
                estimate: sink.estimate(),
            });
            !enough && !observer.interrupted()
        })?;
        let mut run = run_record(work, started, done, self.plan.order.len());
        run.complete |= enough;
        Ok(run)
    }

    /// All scored rows of one window.
    fn window_rows(&self, index: u32, kernel: Kernel) -> Result<WindowRows> {
        let window = &self.windows[index as usize];
        let candidates = score_window(index, window, self.reference, self.candidates, kernel)?;
        Ok(WindowRows {
            window: index,
            candidates,
        })
    }
}

/// A summary per candidate, and nothing else kept.
#[derive(Clone, Debug)]
pub struct Summaries(pub Vec<Summary>);

impl Summaries {
    /// Empty ones for the candidates of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self(vec![Summary::default(); plan.candidates.len()])
    }

    /// Adds the rows of a window.
    pub fn add(&mut self, rows: &WindowRows) {
        for (summary, rows) in self.0.iter_mut().zip(&rows.candidates) {
            for row in rows {
                summary.push_outcome(row);
            }
        }
    }
}

impl Sink for Summaries {
    fn take(&mut self, rows: WindowRows) {
        self.add(&rows);
    }

    fn summaries(&self) -> &[Summary] {
        &self.0
    }

    fn estimate(&self) -> String {
        let estimate = |summary: &Summary| {
            let mean = summary.mean(|w| Some(&w.all), |s| s[Quantity::Kl]);
            match mean.standard_error {
                Some(error) => format!("{:.5} ± {error:.5}", mean.value),
                None => format!("{:.5}", mean.value),
            }
        };
        let estimates: Vec<String> = self.0.iter().map(estimate).collect();
        format!("KL {} nats", estimates.join(" | "))
    }
}

/// How the run went, for the result.
pub(crate) fn run_record(
    work: Work,
    started: Instant,
    windows_done: usize,
    windows: usize,
) -> RunRecord {
    RunRecord {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        metrics: METRICS_VERSION,
        isa: work.kernel.isa().name().to_owned(),
        threads: work.threads,
        elapsed_s: started.elapsed().as_secs_f64(),
        windows_done,
        complete: windows_done == windows,
    }
}

/// All scored rows of one window, per candidate.
fn score_window(
    index: u32,
    window: &Window,
    reference: &dyn LogitSource,
    candidates: &[&dyn LogitSource],
    kernel: Kernel,
) -> Result<Vec<Vec<RowOutcome>>> {
    let p_logits = reference.forward(&window.input)?;
    let q_logits = candidates
        .iter()
        .map(|q| Ok(q.forward(&window.input)?))
        .collect::<Result<Vec<_>>>()?;
    let mut outcomes = vec![Vec::with_capacity(window.scored.len()); candidates.len()];
    let (mut p_rows, mut q_rows) = (Vec::new(), Vec::new());
    let mut begin = window.scored.start;
    while begin < window.scored.end {
        let slice = begin..window.scored.end.min(begin + HEAD_SLICE);
        p_logits.rows(slice.clone(), &mut p_rows)?;
        for (candidate, (logits, outcomes)) in
            candidates.iter().zip(q_logits.iter().zip(&mut outcomes))
        {
            logits.rows(slice.clone(), &mut q_rows)?;
            let columns = compared_columns(reference, *candidate);
            let pairs = p_rows
                .chunks_exact(reference.vocabulary())
                .zip(q_rows.chunks_exact(candidate.vocabulary()));
            for (row, (p, q)) in slice.clone().zip(pairs) {
                let place = Place {
                    fragment: window.fragment,
                    window: index,
                    row: row as u32,
                };
                outcomes.push(
                    score_row(place, window.observed(row), p, q, columns, kernel).ok_or(place),
                );
            }
        }
        begin = slice.end;
    }
    Ok(outcomes)
}

/// One position; `None` where the logits are no distribution.
fn score_row(
    place: Place,
    observed: u32,
    p: &[f32],
    q: &[f32],
    columns: usize,
    kernel: Kernel,
) -> Option<TokenRow> {
    let options = PairOptions {
        observed: Some(observed),
        top_k: TOP_K,
        ..PairOptions::default()
    };
    let pair = kernel.pair(&p[..columns], &q[..columns], &options).ok()?;
    let seen = pair.observed?;
    Some(TokenRow {
        place,
        observed,
        nll_p: seen.nll_p,
        nll_q: seen.nll_q,
        padding_mass_p: padding_mass(&p[columns..], pair.log_sum_exp_p, kernel),
        padding_mass_q: padding_mass(&q[columns..], pair.log_sum_exp_q, kernel),
        pair,
    })
}

/// The probability on the columns cut off, given the log-sum-exp of those kept: 1 / (1 + e^(kept − cut off)).
pub(crate) fn padding_mass(padding: &[f32], kept_log_sum_exp: f64, kernel: Kernel) -> f64 {
    // No padding, or nothing but −∞ in it, is no mass.
    kernel.log_sum_exp(padding).map_or(0.0, |padding| {
        1.0 / (1.0 + (kept_log_sum_exp - padding).exp())
    })
}
