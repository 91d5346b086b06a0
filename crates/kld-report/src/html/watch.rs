//! The page of a look at a training: verdict, curves, rules.

use std::io::{self, Write};

use kld_core::{
    result::Watch,
    series::{Convergence, Series, Verdict},
};
use maud::{Markup, html};

use super::{
    Page,
    chart::{Axis, Chart, Look, Scale, told},
    comparison::Html,
    section, table, tile,
};
use crate::{
    Exporter,
    format::{count, plus_minus, significant},
    watch::{evidence, name, progress, reason, thinned},
};

/// Points of one curve; more are thinned out, the last one stays.
const MOST: usize = 400;

impl Exporter<Watch> for Html {
    fn export(&self, watch: &Watch, out: &mut dyn Write) -> io::Result<()> {
        Page {
            title: &format!("Training {}", watch.source),
            lead: lead(watch),
            body: body(watch),
            style: "",
            scripts: &[],
            version: &watch.version,
        }
        .write(out)
    }
}

fn lead(watch: &Watch) -> Markup {
    html! {
        dl {
            dt { "read from" } dd { (watch.source) " (" (watch.kind) "), " (progress(watch)) }
            dt { "series" }
            dd { @for series in &watch.series { (series.name) @if series.key != series.name { " [" (series.key) "]" } " " } }
        }
        @for warning in &watch.warnings { p.warning role="note" { (warning) } }
    }
}

fn body(watch: &Watch) -> Markup {
    html! {
        div.tiles {
            (verdict(&watch.convergence))
            @for (series, label) in [("kl_heldout", "held-out"), ("kl_train", "training"), ("gap", "gap, held-out less training"), ("kl_base", "from the base model")] {
                @if let Some(last) = watch.series(series).and_then(Series::last) {
                    (tile(label, &html! { data value=(last.value) { (plus_minus(&last.estimate())) } }, &note(watch, series, last.step)))
                }
            }
            @if watch.convergence.gain.value.is_finite() {
                (tile("expected further gain", &html! { data value=(watch.convergence.gain.value) { (significant(watch.convergence.gain.value)) } }, &gain(&watch.convergence)))
            }
        }
        (section("Curves", "By step: circles are held-out with their 95 % intervals where the trainer tells errors, the line is training, the dashed line the trend that the verdict is made from.", &curves(watch)))
        @if !watch.alerts.is_empty() {
            (section("Rules", "Each was asked at every step at which one of its series was told.", &rules(watch)))
        }
        (others(watch))
    }
}

fn verdict(found: &Convergence) -> Markup {
    let is_bad = matches!(found.verdict, Verdict::OverFitting | Verdict::Diverging);
    let is_good = matches!(found.verdict, Verdict::Converged | Verdict::Improving);
    html! {
        div.tile.pass[is_good].fail[is_bad] {
            div.name { "verdict" }
            div.value { (name(found.verdict)) }
            div.note { (reason(found)) }
            @for line in evidence(found) { div.note { (line) } }
        }
    }
}

fn note(watch: &Watch, series: &str, step: f64) -> String {
    let at = format!("at step {}", count(step.max(0.0) as u64));
    match watch.best.filter(|_| series == watch.judged) {
        Some(best) => format!(
            "{at}; best {} at step {}",
            significant(best.value),
            count(best.step.max(0.0) as u64)
        ),
        None => at,
    }
}

fn gain(found: &Convergence) -> String {
    let interval = found.gain.low.zip(found.gain.high);
    let steps = count(found.horizon.max(0.0) as u64);
    let interval = interval.map_or(String::new(), |(low, high)| {
        format!("95 %: {} to {}; ", significant(low), significant(high))
    });
    format!("{interval}over the next {steps} steps")
}

fn curves(watch: &Watch) -> Markup {
    let judged = ["kl_heldout", "kl_train", "kl_base"].map(|name| watch.series(name));
    let drawn = || judged.iter().flatten().flat_map(|s| &s.points);
    let values: Vec<f64> = drawn().map(|p| p.value).filter(|v| v.is_finite()).collect();
    let steps = Axis::over("step", Scale::Linear, drawn().map(|p| p.step));
    let mut chart = Chart::new(
        "held-out and training by step",
        steps,
        Axis::around("", &values),
    );
    let found = &watch.convergence;
    let points = |series: &Series| {
        let finite = |p: &&kld_core::series::Point| p.value.is_finite();
        let points: Vec<_> = series.points.iter().filter(finite).copied().collect();
        thinned(&points, MOST).copied().collect::<Vec<_>>()
    };
    if let Some(training) = judged[1] {
        chart.curve(points(training).into_iter().map(|p| (p.step, p.value)));
    }
    if found.gain.value.is_finite() {
        // The line rose or fell by the gain's slope from the first step of the trend to the last.
        let back = watch.step - found.from_step;
        let fell = found.gain.value / found.horizon * back;
        chart.path([
            (found.from_step, found.level + fell),
            (watch.step, found.level),
        ]);
    }
    for (series, look) in [(judged[0], Look::Hollow), (judged[2], Look::Filled)] {
        for point in series.map(points).unwrap_or_default() {
            let estimate = point.estimate();
            let interval = estimate.low.zip(estimate.high);
            let title = format!("step {}: {}", point.step, told(point.value, interval));
            chart.dot(point.step, point.value, interval, look, &title);
        }
    }
    chart.draw()
}

fn rules(watch: &Watch) -> Markup {
    let step = |step: Option<f64>| step.map_or("–".to_owned(), |s| count(s.max(0.0) as u64));
    let rows = watch.alerts.iter().map(|alert| {
        [
            alert.rule.clone(),
            step(alert.first_step),
            step(alert.last_step),
            format!("{} of {}", alert.held, alert.asked),
            if alert.holds_now { "yes" } else { "no" }.to_owned(),
        ]
        .map(|cell| html! { (cell) })
        .to_vec()
    });
    table(
        &["rule", "first at step", "last at step", "held", "now"],
        &rows.collect::<Vec<_>>(),
    )
}

/// What else the trainer tells.
fn others(watch: &Watch) -> Markup {
    let drawn = ["gap", "learning_rate", "gradient_norm", "tokens_per_s"];
    let charts = drawn.iter().filter_map(|name| {
        let series = watch.series(name)?;
        let finite = series.points.iter().filter(|p| p.value.is_finite());
        let points: Vec<_> = finite.copied().collect();
        let points: Vec<_> = thinned(&points, MOST).map(|p| (p.step, p.value)).collect();
        let steps = Axis::over("step", Scale::Linear, points.iter().map(|p| p.0));
        let values = Axis::over("", Scale::Linear, points.iter().map(|p| p.1));
        let mut chart = Chart::new(name, steps, values);
        chart.curve(points);
        Some(html! { div { h3 { (name) } (chart.draw()) } })
    });
    let charts: Vec<Markup> = charts.collect();
    html! {
        @if !charts.is_empty() {
            (section("Beside them", "By step.", &html! { div.pair { @for chart in &charts { (chart) } } }))
        }
    }
}
