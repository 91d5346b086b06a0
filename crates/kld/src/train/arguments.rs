//! The settings of a training as they are told on the command line.

use anyhow::{anyhow, ensure};
use clap::{Args, ValueEnum};
use kld_train::{
    Lora, Loss, Objective, Optimizer, Penalty, Sampling, Schedule, Settings, Shape, Tail,
};

use crate::args::positive;

/// What is minimised, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct SettingsArgs {
    /// The divergence that is minimised: kl (covers the teacher), reverse-kl (seeks its modes), jeffreys, js, js:β, skew:α,
    /// reverse-skew:α or tv
    #[arg(long, default_value_t = Loss::KL, value_name = "LOSS")]
    loss: Loss,

    /// Mix in cross-entropy with the text, e.g. ce:0.3: 0.7 · divergence + 0.3 · cross-entropy
    #[arg(long, value_name = "ce:SHARE", value_parser = mix)]
    mix: Option<f64>,

    /// Divide the logits of both by it before the softmax; the divergence is then multiplied by its square, so that gradients keep
    /// their size
    #[arg(long, default_value_t = 1.0, value_name = "T", value_parser = above_zero)]
    temperature: f64,

    /// Leave the factor T² away
    #[arg(long)]
    without_t_squared: bool,

    /// What stands for the tokens that a recording by --keep top-k has not kept: their mass spread evenly (uniform), one outcome of
    /// teacher and student (lump), or nothing (renormalize)
    #[arg(long, value_enum, default_value = "uniform", value_name = "TAIL")]
    tail: TailName,

    /// Know the teacher by N tokens drawn of each of its rows: the gradient of kl then has the exact mean, and noise. N:POWER draws from
    /// its POWER-th power, with weights
    #[arg(long, value_name = "N[:POWER]", conflicts_with = "tail")]
    sampled: Option<Sampling>,

    /// Let the student go on with so large a share of the windows itself, from their middle, and learn by reverse-kl on what it wrote
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = share)]
    on_policy: f64,

    /// Let low-rank adapters learn instead of the weights: rank=8, or `rank=8,alpha=16,targets=q_proj|v_proj`; they are merged
    /// where the model is written
    #[arg(long, value_name = "rank=N[,…]", conflicts_with = "freeze")]
    lora: Option<Lora>,

    /// adamw, adamw:β1,β2, sgd, or sgd:MOMENTUM
    #[arg(long, default_value = "adamw", value_name = "RULE", value_parser = optimizer)]
    optimizer: Optimizer,

    /// The learning rate at its peak
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", value_parser = above_zero)]
    rate: f64,

    /// How the rate goes after warm-up: constant, linear, cosine, wsd (stable, then down over the last fifth) or wsd:SHARE
    #[arg(long, default_value = "cosine", value_name = "SHAPE", value_parser = shape)]
    schedule: Shape,

    /// Steps in which the rate climbs to its peak [default: a twentieth of all]
    #[arg(long, value_name = "STEPS")]
    warmup: Option<u64>,

    /// Share of the peak at the end
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", value_parser = share)]
    rate_floor: f64,

    /// Pull weights towards zero: l2:0.1 (weight decay), l1:1e-4 (makes exact zeros), l2-coupled:…, l1-coupled:… (in the loss); for
    /// matrices, or with @PATTERN for weights of such names
    #[arg(long, value_name = "KIND:STRENGTH[@PATTERN]")]
    penalty: Vec<Penalty>,

    /// The largest norm of a step's gradient; 0 for no limit
    #[arg(long, default_value_t = 1.0, value_name = "NORM", value_parser = not_negative)]
    clip: f64,

    /// Leave weights as they are, e.g. 'model.embed*'; * stands for any text
    #[arg(long, value_name = "PATTERN")]
    freeze: Vec<String>,

    /// The probability of dropout wherever the student's family has it; 0 for none [default: as its config.json says, like Transformers]
    #[arg(long, value_name = "RATE", value_parser = dropout)]
    dropout: Option<f64>,

    /// Steps [default: as many as visit each window once]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,

    /// How often each window is visited
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = above_zero, conflicts_with = "steps")]
    epochs: f64,

    /// Windows per step. Each is run alone and gradients are added up, so a large batch takes no more memory than a small one
    #[arg(long, default_value_t = 8, value_name = "WINDOWS", value_parser = positive)]
    batch: usize,

    /// Steps between two evaluations [default: a tenth of all]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    evaluate_every: Option<u64>,

    /// At most so many windows are evaluated, of the held-out text and of the training text each
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = positive)]
    evaluation_windows: usize,

    /// Steps between two checkpoints; there is one after every evaluation, too
    #[arg(long, default_value_t = 100, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,

    /// Stop after so many evaluations in which held-out text did not improve beyond its own noise, e.g. patience=5
    #[arg(long, value_name = "patience=N", value_parser = patience)]
    early_stop: Option<u32>,
}

impl SettingsArgs {
    /// All settings of a training on so many windows.
    ///
    /// # Errors
    ///
    /// If some of them cannot go together.
    pub(crate) fn settings(&self, windows: usize, seed: u64) -> anyhow::Result<Settings> {
        let visits = self.epochs * windows as f64 / self.batch as f64;
        let steps = self.steps.unwrap_or((visits.ceil() as u64).max(1));
        let warmup = self.warmup.unwrap_or(steps / 20);
        ensure!(
            warmup < steps,
            "--warmup {warmup} leaves none of the {steps} steps at the full rate: expected fewer than the steps"
        );
        let objective = Objective {
            loss: self.loss,
            cross_entropy_share: self.mix.unwrap_or(0.0),
            temperature: self.temperature as f32,
            temperature_squared: !self.without_t_squared,
            tail: self.tail.into(),
            sampling: self.sampled,
        };
        objective.check().map_err(|reason| anyhow!(reason))?;
        Ok(Settings {
            objective,
            on_policy: self.on_policy,
            lora: self.lora.clone(),
            optimizer: self.optimizer,
            schedule: Schedule {
                rate: self.rate,
                warmup,
                shape: self.schedule,
                floor: self.rate_floor,
            },
            penalties: self.penalty.clone(),
            clip: Some(self.clip).filter(|&limit| limit > 0.0),
            freeze: self.freeze.clone(),
            dropout: self.dropout,
            steps,
            batch: self.batch,
            seed,
            evaluate_every: self.evaluate_every.unwrap_or(steps.div_ceil(10)),
            evaluation_windows: self.evaluation_windows,
            checkpoint_every: self.checkpoint_every,
            patience: self.early_stop,
        })
    }
}

/// Names of tails on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TailName {
    Uniform,
    Lump,
    Renormalize,
}

impl From<TailName> for Tail {
    fn from(name: TailName) -> Self {
        match name {
            TailName::Uniform => Self::Uniform,
            TailName::Lump => Self::Lump,
            TailName::Renormalize => Self::Renormalize,
        }
    }
}

/// Reads `adamw`, `adamw:0.9,0.95`, `sgd` or `sgd:0.9`.
fn optimizer(text: &str) -> Result<Optimizer, String> {
    let expected = || {
        format!(
            "expected adamw, adamw:β1,β2, sgd or sgd:MOMENTUM, with constants from 0 to below 1, found {text:?}"
        )
    };
    let (name, constants) = text.split_once(':').unwrap_or((text, ""));
    let number = |number: &str| match number.parse::<f64>() {
        Ok(number) if (0.0..1.0).contains(&number) => Ok(number),
        _ => Err(expected()),
    };
    let constants = constants.split(',').filter(|c| !c.is_empty()).map(number);
    let constants: Vec<f64> = constants.collect::<Result<_, _>>()?;
    match (name, constants[..].as_ref()) {
        ("adamw", []) => Ok(Optimizer::default()),
        ("adamw", &[beta1, beta2]) => Ok(Optimizer::AdamW {
            beta1,
            beta2,
            epsilon: 1e-8,
        }),
        ("sgd", []) => Ok(Optimizer::Sgd { momentum: 0.0 }),
        ("sgd", &[momentum]) => Ok(Optimizer::Sgd { momentum }),
        _ => Err(expected()),
    }
}

/// Reads `constant`, `linear`, `cosine`, `wsd` or `wsd:0.2`.
fn shape(text: &str) -> Result<Shape, String> {
    let expected = || {
        format!(
            "expected constant, linear, cosine, wsd or wsd:SHARE with 0 < SHARE ≤ 1, found {text:?}"
        )
    };
    match text.split_once(':') {
        None => match text {
            "constant" => Ok(Shape::Constant),
            "linear" => Ok(Shape::Linear),
            "cosine" => Ok(Shape::Cosine),
            "wsd" => Ok(Shape::Wsd { decay: 0.2 }),
            _ => Err(expected()),
        },
        Some(("wsd", decay)) => match decay.parse() {
            Ok(decay) if decay > 0.0 && decay <= 1.0 => Ok(Shape::Wsd { decay }),
            _ => Err(expected()),
        },
        Some(_) => Err(expected()),
    }
}

/// Reads `ce:0.3`.
fn mix(text: &str) -> Result<f64, String> {
    let share = text.strip_prefix("ce:").and_then(|s| s.parse().ok());
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("expected ce:SHARE with a share from 0 to 1, found {text:?}"))
}

/// Reads `patience=5` or `5`.
fn patience(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("patience=").unwrap_or(text).parse();
    match number {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!(
            "expected patience=N with N of at least 1, found {text:?}"
        )),
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |x| x > 0.0)
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "a number of at least 0", |x| x >= 0.0)
}

/// A share that leaves something on either side.
pub(crate) fn part(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and below 1", |x| x > 0.0 && x < 1.0)
}

fn share(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to 1", |x| (0.0..=1.0).contains(&x))
}

fn dropout(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to below 1", |x| {
        (0.0..1.0).contains(&x)
    })
}

fn number(text: &str, wanted: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) && fits(number) => Ok(number),
        _ => Err(format!("expected {wanted}, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_people_write_them() {
        assert_eq!(optimizer("sgd:0.9"), Ok(Optimizer::Sgd { momentum: 0.9 }));
        assert_eq!(optimizer("adamw"), Ok(Optimizer::default()));
        assert_eq!(shape("wsd:0.5"), Ok(Shape::Wsd { decay: 0.5 }));
        assert_eq!(
            (mix("ce:0.3"), patience("patience=5"), patience("2")),
            (Ok(0.3), Ok(5), Ok(2))
        );
        assert!(
            ["adam", "adamw:0.9", "sgd:1", "sgd:x"]
                .iter()
                .all(|t| optimizer(t).is_err())
        );
        assert!(
            ["", "wsd:0", "linear:1", "step"]
                .iter()
                .all(|t| shape(t).is_err())
        );
        assert_eq!((dropout("0"), dropout("0.1")), (Ok(0.0), Ok(0.1)));
        assert!(dropout("1").is_err() && dropout("-0.1").is_err());
        assert!(mix("0.3").is_err() && mix("ce:2").is_err() && patience("0").is_err());
    }
}
