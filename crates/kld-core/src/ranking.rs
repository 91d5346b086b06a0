//! Which candidate is really better: a ranking by mean KL, with tests that know that all candidates saw the same tokens.
//!
//! Hard text is hard for every candidate, so the difference of two is known far better than either mean. For a pair the values
//! are the differences of the sums *per window*, `D_w = S_w(worse) − S_w(better)`, over `N_w` positions; their mean Σ `D_w` / Σ `N_w` gets the
//! clustered error of every other mean ([`Estimate::over_windows`]), and Student's t on it the p-value, corrected over all pairs by
//! [`holm`]. Candidates that cannot be told apart at [`LEVEL`] share a letter ([`letters`]).
//!
//! A window in which either of the two has a position that is not finite is left out of their difference, and counted: both must be summed
//! over the same positions.

mod holm;
mod letters;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

pub use holm::holm;
pub use letters::letters;

use crate::{
    estimate::{self, Cluster, Estimate},
    result::Candidate,
    summary::{Quantity, Summary, WindowSums},
};

/// The chance of telling any two candidates apart that do not differ.
pub const LEVEL: f64 = 0.05;

/// The candidates of one comparison, best first, and which differences between them are real.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Smallest mean KL first; those with positions that are not finite after all others, for their mean leaves out what may be worst.
    pub ranked: Vec<Ranked>,
    /// Every pair.
    pub pairs: Vec<PairedDifference>,
    /// The chance of telling any two apart that do not differ.
    pub level: f64,
    /// What to know before trusting the order.
    pub notes: Vec<String>,
}

/// One candidate's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Its index in `candidates`.
    pub candidate: usize,
    /// Letters; two candidates share one if and only if their difference is not significant.
    pub groups: String,
    /// Bits on disk per parameter.
    #[serde(with = "crate::number")]
    pub bits_per_weight: f64,
    /// Where it stands to the Pareto front of size against KL.
    pub front: Front,
}

/// Where a candidate stands to the Pareto front: the candidates that none of the others beats in both size and mean KL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Front {
    /// No other is as small and as close, and none that is smaller is as close as far as one can tell.
    On,
    /// On it by its mean alone: from some smaller candidate it cannot be told apart, so what its bytes buy is not shown.
    Unproven,
    /// Some other is smaller and at least as close by its mean; or of the same size and shown to be closer. So is what has
    /// positions that are not finite.
    Off,
}

/// The difference of two candidates on the same tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// Index of the one ranked higher.
    pub better: usize,
    /// Index of the one ranked lower.
    pub worse: usize,
    /// Mean KL of the worse less that of the better, in nats, over the windows that count for both.
    pub difference: Estimate,
    /// Two-sided p-value of no difference; `null` where it cannot be tested.
    pub p_value: Option<f64>,
    /// The same corrected by Holm over all pairs that can be tested.
    pub p_holm: Option<f64>,
    /// Can they be told apart?
    pub differ: bool,
    /// Windows in which both have finite positions only.
    pub windows: usize,
    /// Windows left out, because one of the two has a position there that is not finite.
    pub windows_left_out: usize,
}

/// Ranks candidates; `summaries[i]` is what was measured of `candidates[i]`, all on the same windows. `None` for fewer than two.
///
/// # Panics
///
/// If there are not as many summaries as candidates.
#[must_use]
pub fn rank(candidates: &[Candidate], summaries: &[Summary]) -> Option<Ranking> {
    assert_eq!(
        candidates.len(),
        summaries.len(),
        "each candidate has its summary"
    );
    if candidates.len() < 2 {
        return None;
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| by_kl(&candidates[*a], &candidates[*b]));
    let pairs = pairs(&order, summaries);
    let place = |candidate| order.iter().position(|c| *c == candidate).unwrap_or(0);
    let differ: Vec<(usize, usize)> = pairs
        .iter()
        .filter(|pair| pair.differ)
        .map(|pair| (place(pair.better), place(pair.worse)))
        .collect();
    let ranked = order
        .iter()
        .zip(letters(order.len(), &differ))
        .map(|(candidate, groups)| Ranked {
            candidate: *candidate,
            groups,
            bits_per_weight: candidates[*candidate].model.bits_per_weight(),
            front: front(*candidate, candidates, &pairs),
        });
    Some(Ranking {
        ranked: ranked.collect(),
        notes: notes(candidates, &pairs),
        pairs,
        level: LEVEL,
    })
}

impl Ranking {
    /// The difference of two candidates, whichever is better.
    #[must_use]
    pub fn pair(&self, a: usize, b: usize) -> Option<&PairedDifference> {
        pair_of(&self.pairs, a, b)
    }
}

/// Was something measured, and is all of it finite? Only such a candidate can be on the front or be picked.
pub(crate) fn is_sound(candidate: &Candidate) -> bool {
    candidate.positions > 0 && candidate.not_finite == 0
}

/// Best first.
pub(crate) fn by_kl(a: &Candidate, b: &Candidate) -> Ordering {
    let key = |c: &Candidate| (!is_sound(c), c.kl.mean.value);
    let ((a_unsound, a_kl), (b_unsound, b_kl)) = (key(a), key(b));
    a_unsound.cmp(&b_unsound).then(a_kl.total_cmp(&b_kl))
}

/// All pairs in the order of ranks, tested and corrected.
fn pairs(order: &[usize], summaries: &[Summary]) -> Vec<PairedDifference> {
    let mut pairs = Vec::new();
    for (place, better) in order.iter().enumerate() {
        for worse in &order[place + 1..] {
            pairs.push(PairedDifference::new(*better, *worse, summaries));
        }
    }
    let tested: Vec<f64> = pairs.iter().filter_map(|pair| pair.p_value).collect();
    let mut corrected = holm(&tested).into_iter();
    for pair in &mut pairs {
        pair.p_holm = pair.p_value.and_then(|_| corrected.next());
        pair.differ = pair.p_holm.is_some_and(|p| p < LEVEL);
    }
    pairs
}

impl PairedDifference {
    fn new(better: usize, worse: usize, summaries: &[Summary]) -> Self {
        let all = summaries[better].windows().count();
        let common = paired(&summaries[better], &summaries[worse]);
        Self {
            better,
            worse,
            difference: Estimate::over_windows(&common),
            p_value: Estimate::p_value_of_zero(&common),
            p_holm: None,
            differ: false,
            windows: common.len(),
            windows_left_out: all - common.len(),
        }
    }
}

/// Per window in which both have finite positions only, by how much the sum of the KL of `worse` is larger.
fn paired(better: &Summary, worse: &Summary) -> Vec<estimate::Window> {
    let difference = |(index, b): (u32, &WindowSums)| {
        let w = worse.window(index)?;
        let cluster = Cluster {
            weight: b.all.count as f64,
            sum: w.all[Quantity::Kl] - b.all[Quantity::Kl],
        };
        (b.not_finite + w.not_finite == 0).then_some(estimate::Window {
            fragment: b.fragment,
            cluster,
        })
    };
    better.windows().filter_map(difference).collect()
}

/// By how much the mean KL of `candidate` is larger than that of `floor` on the same tokens, in nats.
#[must_use]
pub fn above(floor: &Summary, candidate: &Summary) -> Estimate {
    Estimate::over_windows(&paired(floor, candidate))
}

fn pair_of(pairs: &[PairedDifference], a: usize, b: usize) -> Option<&PairedDifference> {
    let is_of = |pair: &&PairedDifference| {
        (pair.better, pair.worse) == (a, b) || (pair.better, pair.worse) == (b, a)
    };
    pairs.iter().find(is_of)
}

fn front(of: usize, candidates: &[Candidate], pairs: &[PairedDifference]) -> Front {
    let this = &candidates[of];
    let others =
        || (0..candidates.len()).filter(|other| *other != of && is_sound(&candidates[*other]));
    let size = |other: usize| candidates[other].model.bytes.cmp(&this.model.bytes);
    let differs = |other| pair_of(pairs, of, other).is_some_and(|pair| pair.differ);
    let beats = |other: usize| match (size(other), by_kl(&candidates[other], this)) {
        (Ordering::Less, kl) => kl != Ordering::Greater,
        (Ordering::Equal, kl) => kl == Ordering::Less && differs(other),
        (Ordering::Greater, _) => false,
    };
    if !is_sound(this) || others().any(beats) {
        Front::Off
    } else if others().any(|other| size(other) == Ordering::Less && !differs(other)) {
        Front::Unproven
    } else {
        Front::On
    }
}

fn notes(candidates: &[Candidate], pairs: &[PairedDifference]) -> Vec<String> {
    let mut notes = Vec::new();
    if pairs.iter().all(|pair| pair.p_value.is_none()) {
        notes.push(
            "one cluster alone cannot tell a difference: no pair was tested, and all share a letter"
                .to_owned(),
        );
    }
    if candidates
        .iter()
        .all(|c| c.within_noise_floor() == Some(true))
    {
        notes.push(
            "no candidate is clearly above the noise floor: computing P in another valid way changes as much, and KL does not rank them"
                .to_owned(),
        );
    }
    let unsound = candidates.iter().filter(|c| c.not_finite > 0);
    notes.extend(unsound.map(|c| {
        format!(
            "{} has {} positions that are not finite: it is ranked after all that have none, and is on no front",
            c.model.name, c.not_finite
        )
    }));
    if let Some(most) = pairs.iter().max_by_key(|p| p.windows_left_out)
        && most.windows_left_out > 0
    {
        notes.push(format!(
            "windows with positions that are not finite are left out of paired differences: at most {} of {}",
            most.windows_left_out,
            most.windows + most.windows_left_out
        ));
    }
    notes
}
