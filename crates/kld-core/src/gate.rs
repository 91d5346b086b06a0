//! A gate: limits that a candidate may not exceed, and one verdict for text, JSON and exit code.
//!
//! Every quantity of a gate is one where more is worse. `top1` is therefore the share of positions whose most likely token
//! *differs*; a limit of one half or more is refused, because it was surely meant as an agreement.
//!
//! ```
//! use kld_core::gate::Gate;
//! assert!("mean=0.01,p99=0.2,top1=0.05".parse::<Gate>().is_ok());
//! assert!("maen=0.01".parse::<Gate>().is_err()); // an unknown name never passes
//! assert!("top1=0.95".parse::<Gate>().is_err());
//! ```

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::result::Candidate;

/// What may be limited: its name, its meaning, and how it is read off a candidate's result.
struct Metric {
    name: &'static str,
    meaning: &'static str,
    read: fn(&Candidate) -> f64,
}

/// All that a gate can limit.
///
/// To add one, add a line.
const METRICS: &[Metric] = &[
    Metric {
        name: "mean",
        meaning: "mean KL(P‖Q), nats",
        read: |c| c.kl.mean.value,
    },
    Metric {
        name: "median",
        meaning: "median KL(P‖Q), nats",
        read: |c| c.kl.median,
    },
    Metric {
        name: "p90",
        meaning: "90 % point of KL(P‖Q), nats",
        read: |c| c.kl.p90,
    },
    Metric {
        name: "p95",
        meaning: "95 % point of KL(P‖Q), nats",
        read: |c| c.kl.p95,
    },
    Metric {
        name: "p99",
        meaning: "99 % point of KL(P‖Q), nats",
        read: |c| c.kl.p99,
    },
    Metric {
        name: "p999",
        meaning: "99.9 % point of KL(P‖Q), nats",
        read: |c| c.kl.p999,
    },
    Metric {
        name: "max",
        meaning: "largest KL(P‖Q), nats",
        read: |c| c.kl.max,
    },
    Metric {
        name: "reverse",
        meaning: "mean KL(Q‖P), nats",
        read: |c| c.reverse_kl.mean.value,
    },
    Metric {
        name: "js",
        meaning: "mean Jensen–Shannon divergence, nats",
        read: |c| c.js.mean.value,
    },
    Metric {
        name: "top1",
        meaning: "share of positions whose top-1 token differs",
        read: |c| 1.0 - c.top1_agreement.value,
    },
    Metric {
        name: "dp-rms",
        meaning: "root mean square of Δp",
        read: |c| c.delta_p.rms.value,
    },
    Metric {
        name: "ppl-ratio",
        meaning: "perplexity of Q over that of P",
        read: |c| c.perplexity.ratio.value,
    },
];

/// Limits given by the user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gate {
    /// Index into [`METRICS`], and the largest value that passes.
    limits: Vec<(usize, f64)>,
}

impl Gate {
    /// Judges a candidate. Nobody passes by what was left out: positions that are not finite fail any gate, and so does a run
    /// that is not `complete` or has measured nothing.
    #[must_use]
    pub fn judge(&self, candidate: &Candidate, complete: bool) -> Verdict {
        let check = |&(metric, limit): &(usize, f64)| {
            let Metric {
                name,
                meaning,
                read,
            } = METRICS[metric];
            let value = read(candidate);
            // A limit is met to twelve digits: 1 − 0.95 is a little more than 0.05. NaN would not pass.
            let passed = value <= limit * (1.0 + 1e-12);
            Check {
                metric: name.to_owned(),
                meaning: meaning.to_owned(),
                value,
                limit,
                passed,
            }
        };
        let checks: Vec<Check> = self.limits.iter().map(check).collect();
        let whole = complete && candidate.not_finite == 0 && candidate.positions > 0;
        Verdict {
            passed: whole && checks.iter().all(|c| c.passed),
            checks,
            not_finite: candidate.not_finite,
            complete,
        }
    }
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let limits = text.split(',').map(limit).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { limits })
    }
}

fn limit(text: &str) -> Result<(usize, f64), GateError> {
    let malformed = || GateError::Form(text.to_owned());
    let (name, value) = text.split_once('=').ok_or_else(malformed)?;
    let name = name.trim();
    let metric = METRICS
        .iter()
        .position(|m| m.name == name)
        .ok_or_else(|| GateError::UnknownMetric(name.to_owned()))?;
    let limit: f64 = value.trim().parse().map_err(|_| malformed())?;
    if !limit.is_finite() || limit < 0.0 {
        return Err(malformed());
    }
    if name == "top1" && limit >= 0.5 {
        return Err(GateError::AgreementForDisagreement(limit));
    }
    Ok((metric, limit))
}

/// A gate that cannot be understood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// Not of the form `name=number`.
    #[error("expected `metric=limit` with a limit ≥ 0, e.g. `mean=0.01`, found {0:?}")]
    Form(String),
    /// No such metric.
    #[error("unknown metric {0:?}; known: {known}", known = METRICS.iter().map(|m| m.name).collect::<Vec<_>>().join(", "))]
    UnknownMetric(String),
    /// `top1` with a limit that was meant the other way.
    #[error(
        "top1 is the share of positions whose most likely token differs: {0} would let nearly everything pass; \
         for an agreement of at least 95 % write top1=0.05"
    )]
    AgreementForDisagreement(f64),
}

/// What the gate said of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Are all limits kept and all positions finite?
    pub passed: bool,
    /// Each limit.
    pub checks: Vec<Check>,
    /// Positions that were not finite; any fails the gate.
    pub not_finite: u64,
    /// Were all windows measured? If not, the gate fails.
    pub complete: bool,
}

/// One limit, and what came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Name of the metric.
    pub metric: String,
    /// What it is, with its unit.
    pub meaning: String,
    /// What came.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// What was allowed.
    pub limit: f64,
    /// Is the value at most the limit?
    pub passed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_checked() {
        assert_eq!(
            "p99=0.2, mean=0".parse::<Gate>().unwrap().limits,
            [(4, 0.2), (0, 0.0)]
        );
        for bad in [
            "",
            "mean",
            "mean=",
            "mean=x",
            "mean=-1",
            "mean=NaN",
            "mean=inf",
            "mean=0.1,",
            "Mean=0.1",
        ] {
            assert!(bad.parse::<Gate>().is_err(), "{bad:?}");
        }
        assert_eq!(
            "kl=1".parse::<Gate>(),
            Err(GateError::UnknownMetric("kl".into()))
        );
    }
}
