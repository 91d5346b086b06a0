//! A score on a terminal.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{Calibration, FragmentScore, FrequencyKl, Score, TokenShare},
};

use crate::{
    Exporter, Terminal,
    block::Block,
    compare::{model, protocol},
    format::{count, percent, plus_minus, share, shortened, significant},
    table::{and_more, bar, layout},
};

/// Fragments and tokens shown; the JSON has them all.
const SHOWN: usize = 8;

impl Exporter<Score> for Terminal {
    fn export(&self, s: &Score, out: &mut dyn Write) -> io::Result<()> {
        let unit = self.unit.name();
        writeln!(out, "model  {}", model(&s.model))?;
        writeln!(out, "text   {}", protocol(&s.protocol))?;
        if !s.run.complete {
            writeln!(
                out,
                "       stopped early: the numbers cover {} of {} windows",
                s.run.windows_done, s.protocol.windows
            )?;
        }
        writeln!(
            out,
            "    cross-entropy     {} {unit} per token",
            plus_minus(&self.in_unit(&s.cross_entropy))
        )?;
        writeln!(out, "    perplexity        {}", plus_minus(&s.perplexity))?;
        writeln!(
            out,
            "    bits per byte     {}",
            plus_minus(&s.bits_per_byte)
        )?;
        writeln!(
            out,
            "    entropy           {} {unit} per token",
            plus_minus(&self.in_unit(&s.entropy))
        )?;
        writeln!(out, "    top-1 hit rate    {}", percent(&s.top1_hit_rate))?;
        let by = s.errors_clustered_by.name();
        let (positions, bytes) = (count(s.positions), count(s.bytes));
        writeln!(
            out,
            "    positions         {positions} ({bytes} bytes), errors clustered by {by}"
        )?;
        write!(
            out,
            "{}{}",
            self.frequency(&s.frequency),
            calibration(&s.calibration)
        )?;
        write!(out, "{}", self.fragment_scores(&s.fragments))?;
        s.warnings
            .iter()
            .try_for_each(|warning| writeln!(out, "warning: {warning}"))
    }
}

impl Terminal {
    pub(crate) fn in_unit(self, estimate: &Estimate) -> Estimate {
        let unit = self.unit.per_nat();
        estimate.map(|v| v * unit, unit)
    }

    pub(crate) fn frequency(self, f: &FrequencyKl) -> String {
        let unit = self.unit.name();
        let mut text = format!(
            "  token frequencies of the text (P) against what the model expected (Q)\n    KL(P‖Q) {} {unit} (a text drawn from the model would have {}); JS {} {unit}\n",
            self.value_or_estimate(f.kl, f.errors.as_ref().map(|e| &e.kl)),
            self.value_or_estimate(f.sampling_floor, None),
            self.value_or_estimate(f.js, f.errors.as_ref().map(|e| &e.js)),
        );
        if let Some(errors) = &f.errors {
            let (excess, by) = (self.in_unit(&errors.excess), errors.clustered_by.name());
            text += &format!(
                "    excess  {} {unit} more than a drawn text, errors by leaving out each of {} groups of {by}s\n",
                plus_minus(&excess),
                errors.groups
            );
        }
        text += &self
            .token_shares("under-predicted", &f.under_predicted, SHOWN)
            .text();
        text += &self
            .token_shares("over-predicted", &f.over_predicted, SHOWN)
            .text();
        text
    }

    /// Nats in the unit shown, with an error where one is known.
    pub(crate) fn value_or_estimate(self, nats: f64, estimate: Option<&Estimate>) -> String {
        match estimate {
            Some(estimate) => plus_minus(&self.in_unit(estimate)),
            None => significant(nats * self.unit.per_nat()),
        }
    }

    /// Tokens with what the text has of them and what was expected.
    pub(crate) fn token_shares(self, title: &str, tokens: &[TokenShare], shown: usize) -> Block {
        let row = |t: &TokenShare| {
            [
                t.text.clone(),
                count(t.count),
                significant(t.expected),
                self.value_or_estimate(t.contribution, t.estimate.as_ref()),
            ]
        };
        Block::of(
            [title, "in text", "expected", "part of KL"],
            tokens.iter().take(shown).map(row),
        )
    }

    fn fragment_scores(self, fragments: &[FragmentScore]) -> String {
        if fragments.len() < 2 {
            return String::new();
        }
        let head = [
            "fragment",
            "positions",
            "cross-entropy",
            "perplexity",
            "bits/byte",
            "frequency KL (floor)",
        ];
        let value = |nats: f64| significant(nats * self.unit.per_nat());
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(fragments.iter().take(SHOWN).map(|f| {
            vec![
                shortened(&f.name, 40),
                count(f.positions),
                plus_minus(&self.in_unit(&f.cross_entropy)),
                significant(f.perplexity.value),
                significant(f.bits_per_byte.value),
                format!(
                    "{} ({})",
                    value(f.frequency.kl),
                    value(f.frequency.sampling_floor)
                ),
            ]
        }));
        let more = and_more(fragments.len(), SHOWN);
        format!(
            "  by fragment, largest cross-entropy first\n{}{more}",
            layout("    ", &rows)
        )
    }
}

fn calibration(c: &Calibration) -> String {
    let mut rows = vec![
        ["confidence", "positions", "mean", "hit rate", ""]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(c.bins.iter().map(|b| {
        let bar = format!("{:<20}", bar(b.hit_rate, 20));
        vec![
            format!("{} – {}", b.from, b.to),
            count(b.positions),
            share(b.confidence),
            share(b.hit_rate),
            bar,
        ]
    }));
    format!(
        "  calibration: expected error {}, overconfidence {}\n{}",
        share(c.expected_calibration_error),
        percent(&c.overconfidence),
        layout("    ", &rows)
    )
}
