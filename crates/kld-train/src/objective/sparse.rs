//! The loss of a row of which the teacher's most likely tokens are known, and the mass of all others together.
//!
//! With the kept tokens K, the rest of P is told by [`Tail`]. For `Lump` and `Renormalize` the rest is one outcome of both:
//! the rows become |K| + 1 long, with the logit T·ln Σ exp(yⱼ/T) over all j ∉ K as the student's last. A divergence between them is
//! at most that between the rows themselves (data processing), and exactly that where P has nothing outside K. Its gradient
//! goes to j ∉ K by their share of the rest, exp(yⱼ/T) / Σ exp(yⱼ/T).

use kld_kernels::{Kernel, RowFault};
use kld_models::source::KeptRow;
use serde::{Deserialize, Serialize};

use super::{Objective, RowLoss};

/// What is taken for the teacher's distribution over tokens that a recording has not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tail {
    /// Their mass is spread evenly over them: a full row, as evaluation sees it.
    #[default]
    Uniform,
    /// They are one outcome; how the student spreads its own mass over them is left to it.
    Lump,
    /// They have none, and the kept ones all: the student is drawn to a teacher without a tail, which is not the teacher.
    Renormalize,
}

/// Memory that rows share, and whose contents mean nothing between them.
#[derive(Debug, Default)]
pub(crate) struct Reduced {
    p: Vec<f32>,
    q: Vec<f32>,
    grad: Vec<f32>,
    is_kept: Vec<bool>,
}

impl Objective {
    /// As [`row`](Self::row), of a teacher's row as it was kept; the tail is lumped or dropped.
    pub(crate) fn sparse_row(
        &self,
        p: &KeptRow<'_>,
        q: &[f32],
        observed: u32,
        scale: f64,
        kernel: Kernel,
        (grad, reduced): (&mut [f32], &mut Reduced),
    ) -> Result<RowLoss, RowFault> {
        let share = self.cross_entropy_share;
        if share == 1.0 {
            return self.row(None, q, observed, scale, kernel, grad);
        }
        // A fault of the student's row is told with its own column.
        kernel.log_sum_exp(q)?;
        let temperature = f64::from(self.temperature);
        let log_rest = reduced.fill(p, q, temperature, self.tail);
        let bare = Self {
            cross_entropy_share: 0.0,
            ..*self
        };
        let Reduced {
            p: few_p,
            q: few_q,
            grad: few,
            is_kept,
        } = reduced;
        let weight = scale * (1.0 - share);
        let found = bare.row(Some(few_p), few_q, 0, weight, kernel, few)?;
        let rest = f64::from(few[few.len() - 1]);
        for ((grad, &y), is_kept) in grad.iter_mut().zip(q).zip(&*is_kept) {
            let share = (f64::from(y) / temperature - log_rest).exp();
            *grad = if *is_kept { 0.0 } else { (rest * share) as f32 };
        }
        let ids = p.ids.iter().map(|&id| id as usize);
        for (id, &slope) in ids.filter(|&id| id < q.len()).zip(&*few) {
            grad[id] = slope;
        }
        let mut loss = RowLoss {
            total: (1.0 - share) * found.total,
            ..found
        };
        if share > 0.0 {
            loss.nll = super::add_cross_entropy(q, observed, scale * share, kernel, grad)?;
            loss.total += share * loss.nll;
        }
        Ok(loss)
    }
}

impl Reduced {
    /// What is known of both at temperature 1: the kept tokens, and all others as one outcome.
    pub(crate) fn rows(&mut self, kept: &KeptRow<'_>, q: &[f32]) -> (&[f32], &[f32]) {
        self.fill(kept, q, 1.0, Tail::Lump);
        (&self.p, &self.q)
    }

    /// Makes the short rows; returns ln Σ exp(y/T) over the student's rest.
    fn fill(&mut self, kept: &KeptRow<'_>, q: &[f32], temperature: f64, tail: Tail) -> f64 {
        self.is_kept.clear();
        self.is_kept.resize(q.len(), false);
        self.p.clear();
        self.q.clear();
        // A head may have more columns than there are tokens: what lies beyond is no outcome here.
        let tokens = kept.ids.iter().map(|&id| id as usize).zip(kept.log_probs);
        for (id, &log_prob) in tokens.filter(|(id, _)| *id < q.len()) {
            self.is_kept[id] = true;
            self.p.push(log_prob);
            self.q.push(q[id]);
        }
        let log_rest = log_sum_exp(
            q.iter()
                .zip(&self.is_kept)
                .filter(|(_, is_kept)| !**is_kept)
                .map(|(&y, _)| f64::from(y) / temperature),
        );
        self.p.push(match tail {
            Tail::Renormalize => f32::NEG_INFINITY,
            _ => kept.log_tail as f32,
        });
        self.q.push((temperature * log_rest) as f32);
        self.grad.resize(self.q.len(), 0.0);
        log_rest
    }
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + values.map(|x| (x - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        q: Vec<f32>,
        ids: Vec<u32>,
        log_probs: Vec<f32>,
        log_tail: f64,
        observed: u32,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        loss: String,
        tail: Tail,
        temperature: f32,
        share: f64,
        value: f64,
        gradient: Vec<f64>,
    }

    #[test]
    fn a_lumped_or_dropped_tail_has_the_value_and_gradient_of_autograd() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../golden/train/sparse.json"
        );
        let golden: Golden = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let kept = KeptRow {
            ids: &golden.ids,
            log_probs: &golden.log_probs,
            log_tail: golden.log_tail,
        };
        assert!(golden.cases.len() > 20);
        for case in &golden.cases {
            let objective = Objective {
                loss: case.loss.parse().unwrap(),
                cross_entropy_share: case.share,
                temperature: case.temperature,
                tail: case.tail,
                ..Objective::default()
            };
            assert_eq!(objective.check(), Ok(()));
            // Not zeros: what is there before must not matter.
            let (mut grad, mut reduced) = (vec![5.0; golden.q.len()], Reduced::default());
            let out = (&mut grad[..], &mut reduced);
            let kernel = Kernel::detect();
            let found = objective
                .sparse_row(&kept, &golden.q, golden.observed, 2.0, kernel, out)
                .unwrap();
            let what = format!("{} {:?} {}", case.loss, case.tail, case.temperature);
            assert!(
                (found.total - case.value).abs() < 3e-6,
                "{what}: {}",
                found.total
            );
            for (found, expected) in grad.iter().zip(&case.gradient) {
                assert!(
                    (f64::from(*found) - 2.0 * expected).abs() < 3e-6,
                    "{what}: {grad:?}"
                );
            }
        }
    }

    #[test]
    fn where_all_tokens_are_kept_nothing_is_lumped() {
        let (p, q) = ([-0.5_f32, -1.5, -2.0, -1.6], [0.3_f32, -1.0, 2.0, 0.0]);
        let kept = KeptRow {
            ids: &[0, 1, 2, 3],
            log_probs: &p,
            log_tail: f64::NEG_INFINITY,
        };
        let kernel = Kernel::detect();
        let objective = Objective {
            tail: Tail::Lump,
            ..Objective::default()
        };
        let (mut dense, mut sparse) = ([0.0; 4], [0.0; 4]);
        let whole = objective
            .row(Some(&p), &q, 1, 1.0, kernel, &mut dense)
            .unwrap();
        let out = (&mut sparse[..], &mut Reduced::default());
        let few = objective
            .sparse_row(&kept, &q, 1, 1.0, kernel, out)
            .unwrap();
        assert!((whole.total - few.total).abs() < 1e-6);
        assert!(
            dense.iter().zip(&sparse).all(|(a, b)| (a - b).abs() < 1e-6),
            "{dense:?} {sparse:?}"
        );
    }
}
