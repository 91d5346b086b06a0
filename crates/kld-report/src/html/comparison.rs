//! The page of a comparison.

mod candidate;
mod overview;
mod text;

use std::io::{self, Write};

use kld_core::{Detailed, result::Comparison};
use maud::{Markup, html};

use super::{Page, section, tabs};
use crate::{
    Exporter,
    compare::{file_name, model, protocol},
    format::{plus_minus, shortened},
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

fn body(result: &Comparison, names: &[String]) -> Markup {
    let panels: Vec<Markup> = result.candidates.iter().map(candidate::panel).collect();
    html! {
        @if let Some(pick) = &result.pick { (overview::pick(pick, names)) }
        @if let Some(ranking) = &result.ranking {
            (section("Candidates", "Best first. Mean KL(P‖Q) with its standard error; in the chart with its 95 % interval: lower is closer to the reference.", &overview::overview(result, ranking, names)))
        }
        (tabs("Candidate", names, &panels))
    }
}

/// The last part of every candidate's path, shortened to fit a tab.
fn short_names(result: &Comparison) -> Vec<String> {
    let short = |name: &str| shortened(file_name(name), 48);
    result
        .candidates
        .iter()
        .map(|c| short(&c.model.name))
        .collect()
}
