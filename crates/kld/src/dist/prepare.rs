//! From two tables of numbers to what they mean: distributions, measures or samples; or to an error that teaches.

use anyhow::{Result, bail};
use kld_core::{
    Error,
    count::Counts,
    dist::{Input, Scale},
    distribution::{Distribution, Measure},
    smoothing::Smoothing,
    sum::sum,
};

use super::{
    refusal::{Refusal, looks_like_probs},
    table::{Pair, Table},
};

/// What the user says the numbers are, and what may be done to them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning {
    pub(crate) scale: Scale,
    pub(crate) normalize: bool,
    pub(crate) smoothing: Option<Smoothing>,
}

/// Two inputs that can be compared.
#[derive(Debug)]
pub(crate) enum Prepared {
    Distributions(Distribution, Distribution),
    Measures(Measure, Measure),
    Samples(Counts, Counts),
}

impl Meaning {
    /// The number that stands for a name which one side lacks: no mass.
    pub(crate) fn absent(self) -> f64 {
        match self.scale {
            Scale::LogProbs | Scale::Logits => f64::NEG_INFINITY,
            Scale::Probs | Scale::Masses | Scale::Counts => 0.0,
        }
    }

    /// Takes both tables for what they are said to be.
    ///
    /// # Errors
    ///
    /// If one is not that: with what is wrong on each side, how much, and which flag would mean it.
    pub(crate) fn apply(self, pair: &Pair) -> Result<Prepared> {
        match self.scale {
            Scale::Masses => self
                .both(pair, |table| Measure::new(table.numbers.clone()))
                .map(|(p, q)| Prepared::Measures(p, q)),
            Scale::Counts => self
                .both(pair, |table| Counts::from_numbers(&table.numbers))
                .map(|(p, q)| Prepared::Samples(p, q)),
            Scale::Probs | Scale::LogProbs | Scale::Logits => self
                .distributions(pair)
                .map(|(p, q)| Prepared::Distributions(p, q)),
        }
    }

    fn distributions(self, pair: &Pair) -> Result<(Distribution, Distribution)> {
        match self.smoothing {
            Some(smoothing) if smoothing.needs_counts() => self
                .both(pair, |table| sample(&table.numbers))
                .map(|(p, q)| smoothing.samples(&p, &q)),
            Some(smoothing) => self
                .both(pair, |table| self.distribution(table))
                .map(|(p, q)| smoothing.distributions(&p, &q)),
            None => self.both(pair, |table| self.distribution(table)),
        }
    }

    fn distribution(self, table: &Table) -> Result<Distribution, Error> {
        let (numbers, tolerance) = (table.numbers.clone(), table.precision.tolerance());
        match self.scale {
            Scale::Logits => Distribution::from_logits(numbers),
            Scale::LogProbs if self.normalize => Distribution::from_logits(numbers),
            // An error in a logarithm is a relative error of the probability, and logarithms are larger than 1.
            Scale::LogProbs => Distribution::from_log_probs(numbers, 10.0 * tolerance),
            _ if self.normalize => Measure::new(numbers).map(Distribution::normalized),
            _ => Measure::new(numbers).and_then(|measure| Distribution::new(measure, tolerance)),
        }
    }

    /// Builds both sides, or says what is wrong with each.
    fn both<T>(self, pair: &Pair, build: impl Fn(&Table) -> Result<T, Error>) -> Result<(T, T)> {
        match (build(&pair.p), build(&pair.q)) {
            (Ok(p), Ok(q)) => Ok((p, q)),
            (p, q) => bail!(
                Refusal {
                    meaning: self,
                    pair,
                    p: p.err(),
                    q: q.err()
                }
                .to_string()
            ),
        }
    }

    /// What stands in the result of one side.
    pub(crate) fn describe(self, name: &str, table: &Table) -> Input {
        let absent = self.absent();
        let mass = table.numbers.iter().copied();
        Input {
            name: name.to_owned(),
            scale: if self.smoothing.is_some_and(Smoothing::needs_counts) {
                Scale::Counts
            } else {
                self.scale
            },
            entries: table.numbers.len(),
            positive: mass.clone().filter(|&number| number != absent).count(),
            sum: match self.scale {
                Scale::Logits => None,
                Scale::LogProbs => Some(sum(mass.map(f64::exp))),
                Scale::Probs | Scale::Masses | Scale::Counts => Some(sum(mass)),
            },
            normalized: self.normalize,
        }
    }

    /// What is allowed, but looks like a mistake.
    pub(crate) fn doubts(self, pair: &Pair) -> Vec<String> {
        let sides = [('P', &pair.p), ('Q', &pair.q)];
        let doubtful = sides
            .into_iter()
            .filter(|(_, table)| self.scale == Scale::Logits && looks_like_probs(&table.numbers));
        doubtful
            .map(|(side, _)| format!("{side} looks like probabilities, and --logits puts it through softmax nevertheless"))
            .collect()
    }
}

/// The masses of numbers that are counts.
fn sample(numbers: &[f64]) -> Result<Measure, Error> {
    Counts::from_numbers(numbers)?;
    Measure::new(numbers.to_vec())
}
