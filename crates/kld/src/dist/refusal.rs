//! What to say to somebody whose numbers are not what they should be: what is wrong, how much, and what would mean it.

use std::fmt;

use kld_core::{
    Error,
    digits::short,
    dist::{Divergences, GeneralizedKl, Orders, Scale},
    distribution::{Distribution, Measure},
    sum::sum,
};

use super::{
    prepare::Meaning,
    table::{Pair, Table},
};

/// Two inputs of which at least one was refused.
pub(crate) struct Refusal<'a> {
    pub(crate) meaning: Meaning,
    pub(crate) pair: &'a Pair,
    pub(crate) p: Option<Error>,
    pub(crate) q: Option<Error>,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong: Vec<_> = self
            .sides()
            .map(|(side, _, error)| format!("{side} {error}{}", self.named(error)))
            .collect();
        write!(f, "{}", wrong.join("; "))?;
        let mut lines = self.hints();
        lines.extend(self.remedies());
        lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl Refusal<'_> {
    fn sides(&self) -> impl Iterator<Item = (char, &Table, &Error)> {
        let p = self.p.iter().map(|error| ('P', &self.pair.p, error));
        p.chain(self.q.iter().map(|error| ('Q', &self.pair.q, error)))
    }

    /// The name of the entry that an error is about.
    fn named(&self, error: &Error) -> String {
        let (Error::NotFinite { index, .. }
        | Error::Negative { index, .. }
        | Error::NotACount { index, .. }) = error
        else {
            return String::new();
        };
        let name = self.pair.names.as_ref().and_then(|names| names.get(*index));
        name.map(|name| format!(" (`{name}`)")).unwrap_or_default()
    }

    /// What the refused numbers look like instead, and what to do about it; said once where both sides are alike.
    fn hints(&self) -> Vec<String> {
        let look = |(side, table, error)| self.look(table, error).map(|look| (side, look));
        let looks: Vec<_> = self.sides().filter_map(look).collect();
        match looks.as_slice() {
            [('P', p), ('Q', q)] if p == q => vec![format!("hint: P and Q look like {p}")],
            _ => looks
                .iter()
                .map(|(side, look)| format!("hint: {side} looks like {look}"))
                .collect(),
        }
    }

    fn look(&self, table: &Table, error: &Error) -> Option<String> {
        let numbers = &table.numbers;
        let odd_entry = matches!(
            error,
            Error::Negative { .. } | Error::NotFinite { .. } | Error::NotACount { .. }
        );
        match (self.meaning.scale, error) {
            (Scale::Logits, _) | (_, Error::Empty | Error::NoMass | Error::Overflow) => None,
            (Scale::LogProbs | Scale::Counts, _) if looks_like_probs(numbers) => {
                Some(format!("probabilities: leave out {}", self.flag()))
            }
            (Scale::LogProbs, _) => Some("logits: pass --logits".to_owned()),
            (_, _) if odd_entry => like_logarithms(numbers),
            (Scale::Probs, Error::Sum { sum, .. })
                if *sum > 1.5 && numbers.iter().all(|x| x.fract() == 0.0) =>
            {
                let for_what =
                    "for estimates with intervals, or --normalize for the relative frequencies";
                Some(format!("counts: pass --counts {for_what}"))
            }
            (Scale::Probs, Error::Sum { sum, .. }) if (sum - 100.0).abs() < 1.0 => {
                Some("percentages: pass --normalize".to_owned())
            }
            _ => None,
        }
    }

    fn flag(&self) -> &'static str {
        if self.meaning.scale == Scale::Counts {
            "--counts"
        } else {
            "--log-probs"
        }
    }

    /// What each flag would make of numbers whose only fault is their sum.
    fn remedies(&self) -> Vec<String> {
        let only_the_sum = self
            .sides()
            .all(|(_, _, error)| matches!(error, Error::Sum { .. }));
        if self.meaning.scale != Scale::Probs || !only_the_sum {
            return vec![];
        }
        let (p, q) = (
            Measure::new(self.pair.p.numbers.clone()),
            Measure::new(self.pair.q.numbers.clone()),
        );
        let (Ok(p), Ok(q)) = (p, q) else {
            return vec![];
        };
        let mut lines = vec![bare_sum(&p, &q)];
        if let Ok(kl) = GeneralizedKl::between(&p, &q) {
            lines.push(format!(
                "hint: --generalized if they are meant so: Σ P ln(P/Q) − ΣP + ΣQ = {} nats",
                short(kl.kl)
            ));
        }
        let (p, q) = (Distribution::normalized(p), Distribution::normalized(q));
        if let Ok(d) = Divergences::between(&p, &q, &Orders::default()) {
            lines.insert(
                1,
                format!(
                    "hint: --normalize to divide each side by its sum: KL(P‖Q) = {} nats",
                    short(d.kl)
                ),
            );
        }
        lines
    }
}

/// What numbers with entries below 0 may be.
fn like_logarithms(numbers: &[f64]) -> Option<String> {
    match log_base(numbers) {
        Some((_, 1.0)) => Some("log-probabilities: pass --log-probs".to_owned()),
        Some((base, scale)) => Some(format!(
            "log-probabilities to base {base}: multiply by ln {base} = {} and pass --log-probs",
            short(scale)
        )),
        None if numbers.iter().any(|x| *x < 0.0) => {
            Some("logits, if it is no mistake: pass --logits".to_owned())
        }
        None => None,
    }
}

/// Why the sum that many programs print is not printed here.
fn bare_sum(p: &Measure, q: &Measure) -> String {
    let both = p.masses().iter().zip(q.masses());
    let bare = sum(both.map(|(&p, &q)| if p == 0.0 { 0.0 } else { p * (p / q).ln() }));
    let why = if bare < 0.0 {
        "below 0, which no divergence is"
    } else {
        "and that is no divergence"
    };
    format!(
        "the bare sum Σ P ln(P/Q) would be {} nats: {why}",
        short(bare)
    )
}

/// Whether numbers could be probabilities: from 0 to 1, summing to 1 or nearly so.
pub(crate) fn looks_like_probs(numbers: &[f64]) -> bool {
    numbers.iter().all(|x| (0.0..=1.0).contains(x))
        && (sum(numbers.iter().copied()) - 1.0).abs() < 1e-2
}

/// The base of which the numbers look like logarithms of probabilities, and its natural logarithm.
fn log_base(numbers: &[f64]) -> Option<(&'static str, f64)> {
    if numbers.iter().any(|x| x.is_nan() || *x > 0.0) {
        return None;
    }
    let bases = [
        ("e", 1.0),
        ("2", std::f64::consts::LN_2),
        ("10", std::f64::consts::LN_10),
    ];
    bases
        .into_iter()
        .find(|(_, scale)| (sum(numbers.iter().map(|x| (scale * x).exp())) - 1.0).abs() < 1e-2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_logarithms_is_recognized() {
        let logs = |base: f64| [0.2_f64, 0.3, 0.5].map(|p| p.ln() / base.ln());
        assert_eq!(log_base(&logs(std::f64::consts::E)).unwrap().0, "e");
        assert_eq!(log_base(&logs(2.0)).unwrap().0, "2");
        assert_eq!(log_base(&logs(10.0)).unwrap().0, "10");
        assert_eq!(log_base(&[f64::NEG_INFINITY, 0.0]).unwrap().0, "e");
        assert_eq!(log_base(&[-1.0, -1.0, -1.0, -9.0]), None);
        assert_eq!(log_base(&[1.0, -1.0]), None);
    }

    #[test]
    fn probabilities_are_recognized() {
        assert!(looks_like_probs(&[0.5, 0.5]));
        assert!(!looks_like_probs(&[0.5, 0.6]));
        assert!(!looks_like_probs(&[1.5, -0.5]));
    }
}
