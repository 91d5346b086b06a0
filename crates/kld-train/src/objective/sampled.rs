//! Forward KL estimated from a few tokens of the teacher's, without bias.
//!
//! Of each row n tokens x are drawn from R ∝ `P_T`^t, each with the weight w = `P_T`(x) / (n·R(x)). Then Σ w·δₓ has the mean `P_T`, and as
//! forward KL is linear in P, so have Σ w·(ln P(x) − ln Q(x)) and its gradient, Σw·Q − Σ w·δₓ, those of the exact loss, for
//! whatever n. Keeping the n most likely tokens instead is biased towards them, however long one trains (Anshumann et al. 2025,
//! "Sparse Logit Sampling").

use std::fmt;
use std::str::FromStr;

use kld_kernels::{Kernel, RowFault, Side};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Objective, RowLoss};

/// How tokens are drawn, told as `12` or `12:0.8`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// n, at least 1.
    pub tokens: u32,
    /// t: 1 draws from the teacher itself; less, more of its tail, with smaller weights.
    pub power: f64,
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.tokens)?;
        if self.power == 1.0 {
            return Ok(());
        }
        write!(f, ":{}", self.power)
    }
}

impl FromStr for Sampling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tokens, power) = text.split_once(':').unwrap_or((text, "1"));
        match (tokens.parse(), power.parse()) {
            (Ok(tokens), Ok(power)) if tokens > 0 && power > 0.0 && power <= 1.0 => {
                Ok(Self { tokens, power })
            }
            _ => Err(format!(
                "expected N or N:POWER with N of at least 1 and 0 < POWER ≤ 1, such as 12, found {text:?}"
            )),
        }
    }
}

kld_core::serde_as_text!(Sampling);

impl Sampling {
    /// Draws tokens of a row of logits at a temperature.
    fn draw(
        self,
        logits: &[f32],
        temperature: f64,
        kernel: Kernel,
        seed: u64,
    ) -> Result<Drawn, RowFault> {
        kernel.log_sum_exp(logits).map_err(|fault| RowFault {
            side: Side::Reference,
            ..fault
        })?;
        let log_p = LogProbs::new(logits, 1.0 / temperature);
        let log_r = if self.power == 1.0 {
            log_p
        } else {
            LogProbs::new(logits, self.power / temperature)
        };
        let mut random = StdRng::seed_from_u64(seed);
        let mut marks: Vec<f64> = (0..self.tokens).map(|_| random.random()).collect();
        marks.sort_unstable_by(f64::total_cmp);
        let mut drawn = Vec::with_capacity(marks.len());
        let (mut below, mut marks) = (0.0, marks.into_iter().peekable());
        let mut last = 0;
        for (column, &x) in logits.iter().enumerate() {
            let r = log_r.of(x).exp();
            below += r;
            if r > 0.0 {
                last = column;
            }
            while marks.next_if(|&mark| mark < below).is_some() {
                drawn.push(column);
            }
        }
        // Rounding may leave the sum a hair below 1.
        drawn.extend(marks.map(|_| last));
        let weigh = |column: usize| {
            let x = logits[column];
            let (p, r) = (log_p.of(x), log_r.of(x));
            (column, p, (p - r).exp() / f64::from(self.tokens))
        };
        Ok(drawn.into_iter().map(weigh).collect())
    }
}

/// Column, ln P, w.
type Drawn = Vec<(usize, f64, f64)>;

/// ln softmax(scale · x), of a row that is a distribution.
#[derive(Clone, Copy)]
pub(crate) struct LogProbs {
    scale: f64,
    log_sum: f64,
}

impl LogProbs {
    pub(crate) fn new(logits: &[f32], scale: f64) -> Self {
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let top = f64::from(top) * scale;
        let sum: f64 = logits
            .iter()
            .map(|&x| (f64::from(x) * scale - top).exp())
            .sum();
        Self {
            scale,
            log_sum: top + sum.ln(),
        }
    }

    pub(crate) fn of(&self, x: f32) -> f64 {
        f64::from(x) * self.scale - self.log_sum
    }
}

impl Objective {
    /// As [`row`](Self::row), with `P` known by a few tokens that `seed` draws of it.
    pub(crate) fn sampled_row(
        &self,
        sampling: Sampling,
        (p, q): (&[f32], &[f32]),
        observed: u32,
        scale: f64,
        kernel: Kernel,
        (grad, seed): (&mut [f32], u64),
    ) -> Result<RowLoss, RowFault> {
        let share = self.cross_entropy_share;
        let temperature = f64::from(self.temperature);
        let drawn = sampling.draw(p, temperature, kernel, seed)?;
        kernel.log_sum_exp(q)?;
        let log_q = LogProbs::new(q, 1.0 / temperature);
        let weight = (1.0 - share) * self.divergence_scale();
        let outer = scale * weight / temperature;
        let mass: f64 = drawn.iter().map(|(_, _, w)| w).sum();
        for (grad, &y) in grad.iter_mut().zip(q) {
            *grad = (outer * mass * log_q.of(y).exp()) as f32;
        }
        let mut loss = RowLoss::default();
        for &(column, log_p, w) in &drawn {
            loss.divergence += w * (log_p - log_q.of(q[column]));
            grad[column] -= (outer * w) as f32;
        }
        loss.total = weight * loss.divergence;
        if share > 0.0 {
            loss.nll = super::add_cross_entropy(q, observed, scale * share, kernel, grad)?;
            loss.total += share * loss.nll;
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tail;
    use crate::seed::seed;

    const DRAWS: u64 = 20_000;
    const P: [f32; 6] = [2.0, 0.5, -1.0, 1.2, -3.0, 0.0];
    const Q: [f32; 6] = [0.0, 1.0, 0.3, -0.7, 1.5, -0.2];

    fn objective(sampling: &str) -> Objective {
        Objective {
            cross_entropy_share: 0.25,
            temperature: 1.5,
            sampling: Some(sampling.parse().unwrap()),
            tail: Tail::Uniform,
            ..Objective::default()
        }
    }

    /// Loss and gradient of one draw.
    fn drawn(sampling: &str, number: u64) -> [f64; 7] {
        let (objective, mut grad) = (objective(sampling), [0.0; 6]);
        let sampling = objective.sampling.unwrap();
        let out = (&mut grad[..], seed([number, 7, 0]));
        let loss = objective
            .sampled_row(sampling, (&P, &Q), 2, 1.0, Kernel::detect(), out)
            .unwrap();
        let mut found = [loss.total; 7];
        found[1..].copy_from_slice(&grad.map(f64::from));
        found
    }

    #[test]
    fn the_mean_over_draws_is_the_exact_loss_and_gradient() {
        let mut grad = [0.0; 6];
        let exact = objective("1")
            .row(Some(&P), &Q, 2, 1.0, Kernel::detect(), &mut grad)
            .unwrap();
        let mut expected = [exact.total; 7];
        expected[1..].copy_from_slice(&grad.map(f64::from));
        for sampling in ["1", "12", "3:0.6"] {
            let (mut sum, mut squares) = ([0.0; 7], [0.0; 7]);
            for found in (0..DRAWS).map(|number| drawn(sampling, number)) {
                for (i, x) in found.into_iter().enumerate() {
                    sum[i] += x;
                    squares[i] += x * x;
                }
            }
            for i in 0..7 {
                let mean = sum[i] / DRAWS as f64;
                let error = ((squares[i] / DRAWS as f64 - mean * mean) / DRAWS as f64).sqrt();
                let off = (mean - expected[i]).abs();
                // The seeds are fixed: this is no matter of luck from run to run.
                assert!(
                    off < 4.5 * error + 1e-7,
                    "{sampling} {i}: {mean} {} ± {error}",
                    expected[i]
                );
            }
        }
    }

    #[test]
    fn many_tokens_come_close_and_no_token_without_probability_is_drawn() {
        let error = |sampling: &str| {
            let of = |number| drawn(sampling, number)[0] - drawn("4000", 1)[0];
            (0..50).map(|n| of(n).powi(2)).sum::<f64>().sqrt()
        };
        assert!(error("100") < 0.5 * error("2"));
        let logits = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
        let sampling: Sampling = "9".parse().unwrap();
        let drawn = sampling.draw(&logits, 1.0, Kernel::detect(), 3).unwrap();
        assert!(
            drawn
                .iter()
                .all(|&(column, p, w)| column == 1 && p == 0.0 && w == 1.0 / 9.0)
        );
    }

    #[test]
    fn samplings_are_read_back_as_they_are_told() {
        for text in ["12", "3:0.6"] {
            assert_eq!(text.parse::<Sampling>().unwrap().to_string(), text);
        }
        for bad in ["", "0", "12:0", "12:1.5", "x"] {
            assert!(bad.parse::<Sampling>().is_err(), "{bad}");
        }
    }
}
