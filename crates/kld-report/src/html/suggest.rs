//! The page of suggestions: what a history changes, how its parts weigh, and what comes next.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{Adaptation, Following, Measure, Suggest},
};
use maud::{Markup, html};

use super::{Page, comparison::Html, section, table, tile};
use crate::{
    Exporter, Terminal,
    format::{percent, plus_minus, share, shortened},
    names::file_name,
    suggest::{adapted, base, next_words},
};

/// Columns given to a name, and to the text before the cursor.
const NAME_WIDTH: usize = 60;
const TEXT_WIDTH: usize = 200;

impl Exporter<Suggest> for Html {
    fn export(&self, s: &Suggest, out: &mut dyn Write) -> io::Result<()> {
        Page {
            title: &format!(
                "what {} suggests",
                shortened(file_name(&s.base.name), NAME_WIDTH)
            ),
            lead: lead(s),
            body: body(s),
            style: "",
            scripts: &[],
            version: &s.version,
        }
        .write(out)
    }
}

fn lead(s: &Suggest) -> Markup {
    html! {
        dl {
            dt { "without the history" } dd { (base(&s.base)) }
            @if let Some(adaptation) = &s.adaptation {
                @let (history, weights) = adapted(adaptation);
                dt { "history" } dd { (history) }
                dt { "mixture" } dd { (weights) }
            }
        }
    }
}

fn body(s: &Suggest) -> Markup {
    html! {
        @if let Some(following) = &s.following { (tiles(following)) }
        @for warning in &s.warnings { p.warning role="note" { (warning) } }
        @if let Some(following) = &s.following {
            (section(
                "On the tail of the history",
                "P is what was written, Q what was suggested, word by word on a tail on which nothing was fitted; the change is of the same words.",
                &Terminal::default().following(following).markup(),
            ))
        }
        @if let Some(adaptation) = &s.adaptation { (weights(adaptation)) }
        @if let Some(next) = &s.next {
            (section(
                "What comes next",
                &format!("After “{}”.", shortened(&next.text, TEXT_WIDTH)),
                &next_words(next, s.adaptation.is_some()).markup(),
            ))
        }
    }
}

fn tiles(f: &Following) -> Markup {
    let one = |name: &str, of: &Measure, shown: fn(&Estimate) -> String| {
        tile(
            name,
            &html! { (shown(&of.after)) },
            &format!("without the history {}", shown(&of.before)),
        )
    };
    html! {
        div.tiles {
            (one("KL(P‖Q), nats per word", &f.kl, plus_minus))
            (one("top-1 hit rate", &f.top1, percent))
            (one("top-5 hit rate", &f.top5, percent))
            (one("keystrokes saved", &f.keystrokes_saved, percent))
        }
    }
}

/// How the parts of the mixture weigh, by how much of the context the history knows.
fn weights(adaptation: &Adaptation) -> Markup {
    const PARTS: [&str; 4] = ["base", "words", "pairs", "triples"];
    let widest = adaptation.weights.iter().map(Vec::len).max().unwrap_or(0);
    let mut head = vec!["orders that have seen the context"];
    head.extend(PARTS.iter().take(widest));
    let row = |(seen, weights): (usize, &Vec<f64>)| -> Vec<Markup> {
        let first = html! { (seen) };
        let cells = weights.iter().map(|weight| html! { (share(*weight)) });
        std::iter::once(first).chain(cells).collect()
    };
    let rows: Vec<Vec<Markup>> = adaptation.weights.iter().enumerate().map(row).collect();
    section(
        "Weights",
        "How much of a suggestion comes from the base, and how much from what was written lately: single words, pairs and triples of the history.",
        &table(&head, &rows),
    )
}
