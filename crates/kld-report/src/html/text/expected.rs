//! The page of a body of text against what a model expects.

use std::io::{self, Write};

use kld_core::result::{FrequencyKl, TextExpectation, TokenShare};
use maud::{Markup, html};

use super::{
    NAME_WIDTH, STYLE,
    shift::{self, Bar, Side},
};
use crate::{
    Exporter, Terminal,
    compare::{model, protocol},
    format::{count, plus_minus, shortened, significant},
    html::{Page, comparison::Html, section, tile},
    names::file_name,
};

/// Tokens on each side, and documents in the table.
const TOKENS: usize = 20;
const DOCUMENTS: usize = 40;

impl Exporter<TextExpectation> for Html {
    fn export(&self, result: &TextExpectation, out: &mut dyn Write) -> io::Result<()> {
        Page {
            title: &format!(
                "{} against what {} expects",
                shortened(&result.reference, NAME_WIDTH),
                shortened(file_name(&result.model.name), NAME_WIDTH)
            ),
            lead: lead(result),
            body: body(result),
            style: STYLE,
            scripts: &[],
            version: &result.run.version,
        }
        .write(out)
    }
}

fn lead(result: &TextExpectation) -> Markup {
    html! {
        dl {
            dt { "P, the text" } dd { (shortened(&result.reference, NAME_WIDTH)) ", " (count(result.positions)) " tokens" }
            dt { "Q, expected by" } dd { (model(&result.model)) }
            dt { "read" } dd { (protocol(&result.protocol)) }
        }
        @if !result.run.complete {
            p.warning role="note" {
                strong { "Stopped early: " }
                "the numbers cover " (result.run.windows_done) " of " (result.protocol.windows) " windows."
            }
        }
    }
}

fn body(result: &TextExpectation) -> Markup {
    let table = Terminal::default();
    let f = &result.frequency;
    let shares = |title: &str, tokens: &[TokenShare]| table.token_shares(title, tokens, TOKENS);
    html! {
        div.tiles {
            (tile(
                "KL(P‖Q), nats",
                &html! { (table.value_or_estimate(f.kl, f.errors.as_ref().map(|e| &e.kl))) },
                &format!("a text drawn from the model would have {}", significant(f.sampling_floor)),
            ))
            @if let Some(errors) = &f.errors {
                (tile(
                    "excess over a drawn text, nats",
                    &html! { (plus_minus(&errors.excess)) },
                    &format!("errors by leaving out each of {} groups of {}s", errors.groups, errors.clustered_by.name()),
                ))
            }
            (tile("JS, nats", &html! { (table.value_or_estimate(f.js, f.errors.as_ref().map(|e| &e.js))) }, "at most 0.693"))
        }
        @for warning in &result.warnings { p.warning role="note" { (warning) } }
        (section(
            "Token shift",
            "Each bar is a token's part of KL(P‖Q) in nats: to the left those that stand in the text more often than the model expected, to the right those that it expected more often.",
            &token_shift(f),
        ))
        (section(
            "What carries it",
            "How often each token stands in the text, how often the model expected it, and its part of KL(P‖Q), which all add up to.",
            &html! {
                (shares("more in the text", &f.under_predicted).markup())
                (shares("more expected", &f.over_predicted).markup())
            },
        ))
        @if result.documents.len() > 1 {
            (section(
                "By document",
                "The largest excess over what a text drawn from the model would have first.",
                &table.expected_documents(&result.documents, DOCUMENTS).markup(),
            ))
        }
    }
}

fn token_shift(f: &FrequencyKl) -> Markup {
    let mut shown = bars(&f.under_predicted, Side::Reference);
    shown.extend(bars(&f.over_predicted, Side::Candidate));
    shift::chart(
        "tokens by their part of KL(P‖Q)",
        ["more in the text", "more expected"],
        shown,
    )
}

fn bars(tokens: &[TokenShare], side: Side) -> Vec<Bar<'_>> {
    let bars = tokens.iter().take(TOKENS).map(|t| Bar {
        term: &t.text,
        side,
        nats: t.contribution,
        interval: t.estimate.and_then(|e| e.low.zip(e.high)),
        counts: format!(
            "{} in the text, {} expected",
            count(t.count),
            significant(t.expected)
        ),
    });
    bars.collect()
}
