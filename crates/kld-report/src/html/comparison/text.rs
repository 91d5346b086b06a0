//! The text itself, coloured by KL; pointing at a token shows what both models expected there.
//!
//! The tokens stand in the page as data, and `text.js` makes them visible. What there is no room for is left out: then the page shows an
//! [`Excerpt`].

mod pack;

use kld_core::{
    Detailed,
    excerpt::{Excerpt, Stretch},
    result::Candidate,
    transcript::{Transcript, WindowText},
};
use maud::{Markup, html};
use serde::Serialize;

use self::pack::{Packed, Vocabulary};
use super::super::{data::data, section};
use crate::format::count;

/// What makes the tokens visible.
pub(super) const SCRIPT: &str = include_str!("text.js");

/// How they look.
pub(super) const STYLE: &str = include_str!("text.css");

/// Bytes that a position usually takes in the page: its text and what the reference expected, and what each candidate expected.
const BYTES_OF_REFERENCE: usize = 42;
const BYTES_OF_CANDIDATE: usize = 32;

/// Seed of the sample that is shown of a text that is too long.
const SEED: u64 = 0;

/// Tokens of context that are shown before a stretch.
const CONTEXT: usize = 32;

/// Steps of colour.
const STEPS: i32 = 7;

/// What `text.js` reads.
#[derive(Debug, Serialize)]
struct Data<'a> {
    /// Where each colour begins, in nats.
    edges: &'a [f64],
    /// The texts of the tokens that are named, most frequent first.
    vocabulary: Vec<&'a str>,
    stretches: Vec<StretchData<'a>>,
    #[serde(flatten)]
    packed: Packed,
}

#[derive(Debug, Serialize)]
struct StretchData<'a> {
    /// The name of the fragment, where another one begins.
    fragment: Option<&'a str>,
    window: u32,
    /// The text before it, where it does not follow the stretch before.
    context: Option<&'a str>,
    pieces: Vec<&'a str>,
}

/// The section, of at most `room` bytes.
pub(super) fn text(result: &Detailed, room: usize) -> serde_json::Result<Markup> {
    let candidates = &result.comparison.candidates;
    let edges = edges(candidates);
    let mut positions = room / (BYTES_OF_REFERENCE + BYTES_OF_CANDIDATE * candidates.len());
    loop {
        let excerpt = result.excerpt(positions, SEED);
        if excerpt.stretches.is_empty() {
            return Ok(html! {});
        }
        let section = section_of(&excerpt, &result.plan.transcript, &edges)?;
        if section.0.len() <= room {
            return Ok(section);
        }
        // Tokens of this vocabulary take more than usual.
        positions = excerpt.positions * room / section.0.len() * 9 / 10;
    }
}

fn section_of(
    excerpt: &Excerpt,
    transcript: &Transcript,
    edges: &[f64],
) -> serde_json::Result<Markup> {
    let vocabulary = Vocabulary::of(excerpt, transcript);
    let content = Data {
        packed: Packed::new(excerpt, transcript, &vocabulary),
        vocabulary: vocabulary.texts(transcript),
        stretches: stretches(excerpt, transcript),
        edges,
    };
    let body = html! {
        p.how { (how_much(excerpt)) }
        (legend(edges))
        div.reader {
            div #text .text role="group" aria-label="Tokens of the text, coloured by their KL" {}
            aside #token .token aria-live="polite" { p.how { "Point at a token, or go to one by keyboard." } }
        }
        noscript { p.warning { "The tokens are made visible by a script of this page." } }
        (data("text-data", &content)?)
    };
    let how = "Every scored token, coloured by the KL(P‖Q) of the prediction that was made for it. Underlined: the most likely tokens differ. \
               Keys: ← → from token to token, ↑ ↓ to the one before or after that is far off.";
    Ok(section("The text", how, &body))
}

/// How much of the text is here, and why that.
fn how_much(excerpt: &Excerpt) -> String {
    let positions = |n: usize| count(n as u64);
    if excerpt.is_whole() {
        return format!("All {} scored tokens.", positions(excerpt.of));
    }
    format!(
        "{} of {} scored tokens, in {} stretches: the {} with the largest KL, and {} chosen at random among the others (seed {SEED}).",
        positions(excerpt.positions),
        positions(excerpt.of),
        positions(excerpt.stretches.len()),
        positions(excerpt.by_kl),
        positions(excerpt.at_random),
    )
}

/// Where the colours begin: the same for all candidates of a page, two a decade, the last near the largest 99 % point.
fn edges(candidates: &[Candidate]) -> Vec<f64> {
    edges_up_to(candidates.iter().map(|c| c.kl.p99).fold(0.0, f64::max))
}

fn edges_up_to(highest: f64) -> Vec<f64> {
    let highest = if highest > 0.0 && highest.is_finite() {
        highest
    } else {
        1.0
    };
    let last = (2.0 * highest.log10()).round() as i32;
    let edge = |half_decades: i32| {
        let leading = if half_decades.rem_euclid(2) == 0 {
            1
        } else {
            3
        };
        // A number as it is written, without the error of a power.
        format!("{leading}e{}", half_decades.div_euclid(2)).parse()
    };
    (last + 1 - STEPS..=last)
        .filter_map(|half_decades| edge(half_decades).ok())
        .collect()
}

fn legend(edges: &[f64]) -> Markup {
    html! {
        div.legend {
            span { "KL in nats:" }
            span.key { "< " (edges[0]) }
            @for (index, edge) in edges.iter().enumerate() {
                span.key.{ "k" (index + 1) } { "≥ " (edge) }
            }
            span.key.not-finite { "not finite" }
        }
    }
}

fn stretches<'a>(excerpt: &Excerpt<'a>, transcript: &'a Transcript) -> Vec<StretchData<'a>> {
    let mut before: Option<&Stretch> = None;
    let mut all = Vec::new();
    for stretch in &excerpt.stretches {
        let window = &transcript.windows[stretch.rows.window as usize];
        let first = first_token(stretch, window);
        let of_before = before.map(|b| &transcript.windows[b.rows.window as usize]);
        let is_new = of_before.is_none_or(|b| b.fragment != window.fragment);
        let follows = before
            .zip(of_before)
            .is_some_and(|(b, of)| follows((b, of), (stretch, window)));
        all.push(StretchData {
            fragment: is_new.then(|| transcript.fragments[window.fragment as usize].as_str()),
            window: stretch.rows.window,
            context: (!follows).then(|| window.text(first.saturating_sub(CONTEXT)..first)),
            pieces: (first..first + stretch.positions())
                .map(|token| window.text(token..token + 1))
                .collect(),
        });
        before = Some(stretch);
    }
    all
}

/// The first scored token; row i predicts token i + 1.
fn first_token(stretch: &Stretch, window: &WindowText) -> usize {
    window.scored.start as usize + stretch.range.start + 1
}

/// Does the text go on without a gap, so that no context need be shown? From window to window it does if the one begins its scored
/// tokens with the context that the other ended with.
fn follows(
    (before, of_before): (&Stretch, &WindowText),
    (stretch, window): (&Stretch, &WindowText),
) -> bool {
    let first = first_token(stretch, window);
    let end = first_token(before, of_before) + before.positions();
    if before.rows.window == stretch.rows.window {
        return first == end;
    }
    let shared = CONTEXT.min(first).min(end);
    let tail = |window: &WindowText, end: usize| window.tokens[end - shared..end].to_vec();
    of_before.fragment == window.fragment
        && stretch.rows.window == before.rows.window + 1
        && end == of_before.tokens.len()
        && first > CONTEXT
        && tail(of_before, end) == tail(window, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_begin_at_plain_numbers() {
        assert_eq!(
            edges_up_to(0.0052),
            [3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3]
        );
        assert_eq!(edges_up_to(0.0).last(), Some(&1.0));
        assert_eq!(edges_up_to(f64::INFINITY).len(), STEPS as usize);
    }
}
