//! Which number is which: by name where nobody names it.

use kld_core::series::{Point, Series};

/// What a series is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What is judged: the divergence or loss on held-out text.
    HeldOut,
    /// The same on training text.
    Training,
    /// Held-out less training.
    Gap,
    /// The divergence from the model that a fine-tuning began as.
    Base,
    /// The learning rate.
    Rate,
    /// The norm of the gradient.
    GradientNorm,
    /// Speed.
    TokensPerSecond,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::HeldOut,
        Self::Training,
        Self::Gap,
        Self::Base,
        Self::Rate,
        Self::GradientNorm,
        Self::TokensPerSecond,
    ];

    /// The name of its series, in rules and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HeldOut => "kl_heldout",
            Self::Training => "kl_train",
            Self::Gap => "gap",
            Self::Base => "kl_base",
            Self::Rate => "learning_rate",
            Self::GradientNorm => "gradient_norm",
            Self::TokensPerSecond => "tokens_per_s",
        }
    }

    /// How trainers call it, the surest first; case and the sign between words do not matter.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Self::HeldOut => &[
                "evaluation_held_out",
                "kl_heldout",
                "kl_held_out",
                "heldout_kl",
                "held_out_kl",
                "eval_kl",
                "val_kl",
                "held_out",
                "heldout",
                "heldout_loss",
                "eval_loss",
                "val_loss",
                "valid_loss",
                "validation_loss",
                "dev_loss",
                "test_loss",
                "loss_eval",
                "loss_val",
                "loss_valid",
                "loss_validation",
                "loss_test",
                "epoch_val_loss",
                "evaluation_loss",
                "nll_heldout",
            ],
            Self::Training => &[
                "evaluation_training",
                "kl_train",
                "train_kl",
                "training",
                "train_loss",
                "training_loss",
                "loss_train",
                "loss_training",
                "loss",
                "train_train_loss",
                "epoch_loss",
                "nll_train",
            ],
            Self::Gap => &["evaluation_gap", "gap"],
            Self::Base => &["kl_base", "base_kl"],
            Self::Rate => &[
                "rate",
                "learning_rate",
                "lr",
                "train_learning_rate",
                "train_lr",
            ],
            Self::GradientNorm => &[
                "gradient_norm",
                "grad_norm",
                "train_grad_norm",
                "gradient_norm_before_clipping",
            ],
            Self::TokensPerSecond => &[
                "tokens_per_s",
                "tokens_per_second",
                "train_tokens_per_second",
                "tokens_per_sec",
                "tok_per_s",
            ],
        }
    }
}

/// How a step is called.
pub(crate) const STEPS: [&str; 8] = [
    "step",
    "global_step",
    "steps",
    "iteration",
    "iter",
    "train_step",
    "num_steps",
    "epoch",
];

/// Names given by the user, in place of the usual ones.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The name of the held-out series.
    pub held_out: Option<String>,
    /// The name of the training series.
    pub training: Option<String>,
    /// The name of the step.
    pub step: Option<String>,
}

impl Keys {
    /// The series of a role: by the name given for it, else the first usual one. An error is the name given that is not there.
    pub(crate) fn find<'a>(
        &self,
        role: Role,
        all: &'a [Series],
    ) -> Result<Option<&'a Series>, String> {
        let given = match role {
            Role::HeldOut => &self.held_out,
            Role::Training => &self.training,
            _ => &None,
        };
        if let Some(name) = given {
            let found = all.iter().find(|series| series.key == *name);
            return found.map(Some).ok_or_else(|| name.clone());
        }
        let called = |name: &&str| all.iter().find(|series| plain(&series.key) == **name);
        Ok(role.usual().iter().find_map(called))
    }
}

/// A name in small letters, with `_` between its words.
pub(crate) fn plain(name: &str) -> String {
    let sign = |c: char| match c {
        '/' | '.' | '-' | ' ' | ':' => '_',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(sign).collect()
}

/// Held-out less training: at every held-out point that has training points since the one before it, less their mean.
pub(crate) fn gap(held_out: &Series, training: &Series) -> Series {
    let mut since = f64::NEG_INFINITY;
    let mut points = Vec::new();
    for point in &held_out.points {
        let meanwhile = training.points.iter();
        let meanwhile = meanwhile.filter(|p| p.step > since && p.step <= point.step);
        let (count, sum) = meanwhile.fold((0, 0.0), |(n, sum), p| (n + 1, sum + p.value));
        if count > 0 {
            points.push(Point::bare(
                point.step,
                point.value - sum / f64::from(count),
            ));
        }
        since = point.step;
    }
    Series::new(Role::Gap.name(), "held-out less training", points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(key: &str, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|(s, v)| Point::bare(*s, *v));
        Series::new(key, key, points.collect())
    }

    #[test]
    fn series_are_known_by_their_usual_names_and_a_given_one_goes_before() {
        let all = ["loss", "Eval/Loss", "val-loss", "train/lr"].map(|k| series(k, &[]));
        let found = |keys: &Keys, role| keys.find(role, &all).unwrap().map(|s| s.key.clone());
        let usual = Keys::default();
        assert_eq!(found(&usual, Role::HeldOut).unwrap(), "Eval/Loss");
        assert_eq!(found(&usual, Role::Training).unwrap(), "loss");
        assert_eq!(found(&usual, Role::Rate).unwrap(), "train/lr");
        assert_eq!(found(&usual, Role::GradientNorm), None);
        let given = |name: &str| Keys {
            held_out: Some(name.to_owned()),
            ..Keys::default()
        };
        assert_eq!(
            found(&given("val-loss"), Role::HeldOut).unwrap(),
            "val-loss"
        );
        assert_eq!(
            given("other").find(Role::HeldOut, &all),
            Err("other".to_owned())
        );
    }

    #[test]
    fn the_gap_is_over_what_was_trained_meanwhile() {
        let held_out = series("h", &[(0.0, 5.0), (10.0, 4.0), (20.0, 3.0)]);
        let training = series("t", &[(5.0, 3.0), (10.0, 2.0), (15.0, 1.0)]);
        let gap = gap(&held_out, &training);
        assert_eq!(gap.points, [Point::bare(10.0, 1.5), Point::bare(20.0, 2.0)]);
    }
}
