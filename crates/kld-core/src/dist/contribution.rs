//! Which entries carry a divergence, and which make it infinite.

use kld_kernels::{Divergence, divergence::Entry};
use serde::{Deserialize, Serialize};

use super::{entries, measure_entries};
use crate::{
    Result,
    distribution::{Distribution, Measure},
    number,
    sum::sum,
};

/// One entry and its part in D(P‖Q).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Its place, from 0.
    pub index: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its mass under P.
    pub p: f64,
    /// Its mass under Q.
    pub q: f64,
    /// P ln(P/Q) for distributions, P ln(P/Q) − P + Q for measures, in nats. They sum to D(P‖Q); the former may be negative.
    #[serde(with = "number")]
    pub kl: f64,
}

/// Entries that have mass on one side only, and so make the divergence from that side infinite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneSided {
    /// How many there are.
    pub entries: usize,
    /// Their mass on the side that has it.
    pub mass: f64,
    /// The heaviest of them.
    pub heaviest: Vec<Mass>,
}

/// One entry and its mass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mass {
    /// Its place, from 0.
    pub index: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its mass.
    pub mass: f64,
}

impl Contribution {
    /// The part of every entry in D(P‖Q) of two distributions.
    ///
    /// # Errors
    ///
    /// If they have different numbers of entries.
    pub fn of_distributions(
        p: &Distribution,
        q: &Distribution,
        names: Option<&[String]>,
    ) -> Result<Vec<Self>> {
        Ok(contributions(&entries(p, q)?, names, bare_term))
    }

    /// The part of every entry in the generalized D(P‖Q) of two measures.
    ///
    /// # Errors
    ///
    /// If they have different numbers of entries.
    pub fn of_measures(p: &Measure, q: &Measure, names: Option<&[String]>) -> Result<Vec<Self>> {
        Ok(contributions(&measure_entries(p, q)?, names, |entry| {
            Divergence::Kl.term(entry)
        }))
    }

    /// The `count` largest, by size and whatever their sign; equal ones in order of place. Those of 0 carry nothing.
    #[must_use]
    pub fn largest(mut all: Vec<Self>, count: usize) -> Vec<Self> {
        all.retain(|entry| entry.kl != 0.0);
        all.sort_by(|a, b| b.kl.abs().total_cmp(&a.kl.abs()));
        all.truncate(count);
        all
    }
}

impl OneSided {
    /// The entries with P > 0 = Q of two distributions, of which the heaviest `count` are named.
    ///
    /// # Errors
    ///
    /// If they have different numbers of entries.
    pub fn of_distributions(
        p: &Distribution,
        q: &Distribution,
        names: Option<&[String]>,
        count: usize,
    ) -> Result<Self> {
        Ok(Self::new(&entries(p, q)?, names, count))
    }

    /// The entries with P > 0 = Q of two measures, of which the heaviest `count` are named.
    ///
    /// # Errors
    ///
    /// If they have different numbers of entries.
    pub fn of_measures(
        p: &Measure,
        q: &Measure,
        names: Option<&[String]>,
        count: usize,
    ) -> Result<Self> {
        Ok(Self::new(&measure_entries(p, q)?, names, count))
    }

    fn new(entries: &[Entry], names: Option<&[String]>, count: usize) -> Self {
        let alone = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.q_is_zero() && !entry.p_is_zero());
        let masses = alone.map(|(index, entry)| Mass {
            index,
            name: name(names, index),
            mass: entry.p,
        });
        let mut masses: Vec<_> = masses.collect();
        masses.sort_by(|a, b| b.mass.total_cmp(&a.mass));
        let (entries, mass) = (masses.len(), sum(masses.iter().map(|entry| entry.mass)));
        masses.truncate(count);
        Self {
            entries,
            mass,
            heaviest: masses,
        }
    }
}

fn contributions(
    entries: &[Entry],
    names: Option<&[String]>,
    kl: impl Fn(&Entry) -> f64,
) -> Vec<Contribution> {
    let contribution = |(index, entry): (usize, &Entry)| Contribution {
        index,
        name: name(names, index),
        p: entry.p,
        q: entry.q,
        kl: kl(entry),
    };
    entries.iter().enumerate().map(contribution).collect()
}

/// P ln(P/Q).
fn bare_term(entry: &Entry) -> f64 {
    match (entry.p_is_zero(), entry.q_is_zero()) {
        (true, _) => 0.0,
        (_, true) => f64::INFINITY,
        _ => -entry.p * entry.t,
    }
}

fn name(names: Option<&[String]>, index: usize) -> Option<String> {
    names.and_then(|names| names.get(index).cloned())
}
