//! The page of a comparison.

mod candidate;
mod overview;
mod text;

use std::io::{self, Write};

use kld_core::{Detailed, result::Comparison, sequential::Until};
use maud::{Markup, html};

use super::{Page, section, tabs};
use crate::{
    Exporter,
    compare::{model, protocol},
    format::{count, plus_minus, share, shortened, significant},
    names::{self, file_name},
};

/// Bytes that all sections together may take: with head, style and scripts a page has at most 2 MB.
const LARGEST: usize = 1_950_000;

/// One self-contained HTML page: works offline, in light and dark, by keyboard and on paper.
#[derive(Clone, Copy, Debug, Default)]
pub struct Html;

impl Exporter<Comparison> for Html {
    fn export(&self, result: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        let names = short_names(result);
        page(result, &names, body(result, &names), out)
    }
}

/// With the text, token by token.
impl Exporter<Detailed<'_>> for Html {
    fn export(&self, result: &Detailed, out: &mut dyn Write) -> io::Result<()> {
        let names = short_names(result.comparison);
        let body = body(result.comparison, &names);
        let text = text::text(result, LARGEST.saturating_sub(body.0.len()))?;
        page(result.comparison, &names, html! { (body) (text) }, out)
    }
}

fn page(
    result: &Comparison,
    names: &[String],
    body: Markup,
    out: &mut dyn Write,
) -> io::Result<()> {
    Page {
        title: &title(result, names),
        lead: lead(result),
        body,
        style: text::STYLE,
        scripts: &[text::SCRIPT],
        version: &result.run.version,
    }
    .write(out)
}

fn title(result: &Comparison, names: &[String]) -> String {
    let reference = file_name(&result.reference.name);
    match names {
        [only] => format!("{only} against {reference}"),
        several => format!("{} candidates against {reference}", several.len()),
    }
}

fn lead(result: &Comparison) -> Markup {
    let run = &result.run;
    html! {
        dl {
            dt { "reference P" } dd { (model(&result.reference)) }
            dt { "text" } dd { (protocol(&result.protocol)) }
            @if let Some(run) = &result.sequential {
                dt { "stopping" }
                dd {
                    @if run.reached { "every mean KL is known to " } @else { "not yet every mean KL is known to " } (until(run.requested)) ", after " (count(run.windows as u64)) " of " (count(result.protocol.windows as u64)) " windows, visited in a random order (seed " (run.seed) ")"
                }
            }
            @if let Some(floor) = &result.noise_floor {
                dt { "noise floor" } dd { "P against itself, " (floor.compute) ": KL " (plus_minus(&floor.kl.mean)) " nats; what is not clearly above it says nothing of the weights" }
            }
            dt { "measured" }
            dd { "kld " (run.version) ", kernels " (run.isa) ", metrics version " (run.metrics) ", tokens sha256 " (&result.protocol.token_stream_sha256[..12.min(result.protocol.token_stream_sha256.len())]) }
        }
        @if !run.complete {
            p.warning role="note" {
                strong { "Stopped early: " }
                "the numbers cover " (run.windows_done) " of " (result.protocol.windows) " windows."
            }
        }
    }
}

/// What half width was asked for.
fn until(requested: Until) -> String {
    match requested {
        Until::Relative(part) => format!("±{} of it", share(part)),
        Until::Absolute(nats) => format!("±{} nats", significant(nats)),
    }
}

fn body(result: &Comparison, names: &[String]) -> Markup {
    let headings = names::short_names(&result.candidates);
    let panels = result.candidates.iter().zip(headings);
    let panels: Vec<Markup> = panels.map(|(c, name)| candidate::panel(c, name)).collect();
    html! {
        @if let Some(pick) = &result.pick { (overview::pick(pick, names)) }
        @if let Some(ranking) = &result.ranking {
            (section("Candidates", "Best first. Mean KL(P‖Q) with its standard error; in the chart with its 95 % interval: lower is closer to the reference.", &overview::overview(result, ranking, names)))
        }
        (tabs("Candidate", names, &panels))
    }
}

/// What tells the candidates' paths apart, without what all have in common, shortened to fit a tab.
fn short_names(result: &Comparison) -> Vec<String> {
    distinct_parts(&names::short_names(&result.candidates))
        .into_iter()
        .map(|name| shortened(name, 48))
        .collect()
}

/// `model-1B.Q8_0.gguf` and `model-1B.Q4_0.gguf` are `Q8_0` and `Q4_0`: cut at whole words, and not at all where nothing would be left of one.
fn distinct_parts<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let [first, others @ ..] = names else {
        return Vec::new();
    };
    if others.is_empty() {
        return names.to_vec();
    }
    let shared = |ends: &[usize], agree: &dyn Fn(&str, usize) -> bool| {
        let shared = ends
            .iter()
            .filter(|end| others.iter().all(|name| agree(name, **end)));
        shared.copied().max().unwrap_or(0)
    };
    let ends = first
        .match_indices(['.', '-', ' ', ':'])
        .map(|(at, _)| at + 1);
    let front = shared(&ends.collect::<Vec<_>>(), &|name, end| {
        name.starts_with(&first[..end])
    });
    let back = first.rfind('.').map(|at| first.len() - at);
    let back = shared(&back.into_iter().collect::<Vec<_>>(), &|name, length| {
        name.ends_with(&first[first.len() - length..])
    });
    let cut = |name: &&'a str| name.get(front..name.len().checked_sub(back)?);
    let parts: Option<Vec<&str>> = names.iter().map(cut).collect();
    parts
        .filter(|parts| parts.iter().all(|part| !part.is_empty()))
        .unwrap_or_else(|| names.to_vec())
}

#[cfg(test)]
mod tests {
    use super::distinct_parts;

    #[test]
    fn names_are_told_by_what_they_differ_in() {
        let forms = ["m-1B.Q8_0.gguf", "m-1B.Q8_1.gguf"];
        assert_eq!(distinct_parts(&forms), ["Q8_0", "Q8_1"]);
        assert_eq!(distinct_parts(&["p.gguf", "p-q4.gguf"]), ["p", "p-q4"]);
        assert_eq!(
            distinct_parts(&["m.gguf", "m.Q4_0.gguf"]),
            ["m.gguf", "m.Q4_0.gguf"]
        );
        assert_eq!(
            distinct_parts(&["same.gguf", "same.gguf"]),
            ["same.gguf"; 2]
        );
        assert_eq!(distinct_parts(&["é.a", "è.b"]), ["é.a", "è.b"]);
        assert_eq!(distinct_parts(&["only.Q8_0.gguf"]), ["only.Q8_0.gguf"]);
    }
}
