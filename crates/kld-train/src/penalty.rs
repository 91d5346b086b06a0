//! Penalties on the size of weights: L1 and L2, as part of the loss or decoupled from it, for some weights or all matrices.

use std::fmt;
use std::str::FromStr;

use kld_models::native::matches;

/// A pull of weights towards zero, told as `l2:0.1`, `l1-coupled:1e-5` or `l2:0.01@*mlp*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalty {
    /// How it pulls.
    pub kind: PenaltyKind,
    /// λ.
    pub strength: f64,
    /// The names that it is for, `*` standing for any text; `None` is every matrix and table, but no norm and no bias.
    pub only: Option<String>,
}

/// How a penalty pulls a weight w at rate η.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PenaltyKind {
    /// After the step |w| becomes smaller by η·λ and stops at 0 (soft threshold): some weights become exactly 0.
    L1,
    /// Before the step w becomes (1 − η·λ)·w: weight decay (Loshchilov and Hutter 2019).
    L2,
    /// λ·|w| stands in the loss: λ·sign(w) is added to the gradient.
    L1Coupled,
    /// λ/2·w² stands in the loss: λ·w is added to the gradient.
    L2Coupled,
}

const NAMES: [(&str, PenaltyKind); 4] = [
    ("l1", PenaltyKind::L1),
    ("l2", PenaltyKind::L2),
    ("l1-coupled", PenaltyKind::L1Coupled),
    ("l2-coupled", PenaltyKind::L2Coupled),
];

impl Penalty {
    /// Whether it is for the weight of this name and shape.
    #[must_use]
    pub fn is_for(&self, name: &str, shape: &[usize]) -> bool {
        match &self.only {
            Some(pattern) => matches(pattern, name),
            None => shape.len() > 1,
        }
    }

    /// What is added to the gradient.
    pub(crate) fn add_gradient(&self, weights: &[f32], gradient: &mut [f32]) {
        let strength = self.strength as f32;
        let pull: fn(f32) -> f32 = match self.kind {
            PenaltyKind::L1Coupled => sign,
            PenaltyKind::L2Coupled => |w| w,
            _ => return,
        };
        for (gradient, &weight) in gradient.iter_mut().zip(weights) {
            *gradient += strength * pull(weight);
        }
    }

    /// What is done before a step of the optimizer.
    pub(crate) fn before(&self, rate: f64, weights: &mut [f32]) {
        if self.kind == PenaltyKind::L2 {
            let keep = (1.0 - rate * self.strength) as f32;
            for w in weights {
                *w *= keep;
            }
        }
    }

    /// What is done after it.
    pub(crate) fn after(&self, rate: f64, weights: &mut [f32]) {
        if self.kind == PenaltyKind::L1 {
            let by = (rate * self.strength) as f32;
            let shrunk = |w: f32| w.signum() * (w.abs() - by).max(0.0);
            for w in weights {
                *w = shrunk(*w);
            }
        }
    }
}

fn sign(w: f32) -> f32 {
    if w == 0.0 { 0.0 } else { w.signum() }
}

impl fmt::Display for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, kind)| *kind == self.kind);
        write!(f, "{}:{}", name.map_or("", |(name, _)| name), self.strength)?;
        self.only
            .as_ref()
            .map_or(Ok(()), |only| write!(f, "@{only}"))
    }
}

impl FromStr for Penalty {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected KIND:STRENGTH or KIND:STRENGTH@PATTERN with KIND l1, l2, l1-coupled or l2-coupled, such as l2:0.1, found {text:?}"
            )
        };
        let (kind, rest) = text.split_once(':').ok_or_else(expected)?;
        let (strength, only) = match rest.split_once('@') {
            Some((strength, only)) => (strength, Some(only.to_owned())),
            None => (rest, None),
        };
        let kind = NAMES.iter().find(|(name, _)| *name == kind);
        let strength: f64 = strength.parse().map_err(|_| expected())?;
        if !(strength.is_finite() && strength >= 0.0) {
            return Err(expected());
        }
        Ok(Self {
            kind: kind.ok_or_else(expected)?.1,
            strength,
            only,
        })
    }
}

kld_core::serde_as_text!(Penalty);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_are_read_back_as_they_are_told() {
        for text in ["l2:0.1", "l1-coupled:0.00001", "l1:0.5@*mlp*"] {
            assert_eq!(text.parse::<Penalty>().unwrap().to_string(), text);
        }
        for bad in ["l2", "l3:1", "l2:-1", "l2:x", "l2:inf"] {
            assert!(bad.parse::<Penalty>().is_err(), "{bad}");
        }
    }

    #[test]
    fn matrices_are_meant_unless_names_are_given() {
        let all: Penalty = "l2:1".parse().unwrap();
        assert!(all.is_for("a.weight", &[2, 3]) && !all.is_for("norm.weight", &[3]));
        let some: Penalty = "l2:1@norm*".parse().unwrap();
        assert!(!some.is_for("a.weight", &[2, 3]) && some.is_for("norm.weight", &[3]));
    }

    #[test]
    fn the_soft_threshold_makes_exact_zeros() {
        let penalty: Penalty = "l1:0.5".parse().unwrap();
        let mut weights = [1.0, -0.25, 0.25, -2.0];
        penalty.after(1.0, &mut weights);
        assert_eq!(weights, [0.5, 0.0, 0.0, -1.5]);
    }
}
