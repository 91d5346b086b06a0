//! A training on a terminal.

use std::io::{self, Write};

use kld_core::result::{CurvePoint, Ended, Gauge, OwnText, Training};

use crate::{
    Exporter, Terminal,
    compare::model,
    format::{count, plus_minus, significant},
    table::layout,
};

/// Evaluations shown; the JSON has them all.
const SHOWN: usize = 20;

impl Exporter<Training> for Terminal {
    fn export(&self, t: &Training, out: &mut dyn Write) -> io::Result<()> {
        if let Some(teacher) = &t.teacher {
            writeln!(out, "teacher    {}", model(teacher))?;
        }
        writeln!(out, "student    {}", model(&t.student))?;
        writeln!(out, "minimised  {}", t.objective)?;
        writeln!(
            out,
            "text       {} windows learnt from, {} held out (fragments: {}), {} tokens counted",
            count(t.training_windows as u64),
            count(t.held_out_windows as u64),
            count(t.held_out_fragments as u64),
            count(t.tokens)
        )?;
        writeln!(out, "steps      {}\n", steps(t))?;
        write!(out, "{}", layout("    ", &self.rows(t)))?;
        writeln!(
            out,
            "\nheld out   {} by {} {}, best at step {}",
            quantity(t.gauge),
            plus_minus(&self.in_unit(&t.change)),
            self.unit.name(),
            count(t.best_step)
        )?;
        if let Some((step, own)) = t.curve.iter().rev().find_map(own_text) {
            writeln!(out, "own text   {} up to step {step}", self.own_text(own))?;
        }
        if let Some(model) = &t.model {
            writeln!(out, "model      {model}")?;
        }
        for warning in &t.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    }
}

/// What was measured of the student's own text before an evaluation.
fn own_text(point: &CurvePoint) -> Option<(u64, &OwnText)> {
    point.own_text.as_ref().map(|own| (point.step, own))
}

impl Terminal {
    fn own_text(self, own: &OwnText) -> String {
        let shown = |estimate| plus_minus(&self.in_unit(estimate));
        format!(
            "KL(Q‖P) {} {}, by drawn tokens k1 {}, k2 {}, k3 {}: {} tokens",
            shown(&own.reverse_kl),
            self.unit.name(),
            shown(&own.k1),
            shown(&own.k2),
            shown(&own.k3),
            count(own.tokens)
        )
    }

    fn rows(self, t: &Training) -> Vec<Vec<String>> {
        let held_out = format!("{} held out", quantity(t.gauge));
        let head = ["step", "rate", "loss", &held_out, "training", "gap", ""];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        // The first and the last, and what lies evenly between; the best one always.
        let every = t.curve.len().div_ceil(SHOWN).max(1);
        let last = t.curve.len().saturating_sub(1);
        let is_shown = |(index, point): &(usize, &CurvePoint)| {
            index.is_multiple_of(every) || *index == last || point.step == t.best_step
        };
        let shown = t.curve.iter().enumerate().filter(is_shown);
        rows.extend(shown.map(|(_, point)| self.row(point, point.step == t.best_step)));
        rows
    }

    fn row(self, point: &CurvePoint, is_best: bool) -> Vec<String> {
        let number = |value: f64| {
            if value.is_nan() || point.step == 0 {
                "–".to_owned()
            } else {
                significant(value)
            }
        };
        vec![
            count(point.step),
            number(point.rate),
            number(point.loss),
            plus_minus(&self.in_unit(&point.held_out)),
            plus_minus(&self.in_unit(&point.training)),
            plus_minus(&self.in_unit(&point.gap)),
            if is_best { "best" } else { "" }.to_owned(),
        ]
    }
}

fn quantity(gauge: Gauge) -> &'static str {
    match gauge {
        Gauge::Kl => "KL(P‖Q)",
        Gauge::ReverseKl => "KL(Q‖P)",
        Gauge::CrossEntropy => "cross-entropy",
    }
}

fn steps(t: &Training) -> String {
    let of = format!("{} of {}", count(t.steps), count(t.steps_planned));
    match t.ended {
        Ended::AllSteps => of,
        Ended::EarlyStop => format!("{of}: held-out text improved no more, beyond its noise"),
        Ended::Interrupted => format!("{of}: interrupted"),
    }
}
