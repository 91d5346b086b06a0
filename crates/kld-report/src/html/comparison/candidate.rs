//! One candidate: tiles, the distribution of KL, where it lies, and the verdict.

use kld_core::{
    estimate::Estimate,
    gate::Verdict,
    result::{Candidate, Divergence, FragmentComparison, Slice, WorstToken},
};
use maud::{Markup, html};

use super::super::{
    chart::{Axis, Chart, Look, Scale, told},
    section, table, tile,
};
use crate::{
    compare::model,
    format::{bytes, count, digits, percent, plus_minus, share, significant},
};

/// Fragments shown; the JSON has them all.
const FRAGMENTS: usize = 40;

/// Worst tokens shown; the JSON has some more.
const WORST: usize = 12;

/// All of one candidate, under a name.
pub(super) fn panel(c: &Candidate, name: &str) -> Markup {
    html! {
        h2 { (name) }
        p.how { (model(&c.model)) }
        div.tiles { (tiles(c)) }
        @for warning in &c.warnings { p.warning role="note" { strong { "Warning: " } (warning) } }
        @if let Some(verdict) = &c.verdict { (gate(verdict)) }
        (section("How KL is distributed", "Positions by the size of their KL(P‖Q). The axis is logarithmic: each grid step is a factor of ten.", &distribution(c)))
        (section("Where it lies", "Mean KL with its 95 % interval. Confidence is the probability of P’s most likely token.", &html! {
            div.pair { (by_confidence(&c.by_confidence)) (by_position(&c.by_position)) }
        }))
        @if c.fragments.len() > 1 {
            (section("Fragments", "Largest mean KL first.", &fragments(&c.fragments)))
        }
        @if !c.worst.is_empty() {
            (section("Worst tokens", "The positions with the largest KL, with the most likely token of both.", &worst(&c.worst)))
        }
    }
}

fn tiles(c: &Candidate) -> Markup {
    let clusters = format!(
        "{} positions; errors by {}",
        count(c.positions),
        c.errors_clustered_by.name()
    );
    html! {
        @if let Some(v) = &c.verdict { (verdict_tile(v)) }
        (estimate("mean KL(P‖Q), nats", &c.kl.mean, &plus_minus(&c.kl.mean), &interval(&c.kl.mean)))
        @if let Some(above) = &c.above_noise_floor {
            (estimate("above the noise floor, nats", above, &plus_minus(above), &interval(above)))
        }
        (figure("median KL", c.kl.median, &format!("99 % point {}, largest {}", significant(c.kl.p99), significant(c.kl.max))))
        (estimate("mean KL(Q‖P), nats", &c.reverse_kl.mean, &plus_minus(&c.reverse_kl.mean), &interval(&c.reverse_kl.mean)))
        (estimate("Jensen–Shannon, nats", &c.js.mean, &plus_minus(&c.js.mean), &interval(&c.js.mean)))
        (estimate("top-1 agreement", &c.top1_agreement, &percent(&c.top1_agreement), &format!("top-10 overlap {}", percent(&c.top10_overlap))))
        (estimate("Δp, root mean square", &c.delta_p.rms, &percent(&c.delta_p.rms), &format!("mean {} %", significant(100.0 * c.delta_p.mean.value))))
        (estimate("perplexity ratio", &c.perplexity.ratio, &format!("×{}", plus_minus(&c.perplexity.ratio)),
            &format!("{} → {}", digits(c.perplexity.reference.value, 5), digits(c.perplexity.candidate.value, 5))))
        (tile("size", &html! { (bytes(c.model.bytes)) }, &clusters))
    }
}

fn verdict_tile(verdict: &Verdict) -> Markup {
    let (class, word) = if verdict.passed {
        ("pass", "✓ passed")
    } else {
        ("fail", "✗ failed")
    };
    let exceeded = verdict.checks.iter().filter(|check| !check.passed).count();
    html! {
        div.tile.(class) {
            div.name { "gate" }
            div.value { (word) }
            div.note { (exceeded) " of " (verdict.checks.len()) " limits exceeded" }
        }
    }
}

/// A tile whose value can also be read by a machine, in full precision.
fn estimate(name: &str, estimate: &Estimate, text: &str, note: &str) -> Markup {
    let (value, error) = text.split_once(" ± ").unwrap_or((text, ""));
    let value = html! {
        data value=(estimate.value) { (value) }
        @if !error.is_empty() { " " span.error { "± " (error) } }
    };
    tile(name, &value, note)
}

fn figure(name: &str, value: f64, note: &str) -> Markup {
    tile(
        name,
        &html! { data value=(value) { (significant(value)) } },
        note,
    )
}

fn interval(estimate: &Estimate) -> String {
    match estimate.low.zip(estimate.high) {
        Some((low, high)) => format!("95 %: {} to {}", significant(low), significant(high)),
        None => "one cluster alone has no error".to_owned(),
    }
}

fn gate(verdict: &Verdict) -> Markup {
    let rows: Vec<Vec<Markup>> = verdict
        .checks
        .iter()
        .map(|check| {
            let word = if check.passed {
                "✓ kept"
            } else {
                "✗ exceeded"
            };
            vec![
                html! { (check.meaning) " (" (check.metric) ")" },
                html! { (significant(check.value)) },
                html! { (significant(check.limit)) },
                html! { (word) },
            ]
        })
        .collect();
    html! {
        section {
            h2 { "Gate" }
            (table(&["limit on", "came", "allowed", ""], &rows))
            @if verdict.not_finite > 0 {
                p.warning { (count(verdict.not_finite)) " positions were not finite, which fails every gate." }
            }
            @if !verdict.complete { p.warning { "Not all windows were measured, which fails every gate." } }
        }
    }
}

fn distribution(c: &Candidate) -> Markup {
    html! {
        div.pair {
            (histogram(c))
            (table(&["nats", "KL(P‖Q)", "KL(Q‖P)", "JS"], &percentiles([&c.kl, &c.reverse_kl, &c.js])))
        }
    }
}

fn histogram(c: &Candidate) -> Markup {
    let histogram = &c.kl_histogram;
    let counts = || histogram.counts.iter().map(|count| *count as f64);
    let edges = histogram.bins().flat_map(|bin| [bin.from, bin.to]);
    let mut chart = Chart::new(
        "Number of positions by their KL, on a logarithmic axis",
        Axis::over("KL(P‖Q) in nats", Scale::Log, edges),
        Axis::over("positions", Scale::Linear, counts()),
    );
    for bin in histogram.bins() {
        let title = format!(
            "{} to {} nats: {} positions",
            significant(bin.from),
            significant(bin.to),
            count(bin.count)
        );
        chart.bar(bin.from, bin.to, bin.count as f64, &title);
    }
    let mut rules = [
        (c.kl.median, "median"),
        (c.kl.mean.value, "mean"),
        (c.kl.p90, "90 %"),
        (c.kl.p99, "99 %"),
    ];
    rules.sort_by(|a, b| a.0.total_cmp(&b.0));
    let title = |at, word| format!("{word}: {} nats", significant(at));
    let on_axis = rules.into_iter().filter(|(at, _)| *at > 0.0);
    chart.rules(on_axis.map(|(at, word)| (at, word, title(at, word))));
    html! {
        div {
            (chart.draw())
            @if histogram.zeros + histogram.infinite > 0 {
                p.how { "Not on the axis: " (count(histogram.zeros)) " positions at exactly 0, " (count(histogram.infinite)) " at ∞." }
            }
        }
    }
}

fn percentiles(divergences: [&Divergence; 3]) -> Vec<Vec<Markup>> {
    let row = |name: &str, read: &dyn Fn(&Divergence) -> String| {
        let mut row = vec![html! { (name) }];
        row.extend(divergences.map(|d| html! { (read(d)) }));
        row
    };
    vec![
        row("mean", &|d| significant(d.mean.value)),
        row("median", &|d| significant(d.median)),
        row("90 %", &|d| significant(d.p90)),
        row("95 %", &|d| significant(d.p95)),
        row("99 %", &|d| significant(d.p99)),
        row("99.9 %", &|d| significant(d.p999)),
        row("largest", &|d| significant(d.max)),
    ]
}

fn by_confidence(slices: &[Slice]) -> Markup {
    let name = |s: &Slice| format!("{}–{}", s.from, s.to);
    by("confidence of P", slices, name)
}

fn by_position(slices: &[Slice]) -> Markup {
    let name = |s: &Slice| format!("{}–{}", s.from, s.to);
    by("tokens of context", slices, name)
}

/// Mean KL by slice, with intervals.
fn by(key: &str, slices: &[Slice], name: impl Fn(&Slice) -> String) -> Markup {
    let ends = |s: &Slice| [Some(s.kl.value), s.kl.high];
    let mut chart = Chart::new(
        &format!("Mean KL by {key}, with 95 % intervals"),
        Axis::of_names(key, slices.iter().map(&name)),
        Axis::over(
            "mean KL(P‖Q) in nats",
            Scale::Linear,
            slices.iter().flat_map(ends).flatten(),
        ),
    );
    for (index, slice) in slices.iter().enumerate() {
        let interval = slice.kl.low.zip(slice.kl.high);
        let title = format!(
            "{key} {}: KL {}; {} positions, {} of all KL, top-1 agreement {}",
            name(slice),
            told(slice.kl.value, interval),
            count(slice.positions),
            share(slice.share_of_kl),
            share(slice.top1_agreement.value)
        );
        chart.dot(
            index as f64 + 0.5,
            slice.kl.value,
            interval,
            Look::Filled,
            &title,
        );
    }
    chart.draw()
}

fn fragments(fragments: &[FragmentComparison]) -> Markup {
    let head = [
        "fragment",
        "positions",
        "KL(P‖Q)",
        "KL(Q‖P)",
        "top-1",
        "perplexity of P",
        "of Q",
    ];
    let rows: Vec<Vec<Markup>> = fragments
        .iter()
        .take(FRAGMENTS)
        .map(|f| {
            vec![
                html! { (f.name) },
                html! { (count(f.positions)) },
                html! { (plus_minus(&f.kl)) },
                html! { (plus_minus(&f.reverse_kl)) },
                html! { (share(f.top1_agreement.value)) },
                html! { (significant(f.perplexity.reference.value)) },
                html! { (significant(f.perplexity.candidate.value)) },
            ]
        })
        .collect();
    html! {
        (table(&head, &rows))
        @if fragments.len() > FRAGMENTS {
            p.how { "… and " (count((fragments.len() - FRAGMENTS) as u64)) " more with less; the JSON has them all." }
        }
    }
}

fn worst(tokens: &[WorstToken]) -> Markup {
    let head = [
        "context → observed",
        "KL(P‖Q)",
        "P’s top-1",
        "Q’s top-1",
        "rank P",
        "rank Q",
    ];
    let likely = |token: &str, prob: f64| html! { code { (token) } " " (share(prob)) };
    let rows: Vec<Vec<Markup>> = tokens
        .iter()
        .take(WORST)
        .map(|w| {
            vec![
                html! { span.context { (w.context) } " → " code { (w.observed) } },
                html! { (significant(w.kl)) },
                likely(&w.top1_reference, w.top1_prob_reference),
                likely(&w.top1_candidate, w.top1_prob_candidate),
                html! { (count(u64::from(w.observed_rank_reference))) },
                html! { (count(u64::from(w.observed_rank_candidate))) },
            ]
        })
        .collect();
    table(&head, &rows)
}
