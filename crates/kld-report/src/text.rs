//! Two bodies of text on a terminal.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{
        Body, Contributor, Contributors, Counted, OneSidedTerms, PartKind, Parts, PartsOf, Redrawn,
        TermCount, TextComparison, TextCounts,
    },
};

use crate::{
    Exporter, Terminal,
    dist::{plural, smoothed},
    format::{count, plus_minus, share, shortened, significant},
    table::layout,
};

/// Columns given to a term.
const TERM_WIDTH: usize = 28;

/// Terms of one side that are named.
const NAMED: usize = 8;

impl Exporter<TextComparison> for Terminal {
    fn export(&self, result: &TextComparison, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", bodies(result))?;
        write!(out, "\n{}", self.text_divergences(result))?;
        write!(out, "{}", infinite(result))?;
        write!(out, "{}", self.contributors_of_text(result))?;
        if let Some(fragments) = &result.fragments {
            write!(
                out,
                "{}",
                self.text_fragments(fragments, &result.counted.terms())
            )?;
        }
        result
            .warnings
            .iter()
            .try_for_each(|warning| writeln!(out, "warning: {}", self.warning(warning)))
    }
}

impl Exporter<TextCounts> for Terminal {
    fn export(&self, result: &TextCounts, out: &mut dyn Write) -> io::Result<()> {
        let TextCounts {
            counted,
            body: counts,
            most_frequent,
            ..
        } = result;
        write!(out, "{}", layout("", &[body("", counts, counted)]))?;
        writeln!(out, "counted: {counted}")?;
        write!(out, "{}", lettered("", left_out(counts, counted)))?;
        let mut rows = vec![
            ["most frequent", "count", "of 1000"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(most_frequent.iter().map(|t| {
            vec![
                shortened(&t.term, TERM_WIDTH),
                count(t.count),
                per_thousand(t, result),
            ]
        }));
        write!(out, "{}", layout("    ", &rows))
    }
}

impl Terminal {
    pub(crate) fn text_divergences(self, result: &TextComparison) -> String {
        let value = |estimate: &Estimate| plus_minus(&self.in_unit(estimate));
        let head = [self.unit.name(), "KL(P‖Q)", "KL(Q‖P)", "JS"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        if let Some(s) = &result.smoothed {
            let name = format!("smoothed, {}", s.smoothing);
            rows.push(vec![name, value(&s.kl), value(&s.reverse_kl), value(&s.js)]);
        }
        rows.extend(result.estimators.iter().map(|e| {
            vec![
                e.estimator.name().to_owned(),
                value(&e.kl),
                value(&e.reverse_kl),
                e.js.as_ref().map_or("–".to_owned(), value),
            ]
        }));
        layout("    ", &rows) + &redrawn(&result.redrawn)
    }

    fn contributors_of_text(self, result: &TextComparison) -> String {
        let Contributors {
            parts_of,
            more_in_reference,
            more_in_candidate,
            others,
        } = &result.contributors;
        let estimate = match parts_of {
            PartsOf::ZhangGrabchak => "Zhang-Grabchak",
            PartsOf::Smoothed => "smoothed",
        };
        let totals = (
            result.reference.terms.draws as f64,
            result.candidate.terms.draws as f64,
        );
        let list =
            |title: &str, part: &str, list: &[Contributor], of: fn(&Contributor) -> Estimate| {
                let mut rows = vec![[title, "P", "Q", "ratio", part].map(str::to_owned).to_vec()];
                rows.extend(list.iter().map(|c| {
                    vec![
                        shortened(&c.term, TERM_WIDTH),
                        count(c.reference),
                        count(c.candidate),
                        ratio(c, totals),
                        plus_minus(&self.in_unit(&of(c))),
                    ]
                }));
                layout("    ", &rows)
            };
        let value = |nats: f64| significant(nats * self.unit.per_nat());
        format!(
            "\n{} that carry it, with their parts of the {estimate} estimate\n{}{}    {} others: {} of KL(P‖Q), {} of KL(Q‖P)\n",
            capitalized(&result.counted.terms()),
            list("more in P", "part of KL(P‖Q)", more_in_reference, |c| c
                .kl),
            list("more in Q", "part of KL(Q‖P)", more_in_candidate, |c| c
                .reverse_kl),
            count(others.terms as u64),
            value(others.kl),
            value(others.reverse_kl),
        )
    }
}

fn bodies(result: &TextComparison) -> String {
    let rows = [
        body("P", &result.reference, &result.counted),
        body("Q", &result.candidate, &result.counted),
    ];
    let mut text = layout("", &rows);
    text += &format!("counted: {}\n", result.counted);
    for (letter, body) in [("P", &result.reference), ("Q", &result.candidate)] {
        text += &lettered(letter, left_out(body, &result.counted));
    }
    if let Some(s) = &result.smoothed {
        let known = result.reference.terms.observed + result.only_in_candidate.terms;
        text += &smoothed(s.smoothing, known);
    }
    text
}

fn body(letter: &str, body: &Body, counted: &Counted) -> Vec<String> {
    vec![
        format!("{letter}  {}", shortened(&body.name, 60))
            .trim_start()
            .to_owned(),
        plural(body.documents as usize, "document", "documents"),
        format!("{} {}", count(body.terms.draws), counted.terms()),
        format!("{} different", count(body.terms.observed as u64)),
    ]
}

/// How often a term stands in a thousand of the text.
pub(crate) fn per_thousand(term: &TermCount, of: &TextCounts) -> String {
    significant(1000.0 * term.count as f64 / of.body.terms.draws as f64)
}

/// What is not counted, or not as it stood there: never silent.
pub(crate) fn left_out(body: &Body, counted: &Counted) -> Vec<String> {
    let mut lines = Vec::new();
    if body.empty_documents > 0 {
        let documents = plural(body.empty_documents as usize, "document", "documents");
        lines.push(format!("{documents} without any {}", counted.terms()));
    }
    if body.replaced > 0 {
        let places = plural(body.replaced as usize, "place that is", "places that are");
        lines.push(format!("{places} not UTF-8 replaced by U+FFFD"));
    }
    if body.pruned.terms > 0 {
        let of_all = (body.terms.draws + body.pruned.occurrences) as f64;
        lines.push(format!(
            "{} rare {} left out to bound memory, {} of the text; counts can be too low by {} at most",
            count(body.pruned.terms),
            counted.terms(),
            share(body.pruned.occurrences as f64 / of_all),
            count(body.pruned.at_most),
        ));
    }
    lines
}

/// Each line with the letter of its body before it.
fn lettered(letter: &str, lines: Vec<String>) -> String {
    let line = |line| format!("{letter}  {line}\n").trim_start().to_owned();
    lines.into_iter().map(line).collect()
}

fn redrawn(redrawn: &Redrawn) -> String {
    let parts = |letter: &str, parts: Parts| {
        let (one, many) = match parts.kind {
            PartKind::Document => ("document", "documents"),
            PartKind::Group => ("group of documents", "groups of documents"),
            PartKind::Block => ("part of its blocks", "parts of its blocks"),
            PartKind::Unknown => return format!("{letter} holds totals alone"),
        };
        format!("{letter} has {}", plural(parts.number, one, many))
    };
    let (p, q) = (parts("P", redrawn.reference), parts("Q", redrawn.candidate));
    if redrawn.reference.number < 2 || redrawn.candidate.number < 2 {
        return format!("    without errors: {p}, {q}; it takes two of each\n");
    }
    format!(
        "    ± by redrawing parts of both {} times (seed {}): {p}, {q}\n",
        count(redrawn.bootstrap.resamples as u64),
        redrawn.bootstrap.seed
    )
}

/// How much more frequent a term is where it is more frequent; `only` where the other side has none.
fn ratio(c: &Contributor, (p_total, q_total): (f64, f64)) -> String {
    let (p, q) = (c.reference as f64 / p_total, c.candidate as f64 / q_total);
    let ratio = p.max(q) / p.min(q);
    if ratio.is_finite() {
        format!("×{}", significant(ratio))
    } else {
        "only".to_owned()
    }
}

fn infinite(result: &TextComparison) -> String {
    let terms = result.counted.terms();
    let sides = [
        ("P‖Q", "P", "Q", &result.only_in_reference),
        ("Q‖P", "Q", "P", &result.only_in_candidate),
    ];
    let text: String = sides
        .iter()
        .filter(|(.., alone)| alone.terms > 0)
        .map(|(direction, here, there, alone)| one_sided(direction, here, there, alone, &terms))
        .collect();
    match (text.is_empty(), &result.smoothed) {
        (true, _) => String::new(),
        (_, Some(_)) => format!("\n{text}"),
        (_, None) => format!(
            "\n{text}    hint: Zhang-Grabchak and JS stay finite: not seen is not impossible; --smooth jelinek-mercer:0.1 gives every term mass\n"
        ),
    }
}

fn one_sided(
    direction: &str,
    here: &str,
    there: &str,
    alone: &OneSidedTerms,
    terms: &str,
) -> String {
    let named = |t: &TermCount| format!("{} {}", shortened(&t.term, TERM_WIDTH), count(t.count));
    let few: Vec<_> = alone.most_frequent.iter().take(NAMED).map(named).collect();
    let more = if alone.terms > few.len() { ", …" } else { "" };
    format!(
        "KL({direction}) of the frequencies is infinite: {} {terms} of {here}, {} of it, never stand in {there}: {}{more}\n",
        count(alone.terms as u64),
        share(alone.share),
        few.join(", ")
    )
}

/// With a large first letter.
pub(crate) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
