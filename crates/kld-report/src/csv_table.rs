//! A comparison as one tidy table: a row per candidate and scope, for spreadsheets and data frames.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{Candidate, Comparison, Slice},
};

use crate::Exporter;

/// Comma-separated values (RFC 4180), numbers in full precision, nats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Csv;

const HEAD: [&str; 20] = [
    "candidate",
    "sha256",
    "scope",
    "name",
    "positions",
    "not_finite",
    "kl_mean_nats",
    "kl_standard_error_nats",
    "kl_median_nats",
    "kl_p90_nats",
    "kl_p95_nats",
    "kl_p99_nats",
    "kl_p999_nats",
    "kl_max_nats",
    "reverse_kl_mean_nats",
    "js_mean_nats",
    "top1_agreement",
    "perplexity_reference",
    "perplexity_candidate",
    "perplexity_ratio",
];

impl Exporter<Comparison> for Csv {
    fn export(&self, result: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(HEAD)?;
        for candidate in &result.candidates {
            for row in rows(candidate) {
                csv.write_record(row)?;
            }
        }
        csv.flush()
    }
}

fn rows(c: &Candidate) -> Vec<Vec<String>> {
    let mut rows = vec![row(c, "all", String::new(), &whole(c))];
    rows.extend(
        c.by_confidence
            .iter()
            .map(|s| row(c, "confidence", format!("{}-{}", s.from, s.to), &slice(s))),
    );
    rows.extend(
        c.by_position
            .iter()
            .map(|s| row(c, "position", format!("{}-{}", s.from, s.to), &slice(s))),
    );
    rows.extend(c.fragments.iter().map(|f| {
        let mut cells = vec![f.positions.to_string(), f.not_finite.to_string()];
        cells.extend(mean(&f.kl));
        cells.extend(std::iter::repeat_n(String::new(), 6));
        cells.extend([
            number(f.reverse_kl.value),
            String::new(),
            number(f.top1_agreement.value),
        ]);
        cells.extend(
            [
                f.perplexity.reference,
                f.perplexity.candidate,
                f.perplexity.ratio,
            ]
            .map(|e| number(e.value)),
        );
        row(c, "fragment", f.name.clone(), &cells)
    }));
    rows
}

fn row(c: &Candidate, scope: &str, name: String, cells: &[String]) -> Vec<String> {
    let mut row = vec![
        c.model.name.clone(),
        c.model.sha256.clone(),
        scope.to_owned(),
        name,
    ];
    row.extend_from_slice(cells);
    row
}

fn whole(c: &Candidate) -> Vec<String> {
    let mut cells = vec![c.positions.to_string(), c.not_finite.to_string()];
    cells.extend(mean(&c.kl.mean));
    cells.extend(
        [
            c.kl.median,
            c.kl.p90,
            c.kl.p95,
            c.kl.p99,
            c.kl.p999,
            c.kl.max,
        ]
        .map(number),
    );
    cells.extend([&c.reverse_kl.mean, &c.js.mean, &c.top1_agreement].map(|e| number(e.value)));
    cells.extend(
        [
            c.perplexity.reference,
            c.perplexity.candidate,
            c.perplexity.ratio,
        ]
        .map(|e| number(e.value)),
    );
    cells
}

fn slice(s: &Slice) -> Vec<String> {
    let mut cells = vec![s.positions.to_string(), String::new()];
    cells.extend(mean(&s.kl));
    cells.extend(std::iter::repeat_n(String::new(), 8));
    cells.push(number(s.top1_agreement.value));
    cells.extend(std::iter::repeat_n(String::new(), 3));
    cells
}

pub(crate) fn mean(estimate: &Estimate) -> [String; 2] {
    [
        number(estimate.value),
        estimate
            .standard_error
            .map(|e| e.to_string())
            .unwrap_or_default(),
    ]
}

/// In full precision; nothing where nothing was measured.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        String::new()
    } else {
        value.to_string()
    }
}
