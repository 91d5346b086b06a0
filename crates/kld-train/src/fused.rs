//! Head and loss in one: the loss of a window and the gradient of every weight, without ever holding all logits.
//!
//! A slice of [`SLICE`] positions at a time, the rows of teacher and student become the loss and the gradient with respect
//! to the student's logits, which goes back through the head at once (see [`kld_models::native::Pass`]).

use std::thread;

use kld_core::result::Gauge;
use kld_kernels::{Kernel, RowFault, Side};
use kld_models::native::{DifferentiableModel, Gradients};
use kld_models::{LogitSource, WindowLogits};

use crate::objective::Reduced;
use crate::on_policy::OwnSums;
use crate::seed::seed;
use crate::{Error, Example, Loss, Objective, Result, RowLoss, Tail};

/// Positions whose logits are held at once: 3 · 64 · 49,152 · 4 bytes = 38 MB for the rows of both and the gradient.
pub(crate) const SLICE: usize = 64;

/// Who teaches what, and how.
#[derive(Clone, Copy, Debug)]
pub struct Teaching<'a> {
    /// The teacher P; `None` where the text itself teaches.
    pub teacher: Option<&'a dyn LogitSource>,
    /// What is minimised.
    pub objective: Objective,
    /// The columns that are tokens; what heads have beyond them is padding and gets no gradient from the loss.
    pub columns: usize,
    /// The kernel to use.
    pub kernel: Kernel,
    /// Whether the windows are text that the student made itself.
    pub own_text: bool,
    /// Decides which tokens are drawn of the teacher's rows, and what dropout takes from the student's.
    pub seed: u64,
}

impl Teaching<'_> {
    /// By what the student is judged.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.teacher
            .map_or(Gauge::CrossEntropy, |_| self.objective.loss.gauge())
    }
}

/// What a window adds to a step: sums over its counted rows, in nats.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Σ loss.
    pub loss: f64,
    /// Σ divergence from the teacher, at the objective's temperature.
    pub divergence: f64,
    /// Σ −ln Q(observed).
    pub nll: f64,
    /// Rows that count.
    pub counted: u64,
    /// What was measured on the student's own text, window by window.
    pub own_text: Vec<OwnSums>,
    /// The gradient of `scale` · Σ loss.
    pub gradients: Gradients,
}

impl Learned {
    /// Adds what other windows have taught, in their order; each thread adds up its share of the weights.
    pub fn add(&mut self, others: Vec<Self>, threads: usize) {
        for other in &others {
            self.loss += other.loss;
            self.divergence += other.divergence;
            self.nll += other.nll;
            self.counted += other.counted;
            self.own_text.extend(&other.own_text);
        }
        let mut others = others.into_iter().map(|other| other.gradients);
        if self.gradients.is_empty() {
            self.gradients = others.next().unwrap_or_default();
        }
        let others: Vec<Gradients> = others.collect();
        let mut weights: Vec<_> = self.gradients.iter_mut().collect();
        let share = weights.len().div_ceil(threads.max(1)).max(1);
        thread::scope(|scope| {
            for share in weights.chunks_mut(share) {
                let others = &others;
                scope.spawn(move || {
                    for (name, sum) in share {
                        for gradient in others.iter().filter_map(|other| other.get(*name)) {
                            sum.iter_mut().zip(gradient).for_each(|(sum, x)| *sum += x);
                        }
                    }
                });
            }
        });
    }
}

/// The loss of a window and its gradient; `scale` is one over the number of tokens that count in the whole step.
///
/// # Errors
///
/// If a row is no distribution, a weight gets no gradient, or a model fails. `number` is the window's, for the message.
pub fn learn(
    student: &DifferentiableModel,
    teaching: &Teaching<'_>,
    number: usize,
    example: &Example,
    scale: f64,
) -> Result<Learned> {
    let (window, columns) = (&example.window, teaching.columns);
    let dropout = seed([teaching.seed, number as u64, DROPOUT]);
    let mut pass = student.dropping_pass(&window.input, dropout)?;
    let given = teaching.teacher.map(|t| t.forward(&window.input));
    let given = given.transpose()?;
    let wide_p = teaching.teacher.map_or(columns, LogitSource::vocabulary);
    let wide_q = student.vocabulary();
    let (mut p_rows, mut q_rows, mut grads) = (Vec::new(), Vec::new(), Vec::new());
    let (mut learned, mut reduced) = (Learned::default(), Reduced::default());
    let mut own_text = OwnSums {
        fragment: window.fragment,
        ..OwnSums::default()
    };
    for begin in window.scored.clone().step_by(SLICE) {
        let slice = begin..window.scored.end.min(begin + SLICE);
        if let Some(given) = &given {
            given.rows(slice.clone(), &mut p_rows)?;
        }
        pass.rows(slice.clone(), &mut q_rows);
        grads.clear();
        grads.resize(q_rows.len(), 0.0);
        for (at, row) in slice.clone().enumerate() {
            if !example.counts(row) {
                continue;
            }
            let given = given.as_ref().map(|given| Given {
                logits: &p_rows[at * wide_p..][..columns],
                window: &**given,
                seed: seed([teaching.seed, number as u64, row as u64]),
            });
            let q = &q_rows[at * wide_q..][..columns];
            let grad = &mut grads[at * wide_q..][..columns];
            let observed = window.observed(row);
            if let Some(given) = given.as_ref().filter(|_| teaching.own_text) {
                own_text
                    .count(given.logits, q, observed, teaching.kernel)
                    .map_err(|fault| wrong_row(fault, number, row))?;
            }
            let loss = teaching
                .row(given, (row, q), observed, scale, (grad, &mut reduced))
                .map_err(|fault| wrong_row(fault, number, row))?;
            learned.loss += loss.total;
            learned.divergence += loss.divergence;
            learned.nll += loss.nll;
            learned.counted += 1;
        }
        pass.pull(slice, &grads);
    }
    if own_text.positions > 0 {
        learned.own_text.push(own_text);
    }
    learned.gradients = pass.gradients()?;
    Ok(learned)
}

/// The seed of dropout among those of rows: no row has this number.
const DROPOUT: u64 = u64::MAX;

/// What a teacher says of a row.
struct Given<'a> {
    logits: &'a [f32],
    window: &'a dyn WindowLogits,
    /// Decides which tokens are drawn of it.
    seed: u64,
}

impl Teaching<'_> {
    /// The same on text that the student made itself: reverse KL of whole rows, and nothing of the tokens, which are no truth there.
    #[must_use]
    pub fn on_own_text(&self) -> Self {
        Self {
            objective: Objective {
                loss: Loss::REVERSE_KL,
                cross_entropy_share: 0.0,
                tail: Tail::Uniform,
                sampling: None,
                ..self.objective
            },
            own_text: true,
            ..*self
        }
    }

    /// The loss of a row, with as much of the teacher's as the objective takes.
    fn row(
        &self,
        given: Option<Given<'_>>,
        (row, q): (usize, &[f32]),
        observed: u32,
        scale: f64,
        (grad, reduced): (&mut [f32], &mut Reduced),
    ) -> Result<RowLoss, RowFault> {
        let (objective, kernel) = (&self.objective, self.kernel);
        let Some(given) = given else {
            return objective.row(None, q, observed, scale, kernel, grad);
        };
        if let Some(sampling) = objective.sampling {
            let (rows, out) = ((given.logits, q), (grad, given.seed));
            return objective.sampled_row(sampling, rows, observed, scale, kernel, out);
        }
        let kept = given.window.kept(row);
        match kept.filter(|_| objective.tail != Tail::Uniform) {
            Some(kept) => objective.sparse_row(&kept, q, observed, scale, kernel, (grad, reduced)),
            None => objective.row(Some(given.logits), q, observed, scale, kernel, grad),
        }
    }
}

/// A row of the teacher's is wrong input; one of the student's shows that training went wrong, at a step that the caller knows.
pub(crate) fn wrong_row(fault: RowFault, window: usize, row: usize) -> Error {
    match fault.side {
        Side::Reference => Error::TeacherRow { window, row, fault },
        _ => Error::Diverged {
            step: 0,
            what: format!("the student's logits are no distribution ({fault})"),
        },
    }
}
