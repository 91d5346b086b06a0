//! The page of two bodies of text: a word-shift chart, the course of fragments, and the tables behind both.

mod counts;
mod course;
mod expected;
mod shift;

use std::io::{self, Write};

use kld_core::{
    count::Estimator,
    estimate::Estimate,
    result::{
        Body, Contributor, Contributors, OneSidedTerms, PartsOf, TextComparison, TextFragment,
        TextFragments,
    },
};
use maud::{Markup, html};

use self::shift::{Bar, Side};
use super::{Page, comparison::Html, section, table, tile};
use crate::{
    Exporter, Terminal, Unit,
    dist::plural,
    format::{count, plus_minus, share, shortened, significant},
    text_fragments::{cells, head},
};

/// What this page needs beside the frame's style.
pub(super) const STYLE: &str = include_str!("text.css");

/// Columns given to a term, and to a name.
const TERM_WIDTH: usize = 28;
const NAME_WIDTH: usize = 60;

/// Fragments in the table; the JSON has more.
const FRAGMENTS: usize = 40;

impl Exporter<TextComparison> for Html {
    fn export(&self, result: &TextComparison, out: &mut dyn Write) -> io::Result<()> {
        let name = |body: &Body| shortened(&body.name, NAME_WIDTH);
        Page {
            title: &format!(
                "{} against {}",
                name(&result.candidate),
                name(&result.reference)
            ),
            lead: lead(result),
            body: body(result),
            style: STYLE,
            scripts: &[],
            version: &result.version,
        }
        .write(out)
    }
}

fn lead(result: &TextComparison) -> Markup {
    let terms = result.counted.terms();
    let said = |body: &Body| {
        format!(
            "{}: {}, {} {terms}, {} different",
            shortened(&body.name, NAME_WIDTH),
            plural(body.documents as usize, "document", "documents"),
            count(body.terms.draws),
            count(body.terms.observed as u64)
        )
    };
    html! {
        dl {
            dt { "P, the reference" } dd { (said(&result.reference)) }
            dt { "Q, the candidate" } dd { (said(&result.candidate)) }
            dt { "counted" } dd { (result.counted) }
        }
    }
}

/// The sections about two bodies.
pub(super) fn body(result: &TextComparison) -> Markup {
    let terms = result.counted.terms();
    html! {
        (tiles(result))
        @for warning in &result.warnings {
            p.warning role="note" { (Terminal::default().warning(warning)) }
        }
        (section(
            "Word shift",
            "Each bar is a term's part of the Jensen–Shannon divergence, with its 95 % interval; to the left those more frequent in P, to the right those more frequent in Q.",
            &word_shift(&result.contributors),
        ))
        (contributors(result, &terms))
        (one_sided(&format!("Only in P: {terms}"), &result.only_in_reference))
        (one_sided(&format!("Only in Q: {terms}"), &result.only_in_candidate))
        @if let Some(found) = &result.fragments { (fragments(found, &terms)) }
    }
}

fn word_shift(contributors: &Contributors) -> Markup {
    let mut shown = bars(&contributors.more_in_reference, Side::Reference);
    shown.extend(bars(&contributors.more_in_candidate, Side::Candidate));
    shift::chart(
        "terms by their part of the Jensen–Shannon divergence",
        ["more in P", "more in Q"],
        shown,
    )
}

fn bars(terms: &[Contributor], side: Side) -> Vec<Bar<'_>> {
    let bars = terms.iter().map(|c| Bar {
        term: &c.term,
        side,
        nats: c.js.value,
        interval: c.js.low.zip(c.js.high),
        counts: format!("{} in P, {} in Q", count(c.reference), count(c.candidate)),
    });
    bars.collect()
}

fn tiles(result: &TextComparison) -> Markup {
    let by = |estimator| {
        result
            .estimators
            .iter()
            .find(|one| one.estimator == estimator)
    };
    let value = |name: &str, estimate: &Estimate, note: &str| {
        tile(name, &html! { (plus_minus(estimate)) }, note)
    };
    html! {
        div.tiles {
            @if let Some(one) = &result.smoothed {
                (value("KL(P‖Q), nats", &one.kl, &format!("smoothed: {}", one.smoothing)))
                (value("KL(Q‖P), nats", &one.reverse_kl, "smoothed"))
                (value("JS, nats", &one.js, "smoothed"))
            }
            @if let Some(one) = by(Estimator::ZhangGrabchak) {
                (value("KL(P‖Q), nats", &one.kl, "Zhang-Grabchak"))
                (value("KL(Q‖P), nats", &one.reverse_kl, "Zhang-Grabchak"))
            }
            @if let Some(js) = by(Estimator::MillerMadow).and_then(|one| one.js) {
                (value("JS, nats", &js, "Miller-Madow; at most 0.693"))
            }
        }
    }
}

fn contributors(result: &TextComparison, terms: &str) -> Markup {
    let estimate = match result.contributors.parts_of {
        PartsOf::ZhangGrabchak => "the Zhang-Grabchak estimate",
        PartsOf::Smoothed => "the smoothed estimate",
    };
    let how = format!(
        "Counts on both sides, and signed parts of {estimate} in nats. All parts add up to the whole; the {} {terms} not listed add {} to KL(P‖Q) and {} to KL(Q‖P).",
        count(result.contributors.others.terms as u64),
        significant(result.contributors.others.kl),
        significant(result.contributors.others.reverse_kl),
    );
    let rows = |list: &[Contributor]| -> Vec<Vec<Markup>> {
        let row = |c: &Contributor| {
            let cells = [
                shortened(&c.term, TERM_WIDTH),
                count(c.reference),
                count(c.candidate),
                plus_minus(&c.kl),
                plus_minus(&c.reverse_kl),
                plus_minus(&c.js),
            ];
            cells.iter().map(|cell| html! { (cell) }).collect()
        };
        list.iter().map(row).collect()
    };
    let head = |first| [first, "P", "Q", "of KL(P‖Q)", "of KL(Q‖P)", "of JS"];
    let body = html! {
        (table(&head("more in P"), &rows(&result.contributors.more_in_reference)))
        (table(&head("more in Q"), &rows(&result.contributors.more_in_candidate)))
    };
    section("What carries it", &how, &body)
}

fn one_sided(title: &str, alone: &OneSidedTerms) -> Markup {
    if alone.terms == 0 {
        return html! {};
    }
    let how = format!(
        "{} of them, {} of the text that has them; the most frequent with their counts. They make the plug-in divergence infinite.",
        count(alone.terms as u64),
        share(alone.share)
    );
    let named = html! {
        p { @for one in &alone.most_frequent {
            span.term { (shortened(&one.term, TERM_WIDTH)) " " small { (count(one.count)) } } " "
        } }
    };
    section(title, &how, &named)
}

fn fragments(found: &TextFragments, terms: &str) -> Markup {
    let how = match (&found.spread, found.stand_out) {
        (Some(spread), Some(stand_out)) => format!(
            "{} fragments; {} stand out at 5 % among P's own {} fragments (Benjamini-Hochberg). The dashed line is the excess that 95 % of P's own have at most.",
            count(found.number),
            count(stand_out),
            count(spread.number)
        ),
        _ => format!(
            "{} fragments; the texts of P are not at hand, so there is no test.",
            count(found.number)
        ),
    };
    let mut sorted: Vec<&TextFragment> = found.listed.iter().collect();
    sorted.sort_by(|a, b| b.excess.total_cmp(&a.excess));
    let row = |f: &&TextFragment| -> Vec<Markup> {
        let cells = cells(f, Unit::Nats, (NAME_WIDTH, NAME_WIDTH));
        cells.iter().map(|cell| html! { (cell) }).collect()
    };
    let rows: Vec<Vec<Markup>> = sorted.iter().take(FRAGMENTS).map(row).collect();
    let body = html! { (course::chart(found)) (table(&head(terms), &rows)) };
    section("Fragments of Q, each against P", &how, &body)
}

#[cfg(test)]
mod tests {
    use kld_core::result::TermCount;

    use super::*;

    #[test]
    fn what_a_stranger_wrote_is_text_and_not_markup() {
        let hostile = "</p><script>alert(1)</script>";
        let alone = OneSidedTerms {
            terms: 1,
            share: 0.1,
            most_frequent: vec![TermCount {
                term: hostile.to_owned(),
                count: 3,
            }],
        };
        let text = one_sided(hostile, &alone).0;
        assert!(
            !text.contains("<script>") && text.contains("&lt;"),
            "{text}"
        );
        assert_eq!(one_sided("", &OneSidedTerms { terms: 0, ..alone }).0, "");
    }
}
