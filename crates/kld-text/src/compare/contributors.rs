//! The terms that carry the divergence.

use kld_core::{
    count::{Compared, Counts, Divergence},
    estimate::Estimate,
    result::{Contributor, Contributors, OneSidedTerms, Others, PartsOf, TermCount},
    sum::sum,
};

use super::{next, pair::Pair};

/// Terms of one side that are named.
const NAMED: usize = 20;

/// The places of the terms that are listed.
pub(super) struct Listed {
    more_in_reference: Vec<usize>,
    more_in_candidate: Vec<usize>,
}

/// Chooses the `count` terms of each side with the largest parts.
pub(super) fn chosen(pair: &Pair, compared: &Compared, count: usize) -> Listed {
    let (p, q) = (&pair.p.counts, &pair.q.counts);
    // a/n > b/m without rounding.
    let share = |index: usize| {
        let scaled = |here: &Counts, there: &Counts| {
            u128::from(here.counts()[index]) * u128::from(there.total())
        };
        (scaled(p, q), scaled(q, p))
    };
    let largest = |more: fn((u128, u128)) -> bool, part: fn(Divergence) -> f64| {
        let parts = (0..pair.terms.len())
            .filter(|&index| more(share(index)))
            .map(|index| (part(compared.part(index)), index));
        let mut parts: Vec<_> = parts.collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if parts.len() > count {
            parts.select_nth_unstable_by(count, order);
            parts.truncate(count);
        }
        parts.sort_unstable_by(order);
        parts.into_iter().map(|(_, index)| index).collect()
    };
    Listed {
        more_in_reference: largest(|(p, q)| p > q, |part| part.kl),
        more_in_candidate: largest(|(p, q)| q > p, |part| part.reverse_kl),
    }
}

impl Listed {
    pub(super) fn len(&self) -> usize {
        self.more_in_reference.len() + self.more_in_candidate.len()
    }

    /// The places of all of them, those of the reference first.
    pub(super) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.more_in_reference
            .iter()
            .chain(&self.more_in_candidate)
            .copied()
    }

    /// The contributors, given the estimates of their parts in the same order.
    pub(super) fn result(
        &self,
        pair: &Pair,
        compared: &Compared,
        parts_of: PartsOf,
        estimates: &mut impl Iterator<Item = Estimate>,
    ) -> Contributors {
        let mut list = |indices: &[usize]| {
            indices
                .iter()
                .map(|&index| Contributor {
                    term: pair.terms[index].to_owned(),
                    reference: pair.p.counts.counts()[index],
                    candidate: pair.q.counts.counts()[index],
                    kl: next(estimates),
                    reverse_kl: next(estimates),
                    js: next(estimates),
                })
                .collect()
        };
        Contributors {
            parts_of,
            more_in_reference: list(&self.more_in_reference),
            more_in_candidate: list(&self.more_in_candidate),
            others: self.others(pair, compared),
        }
    }

    fn others(&self, pair: &Pair, compared: &Compared) -> Others {
        let mut is_listed = vec![false; pair.terms.len()];
        self.indices().for_each(|index| is_listed[index] = true);
        let parts: Vec<Divergence> = (0..pair.terms.len())
            .filter(|&index| !is_listed[index])
            .map(|index| compared.part(index))
            .collect();
        let total = |part: fn(&Divergence) -> f64| sum(parts.iter().map(part));
        Others {
            terms: parts.len(),
            kl: total(|part| part.kl),
            reverse_kl: total(|part| part.reverse_kl),
            js: total(|part| part.js),
        }
    }
}

/// The terms that `here` has and `there` has not.
pub(super) fn one_sided(terms: &[&str], here: &Counts, there: &Counts) -> OneSidedTerms {
    let counts = here.counts().iter().zip(there.counts());
    let alone = counts
        .zip(terms)
        .filter(|((here, there), _)| **here > 0 && **there == 0);
    let mut alone: Vec<(u64, &str)> = alone.map(|((here, _), term)| (*here, *term)).collect();
    let occurrences: u64 = alone.iter().map(|(count, _)| count).sum();
    alone.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    OneSidedTerms {
        terms: alone.len(),
        share: occurrences as f64 / here.total() as f64,
        most_frequent: alone
            .iter()
            .take(NAMED)
            .map(|(count, term)| TermCount {
                term: (*term).to_owned(),
                count: *count,
            })
            .collect(),
    }
}
