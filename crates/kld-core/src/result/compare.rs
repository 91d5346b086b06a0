//! The result of `kld compare`: how far each candidate is from the reference.

use serde::{Deserialize, Serialize};

use super::{ProtocolRecord, RunRecord};
use crate::{
    ModelCard,
    estimate::{ClusterUnit, Estimate},
    gate::Verdict,
    histogram::Histogram,
    pick::Pick,
    quantile::Quantiles,
    ranking::Ranking,
    sequential::Sequential,
    summary::{CONFIDENCE_EDGES, Quantity, Summary, Sums, WindowSums, position_range},
};

/// Everything that one `kld compare` found; schema `kld.compare/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// `kld.compare/1`.
    pub schema: String,
    /// The reference P.
    pub reference: ModelCard,
    /// How the text was cut and scored.
    pub protocol: ProtocolRecord,
    /// One entry per candidate Q, in the order given.
    pub candidates: Vec<Candidate>,
    /// Which of several candidates is really better; `None` for one.
    #[serde(default)]
    pub ranking: Option<Ranking>,
    /// The candidate picked, where one was asked for.
    #[serde(default)]
    pub pick: Option<Pick>,
    /// How the run stopped, where it was to go on until the mean is known well enough.
    #[serde(default)]
    pub sequential: Option<Sequential>,
    /// What P against itself gives, where it was asked for.
    #[serde(default)]
    pub noise_floor: Option<NoiseFloor>,
    /// How the run went.
    pub run: RunRecord,
}

/// P against P computed in another, equally valid way, on the same positions: what no number below can be told from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// The other way.
    pub compute: String,
    /// Scored positions that entered the means.
    pub positions: u64,
    /// Scored positions left out because logits or divergences were not finite.
    pub not_finite: u64,
    /// Forward KL.
    pub kl: Divergence,
    /// Share of positions where both have the same most likely token.
    pub top1_agreement: Estimate,
}

impl NoiseFloor {
    /// Turns what was measured of the other way of computing P into the floor.
    #[must_use]
    pub fn new(other: &ModelCard, summary: &Summary) -> Self {
        let mean = |quantity| summary.mean(|w| Some(&w.all), |s: &Sums| s[quantity]);
        Self {
            compute: other.compute.clone(),
            positions: summary.total().count,
            not_finite: summary.not_finite(),
            kl: Divergence::new(mean(Quantity::Kl), &summary.kl),
            top1_agreement: mean(Quantity::Top1Agreement).within(0.0, 1.0),
        }
    }
}

impl Comparison {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "kld.compare/1";
}

/// One candidate against the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The candidate Q.
    pub model: ModelCard,
    /// Scored positions that entered the means.
    pub positions: u64,
    /// Scored positions left out because logits or divergences were not finite.
    pub not_finite: u64,
    /// What the standard errors are clustered by.
    pub errors_clustered_by: ClusterUnit,
    /// Number of clusters with scored positions.
    pub clusters: usize,
    /// As many clusters of equal size say as much: (Σ n)² / Σ n².
    pub effective_clusters: f64,
    /// Forward KL, D(P‖Q).
    pub kl: Divergence,
    /// How many positions have a forward KL of which size; empty in results of versions that did not count them.
    #[serde(default)]
    pub kl_histogram: Histogram,
    /// Reverse KL, D(Q‖P).
    pub reverse_kl: Divergence,
    /// Jensen–Shannon divergence.
    pub js: Divergence,
    /// Share of positions where both have the same most likely token.
    pub top1_agreement: Estimate,
    /// Mean share of the ten most likely tokens that both have in common.
    pub top10_overlap: Estimate,
    /// Q − P probability of the observed token.
    pub delta_p: DeltaP,
    /// Perplexities of both on the scored tokens.
    pub perplexity: Perplexities,
    /// Mean entropy of the reference.
    pub entropy_reference: Estimate,
    /// Mean entropy of the candidate.
    pub entropy_candidate: Estimate,
    /// Mean probability on padding columns of the reference's head, cut off before comparing.
    pub padding_mass_reference: f64,
    /// The same for the candidate.
    pub padding_mass_candidate: f64,
    /// By the reference's confidence, i.e. the probability of its most likely token.
    pub by_confidence: Vec<Slice>,
    /// By the number of tokens of context before the predicted one.
    pub by_position: Vec<Slice>,
    /// By fragment, largest mean KL first.
    pub fragments: Vec<FragmentComparison>,
    /// The positions with the largest KL, largest first.
    pub worst: Vec<WorstToken>,
    /// What the user should know before trusting the numbers.
    pub warnings: Vec<String>,
    /// By how much the mean KL is larger than the noise floor, on the same tokens; where a floor was asked for.
    #[serde(default)]
    pub above_noise_floor: Option<Estimate>,
    /// The verdict of the gate, where one was given.
    pub verdict: Option<Verdict>,
}

impl Candidate {
    /// Is the mean KL not clearly above the noise floor? `None` where no floor was asked for, or one cluster alone gives no interval.
    #[must_use]
    pub fn within_noise_floor(&self) -> Option<bool> {
        Some(self.above_noise_floor.as_ref()?.low? <= 0.0)
    }

    /// Turns a summary into the candidate's result. `fragment_names[i]` names fragment i; worst tokens are passed in,
    /// because telling them as text takes a tokenizer.
    #[must_use]
    pub fn from_summary(
        model: ModelCard,
        summary: &Summary,
        fragment_names: &[String],
        worst: Vec<WorstToken>,
    ) -> Self {
        let mean = |quantity| summary.mean(|w| Some(&w.all), |s: &Sums| s[quantity]);
        let total = summary.total();
        let share = |quantity| {
            if total.count == 0 {
                0.0
            } else {
                total[quantity] / total.count as f64
            }
        };
        let fragments = fragments(summary, fragment_names);
        let (errors_clustered_by, (clusters, effective_clusters)) = summary.clusters();
        let share_of_positions = |quantity| mean(quantity).within(0.0, 1.0);
        Self {
            model,
            positions: total.count,
            not_finite: summary.not_finite(),
            errors_clustered_by,
            clusters,
            effective_clusters,
            kl: Divergence::new(mean(Quantity::Kl), &summary.kl),
            kl_histogram: summary.kl.histogram(),
            reverse_kl: Divergence::new(mean(Quantity::ReverseKl), &summary.reverse_kl),
            js: Divergence::new(mean(Quantity::Js), &summary.js),
            top1_agreement: share_of_positions(Quantity::Top1Agreement),
            top10_overlap: share_of_positions(Quantity::TopkOverlap),
            delta_p: DeltaP::new(mean(Quantity::DeltaP), mean(Quantity::DeltaPSquared)),
            perplexity: Perplexities::new(summary, |w| Some(&w.all)),
            entropy_reference: mean(Quantity::EntropyP),
            entropy_candidate: mean(Quantity::EntropyQ),
            padding_mass_reference: share(Quantity::PaddingMassP),
            padding_mass_candidate: share(Quantity::PaddingMassQ),
            by_confidence: by_confidence(summary, &total),
            by_position: by_position(summary, &total),
            fragments,
            worst,
            warnings: Vec::new(),
            above_noise_floor: None,
            verdict: None,
        }
    }
}

/// The distribution of a divergence over positions, in nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Σ/n over all positions.
    pub mean: Estimate,
    /// The 50 % point.
    #[serde(with = "crate::number")]
    pub median: f64,
    /// The 90 % point.
    #[serde(with = "crate::number")]
    pub p90: f64,
    /// The 95 % point.
    #[serde(with = "crate::number")]
    pub p95: f64,
    /// The 99 % point.
    #[serde(with = "crate::number")]
    pub p99: f64,
    /// The 99.9 % point.
    #[serde(with = "crate::number")]
    pub p999: f64,
    /// The largest.
    #[serde(with = "crate::number")]
    pub max: f64,
}

impl Divergence {
    fn new(mean: Estimate, quantiles: &Quantiles) -> Self {
        let [median, p90, p95, p99, p999] = quantiles.at([0.5, 0.9, 0.95, 0.99, 0.999]);
        Self {
            mean: mean.within(0.0, f64::INFINITY),
            median,
            p90,
            p95,
            p99,
            p999,
            max: quantiles.max(),
        }
    }
}

/// Δp over positions: Q − P probability of the observed token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeltaP {
    /// Mean.
    pub mean: Estimate,
    /// Root of the mean square.
    pub rms: Estimate,
}

impl DeltaP {
    fn new(mean: Estimate, mean_square: Estimate) -> Self {
        let rms = mean_square.value.sqrt();
        let derivative = if rms > 0.0 { 0.5 / rms } else { 0.0 };
        Self {
            mean,
            rms: mean_square.map(|square| square.max(0.0).sqrt(), derivative),
        }
    }
}

/// Perplexities of both models on the same tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Perplexities {
    /// exp(mean nll) of P.
    pub reference: Estimate,
    /// exp(mean nll) of Q.
    pub candidate: Estimate,
    /// Candidate's over reference's; the error knows that both saw the same tokens.
    pub ratio: Estimate,
}

impl Perplexities {
    fn new(summary: &Summary, select: impl Fn(&WindowSums) -> Option<&Sums>) -> Self {
        let exp = |value: &dyn Fn(&Sums) -> f64| {
            let log = summary.mean(&select, value);
            log.map(f64::exp, log.value.exp())
        };
        Self {
            reference: exp(&|s| s[Quantity::NllP]),
            candidate: exp(&|s| s[Quantity::NllQ]),
            ratio: exp(&|s| s[Quantity::NllQ] - s[Quantity::NllP]),
        }
    }
}

/// The positions whose slicing quantity lies in [`from`, `to`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Lower edge, included.
    pub from: f64,
    /// Upper edge: excluded for confidence (1 included), included for positions.
    pub to: f64,
    /// Number of positions.
    pub positions: u64,
    /// Mean forward KL.
    pub kl: Estimate,
    /// Share of the whole KL that lies here.
    pub share_of_kl: f64,
    /// Share of positions with the same most likely token.
    pub top1_agreement: Estimate,
}

impl Slice {
    fn new(
        from: f64,
        to: f64,
        summary: &Summary,
        total: &Sums,
        select: impl Fn(&WindowSums) -> Option<&Sums>,
    ) -> Option<Self> {
        let mut sums = Sums::default();
        summary
            .windows()
            .filter_map(|(_, w)| select(w))
            .for_each(|s| sums += s);
        (sums.count > 0).then(|| Self {
            from,
            to,
            positions: sums.count,
            kl: summary
                .mean(&select, |s| s[Quantity::Kl])
                .within(0.0, f64::INFINITY),
            share_of_kl: if total[Quantity::Kl] > 0.0 {
                sums[Quantity::Kl] / total[Quantity::Kl]
            } else {
                0.0
            },
            top1_agreement: summary
                .mean(&select, |s| s[Quantity::Top1Agreement])
                .within(0.0, 1.0),
        })
    }
}

fn by_confidence(summary: &Summary, total: &Sums) -> Vec<Slice> {
    let upper = |i: usize| CONFIDENCE_EDGES.get(i + 1).copied().unwrap_or(1.0);
    let slice = |(i, from): (usize, &f64)| {
        Slice::new(*from, upper(i), summary, total, |w| {
            Some(&w.by_confidence[i])
        })
    };
    CONFIDENCE_EDGES
        .iter()
        .enumerate()
        .filter_map(slice)
        .collect()
}

fn by_position(summary: &Summary, total: &Sums) -> Vec<Slice> {
    let slices = summary
        .windows()
        .map(|(_, w)| w.by_position.len())
        .max()
        .unwrap_or(0);
    let slice = |i: usize| {
        let (first, last) = position_range(i);
        Slice::new(first as f64, last as f64, summary, total, |w| {
            w.by_position.get(i)
        })
    };
    (0..slices).filter_map(slice).collect()
}

/// One fragment of the text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FragmentComparison {
    /// Its number in the order of the text, from 0.
    pub index: u32,
    /// Its name: file, or file and record.
    pub name: String,
    /// Scored positions that entered the means.
    pub positions: u64,
    /// Scored positions left out because they were not finite.
    pub not_finite: u64,
    /// Mean forward KL; the error is clustered by the fragment's windows.
    pub kl: Estimate,
    /// Mean reverse KL.
    pub reverse_kl: Estimate,
    /// Share of positions with the same most likely token.
    pub top1_agreement: Estimate,
    /// Perplexities of both.
    pub perplexity: Perplexities,
}

fn fragments(summary: &Summary, names: &[String]) -> Vec<FragmentComparison> {
    let mut by_fragment: Vec<FragmentComparison> = summary
        .by_fragment()
        .into_iter()
        .map(|(index, part)| {
            let mean = |quantity| part.mean(|w| Some(&w.all), |s: &Sums| s[quantity]);
            FragmentComparison {
                index,
                name: names.get(index as usize).cloned().unwrap_or_default(),
                positions: part.total().count,
                not_finite: part.not_finite(),
                kl: mean(Quantity::Kl),
                reverse_kl: mean(Quantity::ReverseKl),
                top1_agreement: mean(Quantity::Top1Agreement),
                perplexity: Perplexities::new(&part, |w| Some(&w.all)),
            }
        })
        .collect();
    by_fragment.sort_by(|a, b| {
        b.kl.value
            .total_cmp(&a.kl.value)
            .then(a.index.cmp(&b.index))
    });
    by_fragment
}

/// One position where the two disagree most, told so that a person can look at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstToken {
    /// Forward KL there, in nats.
    pub kl: f64,
    /// Reverse KL there, in nats.
    #[serde(with = "crate::number")]
    pub reverse_kl: f64,
    /// Where it stands.
    pub position: Position,
    /// The text just before it.
    pub context: String,
    /// The token that came.
    pub observed: String,
    /// Its probability under P.
    pub observed_prob_reference: f64,
    /// Its probability under Q.
    pub observed_prob_candidate: f64,
    /// Its rank under P: 1 is the most likely.
    pub observed_rank_reference: u32,
    /// Its rank under Q.
    pub observed_rank_candidate: u32,
    /// P's most likely token.
    pub top1_reference: String,
    /// Its probability under P.
    pub top1_prob_reference: f64,
    /// Q's most likely token.
    pub top1_candidate: String,
    /// Its probability under Q.
    pub top1_prob_candidate: f64,
}

/// Where a scored position stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Name of the fragment.
    pub fragment: String,
    /// Number of the window over the whole run.
    pub window: u32,
    /// Row in the window.
    pub row: u32,
}
