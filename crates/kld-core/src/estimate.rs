//! Means with honest errors: tokens of one fragment are not independent, so errors are clustered.
//!
//! A mean is a ratio: Σ `S_g` / Σ `W_g` over clusters `g = 1…G`, where a cluster's weight `W_g` is its number of tokens (or of bytes, for
//! bits per byte). With `m` the ratio and `W = Σ W_g`, its variance is estimated by linearising:
//! `Var(m) = G/(G−1) · Σ (S_g − W_g·m)² / W²` (Cochran, *Sampling Techniques*, ch. 6). The interval is `m ± t·√Var(m)` with
//! Student's t at G−1 degrees of freedom. Treating tokens as independent instead was measured to give errors 1.5–1.8
//! times too small.
//!
//! ```
//! use kld_core::estimate::{Cluster, Estimate};
//! let mean = Estimate::clustered(&[Cluster { weight: 2.0, sum: 2.0 }, Cluster { weight: 1.0, sum: 4.0 }]);
//! assert_eq!(mean.value, 2.0); // Σ/n over all, never a mean of means (which would be 2.5)
//! ```

mod jackknife;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

pub use jackknife::Jackknife;

/// A value with its standard error and 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// Its standard error; `None` where one cluster alone cannot tell.
    #[serde(with = "crate::number::option")]
    pub standard_error: Option<f64>,
    /// Lower end of the 95 % interval.
    #[serde(with = "crate::number::option")]
    pub low: Option<f64>,
    /// Upper end of the 95 % interval.
    #[serde(with = "crate::number::option")]
    pub high: Option<f64>,
}

/// What one cluster (a fragment or a window) adds to a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cluster {
    /// What the sum is divided by: the number of values, or of bytes.
    pub weight: f64,
    /// The sum of the values.
    pub sum: f64,
}

/// What one window adds to a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// The fragment that it is cut from.
    pub fragment: u32,
    /// Its weight and sum.
    pub cluster: Cluster,
}

/// Fewer effective fragments than this are too few for their spread alone to be believed.
pub const FEW_FRAGMENTS: f64 = 10.0;

/// What errors are clustered by: fragments where there are several, else windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterUnit {
    /// Fragments of the text.
    Fragment,
    /// Windows of the only fragment.
    Window,
}

impl ClusterUnit {
    /// What these windows are clustered by; those without weight do not count.
    #[must_use]
    pub fn of(windows: &[Window]) -> Self {
        let mut fragments = windows
            .iter()
            .filter(|w| w.cluster.weight > 0.0)
            .map(|w| w.fragment);
        let first = fragments.next();
        if fragments.any(|f| Some(f) != first) {
            ClusterUnit::Fragment
        } else {
            ClusterUnit::Window
        }
    }

    /// Number of clusters with weight, and the effective number: (Σ W)² / Σ W², as many clusters of equal size say as much.
    #[must_use]
    pub fn count(self, windows: &[Window]) -> (usize, f64) {
        let clusters = match self {
            ClusterUnit::Fragment => by_fragment(windows),
            ClusterUnit::Window => windows.iter().map(|w| w.cluster).collect(),
        };
        (
            clusters.iter().filter(|c| c.weight > 0.0).count(),
            effective(&clusters),
        )
    }

    /// The unit's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ClusterUnit::Fragment => "fragment",
            ClusterUnit::Window => "window",
        }
    }
}

impl Estimate {
    /// A value whose error is not known.
    #[must_use]
    pub fn bare(value: f64) -> Self {
        Self {
            value,
            standard_error: None,
            low: None,
            high: None,
        }
    }

    /// A value with an error of which no degrees of freedom are known: the interval is ±1.96 errors.
    #[must_use]
    pub fn normal(value: f64, standard_error: Option<f64>) -> Self {
        let half = standard_error.map(|error| 1.96 * error);
        Self {
            value,
            standard_error,
            low: half.map(|half| value - half),
            high: half.map(|half| value + half),
        }
    }

    /// This less another that is independent of it. The error follows from both, and so does the interval: the distances of their ends
    /// from their values add up as errors do, each by the Student's t of its own clusters (Zou and Donner 2008).
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let value = self.value - other.value;
        let errors = self.standard_error.zip(other.standard_error);
        let distance = |of_self: Option<f64>, of_other: Option<f64>| {
            let ends = of_self.zip(of_other);
            ends.map(|(a, b)| (a - self.value).hypot(b - other.value))
        };
        Self {
            value,
            standard_error: errors.map(|(a, b)| a.hypot(b)),
            low: distance(self.low, other.high).map(|below| value - below),
            high: distance(self.high, other.low).map(|above| value + above),
        }
    }

    /// Σ sums / Σ weights over all clusters, with cluster-robust error. Clusters without weight do not count as clusters.
    ///
    /// Without any weight there is no mean: the value is NaN, `null` in JSON.
    #[must_use]
    pub fn clustered(clusters: &[Cluster]) -> Self {
        let filled = || clusters.iter().filter(|c| c.weight > 0.0);
        let groups = filled().count() as f64;
        if groups == 0.0 {
            return Self::bare(f64::NAN);
        }
        let weight: f64 = filled().map(|c| c.weight).sum();
        let mean = filled().map(|c| c.sum).sum::<f64>() / weight;
        if groups < 2.0 || !mean.is_finite() {
            return Self::bare(mean);
        }
        let residuals: f64 = filled().map(|c| (c.sum - c.weight * mean).powi(2)).sum();
        let standard_error = (groups / (groups - 1.0) * residuals).sqrt() / weight;
        let half = student_t(0.975, groups - 1.0) * standard_error;
        Self {
            value: mean,
            standard_error: Some(standard_error),
            low: Some(mean - half),
            high: Some(mean + half),
        }
    }

    /// The same from windows: clustered by fragment where several fragments have weight, else by window.
    ///
    /// Where there are few fragments, or a few large ones outweigh all others, their spread says little: two of very unequal size
    /// would give an error near 0. So with fewer than [`FEW_FRAGMENTS`] *effective* fragments, (Σ W)² / Σ W², the error is the larger
    /// of the one by fragment and the one by window, and the interval the wider one.
    #[must_use]
    pub fn over_windows(windows: &[Window]) -> Self {
        let estimates = clusterings(windows)
            .into_iter()
            .map(|c| Self::clustered(&c));
        estimates
            .reduce(|a, b| a.widened_to(&b))
            .unwrap_or(Self::bare(f64::NAN))
    }

    /// Two-sided p-value of "the mean over these windows is 0", by Student's t as in [`over_windows`](Self::over_windows): it is
    /// below 5 % exactly where that interval leaves 0 out. `None` where one cluster alone cannot tell, or the mean is not finite.
    #[must_use]
    pub fn p_value_of_zero(windows: &[Window]) -> Option<f64> {
        let values = clusterings(windows).into_iter().map(|c| p_of_zero(&c));
        values.flatten().reduce(f64::max)
    }

    /// The same with the interval's ends kept where the quantity can be, e.g. a divergence at 0 or above.
    #[must_use]
    pub fn within(self, lowest: f64, highest: f64) -> Self {
        Self {
            low: self.low.map(|v| v.max(lowest)),
            high: self.high.map(|v| v.min(highest)),
            ..self
        }
    }

    /// The same value with the larger error and the wider interval of both.
    fn widened_to(self, other: &Self) -> Self {
        let wider = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (a, b) => a.or(b),
        };
        Self {
            value: self.value,
            standard_error: wider(self.standard_error, other.standard_error, f64::max),
            low: wider(self.low, other.low, f64::min),
            high: wider(self.high, other.high, f64::max),
        }
    }

    /// The estimate of a smooth function of this one, by the delta method: the error is scaled by |f′|, the interval's
    /// ends are mapped, which keeps them where the function can be (a perplexity's interval stays positive).
    #[must_use]
    pub fn map(self, f: impl Fn(f64) -> f64, derivative: f64) -> Self {
        let (a, b) = (self.low.map(&f), self.high.map(&f));
        let (low, high) = if derivative < 0.0 { (b, a) } else { (a, b) };
        Self {
            value: f(self.value),
            standard_error: self.standard_error.map(|e| e * derivative.abs()),
            low,
            high,
        }
    }
}

/// The clusters that an error over these windows must answer to: one set, or two where there are few effective fragments.
fn clusterings(windows: &[Window]) -> Vec<Vec<Cluster>> {
    let by_window = || windows.iter().map(|w| w.cluster).collect();
    if ClusterUnit::of(windows) == ClusterUnit::Window {
        return vec![by_window()];
    }
    let fragments = by_fragment(windows);
    if effective(&fragments) >= FEW_FRAGMENTS {
        vec![fragments]
    } else {
        vec![fragments, by_window()]
    }
}

/// Two-sided p-value of a mean of 0 by Student's t: p = 2·F(−|m|/se) at G − 1 degrees of freedom.
fn p_of_zero(clusters: &[Cluster]) -> Option<f64> {
    let mean = Estimate::clustered(clusters);
    let error = mean.standard_error?;
    // Without spread there is certainty: equal in every cluster, or different by the same in every cluster.
    if mean.value == 0.0 || error == 0.0 {
        return Some(f64::from(u8::from(mean.value == 0.0)));
    }
    let groups = clusters.iter().filter(|c| c.weight > 0.0).count() as f64;
    let t = StudentsT::new(0.0, 1.0, groups - 1.0).ok()?;
    Some(2.0 * t.cdf(-(mean.value / error).abs()))
}

/// The windows of each fragment as one cluster.
fn by_fragment(windows: &[Window]) -> Vec<Cluster> {
    let mut fragments: BTreeMap<u32, Cluster> = BTreeMap::new();
    for window in windows {
        let fragment = fragments.entry(window.fragment).or_default();
        fragment.weight += window.cluster.weight;
        fragment.sum += window.cluster.sum;
    }
    fragments.into_values().collect()
}

/// The number of clusters of equal weight that say as much as these.
fn effective(clusters: &[Cluster]) -> f64 {
    let weight: f64 = clusters.iter().map(|c| c.weight).sum();
    let squares: f64 = clusters.iter().map(|c| c.weight * c.weight).sum();
    if squares > 0.0 {
        weight * weight / squares
    } else {
        0.0
    }
}

/// The point that Student's t is below with this probability.
pub(crate) fn student_t(probability: f64, degrees_of_freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom)
        .map_or(f64::INFINITY, |t| t.inverse_cdf(probability))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    fn clusters(values: &[&[f64]]) -> Vec<Cluster> {
        values
            .iter()
            .map(|v| Cluster {
                weight: v.len() as f64,
                sum: v.iter().sum(),
            })
            .collect()
    }

    #[test]
    fn a_difference_of_independent_means_has_both_errors() {
        let (a, b) = (
            Estimate::normal(5.0, Some(0.3)),
            Estimate::normal(4.0, Some(0.4)),
        );
        let difference = a.minus(&b);
        assert_eq!(
            (difference.value, difference.standard_error),
            (1.0, Some(0.5))
        );
        assert!((difference.low.unwrap() - 0.02).abs() < 1e-12);
        assert_eq!(a.minus(&Estimate::bare(4.0)), Estimate::bare(1.0));
    }

    #[test]
    fn singletons_give_the_textbook_standard_error() {
        let x = [1.0, 2.0, 4.0, 8.0];
        let mean = Estimate::clustered(&clusters(&[&[1.0], &[2.0], &[4.0], &[8.0]]));
        let sd = (x.iter().map(|v| (v - 3.75_f64).powi(2)).sum::<f64>() / 3.0).sqrt();
        assert!((mean.value - 3.75).abs() < 1e-12);
        assert!((mean.standard_error.unwrap() - sd / 2.0).abs() < 1e-12);
        // t(3) at 97.5 % is 3.182446.
        assert!((mean.high.unwrap() - (3.75 + 3.182_446_305 * sd / 2.0)).abs() < 1e-6);
    }

    #[test]
    fn errors_do_not_shrink_when_every_token_is_repeated() {
        // Ten copies of each value in its own cluster carry no more information than one copy.
        let once = Estimate::clustered(&clusters(&[&[1.0], &[2.0], &[4.0]]));
        let copies: Vec<Vec<f64>> = [1.0, 2.0, 4.0].iter().map(|v| vec![*v; 10]).collect();
        let ten = Estimate::clustered(&clusters(
            &copies.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        ));
        assert!((once.standard_error.unwrap() - ten.standard_error.unwrap()).abs() < 1e-12);
    }

    #[test]
    fn unequal_pieces_are_pooled_never_averaged() {
        let pooled = Estimate::clustered(&clusters(&[&[1.0, 1.0, 1.0], &[5.0], &[]]));
        assert!((pooled.value - 2.0).abs() < 1e-12);
    }

    #[test]
    fn one_cluster_gives_no_error_rather_than_a_wrong_one() {
        assert_eq!(
            Estimate::clustered(&clusters(&[&[1.0, 2.0]])),
            Estimate::bare(1.5)
        );
    }

    #[test]
    fn an_infinite_mean_has_no_interval() {
        let mean = Estimate::clustered(&clusters(&[&[f64::INFINITY], &[1.0]]));
        assert_eq!(mean, Estimate::bare(f64::INFINITY));
    }

    fn windows(of: &[(u32, &[f64])]) -> Vec<Window> {
        let window = |(fragment, v): &(u32, &[f64])| Window {
            fragment: *fragment,
            cluster: Cluster {
                weight: v.len() as f64,
                sum: v.iter().sum(),
            },
        };
        of.iter().map(window).collect()
    }

    #[test]
    fn many_fragments_are_the_clusters_and_their_windows_are_not() {
        // Twelve fragments of two equal windows each: by window the error would be smaller by about √2.
        let values: Vec<[f64; 1]> = (0..12).map(|f| [f64::from(f * f)]).collect();
        let twice: Vec<(u32, &[f64])> = (0..24)
            .map(|i| (i / 2, &values[i as usize / 2][..]))
            .collect();
        let once: Vec<&[f64]> = values.iter().map(|v| &v[..]).collect();
        let (by_fragment, plain) = (
            Estimate::over_windows(&windows(&twice)),
            Estimate::clustered(&clusters(&once)),
        );
        assert!(
            (by_fragment.standard_error.unwrap() / plain.standard_error.unwrap() - 1.0).abs()
                < 1e-12
        );
        assert_eq!(
            ClusterUnit::of(&windows(&twice)).count(&windows(&twice)),
            (12, 12.0)
        );
    }

    #[test]
    fn a_second_tiny_fragment_does_not_shrink_the_error() {
        let long = [[1.0, 3.0], [2.0, 6.0], [0.0, 4.0], [5.0, 1.0]];
        let alone: Vec<(u32, &[f64])> = long.iter().map(|v| (0, &v[..])).collect();
        let mut with_tiny = alone.clone();
        with_tiny.push((1, &[2.5]));
        let (alone, with_tiny) = (
            Estimate::over_windows(&windows(&alone)),
            Estimate::over_windows(&windows(&with_tiny)),
        );
        assert!(with_tiny.standard_error.unwrap() > 0.8 * alone.standard_error.unwrap());
    }

    #[test]
    fn one_fragment_that_outweighs_many_small_ones_is_not_hidden_among_them() {
        // Thirty tiny fragments beside one large one are one effective fragment, not thirty-one.
        let long: Vec<[f64; 8]> = (0..20).map(|i| [f64::from(i % 5); 8]).collect();
        let mut of: Vec<(u32, &[f64])> = long.iter().map(|v| (0, &v[..])).collect();
        let alone = Estimate::over_windows(&windows(&of))
            .standard_error
            .unwrap();
        of.extend((1..31).map(|f| (f, &[2.0][..])));
        assert!(ClusterUnit::Fragment.count(&windows(&of)).1 < 1.5);
        assert!(
            Estimate::over_windows(&windows(&of))
                .standard_error
                .unwrap()
                > 0.7 * alone
        );
    }

    /// How often the interval holds the true mean, over simulated texts whose fragments have so many windows.
    fn coverage(windows_per_fragment: &[u32]) -> f64 {
        const ROUNDS: u32 = 500;
        let mut rng = StdRng::seed_from_u64(7);
        let mut held = 0_u32;
        for _ in 0..ROUNDS {
            let mut windows = Vec::new();
            for (fragment, count) in windows_per_fragment.iter().enumerate() {
                windows.extend((0..*count).map(|_| Window {
                    fragment: fragment as u32,
                    // Σ of 255 positions around a window's own level, which is skewed as KL is: mean 1.
                    cluster: Cluster {
                        weight: 255.0,
                        sum: 255.0 * -rng.random::<f64>().max(1e-12).ln(),
                    },
                }));
            }
            let mean = Estimate::over_windows(&windows);
            held += u32::from(mean.low.unwrap() <= 1.0 && 1.0 <= mean.high.unwrap());
        }
        f64::from(held) / f64::from(ROUNDS)
    }

    #[test]
    fn intervals_hold_the_truth_also_where_one_fragment_outweighs_the_others() {
        // Clustering by fragment alone held it in 28 % and 72 % of such texts.
        for sizes in [
            &[632, 2, 1, 1][..],
            &[632, 9, 4, 13, 18, 23, 27],
            &[30; 20],
            &[200],
        ] {
            let coverage = coverage(sizes);
            assert!((0.92..=0.99).contains(&coverage), "{sizes:?}: {coverage}");
        }
    }

    #[test]
    fn nothing_measured_has_no_mean() {
        assert!(Estimate::clustered(&[]).value.is_nan());
    }

    #[test]
    fn one_fragment_is_clustered_by_its_windows() {
        let of: Vec<(u32, &[f64])> = vec![(7, &[1.0, 2.0]), (7, &[4.0]), (8, &[])];
        let plain = Estimate::clustered(&clusters(&[&[1.0, 2.0], &[4.0]]));
        assert_eq!(Estimate::over_windows(&windows(&of)), plain);
    }
}
