//! Where is a training heading? A verdict that knows its error.
//!
//! The trend of the last half of the evaluations ([`Trend`]) is drawn on for as many steps as it looks back; what the held-out value would fall
//! by is the *expected further gain*, with its 95 % interval. A curve that flattens gains less than its line: such an expectation is rather too large,
//! which keeps `converged` honest for every curve that falls ever more slowly. A drop still to come, as a falling learning rate may bring it, is
//! seen by no look back. The verdict, in this order:
//!
//! | verdict | when |
//! |---|---|
//! | too early | fewer than [`FEWEST`] evaluations |
//! | over-fitting, diverging | held-out [rises](Rise) by more than the tolerance, and training falls, or does not |
//! | converged | the upper end of the gain's interval is below the tolerance |
//! | improving | the lower end of the gain's interval is above 0, or the most recent quarter says so |
//! | too early | none of these can be told from noise |
//!
//! How often that is wrong, on series whose truth is known: `docs/watch.md`, and `tests/series.rs` finds it again.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Point, Series, Trend};
use crate::estimate::Estimate;

/// Fewer evaluations than so many say nothing of a trend.
pub const FEWEST: usize = 10;

/// The chance beyond either end of the gain's interval is 1 − this.
const INTERVAL: f64 = 0.975;
/// The same where nothing but a direction is concluded, from either of two stretches.
const DIRECTION: f64 = 0.995;
/// So many evaluations in a row …
const JUMPED: usize = 3;
/// … above all others by so many standard deviations are a jump.
const JUMP: f64 = 4.0;

/// Where a training is heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing can be told from noise yet.
    TooEarly,
    /// Held-out still falls.
    Improving,
    /// What could still be gained is below the tolerance.
    Converged,
    /// Held-out rises while training falls.
    OverFitting,
    /// Held-out rises, and training does not fall.
    Diverging,
}

/// How held-out rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rise {
    /// One of the last three evaluations is not a number, or infinite.
    NotFinite,
    /// The last three evaluations are all above every other one of the stretch, by four standard deviations of its noise.
    Jump,
    /// The trend of the last half rises.
    Trend,
    /// The trend of the last quarter rises.
    Recent,
}

/// The further gain that is not worth training on for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// A share of the present level.
    Relative(f64),
    /// In the unit of the series, as a rule nats.
    Absolute(f64),
}

impl Default for Tolerance {
    fn default() -> Self {
        Self::Relative(0.01)
    }
}

impl Tolerance {
    /// In the unit of a series whose level is this.
    #[must_use]
    pub fn at(self, level: f64) -> f64 {
        match self {
            Self::Relative(share) => share * level.abs(),
            Self::Absolute(value) => value,
        }
    }
}

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected a share such as 1% or a number such as 0.001, found {text:?}");
        let percent = text.strip_suffix('%');
        let number: f64 = percent
            .unwrap_or(text)
            .trim()
            .parse()
            .map_err(|_| expected())?;
        match (percent, number) {
            (_, n) if !(n.is_finite() && n > 0.0) => Err(expected()),
            (Some(_), n) => Ok(Self::Relative(n / 100.0)),
            (None, n) => Ok(Self::Absolute(n)),
        }
    }
}

/// How a series is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judging {
    /// What is not worth training on for.
    pub tolerance: Tolerance,
    /// Evaluations looked back on; the last half of them where `None`, but at least [`FEWEST`].
    pub window: Option<usize>,
    /// Steps looked ahead; as many as are looked back on where `None`.
    pub horizon: Option<f64>,
}

/// Where a series is heading, and what says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Convergence {
    /// The verdict.
    pub verdict: Verdict,
    /// How held-out rises, if it does.
    pub rise: Option<Rise>,
    /// By how much held-out is expected to fall over the next `horizon` steps; not a number where there is no trend yet.
    pub gain: Estimate,
    /// Steps looked ahead.
    pub horizon: f64,
    /// What further gain is not worth training on for, as given.
    pub tolerance: Tolerance,
    /// The same in the unit of the series.
    #[serde(with = "crate::number")]
    pub tolerated: f64,
    /// Evaluations that the trend goes through, and the first of their steps.
    pub window: usize,
    /// The first step of the trend.
    pub from_step: f64,
    /// What the trend says of the last step.
    #[serde(with = "crate::number")]
    pub level: f64,
    /// Standard deviation of the evaluations about the trend.
    #[serde(with = "crate::number")]
    pub noise: f64,
    /// Correlation of that noise from one evaluation to the next.
    #[serde(with = "crate::number")]
    pub correlation: f64,
    /// By how much training changes per step over the same steps; `None` where too little is known of it.
    pub training_slope: Option<Estimate>,
    /// Evaluations that were not finite and are left out of the trend.
    pub not_finite: usize,
}

impl Convergence {
    /// Judges a held-out series, with what was learnt meanwhile on training text.
    #[must_use]
    pub fn of(held_out: &Series, training: &[Point], judging: &Judging) -> Self {
        let finite = |p: &&Point| p.value.is_finite();
        let points: Vec<Point> = held_out.points.iter().filter(finite).copied().collect();
        let not_finite = held_out.points.len() - points.len();
        let is_broken = held_out.points.iter().rev().take(JUMPED);
        let broken = is_broken.clone().any(|p| !p.value.is_finite());
        let window = judging
            .window
            .unwrap_or(points.len().div_ceil(2))
            .clamp(FEWEST, points.len().max(FEWEST));
        let Some(stretch) = points.len().checked_sub(window).map(|at| &points[at..]) else {
            return Self::untold(&points, not_finite, broken, judging);
        };
        let Some(trend) = Trend::of(stretch) else {
            return Self::untold(&points, not_finite, broken, judging);
        };
        let from_step = stretch[0].step;
        let back = points[points.len() - 1].step - from_step;
        let horizon = judging.horizon.unwrap_or(back);
        let recent = &points[points.len() - (points.len().div_ceil(4)).max(FEWEST)..];
        let mut told = Self {
            verdict: Verdict::TooEarly,
            rise: None,
            gain: falls(&trend, horizon, INTERVAL),
            horizon,
            tolerance: judging.tolerance,
            tolerated: judging.tolerance.at(trend.level),
            window,
            from_step,
            level: trend.level,
            noise: trend.noise,
            correlation: trend.correlation,
            training_slope: slope_since(training, from_step),
            not_finite,
        };
        told.rise = if broken {
            Some(Rise::NotFinite)
        } else {
            told.rise(stretch, &trend, recent)
        };
        told.verdict = told.verdict(Trend::of(recent).as_ref());
        told
    }

    /// Of too few evaluations nothing is told, but that they are no numbers.
    fn untold(points: &[Point], not_finite: usize, broken: bool, judging: &Judging) -> Self {
        let last = points.last().map_or(f64::NAN, |p| p.value);
        Self {
            verdict: if broken {
                Verdict::Diverging
            } else {
                Verdict::TooEarly
            },
            rise: broken.then_some(Rise::NotFinite),
            gain: Estimate::bare(f64::NAN),
            horizon: judging.horizon.unwrap_or(0.0),
            tolerance: judging.tolerance,
            tolerated: judging.tolerance.at(last),
            window: points.len(),
            from_step: points.first().map_or(0.0, |p| p.step),
            level: last,
            noise: f64::NAN,
            correlation: f64::NAN,
            training_slope: None,
            not_finite,
        }
    }

    /// Whether and how held-out rises by more than is tolerated.
    fn rise(&self, stretch: &[Point], trend: &Trend, recent: &[Point]) -> Option<Rise> {
        let rises = |trend: &Trend| {
            let gain = falls(trend, self.horizon, DIRECTION);
            gain.high.is_some_and(|high| high < 0.0) && -gain.value > self.tolerated
        };
        let jumped = has_jumped(stretch, self.tolerated);
        // What rises steadily, with little noise, is above all before at every evaluation.
        let before = || Trend::of(&stretch[..stretch.len() - JUMPED]);
        if jumped && !before().is_some_and(|before| rises(&before)) {
            Some(Rise::Jump)
        } else if jumped || rises(trend) {
            Some(Rise::Trend)
        } else {
            let recent = Trend::of(recent);
            recent.is_some_and(|t| rises(&t)).then_some(Rise::Recent)
        }
    }

    fn verdict(&self, recent: Option<&Trend>) -> Verdict {
        let falls_recently = || {
            let low = falls(recent?, self.horizon, DIRECTION).low;
            low.map(|low| low > 0.0)
        };
        let training = self.training_slope.as_ref();
        let learns = training.and_then(|slope| slope.high);
        match self.rise {
            Some(Rise::NotFinite) => Verdict::Diverging,
            Some(_) if learns.is_some_and(|high| high < 0.0) => Verdict::OverFitting,
            Some(_) => Verdict::Diverging,
            None if self.gain.high.is_some_and(|high| high < self.tolerated) => Verdict::Converged,
            None if self.gain.low.is_some_and(|low| low > 0.0) => Verdict::Improving,
            None if falls_recently() == Some(true) => Verdict::Improving,
            None => Verdict::TooEarly,
        }
    }
}

/// What a series falls by in so many steps, if its trend goes on.
fn falls(trend: &Trend, steps: f64, level: f64) -> Estimate {
    let (low, high) = trend.slope_between(level);
    Estimate {
        value: -trend.slope * steps,
        standard_error: Some(trend.slope_error * steps),
        low: Some(-high * steps),
        high: Some(-low * steps),
    }
}

/// The slope of what comes after a step.
fn slope_since(points: &[Point], step: f64) -> Option<Estimate> {
    let since = points
        .iter()
        .filter(|p| p.step >= step && p.value.is_finite());
    let trend = Trend::of(&since.copied().collect::<Vec<_>>())?;
    let (low, high) = trend.slope_between(INTERVAL);
    Some(Estimate {
        value: trend.slope,
        standard_error: Some(trend.slope_error),
        low: Some(low),
        high: Some(high),
    })
}

/// Are the last evaluations above all others of the stretch, by far more than noise and by more than is tolerated?
fn has_jumped(stretch: &[Point], tolerated: f64) -> bool {
    let (before, last) = stretch.split_at(stretch.len() - JUMPED);
    let Some(trend) = Trend::of(before) else {
        return false;
    };
    let values = |points: &[Point]| points.iter().map(|p| p.value).collect::<Vec<_>>();
    let highest = values(before).into_iter().fold(f64::NEG_INFINITY, f64::max);
    let least = values(last).into_iter().fold(f64::INFINITY, f64::min);
    least - highest > (JUMP * trend.noise).max(tolerated)
}
