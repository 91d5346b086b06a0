//! Generated text beside what people wrote, on a terminal.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{
        Diversity, DiversityMeasure, FeatureSource, MauveResult, Measured, ModelOnBoth, Quality,
        QualityBody, Quantiles, RepeatedSpan, Verdict,
    },
};

use crate::{
    Exporter, Terminal,
    dist::plural,
    format::{count, percent, plus_minus, share, shortened, significant},
    table::layout,
};

/// Columns given to a repeated span.
const SPAN_WIDTH: usize = 70;

impl Exporter<Quality> for Terminal {
    fn export(&self, result: &Quality, out: &mut dyn Write) -> io::Result<()> {
        let rows = [body("P", &result.reference), body("Q", &result.candidate)];
        write!(out, "{}", layout("", &rows))?;
        write!(out, "{}", left_out("P", &result.reference))?;
        write!(out, "{}", left_out("Q", &result.candidate))?;
        if let (Some(mauve), Some(source)) = (&result.mauve, &result.features) {
            write!(out, "\n{}", likeness(mauve, source))?;
        }
        if let Some(model) = &result.model {
            write!(out, "\n{}", self.under_model(model))?;
        }
        write!(out, "\n{}", diversity(&result.diversity))?;
        write!(out, "{}", spans(&result.diversity))
    }
}

impl Terminal {
    fn under_model(self, model: &ModelOnBoth) -> String {
        let (p, q) = (&model.reference, &model.candidate);
        let nats = |estimate: &Estimate| plus_minus(&self.in_unit(estimate));
        let value = |nats: f64| significant(nats * self.unit.per_nat());
        let row = |name: &str, p: String, q: String| vec![name.to_owned(), p, q];
        let quantile = |name: &str, of: fn(&Quantiles) -> f64| {
            let both = &model.perplexities;
            row(
                name,
                significant(of(&both.reference)),
                significant(of(&both.candidate)),
            )
        };
        let name = format!("under {}", shortened(&p.model.name, 40));
        let rows = [
            row(&name, "P".to_owned(), "Q".to_owned()),
            row(
                "perplexity",
                plus_minus(&p.perplexity),
                plus_minus(&q.perplexity),
            ),
            row(
                "bits per byte",
                plus_minus(&p.bits_per_byte),
                plus_minus(&q.bits_per_byte),
            ),
            row(
                &format!("cross-entropy ({})", self.unit.name()),
                nats(&p.cross_entropy),
                nats(&q.cross_entropy),
            ),
            row(
                &format!("KL(tokens‖expected) ({})", self.unit.name()),
                value(p.frequency.kl),
                value(q.frequency.kl),
            ),
            row(
                "  of samples from the expected",
                value(p.frequency.sampling_floor),
                value(q.frequency.sampling_floor),
            ),
            quantile("perplexity of documents, 5 %", |q| q.p5),
            quantile("  25 %", |q| q.p25),
            quantile("  50 %", |q| q.p50),
            quantile("  75 %", |q| q.p75),
            quantile("  95 %", |q| q.p95),
        ];
        layout("    ", &rows)
            + &format!(
                "    the perplexities of documents overlap by {}; a document of Q has the higher one in {} of all pairs\n",
                percent(&model.perplexities.overlap),
                percent(&model.perplexities.candidate_higher),
            )
    }
}

fn body(letter: &str, body: &QualityBody) -> Vec<String> {
    vec![
        format!("{letter}  {}", shortened(&body.name, 60)),
        plural(body.documents, "document", "documents"),
        format!("{} words", count(body.words as u64)),
    ]
}

/// What is not measured, or not as it stood there.
fn left_out(letter: &str, body: &QualityBody) -> String {
    let mut text = String::new();
    if body.empty_documents > 0 {
        let documents = plural(body.empty_documents, "document", "documents");
        text += &format!("{letter}  {documents} without a word left out\n");
    }
    if body.replaced > 0 {
        let places = plural(body.replaced as usize, "place that is", "places that are");
        text += &format!("{letter}  {places} not UTF-8 replaced by U+FFFD\n");
    }
    text
}

pub(crate) fn likeness(mauve: &MauveResult, source: &FeatureSource) -> String {
    let row = |name: &str, estimate: &Estimate, means: &str| {
        vec![
            name.to_owned(),
            plus_minus(estimate),
            interval(estimate),
            means.to_owned(),
        ]
    };
    let head = ["likeness in meaning", "", "95 % interval", ""];
    let rows = [
        head.map(str::to_owned).to_vec(),
        row("MAUVE", &mauve.plain.mauve, "1 = the same"),
        row("MAUVE, smoothed", &mauve.smoothed.mauve, ""),
        row(
            "frontier integral",
            &mauve.plain.frontier_integral,
            "0 = the same",
        ),
        row(
            "frontier integral, smoothed",
            &mauve.smoothed.frontier_integral,
            "",
        ),
    ];
    let quantization = &mauve.quantization;
    let mut text = layout("    ", &rows);
    text += &format!(
        "    features: {}, {} wide; {} components for {} of the variance, {} buckets, {}; c = {}\n",
        shortened(&source.name, 60),
        mauve.features.width,
        quantization.components,
        share(quantization.variance),
        quantization.buckets,
        plural(quantization.seeds, "quantization", "quantizations"),
        mauve.scaling,
    );
    if source.shortened > 0 {
        text += &format!(
            "    of {} only the first {} tokens were read\n",
            plural(source.shortened, "document", "documents"),
            source.context.unwrap_or_default(),
        );
    }
    if mauve.resamples > 0 {
        text += &format!(
            "    ± by redrawing documents of both {} times (seed {}), each time under one of the quantizations",
            count(mauve.resamples as u64),
            quantization.seed,
        );
        if let Some(deviation) = mauve.deviation_over_seeds {
            text += &format!(", which differ by {} themselves", significant(deviation));
        }
        text.push('\n');
    }
    text + &size(mauve)
}

/// How far the score is made by the number of documents.
fn size(mauve: &MauveResult) -> String {
    let documents = mauve
        .features
        .reference_documents
        .min(mauve.features.candidate_documents);
    match &mauve.halved {
        None => format!(
            "warning: {} are too few to say how far MAUVE is made by their number; with few it is too high\n",
            plural(documents, "document", "documents")
        ),
        Some(halved) => {
            let mut text = format!(
                "    with half the documents MAUVE is {}; one half of P against the other half: {}\n",
                significant(halved.both),
                significant(halved.reference_with_itself),
            );
            if halved.falls_with_size {
                text += "warning: MAUVE falls as documents are added: of more of them it would be lower still, and it compares only with MAUVE of as many\n";
            }
            text
        }
    }
}

fn diversity(diversity: &Diversity) -> String {
    let head = ["diversity and repetition", "P", "Q", "Q − P", "p", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(diversity.measures.iter().map(|m| {
        vec![
            m.measure.name().to_owned(),
            plus_minus(&m.reference),
            plus_minus(&m.candidate),
            plus_minus(&m.difference),
            m.p_value.map_or("–".to_owned(), p_value),
            said(m).to_owned(),
        ]
    }));
    let mut text = layout("    ", &rows);
    text += &format!(
        "    measured on {}, {} words, of P and {}, {} words, of Q\n",
        plural(diversity.reference.documents, "document", "documents"),
        count(diversity.reference.words as u64),
        plural(diversity.candidate.documents, "document", "documents"),
        count(diversity.candidate.words as u64),
    );
    text += &errors(&diversity.reference, &diversity.candidate);
    text + &unlike(&diversity.reference, &diversity.candidate)
}

fn errors(p: &Measured, q: &Measured) -> String {
    if p.groups < 2 || q.groups < 2 {
        return "    without errors and tests: it takes two documents of each\n".to_owned();
    }
    format!(
        "    ± by leaving out each of {} groups of documents of P, {} of Q; p after Holm for all measures\n",
        p.groups, q.groups
    )
}

/// Texts of unlike length, and bodies of unlike size, are not to be compared in all measures.
fn unlike(p: &Measured, q: &Measured) -> String {
    let ratio = |a: f64, b: f64| (a / b).max(b / a);
    let length = |side: &Measured| side.words as f64 / side.documents as f64;
    let mut text = String::new();
    if ratio(p.words as f64, q.words as f64) > 1.1 {
        text += "warning: documents are never cut, so one body stays larger than the other: all but MATTR, HD-D and rep-n depend on size\n";
    }
    if ratio(length(p), length(q)) > 1.5 {
        text += &format!(
            "warning: a text of P has {} words, one of Q {}: longer texts repeat more within themselves, and their self-BLEU is another\n",
            significant(length(p)),
            significant(length(q)),
        );
    }
    text
}

fn said(measure: &DiversityMeasure) -> &'static str {
    match measure.verdict {
        Verdict::CandidateRepeatsMore => "Q repeats more",
        Verdict::CandidateVariesMore => "Q varies more",
        Verdict::NoDifference | Verdict::Untested => "",
    }
}

fn spans(diversity: &Diversity) -> String {
    let rows: Vec<_> = [
        ("P", &diversity.repeated_in_reference),
        ("Q", &diversity.repeated_in_candidate),
    ]
    .into_iter()
    .flat_map(|(letter, spans)| spans.iter().map(move |span| span_row(letter, span)))
    .collect();
    if rows.is_empty() {
        return "\nNo run of four words or more stands twice in P or Q\n".to_owned();
    }
    let lines: String = rows.into_iter().collect();
    format!("\nLongest runs of words that stand more than once\n{lines}")
}

fn span_row(letter: &str, span: &RepeatedSpan) -> String {
    format!(
        "    {letter}  {} words, {} times in {}: {}\n",
        span.words,
        count(span.times as u64),
        plural(span.documents, "document", "documents"),
        shortened(&span.text, SPAN_WIDTH),
    )
}

fn interval(estimate: &Estimate) -> String {
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
