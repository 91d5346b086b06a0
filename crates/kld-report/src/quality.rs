//! Generated text beside what people wrote, on a terminal.

pub(crate) mod blocks;

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{Diversity, Quality, QualityBody, RepeatedSpan},
};

use crate::{
    Exporter, Terminal,
    dist::plural,
    format::{count, shortened, significant},
    quality::blocks::{diversity, likeness},
    table::layout,
};

/// Columns given to a repeated span.
const SPAN_WIDTH: usize = 70;

impl Exporter<Quality> for Terminal {
    fn export(&self, result: &Quality, out: &mut dyn Write) -> io::Result<()> {
        let rows = [body("P", &result.reference), body("Q", &result.candidate)];
        write!(out, "{}", layout("", &rows))?;
        for (letter, body) in [("P", &result.reference), ("Q", &result.candidate)] {
            for said in left_out(body) {
                writeln!(out, "{letter}  {said}")?;
            }
        }
        if let (Some(mauve), Some(source)) = (&result.mauve, &result.features) {
            write!(out, "\n{}", likeness(mauve, source).text())?;
        }
        if let Some(model) = &result.model {
            write!(out, "\n{}", self.under_model(model).text())?;
        }
        write!(out, "\n{}", diversity(&result.diversity).text())?;
        write!(out, "\n{}", spans(&result.diversity))
    }
}

fn body(letter: &str, body: &QualityBody) -> Vec<String> {
    vec![
        format!("{letter}  {}", shortened(&body.name, 60)),
        plural(body.documents, "document", "documents"),
        plural(body.words, "word", "words"),
    ]
}

/// What is not measured, or not as it stood there.
pub(crate) fn left_out(body: &QualityBody) -> Vec<String> {
    let mut said = Vec::new();
    if body.empty_documents > 0 {
        let documents = plural(body.empty_documents, "document", "documents");
        said.push(format!("{documents} without a word left out"));
    }
    if body.replaced > 0 {
        let places = plural(body.replaced as usize, "place that is", "places that are");
        said.push(format!("{places} not UTF-8 replaced by U+FFFD"));
    }
    said
}

/// What is said where there are no repeated spans.
pub(crate) const NO_SPANS: &str = "No run of four words or more stands twice in P or Q";

/// The repeated spans of both bodies, each with its body's letter.
pub(crate) fn all_spans(diversity: &Diversity) -> Vec<(&'static str, &RepeatedSpan)> {
    [
        ("P", &diversity.repeated_in_reference),
        ("Q", &diversity.repeated_in_candidate),
    ]
    .into_iter()
    .flat_map(|(letter, spans)| spans.iter().map(move |span| (letter, span)))
    .collect()
}

fn spans(diversity: &Diversity) -> String {
    let spans = all_spans(diversity);
    if spans.is_empty() {
        return format!("{NO_SPANS}\n");
    }
    let mut text = "Longest runs of words that stand more than once\n".to_owned();
    for (letter, span) in spans {
        text += &format!(
            "    {letter}  {} words, {} times in {}: {}\n",
            span.words,
            count(span.times as u64),
            plural(span.documents, "document", "documents"),
            shortened(&span.text, SPAN_WIDTH),
        );
    }
    text
}

pub(crate) fn interval(estimate: &Estimate) -> String {
    match estimate.low.zip(estimate.high) {
        Some((low, high)) => format!("{} … {}", significant(low), significant(high)),
        None => "–".to_owned(),
    }
}

pub(crate) fn p_value(p: f64) -> String {
    if p < 1e-4 {
        "< 0.0001".to_owned()
    } else {
        significant(p)
    }
}
