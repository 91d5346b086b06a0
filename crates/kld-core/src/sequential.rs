//! When is it enough? A confidence sequence: an interval for the mean that may be looked at after every window, and stopped at.
//!
//! An interval of ±1.96 standard errors holds the truth in 95 % of *single* looks. Who looks after every window and stops when he likes
//! what he sees is deceived far more often. The interval here holds the truth *at all times at once* with 95 %:
//!
//! ```text
//! m ± λ(t) · se(t),   λ(t)² = (1 + 1/x) · ln((1 + x)/α²),   x = t·ρ²,   α = 0.05
//! ```
//!
//! with t the number of windows, m = Σ S / Σ W the mean over their positions and se(t) its clustered (linearised) standard error,
//! [`Estimate::clustered`]. This is Robbins's normal mixture in its asymptotic form: I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy
//! and A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52 (2024), who write it
//! as σ·√(2(tρ²+1)/(t²ρ²)·ln(√(tρ²+1)/α)). The guarantee is asymptotic, like that of ±1.96 standard errors: it is approached as the number of
//! windows at the first look grows, hence [`FIRST_LOOK`].
//!
//! ρ is chosen beforehand so that λ is smallest at that first look, where x − ln(1 + x) = −2 ln α; later the sequence is as valid and a
//! little wider: λ is 3.04 at 64 windows, 3.22 at 512, 3.63 at 10,000.
//!
//! Windows are visited in random order, so those seen so far are a sample without replacement from all windows of the text, and m estimates what
//! *the whole text* would give, whatever fragments there are. Drawing without replacement only makes the sequence hold more often:
//! by T. W. Anderson's inequality (1955) a Brownian bridge stays within symmetric bounds at least as often as Brownian motion.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Plan,
    estimate::{Cluster, Estimate},
    summary::{Quantity, Summary},
};

/// The chance that the sequence ever leaves the truth out.
pub const ALPHA: f64 = 0.05;

/// Windows before the first look: the normal approximation and the estimate of the spread must hold from there on. In simulations
/// (`docs/sequential.md`) so many keep the promise where windows differ by up to half the mean.
pub const FIRST_LOOK: usize = 64;

/// When a comparison may stop: the mean KL of every candidate is known to within this half width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// A share of the mean.
    Relative(f64),
    /// Nats.
    Absolute(f64),
}

/// Windows are visited in a random order, and the run stops as soon as every candidate's mean KL is known well enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRule {
    /// What is well enough.
    pub until: Until,
    /// Seed of the order.
    pub seed: u64,
}

impl StopRule {
    /// Is every candidate's mean KL known well enough?
    #[must_use]
    pub fn is_met_by(self, summaries: &[Summary]) -> bool {
        summaries
            .iter()
            .all(|summary| self.until.is_reached_by(&mean_kl(summary)))
    }
}

/// How a run with a [`StopRule`] ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequential {
    /// What was asked for.
    pub requested: Until,
    /// Seed of the random order in which windows were visited.
    pub seed: u64,
    /// Was it reached for every candidate? If not, all windows were measured, or the run was interrupted.
    pub reached: bool,
    /// Windows measured.
    pub windows: usize,
    /// Tokens fed to each model.
    pub tokens: usize,
    /// Per candidate its mean KL, with the interval that holds at all times at once; without one before [`FIRST_LOOK`] windows.
    pub intervals: Vec<Estimate>,
}

impl Sequential {
    /// How a run of `plan` ended that measured these summaries of its candidates; `None` where it was to measure all windows.
    #[must_use]
    pub fn new(plan: &Plan, summaries: &[Summary]) -> Option<Self> {
        let rule = plan.stop?;
        let measured = || summaries.iter().take(1).flat_map(Summary::windows);
        let fed = |index: u32| {
            plan.transcript
                .windows
                .get(index as usize)
                .map_or(0, |w| w.tokens.len())
        };
        Some(Self {
            requested: rule.until,
            seed: rule.seed,
            reached: rule.is_met_by(summaries),
            windows: measured().count(),
            tokens: measured().map(|(index, _)| fed(index)).sum(),
            intervals: summaries.iter().map(mean_kl).collect(),
        })
    }
}

impl Until {
    /// The half width asked for: a share of the mean, or nats.
    #[must_use]
    pub fn target(self) -> f64 {
        match self {
            Until::Relative(target) | Until::Absolute(target) => target,
        }
    }

    /// The half width of an interval, in the terms in which one was asked for; `None` before the first look. An interval that is
    /// cut off at 0 is as wide as its upper half says.
    #[must_use]
    pub fn half_width(self, interval: &Estimate) -> Option<f64> {
        let half = interval.high? - interval.value;
        Some(match self {
            // A mean of exactly 0 is known exactly.
            Until::Relative(_) if half == 0.0 => 0.0,
            Until::Relative(_) => half / interval.value,
            Until::Absolute(_) => half,
        })
    }

    /// Is the interval narrow enough?
    #[must_use]
    pub fn is_reached_by(self, interval: &Estimate) -> bool {
        self.half_width(interval)
            .is_some_and(|half| half <= self.target())
    }
}

/// The mean forward KL over the windows of a summary, visited in random order, with the interval that holds at all times at once.
///
/// Depends on which windows there are, not on the order in which they came.
#[must_use]
pub fn mean_kl(summary: &Summary) -> Estimate {
    let clusters: Vec<Cluster> = summary
        .windows()
        .map(|(_, window)| Cluster {
            weight: window.all.count as f64,
            sum: window.all[Quantity::Kl],
        })
        .collect();
    confidence_sequence(&clusters).within(0.0, f64::INFINITY)
}

/// Σ sums / Σ weights over windows visited in random order, with the interval that holds at all times at once; without an interval
/// before [`FIRST_LOOK`] windows with weight.
#[must_use]
pub fn confidence_sequence(windows: &[Cluster]) -> Estimate {
    let count = windows.iter().filter(|w| w.weight > 0.0).count();
    let mean = Estimate::clustered(windows);
    let half = mean
        .standard_error
        .filter(|_| count >= FIRST_LOOK)
        .map(|error| factor(count) * error);
    Estimate {
        low: half.map(|half| mean.value - half),
        high: half.map(|half| mean.value + half),
        ..mean
    }
}

/// λ(t): by how many standard errors the sequence reaches to either side after so many windows.
#[must_use]
pub fn factor(windows: usize) -> f64 {
    let x = best_x() * windows as f64 / FIRST_LOOK as f64;
    ((1.0 + 1.0 / x) * (x.ln_1p() - 2.0 * ALPHA.ln())).sqrt()
}

/// The x = tρ² at which λ is smallest: x = ln(1 + x) − 2 ln α. Each step of the iteration divides the error by 1 + x ≈ 9.
fn best_x() -> f64 {
    (0..40).fold(1.0, |x: f64, _| x.ln_1p() - 2.0 * ALPHA.ln())
}

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!("expected a half width such as 2% of the mean, or 0.001 nats, found {text:?}")
        };
        let (digits, is_share) = match text.trim().strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        let number: f64 = digits.trim().parse().map_err(|_| expected())?;
        match (number > 0.0, is_share) {
            (true, true) if number < 100.0 => Ok(Until::Relative(number / 100.0)),
            (true, false) if number < 1.0 => Ok(Until::Absolute(number)),
            (true, false) if number.is_finite() => Err(format!(
                "a half width of {number} nats knows nothing: for {number} % of the mean write {number}%"
            )),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Twelve digits undo the division by 100.
            Until::Relative(share) => write!(f, "{}%", (share * 1e14).round() / 1e12),
            Until::Absolute(nats) => write!(f, "{nats} nats"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_widths_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Until>();
        assert_eq!(read("2%"), Ok(Until::Relative(0.02)));
        assert_eq!(read(" 0.5 % "), Ok(Until::Relative(0.005)));
        assert_eq!(read("0.001"), Ok(Until::Absolute(0.001)));
        assert_eq!(
            ["2%", "0.3%", "0.001"].map(|t| read(t).unwrap().to_string()),
            ["2%", "0.3%", "0.001 nats"]
        );
        for bad in ["", "%", "0", "-1%", "0%", "100%", "NaN", "inf", "two"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        assert!(read("2").unwrap_err().ends_with("write 2%"));
    }

    #[test]
    fn the_sequence_is_narrowest_at_the_first_look() {
        let at_first = factor(FIRST_LOOK);
        assert!((1..2000).all(|t| factor(t) >= at_first));
        // A single look takes 1.96; looking for ever takes half as much again.
        assert!((at_first - 3.04).abs() < 0.01);
    }

    #[test]
    fn before_the_first_look_there_is_no_interval() {
        let windows = |count: usize| -> Vec<Cluster> {
            (0..count)
                .map(|i| Cluster {
                    weight: 1.0,
                    sum: 1.0 + (i % 3) as f64,
                })
                .collect()
        };
        let early = confidence_sequence(&windows(FIRST_LOOK - 1));
        assert!(early.high.is_none() && !Until::Relative(0.9).is_reached_by(&early));
        assert!(confidence_sequence(&windows(FIRST_LOOK)).high.is_some());
        // Windows without a scored position are no look.
        let mut empty = windows(FIRST_LOOK - 1);
        empty.push(Cluster::default());
        assert!(confidence_sequence(&empty).high.is_none());
    }

    #[test]
    fn a_mean_of_zero_without_spread_is_known() {
        let zeros = [Cluster {
            weight: 255.0,
            sum: 0.0,
        }; FIRST_LOOK];
        assert!(Until::Relative(0.01).is_reached_by(&confidence_sequence(&zeros)));
    }
}
