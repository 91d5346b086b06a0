//! The student's own text: what it makes of a beginning, and how far it is from the teacher there.
//!
//! A student that has only ever seen text of others meets prefixes of its own making when it is used. Here it goes on with
//! the first half of a window by itself, and learns by reverse KL on what it wrote (Agarwal et al. 2024, "On-Policy
//! Distillation"). The gradient does not go through the choice of tokens. On each prefix D(Q‖P) is exact, a sum over the vocabulary and
//! not over the token that happened to be drawn: the Rao–Blackwell form of the estimators k1, k2 and k3 of the same (Schulman
//! 2020), which are measured beside it. With r = P(x)/Q(x) of a drawn token x they are −ln r, ½(ln r)² and r − 1 − ln r.

use kld_core::estimate::{Cluster, Estimate, Window as WindowMean};
use kld_core::result::OwnText;
use kld_kernels::{Kernel, PairOptions, RowFault};
use kld_models::native::DifferentiableModel;
use kld_models::{LogitSource, Window};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::objective::LogProbs;

/// Sums over the positions that the student wrote of a window, in nats, at temperature 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnSums {
    /// The fragment it began with.
    pub fragment: u32,
    /// Positions.
    pub positions: u64,
    /// Σ D(Q‖P) over the vocabulary.
    #[serde(with = "kld_core::number")]
    pub reverse_kl: f64,
    /// Σ k1.
    #[serde(with = "kld_core::number")]
    pub k1: f64,
    /// Σ k2.
    #[serde(with = "kld_core::number")]
    pub k2: f64,
    /// Σ k3.
    #[serde(with = "kld_core::number")]
    pub k3: f64,
}

impl OwnSums {
    /// Adds a position whose token was drawn from Q.
    pub(crate) fn count(
        &mut self,
        p: &[f32],
        q: &[f32],
        drawn: u32,
        kernel: Kernel,
    ) -> Result<(), RowFault> {
        let options = PairOptions {
            top_k: 1,
            observed: Some(drawn),
            ..PairOptions::default()
        };
        let pair = kernel.pair(p, q, &options)?;
        let log_ratio = pair.observed.map_or(0.0, |seen| seen.nll_q - seen.nll_p);
        self.positions += 1;
        self.reverse_kl += pair.reverse_kl;
        self.k1 -= log_ratio;
        self.k2 += log_ratio.powi(2) / 2.0;
        self.k3 += log_ratio.exp_m1() - log_ratio;
        Ok(())
    }
}

/// The means over some windows; `None` where there is none.
pub(crate) fn means(windows: &[OwnSums]) -> Option<OwnText> {
    let mean = |sum: fn(&OwnSums) -> f64| {
        let means = windows.iter().map(|window| WindowMean {
            fragment: window.fragment,
            cluster: Cluster {
                weight: window.positions as f64,
                sum: sum(window),
            },
        });
        Estimate::over_windows(&means.collect::<Vec<_>>())
    };
    (!windows.is_empty()).then(|| OwnText {
        tokens: windows.iter().map(|window| window.positions).sum(),
        reverse_kl: mean(|w| w.reverse_kl),
        k1: mean(|w| w.k1),
        k2: mean(|w| w.k2),
        k3: mean(|w| w.k3),
    })
}

/// The first half of a window, at least up to what is scored of it, as the student goes on with it: to the window's length or its
/// end-of-text token. Scored are the tokens that it drew, each from its distribution over the first `columns`.
///
/// # Errors
///
/// If the student fails.
pub fn own_text(
    student: &DifferentiableModel,
    window: &Window,
    columns: usize,
    seed: u64,
) -> Result<Window> {
    let mut random = StdRng::seed_from_u64(seed);
    let length = window.input.len();
    let begun = (length / 2).max(window.scored.start + 1);
    let mut input = window.input[..begun].to_vec();
    let end = student.tokenizer().eos();
    let mut text = student.continuation();
    let mut logits = text.feed(&input)?;
    loop {
        let token = draw(&logits[..columns], random.random());
        input.push(token);
        if input.len() == length || Some(token) == end {
            break;
        }
        logits = text.feed(&[token])?;
    }
    Ok(Window {
        fragment: window.fragment,
        replaced: window.replaced,
        scored: begun - 1..input.len() - 1,
        input,
    })
}

/// The token at which the probabilities add up to more than `mark`, which is from 0 to below 1.
fn draw(logits: &[f32], mark: f64) -> u32 {
    let log_probs = LogProbs::new(logits, 1.0);
    let (mut below, mut last) = (0.0, 0);
    for (token, &x) in (0..).zip(logits) {
        let probability = log_probs.of(x).exp();
        below += probability;
        if probability > 0.0 {
            last = token;
        }
        if mark < below {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        let logits = [0.0, f32::NEG_INFINITY, 2.0_f32.ln(), 1.0_f32.ln()];
        let drawn: Vec<u32> = (0..400)
            .map(|i| draw(&logits, (f64::from(i) + 0.5) / 400.0))
            .collect();
        let count = |token| drawn.iter().filter(|&&t| t == token).count();
        assert_eq!([0, 1, 2, 3].map(count), [100, 0, 200, 100]);
        assert_eq!(draw(&[0.0, f32::NEG_INFINITY], 1.0 - f64::EPSILON / 2.0), 0);
    }

    #[test]
    fn the_estimators_have_the_exact_mean() {
        let (p, q) = ([0.5_f32, -1.0, 0.25, 1.5], [0.0_f32, 0.5, 1.0, -0.5]);
        let (kernel, log_q) = (Kernel::detect(), LogProbs::new(&q, 1.0));
        let (mut k1, mut k3, mut exact) = (0.0, 0.0, 0.0);
        for token in 0..4 {
            let mut one = OwnSums::default();
            one.count(&p, &q, token, kernel).unwrap();
            let weight = log_q.of(q[token as usize]).exp();
            (k1, k3, exact) = (k1 + weight * one.k1, k3 + weight * one.k3, one.reverse_kl);
            assert!(one.k2 >= 0.0 && one.k3 >= 0.0);
        }
        assert!(
            (k1 - exact).abs() < 1e-6 && (k3 - exact).abs() < 1e-6,
            "{k1} {k3} {exact}"
        );
    }
}
