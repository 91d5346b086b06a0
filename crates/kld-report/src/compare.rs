//! A comparison on a terminal.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use kld_core::{
    ModelCard, Quantized,
    estimate::Estimate,
    gate::Verdict,
    result::{
        Candidate, Comparison, Divergence, FragmentComparison, NoiseFloor, ProtocolRecord, Slice,
        WorstToken,
    },
};

use crate::{
    Exporter, Glance, Terminal,
    format::{
        bytes, count, digits, parameters, percent, plain, plus_minus, share, shortened, significant,
    },
    table::{and_more, bar, layout},
};

/// Fragments and worst tokens shown; the JSON has them all.
const SHOWN: usize = 8;

/// Matrices named that got another type than was asked for.
const FALLBACKS_SHOWN: usize = 3;

impl Exporter<Comparison> for Terminal {
    fn export(&self, result: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        Glance(*self).export(result, out)?;
        for candidate in &result.candidates {
            let floor = result.noise_floor.as_ref();
            write!(out, "\n{}", self.candidate(candidate, floor))?;
        }
        Ok(())
    }
}

impl Exporter<Comparison> for Glance {
    fn export(&self, result: &Comparison, out: &mut dyn Write) -> io::Result<()> {
        let Self(terminal) = self;
        writeln!(out, "reference  {}", model(&result.reference))?;
        write!(out, "{}", terminal.recorded(&result.reference))?;
        writeln!(out, "text       {}", protocol(&result.protocol))?;
        if !result.run.complete {
            writeln!(
                out,
                "           stopped early: the numbers cover {} of {} windows",
                result.run.windows_done, result.protocol.windows
            )?;
        }
        if let Some(floor) = &result.noise_floor {
            writeln!(out, "floor      {}", terminal.floor(floor))?;
        }
        for part in [
            terminal.sequential(result),
            terminal.ranking(result),
            terminal.pick(result),
        ] {
            if !part.is_empty() {
                write!(out, "\n{part}")?;
            }
        }
        Ok(())
    }
}

impl Terminal {
    /// The noise floor in one line.
    fn floor(self, floor: &NoiseFloor) -> String {
        let left_out = match floor.not_finite {
            0 => String::new(),
            n => format!(", {} positions not finite", count(n)),
        };
        format!(
            "P against itself, {}: KL {} {}{left_out}",
            floor.compute,
            plus_minus(&self.scaled(&floor.kl.mean)),
            self.unit.name()
        )
    }

    fn candidate(self, c: &Candidate, floor: Option<&NoiseFloor>) -> String {
        let mut text = format!(
            "candidate  {}\n{}",
            model(&c.model),
            self.recorded(&c.model)
        );
        text.push_str(
            &c.model
                .quantized
                .as_ref()
                .map(quantized)
                .unwrap_or_default(),
        );
        let delta = |e: &Estimate| significant(100.0 * e.value);
        let ppl = &c.perplexity;
        let mut rows = vec![self.divergence("KL(P‖Q)", &c.kl)];
        rows.extend(floor.map(|floor| self.divergence("  noise floor", &floor.kl)));
        rows.push(self.divergence("KL(Q‖P)", &c.reverse_kl));
        rows.push(self.divergence("JS", &c.js));
        text.push_str(&self.divergences(&rows));
        text.push_str(&format!(
            "    top-1 agreement  {}{}   top-10 overlap {}\n    Δp               mean {} %   rms {} %\n",
            percent(&c.top1_agreement),
            floor.map_or(String::new(), |f| format!(" (noise floor {})", percent(&f.top1_agreement))),
            percent(&c.top10_overlap),
            delta(&c.delta_p.mean),
            delta(&c.delta_p.rms),
        ));
        text.push_str(&format!(
            "    perplexity       {} → {} (×{})\n",
            digits(ppl.reference.value, 5),
            digits(ppl.candidate.value, 5),
            plus_minus(&ppl.ratio)
        ));
        text.push_str(&format!(
            "    positions        {}{}\n",
            count(c.positions),
            errors(c)
        ));
        text.push_str(&self.slices("by confidence of P", "P(top-1)", &c.by_confidence));
        text.push_str(&self.slices("by position", "context", &c.by_position));
        text.push_str(&self.fragments(&c.fragments));
        text.push_str(&self.worst(&c.worst));
        c.warnings
            .iter()
            .for_each(|warning| text.push_str(&format!("warning: {warning}\n")));
        text.push_str(&c.verdict.as_ref().map(verdict).unwrap_or_default());
        text
    }

    /// What a recording gives back of the model that was recorded; nothing of a model itself.
    pub(crate) fn recorded(self, card: &ModelCard) -> String {
        let Some(recorded) = &card.recorded else {
            return String::new();
        };
        let unit = self.unit.name();
        let loses = recorded.loss.as_ref().map(|loss| {
            format!(
                "; loses KL {} {unit} a row, at most {}: less cannot be told",
                plus_minus(&self.scaled(&loss.kl)),
                significant(loss.max * self.unit.per_nat())
            )
        });
        let floor = recorded.floor.as_ref().map(|floor| {
            format!(
                "; {} of its entries lie at a floor {} nats below the top, its rows sum to {} on average and {} at most",
                share(floor.share_at_floor),
                floor.nats,
                digits(floor.mass_mean, 5),
                digits(floor.mass_max, 5)
            )
        });
        let exact = (loses.is_none() && floor.is_none()).then(|| ", exact".to_owned());
        let what: String = [exact, loses, floor].into_iter().flatten().collect();
        format!(
            "           {} of {}{what}\n",
            recorded.keep,
            plain(&recorded.of)
        )
    }

    fn divergence(self, name: &str, d: &Divergence) -> Vec<String> {
        let unit = self.unit.per_nat();
        let mut cells = vec![name.to_owned(), plus_minus(&self.scaled(&d.mean))];
        cells.extend([d.median, d.p90, d.p95, d.p99, d.p999, d.max].map(|v| significant(v * unit)));
        cells
    }

    fn divergences(self, rows: &[Vec<String>]) -> String {
        let head = [
            self.unit.name(),
            "mean",
            "median",
            "90 %",
            "95 %",
            "99 %",
            "99.9 %",
            "max",
        ];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        table.extend_from_slice(rows);
        layout("    ", &table)
    }

    fn slices(self, title: &str, key: &str, slices: &[Slice]) -> String {
        let head = [key, "positions", "KL(P‖Q)", "top-1", "share of KL", ""];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(slices.iter().map(|s| {
            vec![
                range(s),
                count(s.positions),
                plus_minus(&self.scaled(&s.kl)),
                share(s.top1_agreement.value),
                share(s.share_of_kl),
                // Ends the line: bars begin at one column.
                format!("{:<20}", bar(s.share_of_kl, 20)),
            ]
        }));
        format!("  {title}\n{}", layout("    ", &rows))
    }

    fn fragments(self, fragments: &[FragmentComparison]) -> String {
        if fragments.len() < 2 {
            return String::new();
        }
        let mut rows = vec![
            [
                "fragment",
                "positions",
                "KL(P‖Q)",
                "top-1",
                "ppl P",
                "ppl Q",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        rows.extend(fragments.iter().take(SHOWN).map(|f| {
            vec![
                shortened(&f.name, 44),
                count(f.positions),
                plus_minus(&self.scaled(&f.kl)),
                share(f.top1_agreement.value),
                significant(f.perplexity.reference.value),
                significant(f.perplexity.candidate.value),
            ]
        }));
        let more = and_more(fragments.len(), SHOWN);
        format!(
            "  by fragment, largest KL first\n{}{more}",
            layout("    ", &rows)
        )
    }

    fn worst(self, tokens: &[WorstToken]) -> String {
        if tokens.is_empty() {
            return String::new();
        }
        let mut text = "  worst tokens (context → observed: P's and Q's most likely)\n".to_owned();
        for w in tokens.iter().take(SHOWN) {
            let context: String = w
                .context
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            text.push_str(&format!(
                "    {:>7}  {} → {}: {} {} | {} {}\n",
                significant(w.kl * self.unit.per_nat()),
                tail(&context, 44),
                w.observed,
                w.top1_reference,
                share(w.top1_prob_reference),
                w.top1_candidate,
                share(w.top1_prob_candidate),
            ));
        }
        text
    }

    pub(crate) fn scaled(self, estimate: &Estimate) -> Estimate {
        let unit = self.unit.per_nat();
        estimate.map(|v| v * unit, unit)
    }
}

/// A model in one line.
pub(crate) fn model(card: &ModelCard) -> String {
    format!(
        "{}  {} {}, {}, {}, {}",
        plain(&card.name),
        card.family,
        parameters(card.parameters),
        card.weights,
        bytes(card.bytes),
        card.compute
    )
}

/// What was quantized in memory, and what could not be as it was asked for.
pub(crate) fn quantized(q: &Quantized) -> String {
    let all = count(q.matrices as u64);
    let mut text = format!(
        "           {all} matrices of P quantized to {} in memory\n",
        q.dtype
    );
    let mut instead: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for fallback in &q.fallbacks {
        instead
            .entry(&fallback.dtype)
            .or_default()
            .push(&fallback.tensor);
    }
    for (dtype, tensors) in instead {
        text.push_str(&format!(
            "           {} of them are {dtype} instead, their rows are no whole blocks of {}: {}{}\n",
            count(tensors.len() as u64),
            q.dtype,
            tensors[..tensors.len().min(FALLBACKS_SHOWN)].join(", "),
            if tensors.len() > FALLBACKS_SHOWN { ", …" } else { "" }
        ));
    }
    text
}

/// How the text was cut, in one line.
pub(crate) fn protocol(p: &ProtocolRecord) -> String {
    let plural = |n: usize, noun: &str| {
        format!(
            "{} {noun}{}",
            count(n as u64),
            if n == 1 { "" } else { "s" }
        )
    };
    let left_out = if p.windows_left_out > 0 {
        format!(" ({} more left out)", count(p.windows_left_out as u64))
    } else {
        String::new()
    };
    format!(
        "{}, {} of {} tokens{left_out}, scored: {}, protocol {}",
        plural(p.fragments, "fragment"),
        plural(p.windows, "window"),
        p.context,
        p.scored,
        p.name
    )
}

fn errors(c: &Candidate) -> String {
    let unit = c.errors_clustered_by.name();
    let plural = if c.clusters == 1 { "" } else { "s" };
    format!(
        ", errors clustered by {unit} ({} {unit}{plural})",
        count(c.clusters as u64)
    )
}

fn range(slice: &Slice) -> String {
    format!("{} – {}", slice.from, slice.to)
}

/// The last characters of a text.
fn tail(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        text.to_owned()
    } else {
        format!("…{}", text.chars().skip(length - width).collect::<String>())
    }
}

fn verdict(verdict: &Verdict) -> String {
    let mut text = String::new();
    for check in &verdict.checks {
        let sign = if check.passed { "≤" } else { ">" };
        text.push_str(&format!(
            "    gate {:<10} {} {sign} {}  {} ({})\n",
            check.metric,
            significant(check.value),
            significant(check.limit),
            if check.passed { "kept" } else { "EXCEEDED" },
            check.meaning
        ));
    }
    if verdict.not_finite > 0 {
        text.push_str(&format!(
            "    gate: {} positions were not finite, which fails every gate\n",
            count(verdict.not_finite)
        ));
    }
    if !verdict.complete {
        text.push_str("    gate: not all windows were measured, which fails every gate\n");
    }
    text + if verdict.passed {
        "    verdict: passed\n"
    } else {
        "    verdict: FAILED\n"
    }
}
