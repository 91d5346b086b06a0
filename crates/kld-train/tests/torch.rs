//! Losses, gradients and steps against PyTorch (`golden/train/generate.py`), and against finite differences.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use kld_kernels::{Isa, Kernel};
use kld_models::native::{DifferentiableModel, Gradients, LoadOptions, NativeModel};
use kld_models::{Tokenizer, Window, tensor_file};
use kld_testkit::tiny_model;
use kld_train::{
    Adapters, Example, Learned, Lora, Moments, Objective, Optimizer, Schedule, Shape, Teaching,
    Update, clip, learn,
};
use proptest::prelude::*;
use serde::Deserialize;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/train")
        .join(name)
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    serde_json::from_str(&fs::read_to_string(golden(name)).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Losses {
    p: Vec<Vec<f32>>,
    q: Vec<Vec<f32>>,
    observed: Vec<u32>,
    mask: Vec<bool>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    loss: String,
    temperature: f32,
    temperature_squared: bool,
    cross_entropy_share: f64,
    value: f64,
    gradient: Vec<Vec<f64>>,
}

impl Case {
    fn objective(&self) -> Objective {
        Objective {
            loss: self.loss.parse().unwrap(),
            cross_entropy_share: self.cross_entropy_share,
            temperature: self.temperature,
            temperature_squared: self.temperature_squared,
            ..Objective::default()
        }
    }
}

#[test]
fn every_loss_has_the_value_and_gradient_of_autograd() {
    let golden: Losses = read("losses.json");
    let counted = golden.mask.iter().filter(|&&counts| counts).count() as f64;
    assert_eq!(golden.cases.len(), 40);
    for case in &golden.cases {
        let told = format!("{} with temperature {}", case.loss, case.temperature);
        let mut value = 0.0;
        for (row, p) in golden.p.iter().enumerate() {
            let (q, mut grad) = (&golden.q[row], vec![0.0; p.len()]);
            if golden.mask[row] {
                let (scale, kernel) = (1.0 / counted, Kernel::detect());
                let loss = case.objective().row(
                    Some(p),
                    q,
                    golden.observed[row],
                    scale,
                    kernel,
                    &mut grad,
                );
                value += loss.unwrap().total / counted;
            }
            let size = case.gradient[row]
                .iter()
                .fold(0.0, |top, g| f64::max(top, g.abs()));
            for (found, expected) in grad.iter().zip(&case.gradient[row]) {
                let off = (f64::from(*found) - expected).abs();
                assert!(
                    off <= 1e-6 * size,
                    "{told}, row {row}: {found} for {expected}"
                );
            }
        }
        assert!(
            (value - case.value).abs() <= 1e-6 * case.value.abs(),
            "{told}: {value} for {}",
            case.value
        );
    }
}

#[derive(Deserialize)]
struct Steps {
    windows: Vec<Vec<u32>>,
    batch: usize,
    scored_from: usize,
    runs: std::collections::BTreeMap<String, Run>,
}

#[derive(Deserialize)]
struct Run {
    loss: String,
    temperature: f32,
    share: f64,
    rate: f64,
    warmup: u64,
    clip: f64,
    l2: f64,
    l1: f64,
    lora: Option<Lora>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    norm: f64,
}

fn student() -> DifferentiableModel {
    let path = tiny_model("llama");
    DifferentiableModel::open(&path, Tokenizer::from_folder(&path).unwrap()).unwrap()
}

fn teacher() -> NativeModel {
    let path = tiny_model("llama-scaled");
    let tokenizer = Tokenizer::from_folder(&path).unwrap();
    NativeModel::open_folder(&path, tokenizer, &LoadOptions::default()).unwrap()
}

fn example(tokens: &[u32], scored_from: usize) -> Example {
    Example::from(Window {
        fragment: 0,
        input: tokens.to_vec(),
        replaced: None,
        scored: scored_from..tokens.len() - 1,
    })
}

#[test]
fn steps_of_both_optimizers_are_those_of_pytorch() {
    let golden: Steps = read("steps.json");
    for (name, run) in &golden.runs {
        let (mut student, teacher, mut moments) = (student(), teacher(), Moments::default());
        let mut adapters = run.adapters(name, &mut student);
        let teaching = Teaching {
            teacher: Some(&teacher),
            objective: Objective {
                loss: run.loss.parse().unwrap(),
                cross_entropy_share: run.share,
                temperature: run.temperature,
                temperature_squared: true,
                ..Objective::default()
            },
            columns: 96,
            kernel: Kernel::detect(),
            own_text: false,
            seed: 0,
        };
        let schedule = Schedule {
            rate: run.rate,
            warmup: run.warmup,
            shape: Shape::Constant,
            floor: 0.0,
        };
        let (optimizer, decay) = if name == "sgd" {
            (Optimizer::Sgd { momentum: 0.9 }, "l2-coupled")
        } else {
            let (beta1, beta2, epsilon) = (0.9, 0.95, 1e-8);
            (
                Optimizer::AdamW {
                    beta1,
                    beta2,
                    epsilon,
                },
                "l2",
            )
        };
        let penalties = [
            format!("{decay}:{}", run.l2),
            format!("l1-coupled:{}", run.l1),
        ];
        let penalties = penalties.map(|penalty| penalty.parse().unwrap());
        for (step, expected) in run.steps.iter().enumerate() {
            let windows = &golden.windows[step * golden.batch..(step + 1) * golden.batch];
            let examples = windows.iter().map(|w| example(w, golden.scored_from));
            let examples: Vec<Example> = examples.collect();
            let counted: usize = examples.iter().map(Example::counted).sum();
            let mut learned = Learned::default();
            for (number, example) in examples.iter().enumerate() {
                let scale = 1.0 / counted as f64;
                let one = learn(&student, &teaching, number, example, scale).unwrap();
                learned.add(vec![one], 1);
            }
            if let Some(adapters) = &adapters {
                learned.gradients = adapters.gradients(&learned.gradients);
            }
            let norm = clip(&mut learned.gradients, Some(run.clip));
            let loss = learned.loss / counted as f64;
            assert!(
                (loss - expected.loss).abs() < 1e-5 * expected.loss,
                "{name} {step}: {loss}"
            );
            assert!(
                (norm - expected.norm).abs() < 1e-4 * expected.norm,
                "{name} {step}: {norm}"
            );
            let update = Update {
                optimizer,
                penalties: &penalties,
                rate: schedule.at(step as u64, run.steps.len() as u64),
                step: step as u64 + 1,
            };
            let gradients = &mut learned.gradients;
            match &mut adapters {
                Some(adapters) => adapters.apply(&update, &mut student, gradients, &mut moments),
                None => update.apply(&mut student, gradients, &mut moments),
            }
        }
        let (expected, found) = match &adapters {
            Some(adapters) => (part("lora", "last/"), adapters.factors().clone()),
            None => (part(name, ""), student.weights()),
        };
        assert_eq!(found.len(), expected.len());
        for (weight, values) in &expected {
            let pairs = found[weight].iter().zip(values);
            let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-5, "{name}: {weight} is off by {off}");
        }
    }
}

/// The tensors of a run's file whose names begin so, by the rest of their names.
fn part(run: &str, beginning: &str) -> Gradients {
    let (all, _) = tensor_file::read(&golden(&format!("{run}.safetensors"))).unwrap();
    let named =
        |(name, values): (String, _)| Some((name.strip_prefix(beginning)?.to_owned(), values));
    all.into_iter().filter_map(named).collect()
}

impl Run {
    /// The adapters that the run began with.
    fn adapters(&self, name: &str, student: &mut DifferentiableModel) -> Option<Adapters> {
        let lora = self.lora.as_ref()?;
        let mut adapters = Adapters::new(lora, student, 0).unwrap();
        // Two targets in each of two layers, each with A and B.
        assert_eq!(adapters.factors().len(), 8);
        adapters.set_factors(part(name, "first/"), student).unwrap();
        Some(adapters)
    }
}

#[test]
fn a_windows_gradient_is_that_of_finite_differences() {
    let teacher = teacher();
    let mut example = example(&[3, 14, 15, 92, 65, 35, 89, 79, 32, 38], 2);
    example.mask = Some(vec![true, false, true, true, false, true, true]);
    for loss in [
        "kl",
        "reverse-kl",
        "jeffreys",
        "js:0.3",
        "skew:0.2",
        "reverse-skew:0.2",
    ] {
        let teaching = Teaching {
            teacher: Some(&teacher),
            objective: Objective {
                loss: loss.parse().unwrap(),
                cross_entropy_share: 0.25,
                temperature: 2.0,
                temperature_squared: true,
                ..Objective::default()
            },
            columns: 96,
            kernel: Kernel::detect(),
            own_text: false,
            seed: 0,
        };
        // An outer gradient that is not 1.
        let scale = 0.3;
        let mut student = student();
        let at =
            |student: &DifferentiableModel| learn(student, &teaching, 0, &example, scale).unwrap();
        let learned = at(&student);
        assert_eq!(learned.counted, 5);
        // Along a direction in which all weights change, by so little that f32 still tells it apart.
        let direction = |name: &str, i: usize| (((i * 31 + name.len()) % 17) as f32 - 8.0) / 8.0;
        let mut moved = |by: f32| {
            let step = |name: &str, _: &[usize], weights: &mut [f32]| {
                let weights = weights.iter_mut().enumerate();
                weights.for_each(|(i, w)| *w += by * direction(name, i));
            };
            student.update(step);
            let loss = at(&student).loss;
            student.update(|n, _, w| {
                w.iter_mut()
                    .enumerate()
                    .for_each(|(i, w)| *w -= by * direction(n, i));
            });
            loss
        };
        let step = 5e-4;
        let slope = scale * (moved(step) - moved(-step)) / f64::from(2.0 * step);
        let along = |gradients: &Gradients| -> f64 {
            let one = |(name, gradient): (&String, &Vec<f32>)| -> f64 {
                let parts = gradient.iter().enumerate();
                parts.map(|(i, g)| f64::from(g * direction(name, i))).sum()
            };
            gradients.iter().map(one).sum()
        };
        let expected = along(&learned.gradients);
        assert!(
            (slope - expected).abs() < 5e-3 * expected.abs(),
            "{loss}: {slope} for {expected}"
        );
    }
}

proptest! {
    #[test]
    fn a_rows_gradient_is_that_of_finite_differences(
        p in prop::collection::vec(-4.0f32..4.0, 5),
        q in prop::collection::vec(-4.0f32..4.0, 5),
        which in 0usize..7,
        temperature in 0.5f32..3.0,
        share in 0.0f64..1.0,
        scale in 0.1f64..2.0,
    ) {
        let name = ["kl", "reverse-kl", "jeffreys", "js", "js:0.2", "skew:0.1", "reverse-skew:0.1"][which];
        let objective = Objective {
            loss: name.parse().unwrap(),
            cross_entropy_share: share,
            temperature,
            temperature_squared: true,
            ..Objective::default()
        };
        // Differences of values need all the digits of f64.
        let exact = Kernel::with_isa(Isa::Scalar).unwrap();
        let loss = |q: &[f32], grad: &mut [f32]| {
            objective.row(Some(&p), q, 1, scale, exact, grad).unwrap().total
        };
        let mut gradient = vec![0.0; 5];
        objective.row(Some(&p), &q, 1, scale, Kernel::detect(), &mut gradient).unwrap();
        for i in 0..5 {
            let moved = |by: f32| {
                let mut q = q.clone();
                q[i] += by;
                (f64::from(q[i]), loss(&q, &mut [0.0; 5]))
            };
            let ((below, less), (above, more)) = (moved(-2e-3), moved(2e-3));
            let slope = scale * (more - less) / (above - below);
            prop_assert!((slope - f64::from(gradient[i])).abs() < 2e-4, "{name} {i}: {slope} {}", gradient[i]);
        }
    }

    #[test]
    fn a_gradient_of_logits_sums_to_zero_and_text_alone_is_cross_entropy(
        p in prop::collection::vec(-8.0f32..8.0, 40),
        q in prop::collection::vec(-8.0f32..8.0, 40),
        share in 0.0f64..1.0,
    ) {
        let objective = Objective { cross_entropy_share: share, ..Objective::default() };
        let mut grad = vec![7.0; 40];
        objective.row(Some(&p), &q, 3, 1.0, Kernel::detect(), &mut grad).unwrap();
        prop_assert!(grad.iter().sum::<f32>().abs() < 1e-5);
        let text = objective.row(None, &q, 3, 1.0, Kernel::detect(), &mut grad).unwrap();
        let nll = Kernel::detect().log_sum_exp(&q).unwrap() - f64::from(q[3]);
        prop_assert!((text.total - nll).abs() < 1e-12 && text.divergence == 0.0);
    }
}
