//! A look at a training on a terminal.

use std::io::{self, Write};

use kld_core::{
    result::Watch,
    series::{Alert, Convergence, Point, Rise, Series, Tolerance, Verdict},
};

use crate::{
    Exporter, Terminal,
    curve::{Curve, draw},
    format::{count, plus_minus, share, significant},
    table::{layout, sparkline},
};

/// The size of the curves, in characters.
const WIDTH: usize = 64;
const HEIGHT: usize = 12;
/// Points of a sparkline.
const SPARKS: usize = 40;

impl Exporter<Watch> for Terminal {
    fn export(&self, watch: &Watch, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", lead(watch))?;
        let curve = |mark, name, label| Curve {
            mark,
            name: label,
            points: watch.series(name).map(pairs).unwrap_or_default(),
        };
        let curves = [
            curve('●', "kl_heldout", "held-out"),
            curve('·', "kl_train", "training"),
            curve('×', "kl_base", "from the base model"),
        ];
        write!(out, "\n{}\n", draw(&curves, WIDTH, HEIGHT))?;
        write!(out, "{}{}", sparklines(watch), alerts(&watch.alerts))?;
        watch
            .warnings
            .iter()
            .try_for_each(|warning| writeln!(out, "warning: {warning}"))
    }
}

fn pairs(series: &Series) -> Vec<(f64, f64)> {
    series.points.iter().map(|p| (p.step, p.value)).collect()
}

fn lead(watch: &Watch) -> String {
    let mut text = format!(
        "run        {} ({}), {}\n",
        watch.source,
        watch.kind,
        progress(watch)
    );
    for (name, label) in [
        ("kl_heldout", "held-out"),
        ("kl_train", "training"),
        ("gap", "gap"),
        ("kl_base", "from base"),
    ] {
        let Some((series, last)) = watch.series(name).and_then(|s| Some((s, s.last()?))) else {
            continue;
        };
        let best = watch.best.filter(|_| name == watch.judged);
        let best = best.map_or(String::new(), |best| {
            format!(", best {} at step {}", significant(best.value), step(best))
        });
        text += &format!(
            "{label:<10} {} at step {}{best}  [{}]\n",
            plus_minus(&last.estimate()),
            step(last),
            series.key
        );
    }
    text + &verdict(watch)
}

pub(crate) fn progress(watch: &Watch) -> String {
    let done = count(watch.step.max(0.0) as u64);
    let planned = watch.steps_planned.map_or(String::new(), |planned| {
        format!(" of {}", count(planned as u64))
    });
    let left = watch.left_s.map_or(String::new(), |seconds| {
        format!(", {} left", duration(seconds))
    });
    format!("step {done}{planned}{left}")
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

fn step(point: Point) -> String {
    count(point.step.max(0.0) as u64)
}

fn verdict(watch: &Watch) -> String {
    let found = &watch.convergence;
    let mut text = format!(
        "verdict    {}: {}\n",
        name(found.verdict).to_uppercase(),
        reason(found)
    );
    for line in evidence(found) {
        text += &format!("           {line}\n");
    }
    text
}

/// The verdict's name.
pub(crate) fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::TooEarly => "too early to say",
        Verdict::Improving => "improving",
        Verdict::Converged => "converged",
        Verdict::OverFitting => "over-fitting",
        Verdict::Diverging => "diverging",
    }
}

/// What made the verdict, in a sentence.
pub(crate) fn reason(found: &Convergence) -> String {
    let rises = match found.rise {
        Some(Rise::NotFinite) => Some("one of the last evaluations is not a finite number"),
        Some(Rise::Jump) => Some("the last three evaluations lie far above all before them"),
        Some(Rise::Trend) => Some("it rises"),
        Some(Rise::Recent) => Some("it rises of late"),
        None => None,
    };
    match (found.verdict, rises) {
        (Verdict::OverFitting, Some(rises)) => format!("{rises} while training falls"),
        (_, Some(rises)) if found.training_slope.is_some() => {
            format!("{rises}, and training does not fall")
        }
        (_, Some(rises)) => rises.to_owned(),
        (Verdict::Converged, None) => {
            "what could still be gained is below the tolerance".to_owned()
        }
        (Verdict::Improving, None) => "it still falls".to_owned(),
        _ if found.gain.value.is_nan() => format!(
            "{} evaluations, the first verdict is after {}",
            found.window,
            kld_core::series::FEWEST
        ),
        _ => "its trend cannot be told from noise".to_owned(),
    }
}

/// The numbers behind it.
pub(crate) fn evidence(found: &Convergence) -> Vec<String> {
    let gain = &found.gain;
    let (Some(low), Some(high)) = (gain.low, gain.high) else {
        return Vec::new();
    };
    let tolerance = match found.tolerance {
        Tolerance::Relative(part) => {
            format!(
                "{} of the level, {}",
                share(part),
                significant(found.tolerated)
            )
        }
        Tolerance::Absolute(value) => significant(value),
    };
    let mut lines = vec![
        format!(
            "expected further gain {} (95 %: {} to {}) over the next {} steps; tolerance {tolerance}",
            significant(gain.value),
            significant(low),
            significant(high),
            count(found.horizon.max(0.0) as u64)
        ),
        format!(
            "from the trend of the last {} evaluations (step {} on): level {}, noise {}, its correlation {}",
            found.window,
            count(found.from_step.max(0.0) as u64),
            significant(found.level),
            significant(found.noise),
            significant(found.correlation)
        ),
    ];
    if found.not_finite > 0 {
        lines.push(format!(
            "{} evaluations that are not finite are left out of it",
            found.not_finite
        ));
    }
    lines
}

/// What is worth a glance: a line each.
fn sparklines(watch: &Watch) -> String {
    let rows = [
        ("learning_rate", "learning rate"),
        ("gradient_norm", "gradient norm"),
        ("gap", "gap"),
        ("tokens_per_s", "tokens/s"),
    ];
    let rows = rows.into_iter().filter_map(|(name, label)| {
        let series = watch.series(name)?;
        let last = series.last()?;
        let values: Vec<f64> = thinned(&series.points, SPARKS).map(|p| p.value).collect();
        let spark = format!("{:<SPARKS$}", sparkline(&values));
        Some(vec![label.to_owned(), spark, significant(last.value)])
    });
    layout("  ", &rows.collect::<Vec<_>>())
}

/// At most so many points, evenly chosen, the last one among them.
pub(crate) fn thinned(points: &[Point], most: usize) -> impl Iterator<Item = &Point> {
    let every = points.len().div_ceil(most).max(1);
    let skip = points.len().saturating_sub(1) % every;
    points.iter().skip(skip).step_by(every)
}

fn alerts(alerts: &[Alert]) -> String {
    let rows = alerts.iter().map(|alert| {
        vec![
            format!("alert  {}", alert.rule),
            alert.first_step.map_or("never held".to_owned(), |first| {
                format!("FIRED first at step {}", count(first.max(0.0) as u64))
            }),
            format!("held at {} of {} looks", alert.held, alert.asked),
            match (alert.first_step, alert.holds_now) {
                (None, _) => "",
                (Some(_), true) => "and holds now",
                (Some(_), false) => "not now",
            }
            .to_owned(),
        ]
    });
    layout("", &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_as_people_say_them() {
        let told = [5.2, 65.0, 7265.0].map(duration);
        assert_eq!(told, ["5 s", "1 min 5 s", "2 h 1 min"]);
    }

    #[test]
    fn thinned_points_end_with_the_last() {
        for length in [0_u32, 1, 39, 40, 41, 100, 1001] {
            let points: Vec<Point> = (0..length)
                .map(|i| Point::bare(f64::from(i), 0.0))
                .collect();
            let thinned: Vec<&Point> = thinned(&points, 40).collect();
            assert!(thinned.len() <= 40, "{length}: {}", thinned.len());
            assert_eq!(thinned.last().copied(), points.last());
        }
    }
}
