//! All candidates at a glance: a table, and size against KL.

use kld_core::result::{Candidate, Comparison};
use maud::{Markup, html};

use super::super::{
    chart::{Axis, Chart, Look, Scale, told},
    table,
};
use crate::format::{bytes, percent, plus_minus, significant};

/// The table and the chart.
pub(super) fn overview(result: &Comparison, names: &[String]) -> Markup {
    let head = [
        "candidate",
        "size",
        "KL(P‖Q) in nats",
        "99 % point",
        "top-1 agreement",
        "perplexity ratio",
        "gate",
    ];
    let rows: Vec<Vec<Markup>> = result
        .candidates
        .iter()
        .zip(names)
        .map(|(c, name)| row(c, name))
        .collect();
    html! {
        (table(&head, &rows))
        (sizes(&result.candidates, names))
    }
}

fn row(c: &Candidate, name: &str) -> Vec<Markup> {
    let verdict = match &c.verdict {
        Some(verdict) if verdict.passed => "✓ passed",
        Some(_) => "✗ failed",
        None => "–",
    };
    let cells = [
        name.to_owned(),
        bytes(c.model.bytes),
        plus_minus(&c.kl.mean),
        significant(c.kl.p99),
        percent(&c.top1_agreement),
        plus_minus(&c.perplexity.ratio),
        verdict.to_owned(),
    ];
    cells.map(|cell| html! { (cell) }).to_vec()
}

/// Size on disk against mean KL, with its interval.
fn sizes(candidates: &[Candidate], names: &[String]) -> Markup {
    let megabytes = |c: &Candidate| c.model.bytes as f64 / 1e6;
    let ends = |c: &Candidate| [Some(c.kl.mean.value), c.kl.mean.low, c.kl.mean.high];
    let mut chart = Chart::new(
        "Size on disk against mean KL of every candidate",
        Axis::over(
            "size in MB",
            Scale::Linear,
            candidates.iter().map(megabytes),
        ),
        Axis::over(
            "mean KL(P‖Q) in nats",
            Scale::Log,
            candidates.iter().flat_map(ends).flatten(),
        ),
    );
    for (c, name) in candidates.iter().zip(names) {
        let mean = &c.kl.mean;
        let interval = mean.low.zip(mean.high);
        let title = format!(
            "{name}: {}, KL {}",
            bytes(c.model.bytes),
            told(mean.value, interval)
        );
        chart.dot(megabytes(c), mean.value, interval, Look::Filled, &title);
        chart.word(megabytes(c), mean.value, name);
    }
    chart.draw()
}
