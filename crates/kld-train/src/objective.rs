//! What is minimised, for one row: a divergence from the teacher, the cross-entropy of the observed token, or a mix.
//!
//! `L = (1−c)·s·D(P_T‖Q_T) + c·(−ln Q(observed))`, where `P_T` and `Q_T` are the softmax of logits / T. With s = T² the gradient of the
//! divergence keeps its size when the temperature changes (Hinton, Vinyals and Dean 2015); else s = 1. The cross-entropy
//! is always at temperature 1. Without a teacher L = −ln Q(observed).
//!
//! ```
//! use kld_kernels::Kernel;
//! use kld_train::Objective;
//!
//! let (p, q, mut grad) = ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [0.0; 3]);
//! let loss = Objective::default().row(Some(&p), &q, 2, 1.0, Kernel::detect(), &mut grad)?;
//! assert!((loss.total - 1.150_420_8).abs() < 1e-6);
//! assert!(grad[0] > 0.0 && grad[2] < 0.0); // towards less of the first token, more of the last
//! # Ok::<(), kld_kernels::RowFault>(())
//! ```

mod sampled;
mod sparse;

use std::fmt;
use std::str::FromStr;

use kld_core::result::Gauge;
use kld_kernels::divergence::{Divergence, GradientOptions};
use kld_kernels::{Kernel, RowFault};
use serde::{Deserialize, Serialize};

pub(crate) use sampled::LogProbs;
pub use sampled::Sampling;
pub(crate) use sparse::Reduced;
pub use sparse::Tail;

/// A divergence that a student can be drawn along, by its name: `kl`, `reverse-kl`, `jeffreys`, `js`, `js:β`, `skew:α`,
/// `reverse-skew:α` or `tv`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss(Divergence);

impl Loss {
    /// D(P‖Q): the student covers the teacher.
    pub const KL: Self = Self(Divergence::Kl);

    /// D(Q‖P): the student seeks the teacher's modes.
    pub const REVERSE_KL: Self = Self(Divergence::ReverseKl);

    /// The divergence itself.
    #[must_use]
    pub fn divergence(self) -> Divergence {
        self.0
    }

    /// By what a student is judged that this loss draws: by D(Q‖P) where the loss seeks modes, as D(P‖Q) then rises and would call the
    /// beginning the best.
    #[must_use]
    pub fn gauge(self) -> Gauge {
        match self.0 {
            Divergence::ReverseKl | Divergence::ReverseSkewKl { .. } => Gauge::ReverseKl,
            _ => Gauge::Kl,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Divergence::ReverseKl => f.write_str("reverse-kl"),
            Divergence::Jeffreys => f.write_str("jeffreys"),
            Divergence::Js => f.write_str("js"),
            Divergence::GeneralizedJs { beta } => write!(f, "js:{beta}"),
            Divergence::SkewKl { alpha } => write!(f, "skew:{alpha}"),
            Divergence::ReverseSkewKl { alpha } => write!(f, "reverse-skew:{alpha}"),
            Divergence::TotalVariation => f.write_str("tv"),
            _ => f.write_str("kl"),
        }
    }
}

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected kl, reverse-kl, jeffreys, js, js:β, skew:α, reverse-skew:α or tv, with 0 < β < 1 and 0 ≤ α < 1, found {text:?}"
            )
        };
        let (name, parameter) = match text.split_once(':') {
            Some((name, number)) => (name, Some(number.parse::<f64>().map_err(|_| expected())?)),
            None => (text, None),
        };
        let divergence = match (name, parameter) {
            ("kl", None) => Divergence::Kl,
            ("reverse-kl", None) => Divergence::ReverseKl,
            ("jeffreys", None) => Divergence::Jeffreys,
            ("js", None) => Divergence::Js,
            // At either end M is P or Q, and nothing is left to minimise.
            ("js", Some(beta)) if beta > 0.0 && beta < 1.0 => Divergence::GeneralizedJs { beta },
            ("skew", Some(alpha)) if (0.0..1.0).contains(&alpha) => Divergence::SkewKl { alpha },
            ("reverse-skew", Some(alpha)) if (0.0..1.0).contains(&alpha) => {
                Divergence::ReverseSkewKl { alpha }
            }
            ("tv", None) => Divergence::TotalVariation,
            _ => return Err(expected()),
        };
        Ok(Self(divergence))
    }
}

kld_core::serde_as_text!(Loss);

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// D.
    pub loss: Loss,
    /// c, from 0 to 1.
    pub cross_entropy_share: f64,
    /// T, positive and finite.
    pub temperature: f32,
    /// Whether s = T².
    pub temperature_squared: bool,
    /// What stands for the tokens that a recording of the teacher has not kept.
    pub tail: Tail,
    /// How the teacher is known by a few tokens drawn of each of its rows; `None`: by all of them.
    pub sampling: Option<Sampling>,
}

impl Default for Objective {
    /// Forward KL at temperature 1.
    fn default() -> Self {
        Self {
            loss: Loss::KL,
            cross_entropy_share: 0.0,
            temperature: 1.0,
            temperature_squared: true,
            tail: Tail::Uniform,
            sampling: None,
        }
    }
}

/// What one row adds to the loss, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowLoss {
    /// L.
    pub total: f64,
    /// D(`P_T`, `Q_T`); 0 where it has no share.
    pub divergence: f64,
    /// −ln Q(observed); 0 where it has no share.
    pub nll: f64,
}

impl Objective {
    /// What cannot go together in it, if anything.
    ///
    /// # Errors
    ///
    /// Where a divergence would be infinite or biased, in words for people.
    pub fn check(&self) -> Result<(), String> {
        let is_linear_in_p = self.loss == Loss::KL;
        let needs_all_of_p = match self.loss.divergence() {
            Divergence::ReverseKl | Divergence::Jeffreys => true,
            Divergence::ReverseSkewKl { alpha } => alpha == 0.0,
            _ => false,
        };
        if self.sampling.is_some() && !is_linear_in_p {
            return Err(format!(
                "tokens drawn of the teacher give an unbiased gradient of kl alone, not of {}",
                self.loss
            ));
        }
        match self.tail {
            Tail::Lump if self.temperature != 1.0 => Err(
                "a tail that is one outcome has no mass at another temperature than the recording's: use temperature 1, or another tail".to_owned(),
            ),
            Tail::Renormalize if needs_all_of_p => Err(format!(
                "without a tail the teacher gives tokens no probability, and {} is infinite: use kl, js, skew or tv, or another tail",
                self.loss
            )),
            _ => Ok(()),
        }
    }

    /// The loss of one row, and `scale` times its gradient with respect to the student's logits, written to `grad`. The gradient is
    /// finite where the rows are distributions; `p` is the teacher's row, `None` where the text itself teaches.
    ///
    /// # Errors
    ///
    /// The first [`RowFault`], of the teacher before that of the student; `grad` may be changed then.
    ///
    /// # Panics
    ///
    /// If the rows differ in length, or the observed token lies outside them.
    pub fn row(
        &self,
        p: Option<&[f32]>,
        q: &[f32],
        observed: u32,
        scale: f64,
        kernel: Kernel,
        grad: &mut [f32],
    ) -> Result<RowLoss, RowFault> {
        let share = p.map_or(1.0, |_| self.cross_entropy_share);
        let mut loss = RowLoss::default();
        match p.filter(|_| share < 1.0) {
            Some(p) => {
                let weight = (1.0 - share) * self.divergence_scale();
                let options = GradientOptions {
                    temperature: self.temperature,
                    scale: (scale * weight) as f32,
                };
                let d = self.loss.divergence();
                loss.divergence = kernel.value_and_gradient(d, p, q, &options, grad)?;
                loss.total += weight * loss.divergence;
            }
            None => grad.fill(0.0),
        }
        if share > 0.0 {
            loss.nll = add_cross_entropy(q, observed, scale * share, kernel, grad)?;
            loss.total += share * loss.nll;
        }
        Ok(loss)
    }

    /// s.
    fn divergence_scale(&self) -> f64 {
        if self.temperature_squared {
            f64::from(self.temperature).powi(2)
        } else {
            1.0
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.loss)?;
        if self.temperature != 1.0 {
            let squared = if self.temperature_squared {
                ", times T²"
            } else {
                ""
            };
            write!(f, " at temperature {}{squared}", self.temperature)?;
        }
        match self.tail {
            Tail::Uniform => {}
            Tail::Lump => f.write_str(", the tail one outcome")?,
            Tail::Renormalize => f.write_str(", without the tail")?,
        }
        if let Some(sampling) = self.sampling {
            write!(f, ", of {} tokens drawn at each position", sampling.tokens)?;
        }
        if self.cross_entropy_share > 0.0 {
            write!(f, ", mixed with {} cross-entropy", self.cross_entropy_share)?;
        }
        Ok(())
    }
}

/// −ln Q(observed); adds `scale` · (Q − 1[observed]) to `grad`.
fn add_cross_entropy(
    q: &[f32],
    observed: u32,
    scale: f64,
    kernel: Kernel,
    grad: &mut [f32],
) -> Result<f64, RowFault> {
    let single = kernel.single(q, None)?;
    kernel.add_softmax(q, single.log_sum_exp, scale as f32, grad);
    grad[observed as usize] -= scale as f32;
    Ok(single.log_sum_exp - f64::from(q[observed as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_infinite_or_biased_is_refused() {
        let with = |loss: &str, tail, temperature, sampling: Option<&str>| Objective {
            loss: loss.parse().unwrap(),
            tail,
            temperature,
            sampling: sampling.map(|s| s.parse().unwrap()),
            ..Objective::default()
        };
        for fine in [
            with("kl", Tail::Renormalize, 2.0, None),
            with("reverse-kl", Tail::Lump, 1.0, None),
            with("reverse-skew:0.1", Tail::Renormalize, 1.0, None),
            with("kl", Tail::Uniform, 2.0, Some("12:0.8")),
        ] {
            assert_eq!(fine.check(), Ok(()));
        }
        for (refused, told) in [
            (with("kl", Tail::Lump, 2.0, None), "temperature 1"),
            (
                with("jeffreys", Tail::Renormalize, 1.0, None),
                "is infinite",
            ),
            (
                with("js", Tail::Uniform, 1.0, Some("12")),
                "of kl alone, not of js",
            ),
        ] {
            assert!(refused.check().unwrap_err().contains(told));
        }
    }

    #[test]
    fn names_are_read_back_as_they_are_told() {
        for name in [
            "kl",
            "reverse-kl",
            "jeffreys",
            "js",
            "js:0.25",
            "skew:0.1",
            "reverse-skew:0.1",
            "tv",
        ] {
            assert_eq!(name.parse::<Loss>().unwrap().to_string(), name);
        }
        for bad in [
            "",
            "KL",
            "kl:1",
            "js:0",
            "js:1",
            "skew",
            "skew:1",
            "skew:-0.1",
            "tv:x",
        ] {
            assert!(bad.parse::<Loss>().is_err(), "{bad}");
        }
    }
}
