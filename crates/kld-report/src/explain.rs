//! An explanation on a terminal: groups of matrices, and the recipe.

mod csv;

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{Effect, Explanation, Step},
};

use crate::{
    Exporter, Terminal,
    compare::{model, protocol, quantized},
    format::{bytes, fixed, parameters, percent, plain, plus_minus, shortened, significant},
    table::{and_more, bar, layout},
};

/// Groups shown; the JSON has them all.
const SHOWN: usize = 40;

/// Bytes of a megabyte.
const MEGABYTE: f64 = 1e6;

impl Exporter<Explanation> for Terminal {
    fn export(&self, e: &Explanation, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "reference  {}", model(&e.reference))?;
        writeln!(out, "text       {}", protocol(&e.protocol))?;
        if !e.run.complete {
            writeln!(
                out,
                "           stopped early: the numbers cover {} of {} windows",
                e.run.windows_done, e.protocol.windows
            )?;
        }
        write!(
            out,
            "swapped    one {} at a time\n{}",
            e.by,
            quantized(&e.quantized)
        )?;
        writeln!(
            out,
            "control    nothing swapped: KL {}",
            significant(e.control_max_kl)
        )?;
        write!(out, "\n{}", self.groups(e))?;
        write!(out, "\n{}", self.recipe(e))?;
        for warning in &e.warnings {
            writeln!(out, "warning: {}", plain(warning))?;
        }
        Ok(())
    }
}

impl Terminal {
    fn groups(self, e: &Explanation) -> String {
        let head = [
            "swapped alone",
            "parameters",
            "saves",
            "error of W",
            &format!("KL(P‖Q) {}", self.unit.name()),
            "KL of such noise",
            "ratio",
            "top-1 agreement",
            "KL of all groups",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let mut shown: Vec<usize> = (0..e.groups.len()).collect();
        if shown.len() > SHOWN {
            let kl = |index: &usize| e.groups[*index].effect.kl.value;
            shown.sort_by(|a, b| kl(b).total_cmp(&kl(a)));
            shown.truncate(SHOWN);
        }
        let largest = e
            .groups
            .iter()
            .map(|g| g.effect.kl.value)
            .fold(0.0, f64::max);
        for group in shown.iter().map(|index| &e.groups[*index]) {
            let mut row = self.effect(&group.name, &group.effect);
            // Ends the line: bars begin at one column.
            row.push(format!("{:<16}", bar(group.effect.kl.value / largest, 16)));
            rows.push(row);
        }
        let mut sum = vec![String::new(); 4];
        "sum of groups".clone_into(&mut sum[0]);
        sum.push(self.nats(&e.sum_of_groups));
        rows.push(sum);
        rows.push(self.effect("all together", &e.together));
        layout("", &rows) + &and_more(e.groups.len(), SHOWN)
    }

    fn effect(self, name: &str, e: &Effect) -> Vec<String> {
        vec![
            shortened(name, 40),
            parameters(e.parameters),
            saved(e.bytes_saved()),
            format!("{} %", significant(100.0 * e.relative_error)),
            self.nats(&e.kl),
            self.nats(&e.noise_kl),
            ratio(e.kl.value, e.noise_kl.value),
            percent(&e.top1_agreement),
        ]
    }

    fn recipe(self, e: &Explanation) -> String {
        let head = [
            "recipe: least KL per byte first",
            &format!("{} per MB", self.unit.name()),
            "saved so far",
            "size",
            "KL so far",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(
            e.recipe
                .iter()
                .take(SHOWN)
                .filter_map(|step| self.step(step, e)),
        );
        if e.recipe.is_empty() {
            return "no group takes fewer bytes than in P: there is nothing to buy\n".to_owned();
        }
        layout("", &rows)
            + &and_more(e.recipe.len(), SHOWN)
            + "  KL so far adds up the groups; their KLs need not add: compare the sum of groups with all together\n"
    }

    fn step(self, step: &Step, e: &Explanation) -> Option<Vec<String>> {
        let unit = self.unit.per_nat();
        let size = e.reference.bytes.saturating_add_signed(-step.bytes_saved);
        Some(vec![
            shortened(&e.groups.get(step.group)?.name, 40),
            significant(step.kl_per_byte * MEGABYTE * unit),
            saved(step.bytes_saved),
            bytes(size),
            significant(step.kl * unit),
        ])
    }

    fn nats(self, estimate: &Estimate) -> String {
        plus_minus(&self.scaled(estimate))
    }
}

fn saved(bytes_saved: i64) -> String {
    let size = bytes(bytes_saved.unsigned_abs());
    if bytes_saved < 0 {
        format!("−{size}")
    } else {
        size
    }
}

fn ratio(kl: f64, noise: f64) -> String {
    if noise > 0.0 {
        format!("×{}", fixed(kl / noise, 2))
    } else {
        "–".to_owned()
    }
}
