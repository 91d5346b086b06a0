//! The tables of generated text beside what people wrote.

use kld_core::{
    estimate::Estimate,
    result::{
        Diversity, DiversityMeasure, FeatureSource, MauveResult, Measured, ModelOnBoth, Quantiles,
        Verdict,
    },
};

use super::{interval, p_value};
use crate::{
    Terminal,
    block::Block,
    dist::plural,
    format::{count, percent, plus_minus, share, shortened, significant},
};

/// How alike both are in meaning.
pub(crate) fn likeness(mauve: &MauveResult, source: &FeatureSource) -> Block {
    let row = |name: &str, estimate: &Estimate, means: &str| {
        [
            name.to_owned(),
            plus_minus(estimate),
            interval(estimate),
            means.to_owned(),
        ]
    };
    let (plain, smoothed) = (&mauve.plain, &mauve.smoothed);
    let mut block = Block::of(
        ["likeness in meaning", "", "95 % interval", ""],
        [
            row("MAUVE", &plain.mauve, "1 = the same"),
            row("MAUVE, smoothed", &smoothed.mauve, ""),
            row(
                "frontier integral",
                &plain.frontier_integral,
                "0 = the same",
            ),
            row(
                "frontier integral, smoothed",
                &smoothed.frontier_integral,
                "",
            ),
        ],
    );
    block.notes.push(quantized(mauve, source));
    if source.shortened > 0 {
        block.notes.push(format!(
            "of {} only the first {} tokens were read",
            plural(source.shortened, "document", "documents"),
            source.context.unwrap_or_default(),
        ));
    }
    if mauve.resamples > 0 {
        block.notes.push(redrawn(mauve));
    }
    size(mauve, &mut block);
    block
}

fn quantized(mauve: &MauveResult, source: &FeatureSource) -> String {
    let quantization = &mauve.quantization;
    format!(
        "features: {}, {} wide; {} for {} of the variance, {} buckets, {}; c = {}",
        shortened(&source.name, 60),
        mauve.features.width,
        plural(quantization.components, "component", "components"),
        share(quantization.variance),
        quantization.buckets,
        plural(quantization.seeds, "quantization", "quantizations"),
        mauve.scaling,
    )
}

fn redrawn(mauve: &MauveResult) -> String {
    let text = format!(
        "± by redrawing documents of both {} times (seed {}), each time under one of the quantizations",
        count(mauve.resamples as u64),
        mauve.quantization.seed,
    );
    match mauve.deviation_over_seeds {
        Some(deviation) => format!(
            "{text}, which differ by {} themselves",
            significant(deviation)
        ),
        None => text,
    }
}

/// How far the score is made by the number of documents.
fn size(mauve: &MauveResult, block: &mut Block) {
    let documents = mauve
        .features
        .reference_documents
        .min(mauve.features.candidate_documents);
    let Some(halved) = &mauve.halved else {
        block.warnings.push(format!(
            "{} are too few to say how far MAUVE is made by their number; with few it is too high",
            plural(documents, "document", "documents")
        ));
        return;
    };
    block.notes.push(format!(
        "with half the documents MAUVE is {}; one half of P against the other half: {}",
        significant(halved.both),
        significant(halved.reference_with_itself),
    ));
    if halved.falls_with_size {
        block.warnings.push(
            "MAUVE falls as documents are added: of more of them it would be lower still, and it compares only with MAUVE of as many"
                .to_owned(),
        );
    }
}

impl Terminal {
    /// What a model makes of both.
    pub(crate) fn under_model(self, model: &ModelOnBoth) -> Block {
        let (p, q) = (&model.reference, &model.candidate);
        let nats = |estimate: &Estimate| plus_minus(&self.in_unit(estimate));
        let value = |nats: f64| significant(nats * self.unit.per_nat());
        let row = |name: &str, p: String, q: String| [name.to_owned(), p, q];
        let both = |name: &str, shown: &dyn Fn(&Estimate) -> String, p: &Estimate, q: &Estimate| {
            row(name, shown(p), shown(q))
        };
        let perplexities = &model.perplexities;
        let quantile = |name: &str, of: fn(&Quantiles) -> f64| {
            let [p, q] = [&perplexities.reference, &perplexities.candidate].map(of);
            row(name, significant(p), significant(q))
        };
        let unit = self.unit.name();
        let name = format!("under {}", shortened(&p.model.name, 40));
        let mut block = Block::of(
            [name.as_str(), "P", "Q"],
            [
                both("perplexity", &plus_minus, &p.perplexity, &q.perplexity),
                both(
                    "bits per byte",
                    &plus_minus,
                    &p.bits_per_byte,
                    &q.bits_per_byte,
                ),
                both(
                    &format!("cross-entropy ({unit})"),
                    &nats,
                    &p.cross_entropy,
                    &q.cross_entropy,
                ),
                row(
                    &format!("KL(tokens‖expected) ({unit})"),
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
            ],
        );
        block.notes.push(format!(
            "the perplexities of documents overlap by {}; a document of Q has the higher one in {} of all pairs",
            percent(&perplexities.overlap),
            percent(&perplexities.candidate_higher),
        ));
        block
    }
}

/// How varied both are.
pub(crate) fn diversity(diversity: &Diversity) -> Block {
    let row = |m: &DiversityMeasure| {
        [
            m.measure.name().to_owned(),
            plus_minus(&m.reference),
            plus_minus(&m.candidate),
            plus_minus(&m.difference),
            m.p_value.map_or("–".to_owned(), p_value),
            said(m.verdict).to_owned(),
        ]
    };
    let (p, q) = (&diversity.reference, &diversity.candidate);
    let measured = format!(
        "measured on {}, {} words, of P and {}, {} words, of Q",
        plural(p.documents, "document", "documents"),
        count(p.words as u64),
        plural(q.documents, "document", "documents"),
        count(q.words as u64),
    );
    Block {
        notes: vec![measured, errors(p, q)],
        warnings: unlike(p, q),
        ..Block::of(
            ["diversity and repetition", "P", "Q", "Q − P", "p", ""],
            diversity.measures.iter().map(row),
        )
    }
}

fn errors(p: &Measured, q: &Measured) -> String {
    if p.groups < 2 || q.groups < 2 {
        return "without errors and tests: it takes two documents of each".to_owned();
    }
    format!(
        "± by leaving out each of {} groups of documents of P, {} of Q; p after Holm for all measures",
        p.groups, q.groups
    )
}

/// Texts of unlike length, and bodies of unlike size, are not to be compared in all measures.
fn unlike(p: &Measured, q: &Measured) -> Vec<String> {
    let ratio = |a: f64, b: f64| (a / b).max(b / a);
    let length = |side: &Measured| side.words as f64 / side.documents as f64;
    let mut warnings = Vec::new();
    if ratio(p.words as f64, q.words as f64) > 1.1 {
        warnings.push("documents are never cut, so one body stays larger than the other: all but MATTR, HD-D and rep-n depend on size".to_owned());
    }
    if ratio(length(p), length(q)) > 1.5 {
        warnings.push(format!(
            "a text of P has {} words, one of Q {}: longer texts repeat more within themselves, and their self-BLEU is another",
            significant(length(p)),
            significant(length(q)),
        ));
    }
    warnings
}

/// What a test says, in words.
pub(crate) fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::CandidateRepeatsMore => "Q repeats more",
        Verdict::CandidateVariesMore => "Q varies more",
        Verdict::NoDifference | Verdict::Untested => "",
    }
}
