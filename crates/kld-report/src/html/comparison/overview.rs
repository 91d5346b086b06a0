//! All candidates at a glance, best first: a table, size against KL, and the one picked.

use kld_core::{
    estimate::Estimate,
    pick::{Pick, Wanted},
    ranking::{Front, Ranked, Ranking},
    result::{Candidate, Comparison},
};
use maud::{Markup, html};

use super::super::{
    chart::{Axis, Chart, Look, Scale, told},
    table,
};
use crate::format::{bytes, fixed, percent, plus_minus, share, significant};

/// The table, the chart, and what to know of them.
pub(super) fn overview(result: &Comparison, ranking: &Ranking, names: &[String]) -> Markup {
    html! {
        (ranked(result, ranking, names))
        p.how {
            "A shared letter: not told apart by paired differences (Holm over all pairs, " (share(ranking.level)) "). "
            "● on the front of size against KL; ○ on it by its mean alone, not told apart from a smaller one."
        }
        @for note in &ranking.notes { p.warning role="note" { (note) } }
        div.pair {
            div { h3 { "Size against KL" } (sizes(&result.candidates, ranking, names)) }
            div { h3 { "From median to 99 % point; the dot is the mean" } (spread(&result.candidates, ranking, names)) }
        }
    }
}

fn ranked(result: &Comparison, ranking: &Ranking, names: &[String]) -> Markup {
    let is_judged = result.candidates.iter().any(|c| c.verdict.is_some());
    let mut head = vec![
        "candidate",
        "group",
        "size",
        "bits/weight",
        "front",
        "KL(P‖Q) in nats",
        "over the one above",
        "99 % point",
        "top-1 agreement",
        "perplexity ratio",
    ];
    if is_judged {
        head.insert(1, "gate");
    }
    let above = std::iter::once(None).chain(ranking.ranked.iter().map(Some));
    let rows: Vec<Vec<Markup>> = ranking
        .ranked
        .iter()
        .zip(above)
        .map(|(ranked, above)| {
            let pair = above.and_then(|above| ranking.pair(above.candidate, ranked.candidate));
            let over = pair.map(|pair| gain(&pair.difference)).unwrap_or_default();
            let c = &result.candidates[ranked.candidate];
            let mut row = row(ranked, c, &names[ranked.candidate], over);
            if is_judged {
                row.insert(1, html! { (verdict(c)) });
            }
            row
        })
        .collect();
    table(&head, &rows)
}

fn verdict(c: &Candidate) -> &'static str {
    match &c.verdict {
        Some(verdict) if verdict.passed => "✓ passed",
        Some(_) => "✗ failed",
        None => "–",
    }
}

fn row(ranked: &Ranked, c: &Candidate, name: &str, over: String) -> Vec<Markup> {
    let front = match ranked.front {
        Front::On => "●",
        Front::Unproven => "○",
        Front::Off => "",
    };
    let cells = [
        name.to_owned(),
        ranked.groups.clone(),
        bytes(c.model.bytes),
        fixed(ranked.bits_per_weight, 2),
        front.to_owned(),
        plus_minus(&c.kl.mean),
        over,
        significant(c.kl.p99),
        percent(&c.top1_agreement),
        plus_minus(&c.perplexity.ratio),
    ];
    cells.map(|cell| html! { (cell) }).to_vec()
}

/// A difference with its sign.
fn gain(difference: &Estimate) -> String {
    let sign = if difference.value > 0.0 { "+" } else { "" };
    format!("{sign}{}", plus_minus(difference))
}

/// Size on disk against mean KL with its interval, and the front through those that are on it.
fn sizes(candidates: &[Candidate], ranking: &Ranking, names: &[String]) -> Markup {
    let megabytes = |c: &Candidate| c.model.bytes as f64 / 1e6;
    let ends = |c: &Candidate| [Some(c.kl.mean.value), c.kl.mean.low, c.kl.mean.high];
    let mut chart = Chart::new(
        "Size on disk against mean KL of every candidate, with the Pareto front",
        Axis::around(
            "size in MB",
            &candidates.iter().map(megabytes).collect::<Vec<_>>(),
        ),
        Axis::over(
            "mean KL(P‖Q) in nats",
            Scale::Log,
            candidates.iter().flat_map(ends).flatten(),
        ),
    );
    let on_front = ranking.ranked.iter().filter(|r| r.front != Front::Off);
    let mut front: Vec<&Candidate> = on_front.map(|r| &candidates[r.candidate]).collect();
    front.sort_by_key(|c| c.model.bytes);
    chart.path(front.iter().map(|c| (megabytes(c), c.kl.mean.value)));
    for ranked in &ranking.ranked {
        let (c, name) = (&candidates[ranked.candidate], &names[ranked.candidate]);
        let mean = &c.kl.mean;
        let interval = mean.low.zip(mean.high);
        let title = format!(
            "{name}: {}, KL {}",
            bytes(c.model.bytes),
            told(mean.value, interval)
        );
        let look = match ranked.front {
            Front::On => Look::Filled,
            Front::Unproven | Front::Off => Look::Hollow,
        };
        chart.dot(megabytes(c), mean.value, interval, look, &title);
        chart.word(megabytes(c), mean.value, name);
    }
    chart.draw()
}

/// How far positions are spread: from the median over the mean, the dot, to the 99 % point.
fn spread(candidates: &[Candidate], ranking: &Ranking, names: &[String]) -> Markup {
    let best_first = || ranking.ranked.iter().map(|ranked| ranked.candidate);
    let kls = best_first().map(|index| &candidates[index].kl);
    let mut chart = Chart::new(
        "Median, mean and 99 % point of KL of every candidate",
        Axis::of_names("candidate", best_first().map(|index| names[index].clone())),
        Axis::over(
            "KL(P‖Q) in nats",
            Scale::Log,
            kls.flat_map(|kl| [kl.median, kl.mean.value, kl.p99]),
        ),
    );
    for (place, index) in best_first().enumerate() {
        let (kl, name) = (&candidates[index].kl, &names[index]);
        let title = format!(
            "{name}: median {}, mean {}, 99 % point {}",
            significant(kl.median),
            significant(kl.mean.value),
            significant(kl.p99)
        );
        let ends = Some((kl.median, kl.p99));
        chart.dot(
            place as f64 + 0.5,
            kl.mean.value,
            ends,
            Look::Filled,
            &title,
        );
    }
    chart.draw()
}

/// What was picked, or that nothing was.
pub(super) fn pick(pick: &Pick, names: &[String]) -> Markup {
    let asked = match pick.wanted {
        Wanted::MaxKl(limit) => format!(
            "the smallest with a mean KL of at most {} nats",
            significant(limit)
        ),
        Wanted::MaxSize(limit) => format!("the closest of at most {}", bytes(limit)),
    };
    let (class, answer) = match pick.candidate {
        Some(index) => ("pass", names[index].as_str()),
        None if pick.complete => ("fail", "none of the candidates"),
        None => ("fail", "none: not all windows were measured"),
    };
    let named = |indices: &[usize]| {
        let names: Vec<&str> = indices.iter().map(|index| names[*index].as_str()).collect();
        names.join(", ")
    };
    html! {
        div.tiles {
            div.tile.(class) {
                div.name { "pick: " (asked) }
                div.value { (answer) }
                @if !pick.straddling.is_empty() {
                    div.note { "not certain: the 95 % interval reaches across the limit for " (named(&pick.straddling)) }
                }
                @if !pick.tied.is_empty() {
                    div.note { "cannot be told apart from it: " (named(&pick.tied)) }
                }
            }
        }
    }
}
