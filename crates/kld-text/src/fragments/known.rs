//! The terms of both bodies, and how often each stands in the reference.

use kld_core::count::{Counts, Estimator};

use crate::count::{CountTable, Vocabulary};

/// Numbers of terms, those of the reference first.
pub(super) struct Known {
    vocabulary: Vocabulary,
    /// How often each stands in the reference, by its number.
    reference: Vec<u64>,
    total: u64,
}

/// Whose fragment it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One of the reference, which is compared with the rest.
    Reference,
    /// One of the candidate.
    Candidate,
}

/// D(fragment‖reference), and the terms with the largest parts.
pub(super) struct Measured {
    pub(super) kl: f64,
    pub(super) carried_by: Vec<String>,
}

/// Terms that are named.
const NAMED: usize = 3;

impl Known {
    pub(super) fn new(reference: &CountTable, candidate: &CountTable) -> Self {
        let mut vocabulary = Vocabulary::default();
        let mut counts = Vec::with_capacity(reference.vocabulary());
        for term in reference.terms() {
            vocabulary.number(term.term.into());
            counts.push(term.count());
        }
        for term in candidate.terms() {
            vocabulary.number(term.term.into());
        }
        counts.resize(vocabulary.len(), 0);
        Self {
            vocabulary,
            reference: counts,
            total: reference.total(),
        }
    }

    /// The number of a term, if it is in one of the tables.
    pub(super) fn number(&self, term: &str) -> Option<u32> {
        self.vocabulary.find(term.into())
    }

    /// Measures a fragment, given the count of each of its terms. NaN for one that leaves no rest.
    pub(super) fn measure(&self, counts: &[(u32, u64)], role: Role) -> Measured {
        let rest_of = |number: u32, count: u64| {
            let all = self.reference[number as usize];
            match role {
                Role::Candidate => all,
                Role::Reference => all.saturating_sub(count),
            }
        };
        let here: Vec<u64> = counts.iter().map(|(_, count)| *count).collect();
        let there: Vec<u64> = counts
            .iter()
            .map(|(n, count)| rest_of(*n, *count))
            .collect();
        let size: u64 = here.iter().sum();
        let total = match role {
            Role::Candidate => self.total,
            Role::Reference => self.total.saturating_sub(size),
        };
        // Terms that the fragment lacks add nothing, so that they can stand there as one.
        let others = total - there.iter().sum::<u64>();
        let with = |mut counts: Vec<u64>, others| {
            counts.push(others);
            Counts::new(counts).ok()
        };
        let (Some(p), Some(q)) = (with(here, 0), with(there, others)) else {
            return Measured {
                kl: f64::NAN,
                carried_by: Vec::new(),
            };
        };
        let estimator = Estimator::ZhangGrabchak;
        let mut parts: Vec<(f64, u32)> = counts
            .iter()
            .enumerate()
            .map(|(index, (number, _))| (estimator.kl_part(&p, &q, index), *number))
            .collect();
        parts.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let largest = parts.iter().take(NAMED);
        Measured {
            kl: estimator.kl(&p, &q),
            carried_by: largest
                .map(|(_, number)| self.vocabulary.term(*number).text().to_owned())
                .collect(),
        }
    }
}
