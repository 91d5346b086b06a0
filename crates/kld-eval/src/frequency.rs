//! The text's token frequencies against what a model expected over the same positions.
//!
//! P is how often each token stands at the scored positions, Q the mean of the distributions that the model predicted
//! there. Even a text that was drawn from the model would not give D(P‖Q) = 0, because P is a sample: how large it would be
//! is measured by drawing such texts, one token from every predicted distribution.

mod groups;

use std::collections::HashMap;

use kld_core::{
    Transcript,
    result::{FrequencyKl, TokenShare},
};
use kld_kernels::divergence::{Divergence, from_probs};
use rand::{RngExt, rngs::StdRng};

pub(crate) use groups::Groups;

/// Texts drawn from the model.
pub const DRAWS: usize = 8;

/// Over- and under-predicted tokens that are listed.
const LISTED: usize = 20;

/// Token counts of the text and of texts drawn from the model, and the model's expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct Frequencies {
    pub(crate) positions: u64,
    /// Σ of the predicted distributions.
    pub(crate) expected: Vec<f64>,
    observed: HashMap<u32, u64>,
    drawn: [HashMap<u32, u64>; DRAWS],
}

impl Frequencies {
    /// Nothing yet, over a vocabulary of `columns`.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self {
            positions: 0,
            expected: vec![0.0; columns],
            observed: HashMap::new(),
            drawn: Default::default(),
        }
    }

    /// Adds one position: its row, and the token that came with its negative log-likelihood.
    pub fn push(
        &mut self,
        row: &[f32],
        log_sum_exp: f64,
        (observed, nll): (u32, f64),
        kernel: kld_kernels::Kernel,
        rng: &mut StdRng,
    ) {
        self.positions += 1;
        let before = self.expected[observed as usize];
        kernel.add_probs(row, log_sum_exp, &mut self.expected);
        if self.expected[observed as usize] == before {
            // The lanes leave out probabilities below e⁻⁸⁷; the one that came must not be taken for impossible.
            self.expected[observed as usize] += (-nll).exp();
        }
        *self.observed.entry(observed).or_default() += 1;
        for (counts, token) in self.drawn.iter_mut().zip(draw(row, log_sum_exp, rng)) {
            *counts.entry(token).or_default() += 1;
        }
    }

    /// Adds the positions of another part of the text.
    pub fn merge(&mut self, other: &Frequencies) {
        self.positions += other.positions;
        for (sum, value) in self.expected.iter_mut().zip(&other.expected) {
            *sum += value;
        }
        for (counts, added) in self.tables_mut().zip(other.tables()) {
            for (token, count) in added {
                *counts.entry(*token).or_default() += count;
            }
        }
    }

    /// The counts of the text, and those of each text drawn from the model.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &HashMap<u32, u64>> {
        std::iter::once(&self.observed).chain(&self.drawn)
    }

    pub(crate) fn tables_mut(&mut self) -> impl Iterator<Item = &mut HashMap<u32, u64>> {
        std::iter::once(&mut self.observed).chain(&mut self.drawn)
    }

    /// The divergence of the frequencies from the expectation, and the tokens that carry it.
    #[must_use]
    pub fn result(&self, text: &Transcript) -> FrequencyKl {
        let q = self.mean_expectation();
        let (under, over) = self.contributions(text);
        FrequencyKl {
            kl: self.divergence(Divergence::Kl, &self.observed, &q),
            reverse_kl: self.divergence(Divergence::ReverseKl, &self.observed, &q),
            js: self.divergence(Divergence::Js, &self.observed, &q),
            sampling_floor: self.floor(&q),
            errors: None,
            under_predicted: under,
            over_predicted: over,
        }
    }

    fn mean_expectation(&self) -> Vec<f64> {
        let n = self.positions.max(1) as f64;
        self.expected.iter().map(|sum| sum / n).collect()
    }

    fn divergence(&self, divergence: Divergence, counts: &HashMap<u32, u64>, q: &[f64]) -> f64 {
        from_probs(divergence, &self.shares(counts), q)
    }

    /// Mean D(P̂‖Q) of the texts drawn from the model.
    fn floor(&self, q: &[f64]) -> f64 {
        let of = |counts| self.divergence(Divergence::Kl, counts, q);
        self.drawn.iter().map(of).sum::<f64>() / DRAWS as f64
    }

    fn shares(&self, counts: &HashMap<u32, u64>) -> Vec<f64> {
        let mut shares = vec![0.0; self.expected.len()];
        for (token, count) in counts {
            shares[*token as usize] = *count as f64 / self.positions as f64;
        }
        shares
    }

    /// A token's part of D(P‖Q).
    fn contribution(&self, token: u32) -> f64 {
        let n = self.positions.max(1) as f64;
        let count = self.observed.get(&token).copied().unwrap_or(0);
        let (p, q) = (count as f64 / n, self.expected[token as usize] / n);
        if count == 0 {
            q
        } else {
            p * (p / q).ln() - p + q
        }
    }

    /// The tokens that the text has more often than expected, and those it has less often.
    fn contributions(&self, text: &Transcript) -> (Vec<TokenShare>, Vec<TokenShare>) {
        let of = |(token, expected): (usize, &f64)| {
            let token = token as u32;
            let count = self.observed.get(&token).copied().unwrap_or(0);
            (token, count, *expected, self.contribution(token))
        };
        let mut all: Vec<_> = self.expected.iter().enumerate().map(of).collect();
        all.sort_by(|a, b| b.3.total_cmp(&a.3).then(a.0.cmp(&b.0)));
        let list = |more: bool| {
            let chosen = all
                .iter()
                .filter(|(_, count, expected, _)| (*count as f64 > *expected) == more)
                .take(LISTED);
            chosen
                .map(|&(token, count, expected, contribution)| TokenShare {
                    token,
                    text: text.token(token).to_owned(),
                    count,
                    expected,
                    contribution,
                    estimate: None,
                })
                .collect()
        };
        (list(true), list(false))
    }
}

/// Draws [`DRAWS`] tokens from one row, going through it once.
fn draw(row: &[f32], log_sum_exp: f64, rng: &mut StdRng) -> [u32; DRAWS] {
    let mut levels: [f64; DRAWS] = std::array::from_fn(|_| rng.random());
    levels.sort_unstable_by(f64::total_cmp);
    let most_likely = || {
        row.iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(i, _)| i as u32)
    };
    let mut tokens = [u32::MAX; DRAWS];
    let (mut cumulated, mut next) = (0.0, 0);
    for (token, logit) in row.iter().enumerate() {
        cumulated += (f64::from(*logit) - log_sum_exp).exp();
        while next < DRAWS && levels[next] < cumulated {
            tokens[next] = token as u32;
            next += 1;
        }
        if next == DRAWS {
            break;
        }
    }
    // Rounding may leave the sum just below a level close to 1.
    tokens[next..].fill_with(most_likely);
    // Sorted levels give sorted tokens: turn them round at random, or draw 1 of every position would hold the smallest.
    let turn = rng.random_range(0..DRAWS);
    tokens.rotate_left(turn);
    tokens
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn draws_follow_the_row() {
        let probs = [0.5_f32, 0.25, 0.0, 0.2, 0.05];
        let row = probs.map(f32::ln);
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = [[0_u32; 5]; DRAWS];
        let rounds = 20_000;
        for _ in 0..rounds {
            for (of, token) in counts.iter_mut().zip(draw(&row, 0.0, &mut rng)) {
                of[token as usize] += 1;
            }
        }
        for of in counts {
            for (count, p) in of.iter().zip(probs) {
                let expected = f64::from(p) * f64::from(rounds);
                assert!(
                    (f64::from(*count) - expected).abs() <= 5.0 * expected.sqrt(),
                    "{of:?}"
                );
            }
        }
    }
}
