//! From gradients to other weights: SGD with momentum and `AdamW`, as PyTorch computes them.
//!
//! With gradient g, rate η and step t counted from 1:
//!
//! - SGD: m ← μ·m + g; w ← w − η·m.
//! - `AdamW`: m ← β₁·m + (1−β₁)·g; v ← β₂·v + (1−β₂)·g²; w ← w − η·m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε).
//!
//! [Penalties](crate::Penalty) act around it. Kingma and Ba 2015; Loshchilov and Hutter 2019.

use kld_models::native::{DifferentiableModel, Gradients};
use serde::{Deserialize, Serialize};

use crate::Penalty;

/// The rule by which weights change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Optimizer {
    /// Gradient descent with momentum.
    Sgd {
        /// μ; 0 for none.
        momentum: f64,
    },
    /// Adam, with weight decay apart from it.
    AdamW {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        epsilon: f64,
    },
}

impl Default for Optimizer {
    /// `AdamW` with its usual constants.
    fn default() -> Self {
        Self::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

/// What an optimizer remembers of each weight; empty before the first step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// m.
    pub first: Gradients,
    /// v; empty for SGD.
    pub second: Gradients,
}

/// One step of an optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// The rule.
    pub optimizer: Optimizer,
    /// What acts around it.
    pub penalties: &'a [Penalty],
    /// η.
    pub rate: f64,
    /// t, from 1.
    pub step: u64,
}

impl Update<'_> {
    /// Changes every weight that has a gradient.
    pub fn apply(
        &self,
        student: &mut DifferentiableModel,
        gradients: &mut Gradients,
        moments: &mut Moments,
    ) {
        student.update(|name, shape, weights| {
            if let Some(gradient) = gradients.get_mut(name) {
                self.one(name, shape, weights, gradient, moments);
            }
        });
    }

    /// Changes one weight, and its gradient by what penalties add to it.
    pub(crate) fn one(
        &self,
        name: &str,
        shape: &[usize],
        weights: &mut [f32],
        gradient: &mut [f32],
        moments: &mut Moments,
    ) {
        let penalties = self.penalties.iter().filter(|p| p.is_for(name, shape));
        let penalties: Vec<&Penalty> = penalties.collect();
        for penalty in &penalties {
            penalty.add_gradient(weights, gradient);
        }
        for penalty in &penalties {
            penalty.before(self.rate, weights);
        }
        self.change(name, weights, gradient, moments);
        for penalty in &penalties {
            penalty.after(self.rate, weights);
        }
    }

    fn change(&self, name: &str, weights: &mut [f32], gradient: &[f32], moments: &mut Moments) {
        let remembered = |memory: &mut Gradients| {
            let zeros = || vec![0.0; weights.len()];
            memory.remove(name).unwrap_or_else(zeros)
        };
        let mut first = remembered(&mut moments.first);
        match self.optimizer {
            Optimizer::Sgd { momentum } => {
                let (momentum, rate) = (momentum as f32, self.rate as f32);
                for ((w, &g), m) in weights.iter_mut().zip(gradient).zip(&mut first) {
                    *m = momentum * *m + g;
                    *w -= rate * *m;
                }
            }
            Optimizer::AdamW {
                beta1,
                beta2,
                epsilon,
            } => {
                let mut second = remembered(&mut moments.second);
                let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
                let rate = (self.rate / correction(beta1)) as f32;
                let root = correction(beta2).sqrt() as f32;
                let (b1, b2, epsilon) = (beta1 as f32, beta2 as f32, epsilon as f32);
                let (c1, c2) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32);
                let memory = first.iter_mut().zip(&mut second);
                for ((w, &g), (m, v)) in weights.iter_mut().zip(gradient).zip(memory) {
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *w -= rate * *m / (v.sqrt() / root + epsilon);
                }
                moments.second.insert(name.to_owned(), second);
            }
        }
        moments.first.insert(name.to_owned(), first);
    }
}

/// The norm of all gradients together; where it is above `limit`, they are scaled down to it.
pub fn clip(gradients: &mut Gradients, limit: Option<f64>) -> f64 {
    let squares = |g: &Vec<f32>| g.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    let norm = gradients.values().map(squares).sum::<f64>().sqrt();
    if let Some(limit) = limit.filter(|&limit| norm > limit) {
        let scale = (limit / norm) as f32;
        gradients
            .values_mut()
            .flatten()
            .for_each(|gradient| *gradient *= scale);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_keeps_the_direction_and_tells_the_norm_before() {
        let mut gradients = Gradients::from([
            ("a".to_owned(), vec![3.0, 0.0]),
            ("b".to_owned(), vec![-4.0]),
        ]);
        assert_eq!(clip(&mut gradients, None), 5.0);
        assert_eq!(clip(&mut gradients, Some(10.0)), 5.0);
        assert_eq!(gradients["a"], [3.0, 0.0]);
        assert_eq!(clip(&mut gradients, Some(2.5)), 5.0);
        assert_eq!(
            (&gradients["a"][..], &gradients["b"][..]),
            (&[1.5, 0.0][..], &[-2.0][..])
        );
    }
}
