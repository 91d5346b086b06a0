//! The page of a body's counts.

use std::io::{self, Write};

use kld_core::result::{TermCount, TextCounts};
use maud::{Markup, html};

use super::{NAME_WIDTH, TERM_WIDTH};
use crate::{
    Exporter,
    format::{count, shortened},
    html::{Page, chart::round, comparison::Html, section, tile},
    text::{capitalized, left_out, per_thousand},
};

/// The longest bar, in its own units.
const REACH: f64 = 200.0;

impl Exporter<TextCounts> for Html {
    fn export(&self, result: &TextCounts, out: &mut dyn Write) -> io::Result<()> {
        let terms = result.counted.terms();
        Page {
            title: &format!("{terms} of {}", shortened(&result.body.name, NAME_WIDTH)),
            lead: lead(result),
            body: body(result, &terms),
            style: "",
            scripts: &[],
            version: &result.version,
        }
        .write(out)
    }
}

fn lead(result: &TextCounts) -> Markup {
    html! {
        dl { dt { "counted" } dd { (result.counted) } }
        @for line in left_out(&result.body, &result.counted) { p.warning role="note" { (line) } }
    }
}

fn body(result: &TextCounts, terms: &str) -> Markup {
    let numbers = [
        ("documents", result.body.documents),
        (terms, result.body.terms.draws),
        ("different", result.body.terms.observed as u64),
    ];
    html! {
        div.tiles { @for (name, number) in numbers { (tile(name, &html! { (count(number)) }, "")) } }
        (section(
            "Most frequent",
            &format!("{} by how often they stand in the text, and of every 1000 of it.", capitalized(terms)),
            &most_frequent(result, terms),
        ))
    }
}

fn most_frequent(result: &TextCounts, terms: &str) -> Markup {
    let most = result.most_frequent.first().map_or(1, |first| first.count);
    let row = |t: &TermCount| {
        let length = round(REACH * t.count as f64 / most as f64);
        vec![
            html! { (shortened(&t.term, TERM_WIDTH)) },
            html! { (count(t.count)) },
            html! { (per_thousand(t, result)) },
            html! { svg viewBox={ "0 0 " (REACH) " 12" } width=(REACH) height="12" aria-hidden="true" { rect.bar x="0" y="0" width=(length) height="12" {} } },
        ]
    };
    let rows: Vec<Vec<Markup>> = result.most_frequent.iter().map(row).collect();
    crate::html::table(&[terms, "count", "of 1000", ""], &rows)
}
