//! How sure frequencies are: the text in groups, each of which is left out once.
//!
//! The divergence of frequencies is no mean over fragments, so its error is that of the delete-a-group jackknife
//! ([`Jackknife`]). Fragments are dealt to at most [`MOST`] groups in turn, so that groups are about equally large. Neighbouring windows of one
//! text are not independent, so the only fragment is cut into runs of windows.

use kld_core::{
    Plan,
    estimate::{ClusterUnit, Estimate, Jackknife},
    result::{FrequencyErrors, FrequencyKl, TokenShare},
};
use kld_kernels::divergence::Divergence;

use super::Frequencies;

/// The most groups: with 20, Student's t is within a tenth of what infinitely many would have.
const MOST: usize = 20;

/// The frequencies of a text by group.
#[derive(Debug)]
pub(crate) struct Groups {
    unit: ClusterUnit,
    /// The group of each window of the plan.
    of_window: Vec<usize>,
    counted: Vec<Option<Frequencies>>,
}

impl Groups {
    /// Nothing counted yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        let windows = plan.transcript.windows.iter();
        Self::of_windows(&windows.map(|w| w.fragment).collect::<Vec<_>>())
    }

    fn of_windows(fragments: &[u32]) -> Self {
        let (unit, of_window) = deal(fragments);
        Self {
            unit,
            of_window,
            counted: vec![None; MOST],
        }
    }

    /// Counts a window.
    pub(crate) fn add(&mut self, window: usize, frequencies: &Frequencies) {
        match &mut self.counted[self.of_window[window]] {
            Some(group) => group.merge(frequencies),
            empty => *empty = Some(frequencies.clone()),
        }
    }

    /// Tells how sure the result of the whole is, where there are two groups at least.
    pub(crate) fn add_errors(self, all: &Frequencies, result: &mut FrequencyKl) {
        let groups: Vec<Frequencies> = self
            .counted
            .into_iter()
            .flatten()
            .filter(|group| group.positions > 0)
            .collect();
        if groups.len() < 2 {
            return;
        }
        let rest: Vec<Frequencies> = (0..groups.len()).map(|g| all.without(&groups, g)).collect();
        let expectations: Vec<Vec<f64>> = rest.iter().map(Frequencies::mean_expectation).collect();
        let left_out = |value: f64, of: &dyn Fn(&Frequencies, &[f64]) -> f64| {
            let left_out = rest.iter().zip(&expectations).map(|(rest, q)| of(rest, q));
            let left_out = left_out.collect();
            Jackknife { value, left_out }.estimate()
        };
        let kl = |rest: &Frequencies, q: &[f64]| rest.divergence(Divergence::Kl, &rest.observed, q);
        result.errors = Some(FrequencyErrors {
            clustered_by: self.unit,
            groups: groups.len(),
            kl: left_out(result.kl, &kl).within(0.0, f64::INFINITY),
            js: left_out(result.js, &|rest, q| {
                rest.divergence(Divergence::Js, &rest.observed, q)
            })
            .within(0.0, std::f64::consts::LN_2),
            excess: left_out(result.excess(), &|rest, q| kl(rest, q) - rest.floor(q)),
        });
        let part = |share: &TokenShare| -> Estimate {
            left_out(share.contribution, &|rest, _| {
                rest.contribution(share.token)
            })
            .within(0.0, f64::INFINITY)
        };
        for share in (result.under_predicted.iter_mut()).chain(&mut result.over_predicted) {
            share.estimate = Some(part(share));
        }
    }
}

/// What groups are made of, and the group of each window, given the windows' fragments.
fn deal(fragments: &[u32]) -> (ClusterUnit, Vec<usize>) {
    let mut several = fragments.to_vec();
    several.sort_unstable();
    several.dedup();
    if several.len() > 1 {
        let rank = |fragment| several.partition_point(|f| f < fragment);
        let groups = fragments.iter().map(|fragment| rank(fragment) % MOST);
        (ClusterUnit::Fragment, groups.collect())
    } else {
        let count = fragments.len();
        let groups = (0..count).map(|window| window * MOST.min(count) / count);
        (ClusterUnit::Window, groups.collect())
    }
}

impl Frequencies {
    /// The positions that are in all groups but one; `self` is all of them.
    ///
    /// Counts are subtracted, which is exact. Expectations are added up anew: where nearly all of one is in the group that is left out, the
    /// difference would be noise, or below 0.
    fn without(&self, groups: &[Frequencies], left_out: usize) -> Self {
        let mut rest = self.clone();
        rest.positions -= groups[left_out].positions;
        for (counts, less) in rest.tables_mut().zip(groups[left_out].tables()) {
            for (token, count) in less {
                if let Some(kept) = counts.get_mut(token) {
                    *kept -= count;
                }
            }
        }
        rest.expected.fill(0.0);
        let others = groups.iter().enumerate().filter(|(g, _)| *g != left_out);
        for (_, group) in others {
            for (sum, value) in rest.expected.iter_mut().zip(&group.expected) {
                *sum += value;
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests;
