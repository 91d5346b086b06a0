//! The page of texts in pairs: the words of both sides, the tests, and the pairs that fit least.

use std::io::{self, Write};

use kld_core::result::{Pairs, QualityBody};
use maud::{Markup, html};

use super::{
    Page,
    comparison::Html,
    quality::{self, mauve_tiles, meaning},
    section, text,
};
use crate::{Exporter, Terminal, format::shortened, pairs::left_out};

/// What this page needs beside the styles of its parts: texts are read from the left.
const STYLE: &str = ".pairs td:nth-child(n+4), .pairs th:nth-child(n+4) { text-align: left; white-space: normal; min-width: 14rem; }";

/// Pairs in the table; the JSON has them all.
const LISTED: usize = 40;

/// Characters of each text, as many as the result has.
const TEXT_WIDTH: usize = 60;

/// Columns given to a name.
const NAME_WIDTH: usize = 60;

impl Exporter<Pairs> for Html {
    fn export(&self, result: &Pairs, out: &mut dyn Write) -> io::Result<()> {
        let name = |body: &QualityBody| shortened(&body.name, NAME_WIDTH);
        Page {
            title: &format!(
                "{} and {}, in pairs",
                name(&result.reference),
                name(&result.candidate)
            ),
            lead: quality::lead(&result.reference, &result.candidate),
            body: body(result),
            style: &[text::STYLE, quality::STYLE, STYLE].concat(),
            scripts: &[],
            version: &result.version,
        }
        .write(out)
    }
}

fn body(result: &Pairs) -> Markup {
    let table = Terminal::default();
    html! {
        @if let Some(meaning) = &result.meaning {
            div.tiles { (mauve_tiles(&meaning.mauve)) }
        }
        @if let Some(left_out) = left_out(result) { p.warning role="note" { (left_out) } }
        (section(
            "Tests",
            "What was found, beside its mean over permutations; p is how often chance alone does as much.",
            &table.pair_tests(result).markup(),
        ))
        (section(
            "Pairs that fit least",
            "The beginnings of both texts, with the Jensen–Shannon divergence of their words in nats (0.693: none in common) and the distance of their features.",
            &html! { div.pairs { (table.least_fitting(result, LISTED, TEXT_WIDTH).markup()) } },
        ))
        (text::body(&result.words))
        @if let Some(of) = &result.meaning { (meaning(&of.mauve, &of.features)) }
    }
}
