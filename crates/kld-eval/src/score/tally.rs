//! From a plan and what its windows gave to the result. Needs no model, so it can be done wherever the windows' sums are.

use std::{collections::BTreeMap, mem};

use kld_core::{
    Plan,
    result::{FragmentScore, FrequencyKl, RunRecord, Score},
};

use super::{
    Sums, WindowScore, columns,
    sums::{bits_per_byte, calibration, clusters, per_position, perplexity},
};
use crate::{
    frequency::{Frequencies, Groups},
    warning,
};

/// Windows counted, in the order of the text.
#[derive(Debug)]
pub struct Tally<'a> {
    plan: &'a Plan,
    /// The windows' sums, each with its fragment.
    windows: Vec<(u32, Sums)>,
    /// Of the fragment under way: windows come in order, so only one fragment's vocabulary-sized sums are kept at a time.
    current: Option<(u32, Frequencies)>,
    /// Of the fragments before it.
    fragments: BTreeMap<u32, FrequencyKl>,
    all: Frequencies,
    groups: Groups,
}

impl<'a> Tally<'a> {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            windows: Vec::new(),
            current: None,
            fragments: BTreeMap::new(),
            all: Frequencies::new(columns(plan)),
            groups: Groups::new(plan),
        }
    }

    /// Counts the next window.
    pub fn add(&mut self, window: &WindowScore) {
        let fragment = self.plan.transcript.windows[window.window as usize].fragment;
        if self.current.as_ref().is_some_and(|(of, _)| *of != fragment) {
            self.close_fragment();
        }
        let nothing = || (fragment, Frequencies::new(columns(self.plan)));
        let (_, current) = self.current.get_or_insert_with(nothing);
        current.merge(&window.frequencies);
        self.groups.add(window.window as usize, &window.frequencies);
        self.windows.push((fragment, window.sums.clone()));
    }

    fn close_fragment(&mut self) {
        if let Some((fragment, frequencies)) = self.current.take() {
            self.all.merge(&frequencies);
            let result = frequencies.result(&self.plan.transcript);
            self.fragments.insert(fragment, result);
        }
    }

    /// The estimate so far, for people.
    pub(crate) fn estimate(&self) -> String {
        let nll = per_position(&self.windows, |s| s.nll);
        let error = nll
            .standard_error
            .map(|e| format!(" ± {e:.4}"))
            .unwrap_or_default();
        format!("cross-entropy {:.4}{error} nats", nll.value)
    }

    /// The result of the windows counted.
    #[must_use]
    pub fn conclude(mut self, run: RunRecord) -> Score {
        self.close_fragment();
        let mut frequency = self.all.result(&self.plan.transcript);
        self.groups.add_errors(&self.all, &mut frequency);
        let windows = &self.windows[..];
        let sums = Sums::over(windows.iter().map(|(_, sums)| sums));
        let (errors_clustered_by, (clusters, effective_clusters)) = clusters(windows);
        Score {
            schema: Score::SCHEMA.to_owned(),
            model: self.plan.reference.clone(),
            protocol: self.plan.protocol.clone(),
            positions: sums.positions,
            not_finite: sums.not_finite,
            errors_clustered_by,
            clusters,
            effective_clusters,
            bytes: sums.bytes,
            cross_entropy: per_position(windows, |s| s.nll),
            perplexity: perplexity(windows),
            bits_per_byte: bits_per_byte(windows),
            entropy: per_position(windows, |s| s.entropy),
            top1_hit_rate: per_position(windows, |s| s.hits as f64).within(0.0, 1.0),
            frequency,
            calibration: calibration(&sums, windows),
            warnings: warnings(self.plan, &sums, windows),
            padding_mass: sums.mean_padding_mass(),
            fragments: fragment_scores(windows, mem::take(&mut self.fragments), self.plan),
            run,
        }
    }
}

fn fragment_scores(
    windows: &[(u32, Sums)],
    mut frequencies: BTreeMap<u32, FrequencyKl>,
    plan: &Plan,
) -> Vec<FragmentScore> {
    let of = |windows: &[(u32, Sums)]| {
        let index = windows[0].0;
        let sums = Sums::over(windows.iter().map(|(_, sums)| sums));
        Some(FragmentScore {
            index,
            name: plan.transcript.fragments[index as usize].clone(),
            positions: sums.positions,
            not_finite: sums.not_finite,
            bytes: sums.bytes,
            cross_entropy: per_position(windows, |s| s.nll),
            perplexity: perplexity(windows),
            bits_per_byte: bits_per_byte(windows),
            frequency: frequencies.remove(&index)?,
        })
    };
    let mut scores: Vec<FragmentScore> =
        windows.chunk_by(|a, b| a.0 == b.0).filter_map(of).collect();
    scores.sort_by(|a, b| {
        b.cross_entropy
            .value
            .total_cmp(&a.cross_entropy.value)
            .then(a.index.cmp(&b.index))
    });
    scores
}

fn warnings(plan: &Plan, sums: &Sums, windows: &[(u32, Sums)]) -> Vec<String> {
    let mut warnings = plan.warnings.clone();
    let (unit, (count, effective)) = clusters(windows);
    warnings.extend(warning::not_finite(sums.not_finite, sums.positions));
    warnings.extend(warning::few_clusters(
        unit,
        count,
        effective,
        sums.positions,
    ));
    warnings.extend(warning::padding(sums.mean_padding_mass()));
    warnings
}
