//! Fragments of a body of text on a terminal.

use std::io::{self, Write};

use kld_core::result::{
    ExpectedDocument, FragmentKind, OwnSpread, TextExpectation, TextFragment, TextFragments,
};

use crate::{
    Exporter, Terminal, Unit,
    block::Block,
    compare::{model, protocol},
    dist::plural,
    format::{count, shortened, significant},
    table::{and_more, layout, sparkline},
};

/// Rows shown of windows and groups, and of documents against a model; the JSON has all.
const SHOWN: usize = 12;

/// Windows in one line of the course.
const IN_LINE: usize = 64;

/// Lines of the course, at most.
const LINES: usize = 8;

impl Terminal {
    pub(crate) fn text_fragments(self, result: &TextFragments, terms: &str) -> String {
        let number = result.number as usize;
        let (title, farthest): (_, Vec<_>) = match &result.kind {
            FragmentKind::Documents => (
                plural(number, "document", "documents"),
                result.listed.iter().collect(),
            ),
            FragmentKind::Windows { terms: size } => (
                format!(
                    "{} of {} {terms}",
                    plural(number, "window", "windows"),
                    count(*size)
                ),
                farthest(&result.listed),
            ),
            FragmentKind::Groups { by } => (
                format!("{} of {by}", plural(number, "value", "values")),
                farthest(&result.listed),
            ),
        };
        let mut text = format!(
            "\n{title} of Q, each against P{}\n",
            left_out(result, terms)
        );
        if result.kind != FragmentKind::Documents {
            text += &course(&result.listed);
        }
        let mut rows = vec![head(terms).map(str::to_owned).to_vec()];
        let shown = match result.kind {
            FragmentKind::Documents => farthest.len(),
            _ => SHOWN.min(farthest.len()),
        };
        rows.extend(
            farthest
                .iter()
                .take(shown)
                .map(|f| cells(f, self.unit, (32, 40)).to_vec()),
        );
        text += &layout("    ", &rows);
        text += &and_more(number, shown);
        text + &self.spread(result.spread.as_ref(), result.stand_out, terms)
    }

    fn spread(self, spread: Option<&OwnSpread>, stand_out: Option<u64>, terms: &str) -> String {
        let (Some(spread), Some(stand_out)) = (spread, stand_out) else {
            return "    without a test: the texts of P are not at hand, so its own spread is not known\n".to_owned();
        };
        let value = |nats: f64| significant(nats * self.unit.per_nat());
        let number = spread.number as usize;
        let what = match &spread.kind {
            FragmentKind::Windows { terms: size } => {
                format!(
                    "{} of {} {terms}",
                    plural(number, "window", "windows"),
                    count(*size)
                )
            }
            _ => plural(number, "document", "documents"),
        };
        let few = if spread.number < 19 {
            "    fewer than 19 of them cannot make p as small as 0.05\n"
        } else {
            ""
        };
        format!(
            "    P's own {what}, each against the rest of P, have an excess of {} (median), 95 % of them at most {}\n{few}    {} out at 5 % (p among P's own, after Benjamini and Hochberg)\n",
            value(spread.median),
            value(spread.percentile_95),
            plural(stand_out as usize, "stands", "stand"),
        )
    }
}

/// What stands above the [`cells`] of fragments.
pub(crate) fn head(terms: &str) -> [&str; 8] {
    [
        "farthest first",
        terms,
        "KL",
        "floor",
        "excess",
        "p",
        "adjusted",
        "carried by",
    ]
}

/// A fragment in words and figures, its name and the terms that carry it cut to these widths.
pub(crate) fn cells(f: &TextFragment, unit: Unit, widths: (usize, usize)) -> [String; 8] {
    let value = |nats: f64| significant(nats * unit.per_nat());
    let p = |p: Option<f64>| p.map_or("–".to_owned(), significant);
    [
        shortened(&f.name, widths.0),
        count(f.terms),
        value(f.kl),
        value(f.floor),
        value(f.excess),
        p(f.p),
        p(f.adjusted_p),
        shortened(&f.carried_by.join(" "), widths.1),
    ]
}

fn left_out(result: &TextFragments, terms: &str) -> String {
    match (result.without_terms, result.cut_off) {
        (0, 0) => String::new(),
        (0, cut_off) => format!(" ({} {terms} at the end fill no window)", count(cut_off)),
        (without, _) => format!(" ({} more without any {terms})", count(without)),
    }
}

fn farthest(fragments: &[TextFragment]) -> Vec<&TextFragment> {
    let mut sorted: Vec<_> = fragments.iter().collect();
    sorted.sort_by(|a, b| b.excess.total_cmp(&a.excess));
    sorted
}

/// All excesses in order, as bars.
fn course(fragments: &[TextFragment]) -> String {
    let excesses: Vec<f64> = fragments.iter().map(|f| f.excess).collect();
    let bars: Vec<char> = sparkline(&excesses).chars().collect();
    let mut lines = vec![vec!["excess, in order".to_owned()]];
    let shown = fragments
        .chunks(IN_LINE)
        .zip(bars.chunks(IN_LINE))
        .take(LINES);
    lines.extend(shown.map(|(of, bars)| {
        let name = of.first().map_or("", |first| first.name.as_str());
        let bars: String = bars.iter().collect();
        vec![shortened(name, 32), format!("{bars:<IN_LINE$}")]
    }));
    if fragments.len() > IN_LINE * LINES {
        lines.push(vec!["… and more in the JSON".to_owned()]);
    }
    layout("    ", &lines)
}

impl Exporter<TextExpectation> for Terminal {
    fn export(&self, result: &TextExpectation, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "P  {}  {} tokens",
            result.reference,
            count(result.positions)
        )?;
        writeln!(out, "Q  {}", model(&result.model))?;
        writeln!(out, "   {}", protocol(&result.protocol))?;
        if !result.run.complete {
            writeln!(
                out,
                "   stopped early: the numbers cover {} of {} windows",
                result.run.windows_done, result.protocol.windows
            )?;
        }
        write!(out, "{}", self.frequency(&result.frequency))?;
        if result.documents.len() > 1 {
            let documents = self.expected_documents(&result.documents, SHOWN);
            let more = and_more(result.documents.len(), SHOWN);
            let text = documents.text();
            write!(out, "  by document, largest excess first\n{text}{more}")?;
        }
        result
            .warnings
            .iter()
            .try_for_each(|warning| writeln!(out, "warning: {warning}"))
    }
}

impl Terminal {
    /// The first documents, the largest excess first.
    pub(crate) fn expected_documents(self, documents: &[ExpectedDocument], shown: usize) -> Block {
        let value = |nats: f64| significant(nats * self.unit.per_nat());
        let row = |d: &ExpectedDocument| {
            let tokens = d.frequency.under_predicted.iter().take(3);
            let tokens: Vec<_> = tokens.map(|token| token.text.as_str()).collect();
            [
                shortened(&d.name, 32),
                count(d.positions),
                value(d.frequency.kl),
                value(d.frequency.sampling_floor),
                value(d.frequency.excess()),
                shortened(&tokens.join(" "), 40),
            ]
        };
        Block::of(
            [
                "document",
                "tokens",
                "KL",
                "floor",
                "excess",
                "more often than expected",
            ],
            documents.iter().take(shown).map(row),
        )
    }
}
