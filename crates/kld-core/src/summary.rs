//! What is kept of many [`TokenRow`]s: sums per window, percentiles, the worst rows. Two summaries merge.
//!
//! A window is the unit of work, so sums are kept per window and added up in window order when a result is asked for:
//! the bits do not depend on the number of threads, nor on how the windows were dealt out or in which order they came back.

use std::{
    collections::BTreeMap,
    ops::{AddAssign, Index},
};

use crate::{
    estimate::{Cluster, Estimate},
    quantile::Quantiles,
    row::{Place, TokenRow},
};

/// The quantities that are summed over positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the rows")]
pub enum Quantity {
    Kl,
    ReverseKl,
    Js,
    Top1Agreement,
    TopkOverlap,
    DeltaP,
    DeltaPSquared,
    NllP,
    NllQ,
    EntropyP,
    EntropyQ,
    PaddingMassP,
    PaddingMassQ,
}

/// Number of [`Quantity`]s.
const QUANTITIES: usize = Quantity::PaddingMassQ as usize + 1;

/// Sums of every [`Quantity`] over a set of positions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Number of positions.
    pub count: u64,
    sums: [f64; QUANTITIES],
}

impl Sums {
    fn push(&mut self, row: &TokenRow) {
        let delta_p = row.delta_p();
        let pair = &row.pair;
        // In the order of `Quantity`.
        let values = [
            pair.kl,
            pair.reverse_kl,
            pair.js,
            f64::from(u8::from(row.top1_agrees())),
            row.topk_overlap_share(),
            delta_p,
            delta_p * delta_p,
            row.nll_p,
            row.nll_q,
            pair.entropy_p,
            pair.entropy_q,
            row.padding_mass_p,
            row.padding_mass_q,
        ];
        self.count += 1;
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
}

impl Index<Quantity> for Sums {
    type Output = f64;

    fn index(&self, quantity: Quantity) -> &f64 {
        &self.sums[quantity as usize]
    }
}

impl AddAssign<&Sums> for Sums {
    fn add_assign(&mut self, other: &Sums) {
        self.count += other.count;
        for (sum, value) in self.sums.iter_mut().zip(other.sums) {
            *sum += value;
        }
    }
}

/// Lower edges of the slices by the reference's confidence, i.e. the probability of its most likely token.
pub const CONFIDENCE_EDGES: [f64; 7] = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99];

/// The sums of one window.
#[derive(Clone, Debug, Default)]
pub struct WindowSums {
    /// The fragment that the window belongs to.
    pub fragment: u32,
    /// Over all its scored positions.
    pub all: Sums,
    /// By the reference's confidence; slice i begins at [`CONFIDENCE_EDGES`]`[i]`.
    pub by_confidence: [Sums; CONFIDENCE_EDGES.len()],
    /// By position: entry k holds the positions with 2ᵏ to 2ᵏ⁺¹ − 1 tokens of context.
    pub by_position: Vec<Sums>,
    /// Positions left out because they were not finite.
    pub not_finite: u64,
}

impl WindowSums {
    fn push(&mut self, row: &TokenRow) {
        self.all.push(row);
        let confidence = row.confidence();
        let slice = CONFIDENCE_EDGES
            .iter()
            .rposition(|edge| confidence >= *edge)
            .unwrap_or(0);
        self.by_confidence[slice].push(row);
        let octave = (row.place.row + 1).ilog2() as usize;
        if self.by_position.len() <= octave {
            self.by_position.resize(octave + 1, Sums::default());
        }
        self.by_position[octave].push(row);
    }
}

/// How many of the rows with the largest KL are kept.
pub const WORST_KEPT: usize = 32;

/// A mergeable summary of scored positions.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    windows: BTreeMap<u32, WindowSums>,
    /// The distribution of the forward KL.
    pub kl: Quantiles,
    /// The distribution of the reverse KL.
    pub reverse_kl: Quantiles,
    /// The distribution of the Jensen–Shannon divergence.
    pub js: Quantiles,
    worst: Vec<TokenRow>,
}

impl Summary {
    /// Adds one row; rows that are not finite are counted and left out.
    pub fn push(&mut self, row: &TokenRow) {
        let window = self.window_mut(row.place);
        if !row.is_finite() {
            window.not_finite += 1;
            return;
        }
        window.push(row);
        self.kl.extend([row.pair.kl]);
        self.reverse_kl.extend([row.pair.reverse_kl]);
        self.js.extend([row.pair.js]);
        self.keep_worst([*row]);
    }

    /// Counts a position whose logits were no distribution (NaN or +∞ among them).
    pub fn push_not_finite(&mut self, place: Place) {
        self.window_mut(place).not_finite += 1;
    }

    /// Adds the windows of another summary.
    ///
    /// # Panics
    ///
    /// If both hold the same window: a window is scored once.
    pub fn merge(&mut self, other: Summary) {
        for (index, window) in other.windows {
            let twice = self.windows.insert(index, window);
            assert!(twice.is_none(), "window {index} was scored twice");
        }
        self.kl.merge(&other.kl);
        self.reverse_kl.merge(&other.reverse_kl);
        self.js.merge(&other.js);
        self.keep_worst(other.worst);
    }

    /// The windows in order, with their sums.
    pub fn windows(&self) -> impl Iterator<Item = (u32, &WindowSums)> {
        self.windows.iter().map(|(index, window)| (*index, window))
    }

    /// The rows with the largest KL, largest first; equals in the order of the text.
    #[must_use]
    pub fn worst(&self) -> &[TokenRow] {
        &self.worst
    }

    /// Sums over every window, in window order.
    #[must_use]
    pub fn total(&self) -> Sums {
        let mut total = Sums::default();
        self.windows
            .values()
            .for_each(|window| total += &window.all);
        total
    }

    /// Positions left out because they were not finite.
    #[must_use]
    pub fn not_finite(&self) -> u64 {
        self.windows.values().map(|window| window.not_finite).sum()
    }

    /// What the errors are clustered by.
    #[must_use]
    pub fn cluster_unit(&self) -> ClusterUnit {
        let mut fragments = self
            .windows
            .values()
            .filter(|w| w.all.count > 0)
            .map(|w| w.fragment);
        let first = fragments.next();
        if fragments.any(|f| Some(f) != first) {
            ClusterUnit::Fragment
        } else {
            ClusterUnit::Window
        }
    }

    /// The mean of a linear function of the sums (e.g. `|s| s[NllQ] - s[NllP]`) over the positions that `select` picks
    /// from each window, with its error clustered by [`cluster_unit`](Self::cluster_unit).
    pub fn mean(
        &self,
        select: impl Fn(&WindowSums) -> Option<&Sums>,
        value: impl Fn(&Sums) -> f64,
    ) -> Estimate {
        let unit = self.cluster_unit();
        let mut clusters: BTreeMap<u32, Cluster> = BTreeMap::new();
        for (index, window) in &self.windows {
            let Some(sums) = select(window) else { continue };
            let key = if unit == ClusterUnit::Fragment {
                window.fragment
            } else {
                *index
            };
            let cluster = clusters.entry(key).or_default();
            cluster.weight += sums.count as f64;
            cluster.sum += value(sums);
        }
        Estimate::clustered(&clusters.into_values().collect::<Vec<_>>())
    }

    /// The windows of each fragment as a summary of their own (sums only, without percentiles and worst rows).
    #[must_use]
    pub fn by_fragment(&self) -> BTreeMap<u32, Summary> {
        let mut parts: BTreeMap<u32, Summary> = BTreeMap::new();
        for (index, window) in &self.windows {
            parts
                .entry(window.fragment)
                .or_default()
                .windows
                .insert(*index, window.clone());
        }
        parts
    }

    fn window_mut(&mut self, place: Place) -> &mut WindowSums {
        self.windows
            .entry(place.window)
            .or_insert_with(|| WindowSums {
                fragment: place.fragment,
                ..WindowSums::default()
            })
    }

    fn keep_worst(&mut self, rows: impl IntoIterator<Item = TokenRow>) {
        for row in rows {
            let order = |other: &TokenRow| {
                other
                    .pair
                    .kl
                    .total_cmp(&row.pair.kl)
                    .reverse()
                    .then(other.place.cmp(&row.place))
            };
            let at = self.worst.partition_point(|other| order(other).is_lt());
            if at < WORST_KEPT {
                self.worst.insert(at, row);
                self.worst.truncate(WORST_KEPT);
            }
        }
    }
}

/// What errors are clustered by: fragments where there are several, else windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterUnit {
    /// Fragments of the text.
    Fragment,
    /// Windows of the only fragment.
    Window,
}
