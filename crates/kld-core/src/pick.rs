//! The candidate to ship: the smallest that is close enough, or the closest that is small enough.
//!
//! A limit of KL is held against the mean, as a gate holds it; candidates whose 95 % interval reaches across the limit are named, because
//! another text could judge them otherwise. Who has positions that are not finite, or was not measured whole, is never picked.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{
    ranking::{Ranking, by_kl, is_sound},
    result::Candidate,
};

/// What is asked of the candidate to be picked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The smallest whose mean KL is at most this, in nats.
    MaxKl(f64),
    /// The closest of at most so many bytes.
    MaxSize(u64),
}

/// What was picked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pick {
    /// What was asked for.
    pub wanted: Wanted,
    /// Index of the candidate picked; `null` where none passes.
    pub candidate: Option<usize>,
    /// Candidates whose interval reaches across a limit of KL: whether they pass is not certain.
    pub straddling: Vec<usize>,
    /// Candidates that pass as well and cannot be told apart from the one picked (no larger one where the smallest was asked for).
    pub tied: Vec<usize>,
    /// Were all windows measured? If not, none is picked.
    pub complete: bool,
}

impl Pick {
    /// Picks; `ranking` is that of the same candidates, where there are several.
    #[must_use]
    pub fn new(
        wanted: Wanted,
        candidates: &[Candidate],
        ranking: Option<&Ranking>,
        complete: bool,
    ) -> Self {
        let passes = |index: &usize| {
            let c = &candidates[*index];
            complete && is_sound(c) && wanted.is_met_by(c)
        };
        let passing: Vec<usize> = (0..candidates.len()).filter(passes).collect();
        let best = |a: &&usize, b: &&usize| wanted.prefers(&candidates[**a], &candidates[**b]);
        let candidate = passing.iter().min_by(best).copied();
        let tied = |other: &usize| {
            let Some((picked, ranking)) = candidate.zip(ranking) else {
                return false;
            };
            let apart = ranking.pair(picked, *other).is_none_or(|pair| pair.differ);
            let larger = candidates[*other].model.bytes > candidates[picked].model.bytes;
            let asked_for_smallest = matches!(wanted, Wanted::MaxKl(_));
            *other != picked && !apart && !(asked_for_smallest && larger)
        };
        Self {
            wanted,
            candidate,
            straddling: (0..candidates.len())
                .filter(|index| wanted.is_within_interval_of(&candidates[*index]))
                .collect(),
            tied: passing.iter().copied().filter(tied).collect(),
            complete,
        }
    }
}

impl Wanted {
    fn is_met_by(self, candidate: &Candidate) -> bool {
        match self {
            Wanted::MaxKl(limit) => candidate.kl.mean.value <= limit,
            Wanted::MaxSize(limit) => candidate.model.bytes <= limit,
        }
    }

    /// Less: the first is preferred.
    fn prefers(self, a: &Candidate, b: &Candidate) -> Ordering {
        let smaller = a.model.bytes.cmp(&b.model.bytes);
        match self {
            Wanted::MaxKl(_) => smaller.then(by_kl(a, b)),
            Wanted::MaxSize(_) => by_kl(a, b).then(smaller),
        }
    }

    fn is_within_interval_of(self, candidate: &Candidate) -> bool {
        let mean = candidate.kl.mean;
        match (self, mean.low, mean.high) {
            (Wanted::MaxKl(limit), Some(low), Some(high)) => low <= limit && limit < high,
            _ => false,
        }
    }
}
