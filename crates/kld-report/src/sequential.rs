//! How a run has ended that was to stop when it knew enough.

use kld_core::{
    estimate::Estimate,
    result::{Candidate, Comparison},
    sequential::{FIRST_LOOK, Sequential, Until},
};

use crate::{
    Terminal,
    format::{count, fixed, shortened, significant},
    names::short_names,
    ranking::NAME_WIDTH,
    table::layout,
};

impl Terminal {
    /// What was asked for, what was reached, and each candidate's interval; nothing where the run was not to stop by itself.
    pub(crate) fn sequential(self, result: &Comparison) -> String {
        let Some(run) = &result.sequential else {
            return String::new();
        };
        let head = [
            "",
            &format!("KL(P‖Q) {}", self.unit.name()),
            "95 % at every look",
            "half width",
            "95 % at one look",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let pairs = run.intervals.iter().zip(&result.candidates);
        let named = pairs.zip(short_names(&result.candidates));
        rows.extend(named.map(|((interval, c), name)| self.known_to(run, interval, name, c)));
        let state = match (run.reached, result.run.complete) {
            (true, _) => "reached",
            (false, true) => "NOT reached",
            (false, false) => "not reached yet",
        };
        let first = if run.windows < FIRST_LOOK {
            format!(" (the first look is after {FIRST_LOOK})")
        } else {
            String::new()
        };
        format!(
            "until      ±{} {state} after {} of {} windows, {} tokens{first}\n{}",
            self.half_width(run.requested, run.requested.target()),
            count(run.windows as u64),
            count(result.protocol.windows as u64),
            count(run.tokens as u64),
            layout("", &rows)
        )
    }

    fn known_to(
        self,
        run: &Sequential,
        interval: &Estimate,
        name: &str,
        c: &Candidate,
    ) -> Vec<String> {
        let range = |e: &Estimate| {
            let ends = self.scaled(e);
            ends.low
                .zip(ends.high)
                .map_or("–".to_owned(), |(low, high)| {
                    format!("{} – {}", significant(low), significant(high))
                })
        };
        let half = run.requested.half_width(interval);
        vec![
            shortened(name, NAME_WIDTH),
            significant(interval.value * self.unit.per_nat()),
            range(interval),
            half.map_or("–".to_owned(), |half| {
                format!("±{}", self.half_width(run.requested, half))
            }),
            range(&c.kl.mean),
        ]
    }

    /// A half width in the terms in which it was asked for.
    fn half_width(self, requested: Until, half: f64) -> String {
        match requested {
            Until::Relative(_) => format!("{} % of the mean", fixed(100.0 * half, 2)),
            Until::Absolute(_) => format!(
                "{} {}",
                significant(half * self.unit.per_nat()),
                self.unit.name()
            ),
        }
    }
}
