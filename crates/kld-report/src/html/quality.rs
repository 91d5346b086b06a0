//! The page of generated text beside what people wrote: the divergence frontier, the tables of diversity and of perplexities.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{
        Diversity, DiversityKind, DiversityMeasure, FeatureSource, MauveResult, ModelOnBoth,
        Quality, QualityBody, RepeatedSpan,
    },
};
use maud::{Markup, html};

use super::{
    Page,
    chart::{Axis, Chart, Look, Scale},
    comparison::Html,
    section, table, tile,
};
use crate::{
    Exporter, Terminal,
    dist::plural,
    format::{count, percent, plus_minus, shortened, significant},
    quality::{
        NO_SPANS, all_spans,
        blocks::{diversity, likeness, said},
        interval, left_out,
    },
};

/// What the frontier needs beside the frame's style: it is a line, not the trend of dots.
pub(super) const STYLE: &str =
    ".frontier .path { stroke-dasharray: none; } .frontier svg.chart { max-width: 34rem; }";

/// Columns given to a name, and to a repeated span.
const NAME_WIDTH: usize = 60;
const SPAN_WIDTH: usize = 300;

/// What is shown at the top of the measures of diversity.
const FIRST: [DiversityKind; 3] = [
    DiversityKind::ExpectedDistinct2,
    DiversityKind::SelfBleu,
    DiversityKind::Rep4,
];

impl Exporter<Quality> for Html {
    fn export(&self, result: &Quality, out: &mut dyn Write) -> io::Result<()> {
        let name = |body: &QualityBody| shortened(&body.name, NAME_WIDTH);
        Page {
            title: &format!(
                "{} beside {}",
                name(&result.candidate),
                name(&result.reference)
            ),
            lead: lead(&result.reference, &result.candidate),
            body: body(result),
            style: STYLE,
            scripts: &[],
            version: &result.version,
        }
        .write(out)
    }
}

/// What both bodies are.
pub(super) fn lead(reference: &QualityBody, candidate: &QualityBody) -> Markup {
    let told = |body: &QualityBody| {
        let documents = plural(body.documents, "document", "documents");
        let mut parts = vec![format!(
            "{}: {documents}, {} words",
            shortened(&body.name, NAME_WIDTH),
            count(body.words as u64)
        )];
        parts.extend(left_out(body));
        parts.join("; ")
    };
    html! {
        dl {
            dt { "P, the reference" } dd { (told(reference)) }
            dt { "Q, the candidate" } dd { (told(candidate)) }
        }
    }
}

fn body(result: &Quality) -> Markup {
    html! {
        div.tiles {
            @if let Some(mauve) = &result.mauve { (mauve_tiles(mauve)) }
            @if let Some(model) = &result.model { (model_tiles(model)) }
            (diversity_tiles(&result.diversity))
        }
        @if let (Some(mauve), Some(source)) = (&result.mauve, &result.features) {
            (meaning(mauve, source))
        }
        @if let Some(model) = &result.model {
            (section(
                "Under a model",
                "What the model makes of both bodies, and how the perplexities of their documents lie.",
                &Terminal::default().under_model(model).markup(),
            ))
        }
        (section(
            "Diversity and repetition",
            "Each measure of both bodies, on about as many words of each. Q repeats more, or varies more, where chance would say so of any measure once in twenty times at most.",
            &diversity(&result.diversity).markup(),
        ))
        (spans(&result.diversity))
    }
}

fn estimate_tile(name: &str, estimate: &Estimate, note: &str) -> Markup {
    tile(name, &html! { (plus_minus(estimate)) }, note)
}

pub(super) fn mauve_tiles(mauve: &MauveResult) -> Markup {
    let (mauve, integral) = (&mauve.plain.mauve, &mauve.plain.frontier_integral);
    html! {
        (estimate_tile("MAUVE", mauve, &format!("95 %: {}; 1 = the same", interval(mauve))))
        (estimate_tile("frontier integral", integral, &format!("95 %: {}; 0 = the same", interval(integral))))
    }
}

fn model_tiles(model: &ModelOnBoth) -> Markup {
    let note = format!(
        "of P: {}; those of documents overlap by {}",
        plus_minus(&model.reference.perplexity),
        percent(&model.perplexities.overlap)
    );
    estimate_tile("perplexity of Q", &model.candidate.perplexity, &note)
}

fn diversity_tiles(diversity: &Diversity) -> Markup {
    let first = |m: &&DiversityMeasure| FIRST.contains(&m.measure);
    let one = |m: &DiversityMeasure| {
        let of_p = format!("of P: {}", plus_minus(&m.reference));
        let note = [of_p.as_str(), said(m.verdict)].join("; ");
        estimate_tile(
            &format!("{} of Q", m.measure.name()),
            &m.candidate,
            note.trim_end_matches("; "),
        )
    };
    html! { @for measure in diversity.measures.iter().filter(first) { (one(measure)) } }
}

/// The frontier, and the scores read off it.
pub(super) fn meaning(mauve: &MauveResult, source: &FeatureSource) -> Markup {
    let body = html! {
        div.frontier { (frontier(mauve)) }
        (likeness(mauve, source).markup())
    };
    section(
        "Divergence frontier",
        "Each dot is a mixture R of P and Q. To the right R has all that Q has, at the top all that P has; the nearer the curve comes to the upper right corner, the more alike are P and Q. MAUVE is the area under it.",
        &body,
    )
}

fn frontier(mauve: &MauveResult) -> Markup {
    let axis = |title: &str| Axis::over(title, Scale::Linear, [1.0]);
    let mut chart = Chart::new(
        "the divergence frontier of P and Q",
        axis("e^(−c·KL(Q‖R)), what Q has and R covers"),
        axis("e^(−c·KL(P‖R)), what P has and R covers"),
    );
    chart.path(mauve.curve.iter().map(|p| (p.of_candidate, p.of_reference)));
    for p in &mauve.curve {
        let title = format!(
            "R = {}·P + {}·Q: {}, {}",
            significant(p.weight),
            significant(1.0 - p.weight),
            significant(p.of_candidate),
            significant(p.of_reference)
        );
        chart.dot(p.of_candidate, p.of_reference, None, Look::Filled, &title);
    }
    chart.draw()
}

fn spans(diversity: &Diversity) -> Markup {
    let row = |(letter, span): &(&str, &RepeatedSpan)| -> Vec<Markup> {
        let counts = [span.words, span.times, span.documents].map(|n| count(n as u64));
        let cells = [shortened(&span.text, SPAN_WIDTH), (*letter).to_owned()];
        let cells = cells.into_iter().chain(counts);
        cells.map(|cell| html! { (cell) }).collect()
    };
    let spans = all_spans(diversity);
    if spans.is_empty() {
        return html! { p.how { (NO_SPANS) "." } };
    }
    let rows: Vec<Vec<Markup>> = spans.iter().map(row).collect();
    section(
        "Longest repeated runs",
        "The longest runs of words that stand in a body more than once, with how often and in how many documents.",
        &table(&["words", "in", "long", "times", "documents"], &rows),
    )
}
