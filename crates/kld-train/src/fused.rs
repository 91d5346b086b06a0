//! Head and loss in one: the loss of a window and the gradient of every weight, without ever holding all logits.
//!
//! A slice of [`SLICE`] positions at a time, the rows of teacher and student become the loss and the gradient with respect
//! to the student's logits, which goes back through the head at once (see [`kld_models::native::Pass`]).

use std::thread;

use kld_kernels::{Kernel, RowFault, Side};
use kld_models::LogitSource;
use kld_models::native::{DifferentiableModel, Gradients};

use crate::{Error, Example, Objective, Result};

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
    let mut pass = student.pass(&window.input)?;
    let given = teaching.teacher.map(|t| t.forward(&window.input));
    let given = given.transpose()?;
    let wide_p = teaching.teacher.map_or(columns, LogitSource::vocabulary);
    let wide_q = student.vocabulary();
    let (mut p_rows, mut q_rows, mut grads) = (Vec::new(), Vec::new(), Vec::new());
    let mut learned = Learned::default();
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
            let p = given.as_ref().map(|_| &p_rows[at * wide_p..][..columns]);
            let q = &q_rows[at * wide_q..][..columns];
            let grad = &mut grads[at * wide_q..][..columns];
            let observed = window.observed(row);
            let loss = teaching
                .objective
                .row(p, q, observed, scale, teaching.kernel, grad)
                .map_err(|fault| wrong_row(fault, number, row))?;
            learned.loss += loss.total;
            learned.divergence += loss.divergence;
            learned.nll += loss.nll;
            learned.counted += 1;
        }
        pass.pull(slice, &grads);
    }
    learned.gradients = pass.gradients()?;
    Ok(learned)
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
