//! Two distributions, measures or samples on a terminal.

mod estimates;

use std::io::{self, Write};

use kld_core::{
    digits::short,
    dist::{
        Contribution, DistResult, Divergences, GeneralizedKl, Input, Kind, Mass, OneSided, Scale,
        Values,
    },
    smoothing::Smoothing,
};

use crate::{
    Exporter, Terminal,
    format::{count, shortened},
    table::layout,
};

/// Columns given to a name.
const NAME_WIDTH: usize = 28;

/// How many of the entries that make a divergence infinite are named.
const NAMED: usize = 5;

impl Exporter<DistResult> for Terminal {
    fn export(&self, result: &DistResult, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}", inputs(result))?;
        if let Some(estimates) = &result.estimates {
            write!(out, "\n{}", self.estimates(estimates))?;
            writeln!(out, "\nthe relative frequencies themselves")?;
        } else {
            writeln!(out)?;
        }
        write!(out, "{}", self.values(&result.values))?;
        write!(out, "{}", self.contributions(result))?;
        write!(out, "{}", infinite(result))?;
        result
            .warnings
            .iter()
            .try_for_each(|warning| writeln!(out, "warning: {warning}"))
    }
}

impl Terminal {
    fn values(self, values: &Values) -> String {
        match values {
            Values::Distributions(divergences) => self.every_divergence(divergences),
            Values::Measures(measures) => self.measures(measures),
        }
    }

    fn every_divergence(self, d: &Divergences) -> String {
        let unit = self.unit.name();
        let info = |nats: f64| self.figure(nats);
        let both = |name: &str, forward: f64, reverse: f64| {
            row(name, &[&info(forward), &info(reverse), unit])
        };
        let mut rows = vec![
            row("", &["P → Q", "Q → P"]),
            both("KL divergence", d.kl, d.reverse_kl),
            both("cross-entropy", d.cross_entropy, d.reverse_cross_entropy),
            both(
                &format!("Rényi divergence, α = {}", d.renyi.alpha),
                d.renyi.value,
                d.renyi.reverse,
            ),
            both(
                &format!("skew KL, α = {}", d.skew_kl.alpha),
                d.skew_kl.value,
                d.skew_kl.reverse,
            ),
            row(
                "χ²",
                &[&figure(d.chi_square), &figure(d.reverse_chi_square)],
            ),
            row("", &["P", "Q"]),
            both("entropy", d.entropy_reference, d.entropy_candidate),
            row("", &["both ways"]),
            row("Jeffreys divergence", &[&info(d.jeffreys), "", unit]),
            row("Jensen-Shannon divergence", &[&info(d.js), "", unit]),
        ];
        if d.generalized_js.beta != 0.5 {
            let name = format!("the same with β = {}", d.generalized_js.beta);
            rows.push(row(&name, &[&info(d.generalized_js.value), "", unit]));
        }
        let js_distance = d.js_distance * self.unit.per_nat().sqrt();
        rows.push(row(
            "Jensen-Shannon distance",
            &[&figure(js_distance), "", &format!("√{unit}")],
        ));
        rows.push(row("total variation", &[&figure(d.total_variation)]));
        rows.push(row("Hellinger distance", &[&figure(d.hellinger)]));
        layout("    ", &rows)
    }

    fn measures(self, m: &GeneralizedKl) -> String {
        let unit = self.unit.name();
        let rows = [
            row("", &["P → Q", "Q → P"]),
            row(
                "generalized KL",
                &[&self.figure(m.kl), &self.figure(m.reverse_kl), unit],
            ),
            row("both together", &[&self.figure(m.jeffreys), "", unit]),
        ];
        let left_out = "    entropies, JS and the others need distributions and are left out; --normalize makes such\n";
        layout("    ", &rows) + left_out
    }

    fn contributions(self, result: &DistResult) -> String {
        if result.contributions.is_empty() {
            return String::new();
        }
        let term = match result.kind {
            Kind::Measures => "P ln(P/Q) − P + Q",
            Kind::Distributions | Kind::Samples => "P ln(P/Q)",
        };
        let cells = |c: &Contribution| {
            row(
                &entry(c.index, c.name.as_deref()),
                &[
                    &figure(c.p),
                    &figure(c.q),
                    &self.figure(c.kl),
                    self.unit.name(),
                ],
            )
        };
        let mut rows = vec![row("entry", &["P", "Q", term])];
        rows.extend(result.contributions.iter().map(cells));
        format!("\nmost of KL(P‖Q) lies in\n{}", layout("    ", &rows))
    }

    /// A quantity of information in the unit of the terminal.
    pub(super) fn figure(self, nats: f64) -> String {
        figure(nats * self.unit.per_nat())
    }
}

fn inputs(result: &DistResult) -> String {
    let rows = [side("P", &result.reference), side("Q", &result.candidate)];
    let smoothing = result
        .smoothing
        .map(|smoothing| smoothed(smoothing, result.reference.entries));
    layout("", &rows) + &smoothing.unwrap_or_default()
}

/// What smoothing did, to the full: it is never silent.
pub(crate) fn smoothed(smoothing: Smoothing, entries: usize) -> String {
    let added = |each: f64, what: &str| {
        let in_all = short(each * entries as f64);
        format!(
            "{} added to every {what} of both sides ({in_all} in all), then divided by the new sum",
            short(each)
        )
    };
    let done = match smoothing {
        Smoothing::Epsilon(epsilon) => added(epsilon, "probability"),
        Smoothing::Laplace(k) => added(k, "count"),
        Smoothing::KrichevskyTrofimov => added(0.5, "count"),
        Smoothing::Absolute(delta) => {
            format!("{delta} taken from every count above 0 and given to the mean of both sides")
        }
        Smoothing::JelinekMercer(share) => {
            format!("a share {share} of each side replaced by the mean of both")
        }
        other => other.to_string(),
    };
    format!("smoothed: {done}\n")
}

fn side(letter: &str, input: &Input) -> Vec<String> {
    let mut entries = plural(input.entries, "entry", "entries");
    if input.positive < input.entries {
        entries += &format!(
            ", {} without mass",
            count((input.entries - input.positive) as u64)
        );
    }
    row(
        &format!("{letter}  {}", shortened(&input.name, 60)),
        &[&entries, &sum(input)],
    )
}

/// What was done to make the numbers a distribution, if anything was.
fn sum(input: &Input) -> String {
    match (input.scale, input.sum) {
        (Scale::Logits, _) => "softmax of logits".to_owned(),
        (Scale::Counts, Some(sum)) => format!("{} draws", short(sum)),
        (Scale::Masses, Some(sum)) => format!("sum {}", short(sum)),
        (_, Some(sum)) if input.normalized => format!("sum {}, divided out", short(sum)),
        // What is within rounding is divided out as well; it is shown where it can be seen.
        (_, Some(sum)) if (sum - 1.0).abs() > 1e-9 => format!(
            "sum 1 {} {:.1e}, divided out",
            if sum > 1.0 { '+' } else { '−' },
            (sum - 1.0).abs()
        ),
        _ => String::new(),
    }
}

/// Which entries make a divergence infinite, and what can be done.
fn infinite(result: &DistResult) -> String {
    let forward = one_sided(&result.only_in_reference, "P‖Q", "P", "Q");
    let reverse = one_sided(&result.only_in_candidate, "Q‖P", "Q", "P");
    if forward.is_empty() && reverse.is_empty() {
        return String::new();
    }
    let hint = match result.kind {
        Kind::Distributions => {
            "JS, total variation and Hellinger stay finite; --smooth epsilon:1e-10 gives every entry some mass"
        }
        Kind::Samples => {
            "Krichevsky-Trofimov and Zhang-Grabchak stay finite: not seen is not impossible"
        }
        Kind::Measures => "--normalize has divergences that stay finite, as JS, and --smooth",
    };
    format!("\n{forward}{reverse}    hint: {hint}\n")
}

fn one_sided(alone: &OneSided, direction: &str, here: &str, there: &str) -> String {
    if alone.entries == 0 {
        return String::new();
    }
    let named = |Mass { index, name, mass }: &Mass| {
        format!("{} {}", entry(*index, name.as_deref()), short(*mass))
    };
    let few: Vec<_> = alone.heaviest.iter().take(NAMED).map(named).collect();
    let list = match few.len() {
        0 => String::new(),
        all if all == alone.entries => format!(": {}", few.join(", ")),
        _ => format!(": for example {}", few.join(", ")),
    };
    let entries = plural(alone.entries, "entry has", "entries have");
    format!(
        "KL({direction}) is infinite: {entries} mass under {here} ({} in all) and none under {there}{list}\n",
        short(alone.mass)
    )
}

/// `1 entry has`, `2 entries have`.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        count(number as u64),
        if number == 1 { one } else { many }
    )
}

/// `[3]`, or the name, with control characters made visible.
fn entry(index: usize, name: Option<&str>) -> String {
    name.map_or_else(
        || format!("[{index}]"),
        |name| shortened(&name.escape_debug().to_string(), NAME_WIDTH),
    )
}

/// Six decimals, or six digits where decimals would hide them.
pub(super) fn figure(value: f64) -> String {
    let text = match value.abs() {
        f64::INFINITY => "∞".to_owned(),
        0.0 => "0".to_owned(),
        size if (1e-3..1e7).contains(&size) => format!("{size:.6}"),
        size => format!("{size:.5e}"),
    };
    if value < 0.0 {
        format!("−{text}")
    } else {
        text
    }
}

pub(super) fn row(name: &str, cells: &[&str]) -> Vec<String> {
    std::iter::once(name)
        .chain(cells.iter().copied())
        .map(str::to_owned)
        .collect()
}
