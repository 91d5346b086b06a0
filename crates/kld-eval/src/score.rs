//! `score`: a model against the text itself.
//!
//! Windows are dealt to threads as in [`compare`](crate::compare); here a row meets no other row but the token that came.

use std::{collections::BTreeMap, time::Instant};

use kld_core::{
    Observer,
    estimate::{self, Cluster, ClusterUnit, Estimate},
    observer::Progress,
    result::{Calibration, CalibrationBin, FragmentScore, Score},
};
use kld_kernels::Kernel;
use kld_models::LogitSource;
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    Result, Work,
    compare::{HEAD_SLICE, padding_mass, run_record},
    deal::{InMemory, deal},
    frequency::Frequencies,
    pace::Pace,
    prepare::{Prepared, prepare_one},
    text::Fragment,
    warning,
    window::{Cut, Window},
};

/// Bins of the calibration table.
const BINS: usize = 10;

/// Scores a text under a model.
///
/// When `observer` asks for a stop, the result covers the windows done so far and says that it is not complete.
///
/// # Errors
///
/// If there is nothing to score, the windows do not suit the model, or the model fails.
pub fn score(
    model: &dyn LogitSource,
    fragments: &[Fragment],
    cut: &Cut,
    work: Work,
    observer: &dyn Observer,
) -> Result<Score> {
    let started = Instant::now();
    let (prepared, protocol) = prepare_one(model, fragments, cut)?;
    let windows = &prepared.windows.windows;
    let columns = model.tokenizer().len().min(model.vocabulary());
    let mut pace = Pace::default();
    let mut windows_done = Vec::with_capacity(windows.len());
    let mut by_fragment = FrequenciesByFragment::new(columns);
    let mut fragments_frequency = BTreeMap::new();
    let scored = |index: usize| score_window(index, &windows[index], model, columns, work.kernel);
    let done = deal(
        windows.len(),
        work.threads,
        &InMemory::new(windows.len()),
        scored,
        |index, (sums, frequencies)| {
            let fragment = windows[index].fragment;
            if let Some((finished, result)) = by_fragment.push(fragment, &frequencies, model) {
                fragments_frequency.insert(finished, result);
            }
            windows_done.push((fragment, sums));
            if pace.is_due() || index + 1 == windows.len() {
                observer.progress(&progress(&windows_done, windows.len()));
            }
            !observer.interrupted()
        },
    )?;
    let (last, overall) = by_fragment.finish(model);
    fragments_frequency.extend(last);

    let sums = Sums::over(windows_done.iter().map(|(_, sums)| sums));
    let (errors_clustered_by, (clusters, effective_clusters)) = clusters(&windows_done);
    Ok(Score {
        schema: Score::SCHEMA.to_owned(),
        model: model.card().clone(),
        protocol,
        positions: sums.positions,
        not_finite: sums.not_finite,
        errors_clustered_by,
        clusters,
        effective_clusters,
        bytes: sums.bytes,
        cross_entropy: per_position(&windows_done, |s| s.nll),
        perplexity: perplexity(&windows_done),
        bits_per_byte: bits_per_byte(&windows_done),
        entropy: per_position(&windows_done, |s| s.entropy),
        top1_hit_rate: per_position(&windows_done, |s| s.hits as f64).within(0.0, 1.0),
        frequency: overall,
        calibration: calibration(&sums, &windows_done),
        fragments: fragment_scores(&windows_done, fragments_frequency, &prepared),
        padding_mass: sums.padding_mass / sums.positions.max(1) as f64,
        warnings: warnings(&prepared, &sums, &windows_done),
        run: run_record(work, started, done, windows.len()),
    })
}

/// What is summed over positions.
#[derive(Clone, Debug, Default)]
struct Sums {
    positions: u64,
    not_finite: u64,
    /// Of ordinary tokens; special ones are no text.
    bytes: u64,
    nll: f64,
    /// Of ordinary tokens.
    nll_of_text: f64,
    padding_mass: f64,
    entropy: f64,
    hits: u64,
    confidence: f64,
    /// Positions, hits and Σ confidence by confidence.
    bins: [(u64, u64, f64); BINS],
}

impl Sums {
    fn over<'a>(parts: impl Iterator<Item = &'a Sums>) -> Sums {
        let mut sum = Sums::default();
        for part in parts {
            sum.positions += part.positions;
            sum.not_finite += part.not_finite;
            sum.bytes += part.bytes;
            sum.nll += part.nll;
            sum.nll_of_text += part.nll_of_text;
            sum.padding_mass += part.padding_mass;
            sum.entropy += part.entropy;
            sum.hits += part.hits;
            sum.confidence += part.confidence;
            for (bin, added) in sum.bins.iter_mut().zip(part.bins) {
                *bin = (bin.0 + added.0, bin.1 + added.1, bin.2 + added.2);
            }
        }
        sum
    }
}

/// All scored rows of one window.
fn score_window(
    index: usize,
    window: &Window,
    model: &dyn LogitSource,
    columns: usize,
    kernel: Kernel,
) -> Result<(Sums, Frequencies)> {
    let logits = model.forward(&window.input)?;
    let (mut sums, mut frequencies) = (Sums::default(), Frequencies::new(columns));
    // Seeded by the window, so that the draws do not depend on which thread makes them.
    let mut rng = StdRng::seed_from_u64(index as u64);
    let mut rows = Vec::new();
    let mut begin = window.scored.start;
    while begin < window.scored.end {
        let slice = begin..window.scored.end.min(begin + HEAD_SLICE);
        logits.rows(slice.clone(), &mut rows)?;
        for (position, row) in slice.clone().zip(rows.chunks_exact(model.vocabulary())) {
            let ((row, padding), observed) = (row.split_at(columns), window.observed(position));
            let single = kernel.single(row, Some(observed)).ok();
            let Some((single, nll)) = single
                .and_then(|s| Some((s, s.observed?.nll)))
                .filter(|(_, nll)| nll.is_finite())
            else {
                sums.not_finite += 1;
                continue;
            };
            let hit = u64::from(single.top1 == observed);
            sums.positions += 1;
            sums.nll += nll;
            if !model.tokenizer().is_special(observed) {
                sums.bytes += model.tokenizer().token_bytes(observed).len() as u64;
                sums.nll_of_text += nll;
            }
            sums.padding_mass += padding_mass(padding, single.log_sum_exp, kernel);
            sums.entropy += single.entropy;
            sums.hits += hit;
            sums.confidence += single.top1_prob;
            let bin = &mut sums.bins[((single.top1_prob * BINS as f64) as usize).min(BINS - 1)];
            *bin = (bin.0 + 1, bin.1 + hit, bin.2 + single.top1_prob);
            frequencies.push(row, single.log_sum_exp, (observed, nll), kernel, &mut rng);
        }
        begin = slice.end;
    }
    Ok((sums, frequencies))
}

/// Frequencies of the fragment under way and of the whole text: windows come in order, so one fragment's vocabulary-sized
/// sums are kept at a time.
struct FrequenciesByFragment {
    current: Option<(u32, Frequencies)>,
    all: Frequencies,
    columns: usize,
}

type FragmentFrequency = (u32, kld_core::result::FrequencyKl);

impl FrequenciesByFragment {
    fn new(columns: usize) -> Self {
        Self {
            current: None,
            all: Frequencies::new(columns),
            columns,
        }
    }

    /// Adds a window; returns the fragment before it where it begins a new one.
    fn push(
        &mut self,
        fragment: u32,
        window: &Frequencies,
        model: &dyn LogitSource,
    ) -> Option<FragmentFrequency> {
        let finished = match &self.current {
            Some((current, _)) if *current != fragment => self.take(model),
            _ => None,
        };
        let (_, current) = self
            .current
            .get_or_insert_with(|| (fragment, Frequencies::new(self.columns)));
        current.merge(window);
        finished
    }

    fn take(&mut self, model: &dyn LogitSource) -> Option<FragmentFrequency> {
        let (fragment, frequencies) = self.current.take()?;
        self.all.merge(&frequencies);
        Some((fragment, frequencies.result(model.tokenizer())))
    }

    fn finish(
        mut self,
        model: &dyn LogitSource,
    ) -> (Option<FragmentFrequency>, kld_core::result::FrequencyKl) {
        let last = self.take(model);
        (last, self.all.result(model.tokenizer()))
    }
}

/// A ratio of sums over windows, with its clustered error.
fn ratio(
    windows: &[(u32, Sums)],
    sum: impl Fn(&Sums) -> f64,
    weight: impl Fn(&Sums) -> f64,
) -> Estimate {
    let share = |(fragment, s): &(u32, Sums)| estimate::Window {
        fragment: *fragment,
        cluster: Cluster {
            weight: weight(s),
            sum: sum(s),
        },
    };
    Estimate::over_windows(&windows.iter().map(share).collect::<Vec<_>>())
}

fn per_position(windows: &[(u32, Sums)], sum: impl Fn(&Sums) -> f64) -> Estimate {
    ratio(windows, sum, |s| s.positions as f64)
}

fn perplexity(windows: &[(u32, Sums)]) -> Estimate {
    let nll = per_position(windows, |s| s.nll);
    nll.map(f64::exp, nll.value.exp())
}

fn bits_per_byte(windows: &[(u32, Sums)]) -> Estimate {
    ratio(
        windows,
        |s| s.nll_of_text / std::f64::consts::LN_2,
        |s| s.bytes as f64,
    )
}

/// What the errors are clustered by, and how many clusters there are.
fn clusters(windows: &[(u32, Sums)]) -> (ClusterUnit, (usize, f64)) {
    let share = |(fragment, s): &(u32, Sums)| estimate::Window {
        fragment: *fragment,
        cluster: Cluster {
            weight: s.positions as f64,
            sum: 0.0,
        },
    };
    let shares: Vec<estimate::Window> = windows.iter().map(share).collect();
    let unit = ClusterUnit::of(&shares);
    (unit, unit.count(&shares))
}

fn calibration(sums: &Sums, windows: &[(u32, Sums)]) -> Calibration {
    let bin = |(index, (positions, hits, confidence)): (usize, &(u64, u64, f64))| {
        let n = *positions as f64;
        (*positions > 0).then(|| CalibrationBin {
            from: index as f64 / BINS as f64,
            to: (index + 1) as f64 / BINS as f64,
            positions: *positions,
            confidence: confidence / n,
            hit_rate: *hits as f64 / n,
        })
    };
    let bins: Vec<CalibrationBin> = sums.bins.iter().enumerate().filter_map(bin).collect();
    let gap = |b: &CalibrationBin| b.positions as f64 * (b.hit_rate - b.confidence).abs();
    Calibration {
        expected_calibration_error: bins.iter().map(gap).sum::<f64>()
            / sums.positions.max(1) as f64,
        overconfidence: per_position(windows, |s| s.confidence - s.hits as f64),
        bins,
    }
}

fn fragment_scores(
    windows: &[(u32, Sums)],
    mut frequencies: BTreeMap<u32, kld_core::result::FrequencyKl>,
    prepared: &Prepared,
) -> Vec<FragmentScore> {
    let of = |windows: &[(u32, Sums)]| {
        let index = windows[0].0;
        let sums = Sums::over(windows.iter().map(|(_, sums)| sums));
        Some(FragmentScore {
            index,
            name: prepared.fragment_names[index as usize].clone(),
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

fn progress(done: &[(u32, Sums)], total: usize) -> Progress {
    let nll = per_position(done, |s| s.nll);
    let error = nll
        .standard_error
        .map(|e| format!(" ± {e:.4}"))
        .unwrap_or_default();
    let estimate = format!("cross-entropy {:.4}{error} nats", nll.value);
    Progress {
        stage: "windows",
        done: done.len(),
        total,
        estimate,
    }
}

fn warnings(prepared: &Prepared, sums: &Sums, windows: &[(u32, Sums)]) -> Vec<String> {
    let mut warnings = prepared.warnings();
    let (unit, (count, effective)) = clusters(windows);
    warnings.extend(warning::not_finite(sums.not_finite, sums.positions));
    warnings.extend(warning::few_clusters(
        unit,
        count,
        effective,
        sums.positions,
    ));
    warnings.extend(warning::padding(
        sums.padding_mass / sums.positions.max(1) as f64,
    ));
    warnings
}
