//! Every family against Hugging Face Transformers, from folders and from GGUF files.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kld_models::native::{DifferentiableModel, Gradients, LoadOptions, NativeModel, Pass};
use kld_models::{LogitSource, Tokenizer};
use kld_testkit::{expected, largest_difference, tiny_model};

/// How far a logit may be from Transformers', relative to the largest of its row.
const TOLERANCE: f32 = 1e-4;

const FOLDERS: [&str; 7] = [
    "llama",
    "llama-scaled",
    "llama-linear",
    "mistral",
    "qwen2",
    "qwen3",
    "gpt2",
];
const GGUFS: [&str; 5] = ["llama", "llama-scaled", "qwen2", "qwen3", "gpt2"];

fn folder(name: &str, options: &LoadOptions) -> NativeModel {
    let path = tiny_model(name);
    NativeModel::open_folder(&path, Tokenizer::from_folder(&path).unwrap(), options).unwrap()
}

fn gguf(name: &str, options: &LoadOptions) -> NativeModel {
    let tokenizer = Tokenizer::from_folder(tiny_model(name)).unwrap();
    NativeModel::open_gguf(&tiny_model(name).join("model.gguf"), tokenizer, options).unwrap()
}

fn logits(model: &NativeModel, tokens: &[u32]) -> Vec<f32> {
    let mut rows = Vec::new();
    model
        .forward(tokens)
        .unwrap()
        .rows(0..tokens.len(), &mut rows)
        .unwrap();
    rows
}

fn assert_agrees(name: &str, model: &NativeModel) {
    let expected = expected(name);
    assert_eq!(model.vocabulary(), expected.vocabulary);
    let found = logits(model, &expected.tokens);
    let difference = largest_difference(&found, &expected.logits.concat(), expected.vocabulary);
    assert!(
        difference <= TOLERANCE,
        "{name}: {difference:e} of the row's scale from Transformers"
    );
}

#[test]
fn folders_of_every_family_agree_with_transformers() {
    for name in FOLDERS {
        assert_agrees(name, &folder(name, &LoadOptions::default()));
    }
}

#[test]
fn gguf_files_of_every_family_agree_with_transformers() {
    for name in GGUFS {
        assert_agrees(name, &gguf(name, &LoadOptions::default()));
    }
}

#[test]
fn a_memory_limit_changes_the_compute_text_and_no_bit() {
    let limited = LoadOptions {
        memory_limit_bytes: Some(1000),
        ..LoadOptions::default()
    };
    for name in FOLDERS {
        let (held, made) = (
            folder(name, &LoadOptions::default()),
            folder(name, &limited),
        );
        assert_ne!(held.card().compute, made.card().compute);
        let tokens = expected(name).tokens;
        assert_eq!(logits(&held, &tokens), logits(&made, &tokens), "{name}");
    }
}

#[test]
fn the_differentiable_model_gives_the_logits_of_the_plain_one() {
    for name in FOLDERS {
        let model = differentiable(name);
        let tokens = expected(name).tokens;
        let mut found = Vec::new();
        let window = model.forward(&tokens).unwrap();
        window.rows(0..tokens.len(), &mut found).unwrap();
        let plain = logits(&folder(name, &LoadOptions::default()), &tokens);
        assert!(
            largest_difference(&found, &plain, 96) < 1e-5,
            "{name}: the two arithmetics differ"
        );
    }
}

/// For each weight the norm of its gradient, the product of the gradient with [`wave`], and the norm of that
/// (`golden/train/generate.py`).
type Told = BTreeMap<String, BTreeMap<String, [f64; 3]>>;

/// Whole numbers from −half to half, over half, that do not repeat as rows do.
fn wave(count: usize, period: usize, half: f64) -> impl Iterator<Item = f64> {
    (0..count).map(move |k| ((k * 7 % period) as f64 - half) / half)
}

fn differentiable(name: &str) -> DifferentiableModel {
    let path = tiny_model(name);
    DifferentiableModel::open(&path, Tokenizer::from_folder(&path).unwrap()).unwrap()
}

/// The gradients of the sum of all logits, each times its value of a wave.
fn pulled(mut pass: Pass<'_>) -> Gradients {
    let mut logits = Vec::new();
    pass.rows(0..pass.positions(), &mut logits);
    let pull: Vec<f32> = wave(logits.len(), 13, 6.0).map(|x| x as f32).collect();
    pass.pull(0..pass.positions(), &pull);
    pass.gradients().unwrap()
}

#[test]
fn every_weight_of_every_family_has_the_gradient_of_autograd() {
    agree_with_autograd("gradients.json", |name, tokens| {
        pulled(differentiable(name).pass(tokens).unwrap())
    });
}

#[test]
fn with_dropout_too_they_have_the_gradient_of_autograd() {
    agree_with_autograd("dropout.json", |name, tokens| {
        let mut model = differentiable(name);
        model.set_dropout(0.2).unwrap();
        pulled(model.dropping_pass(tokens, 7).unwrap())
    });
}

fn agree_with_autograd(file: &str, gradients: impl Fn(&str, &[u32]) -> Gradients) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/train");
    let told = fs::read_to_string(golden.join(file)).unwrap();
    let told: Told = serde_json::from_str(&told).unwrap();
    for name in FOLDERS {
        let gradients = gradients(name, &expected(name).tokens);
        assert_eq!(gradients.len(), told[name].len(), "{name}");
        for (weight, gradient) in gradients {
            let found = told[name].iter().find(|(long, _)| long.ends_with(&weight));
            let (_, &[norm, product, size]) = found.unwrap();
            let squares = gradient.iter().map(|&g| f64::from(g).powi(2));
            let ours = squares.sum::<f64>().sqrt();
            let pairs = gradient.iter().zip(wave(gradient.len(), 11, 5.0));
            let along: f64 = pairs.map(|(&g, d)| f64::from(g) * d).sum();
            // Softmax does not see what all keys share, so the gradient of their bias is zero but for rounding.
            let least = if weight.ends_with("k_proj.bias") {
                1.0
            } else {
                norm
            };
            assert!(
                (ours - norm).abs() <= 2e-5 * least,
                "{name}: the gradient of {weight} has the norm {ours}, not {norm}"
            );
            assert!(
                (along - product).abs() <= 2e-5 * least * size,
                "{name}: the gradient of {weight} is {along} along the wave, not {product}"
            );
        }
    }
}

/// For each weight, along its own gradient: what a small step changes is what the gradient says, with the same values dropped.
#[test]
fn gradients_with_dropout_are_those_of_finite_differences() {
    const STEP: f64 = 1e-2;
    for name in ["gpt2", "qwen3"] {
        let mut model = differentiable(name);
        model.set_dropout(0.3).unwrap();
        let tokens = expected(name).tokens;
        let sum = |model: &DifferentiableModel| {
            let (pass, mut logits) = (model.dropping_pass(&tokens, 3).unwrap(), Vec::new());
            pass.rows(0..tokens.len(), &mut logits);
            let pairs = logits.iter().zip(wave(logits.len(), 13, 6.0));
            pairs.map(|(&x, w)| f64::from(x) * w).sum::<f64>()
        };
        let gradients = pulled(model.dropping_pass(&tokens, 3).unwrap());
        let begin = model.weights();
        for (weight, gradient) in &gradients {
            let squares = gradient.iter().map(|&g| f64::from(g).powi(2));
            let norm = squares.sum::<f64>().sqrt();
            let mut moved = |step: f64| {
                let mut weights = begin.clone();
                for (w, &g) in weights.get_mut(weight).unwrap().iter_mut().zip(gradient) {
                    *w += (step * f64::from(g) / norm) as f32;
                }
                model.set_weights(&weights).unwrap();
                sum(&model)
            };
            let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!(
                (slope - norm).abs() <= 0.01 * norm + 1e-3,
                "{name}: {weight} has the slope {slope}, its gradient the norm {norm}"
            );
        }
    }
}

#[test]
fn dropout_is_for_passes_that_ask_for_it_and_none_changes_no_bit() {
    let rows = |pass: &Pass<'_>| {
        let mut rows = Vec::new();
        pass.rows(0..pass.positions(), &mut rows);
        rows
    };
    for name in ["gpt2", "llama"] {
        let mut model = differentiable(name);
        let tokens = expected(name).tokens;
        let plain = rows(&model.pass(&tokens).unwrap());
        let measured = |model: &DifferentiableModel| {
            let (window, mut rows) = (model.forward(&tokens).unwrap(), Vec::new());
            window.rows(0..tokens.len(), &mut rows).unwrap();
            rows
        };
        model.set_dropout(0.5).unwrap();
        let dropped = |key| rows(&model.dropping_pass(&tokens, key).unwrap());
        assert!(dropped(1) == dropped(1) && dropped(1) != dropped(2));
        assert!(dropped(1) != plain && measured(&model) == plain);
        assert!(rows(&model.pass(&tokens).unwrap()) == plain);

        let without = pulled(model.pass(&tokens).unwrap());
        model.set_dropout(0.0).unwrap();
        let none = model.dropping_pass(&tokens, 1).unwrap();
        assert!(rows(&none) == plain && pulled(none) == without);
        assert!(
            [1.0, -0.1, f64::NAN]
                .into_iter()
                .all(|rate| model.set_dropout(rate).is_err())
        );
    }
}

#[test]
fn dropout_is_what_the_configuration_says() {
    let told = ["gpt2", "llama"].map(|name| differentiable(name).dropout().to_string());
    assert_eq!(told, ["embedding 0.1, attention 0.1, residual 0.1", "none"]);
}

#[test]
fn a_frozen_weight_gets_no_gradient_and_the_others_get_theirs() {
    let path = tiny_model("qwen3");
    let gradients = |frozen: &[&str]| {
        let tokenizer = Tokenizer::from_folder(&path).unwrap();
        let mut model = DifferentiableModel::open(&path, tokenizer).unwrap();
        let patterns: Vec<String> = frozen.iter().map(|&p| p.to_owned()).collect();
        model.freeze(&patterns).unwrap();
        let mut pass = model.pass(&[5, 3, 8, 2]).unwrap();
        pass.pull(1..3, &vec![0.5; 2 * model.vocabulary()]);
        pass.gradients().unwrap()
    };
    let all = gradients(&[]);
    for frozen in ["*embed*", "*layers.0*", "*q_norm*", "*down_proj*"] {
        let some = gradients(&[frozen]);
        let is_frozen = |name: &str| kld_models::native::matches(frozen, name);
        assert!(all.keys().any(|name| is_frozen(name)), "{frozen}");
        for (name, gradient) in &all {
            let expected = (!is_frozen(name)).then_some(gradient);
            assert_eq!(some.get(name), expected, "{frozen}: {name}");
        }
    }
}

#[test]
fn the_differentiable_model_reads_gguf_and_is_a_source() {
    for name in GGUFS {
        let path = tiny_model(name).join("model.gguf");
        let tokenizer = Tokenizer::from_folder(tiny_model(name)).unwrap();
        let model = DifferentiableModel::open(&path, tokenizer).unwrap();
        let expected = expected(name);
        let mut rows = Vec::new();
        model
            .forward(&expected.tokens)
            .unwrap()
            .rows(3..7, &mut rows)
            .unwrap();
        assert!(
            largest_difference(&rows, &expected.logits[3..7].concat(), 96) <= TOLERANCE,
            "{name}"
        );
    }
}

#[test]
fn a_later_token_changes_no_earlier_row() {
    for name in FOLDERS {
        let model = folder(name, &LoadOptions::default());
        let mut tokens = expected(name).tokens;
        let before = logits(&model, &tokens);
        let last = tokens.len() - 1;
        tokens[last] = (tokens[last] + 1) % 96;
        let after = logits(&model, &tokens);
        assert_eq!(before[..last * 96], after[..last * 96], "{name}");
        assert_ne!(before[last * 96..], after[last * 96..], "{name}");
    }
}

#[test]
fn a_sliding_window_forgets_what_lies_outside() {
    // Two layers of seven positions reach back twelve; the first token cannot matter to the last.
    let model = folder("mistral", &LoadOptions::default());
    let mut tokens = expected("mistral").tokens;
    let before = logits(&model, &tokens);
    tokens[0] = (tokens[0] + 1) % 96;
    let after = logits(&model, &tokens);
    assert_ne!(before[12 * 96..13 * 96], after[12 * 96..13 * 96]);
    assert_eq!(before[13 * 96..], after[13 * 96..]);
}

#[test]
fn rows_can_be_asked_for_in_any_slices() {
    let model = folder("qwen3", &LoadOptions::default());
    let tokens = expected("qwen3").tokens;
    let all = logits(&model, &tokens);
    let window = model.forward(&tokens).unwrap();
    let mut slice = vec![7.0; 1000];
    window.rows(5..9, &mut slice).unwrap();
    assert!(largest_difference(&slice, &all[5 * 96..9 * 96], 96) < 1e-6);
    window.rows(3..3, &mut slice).unwrap();
    assert!(slice.is_empty());
}

#[test]
fn threads_share_a_model_and_get_the_same_bits() {
    let model = folder("llama", &LoadOptions::default());
    let tokens = expected("llama").tokens;
    let alone = logits(&model, &tokens);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| logits(&model, &tokens)))
            .collect();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), alone);
        }
    });
}

#[test]
fn windows_that_the_model_cannot_take_are_refused() {
    let model = folder("llama", &LoadOptions::default());
    let message = |tokens: &[u32]| model.forward(tokens).err().unwrap().to_string();
    assert!(message(&[]).contains("no token"));
    assert!(message(&[1, 96]).contains("token 96 is outside the vocabulary of 96"));
    assert!(message(&[1; 65]).contains("65 tokens"));
}

#[test]
fn a_text_that_goes_on_token_by_token_has_the_logits_of_its_window() {
    for name in FOLDERS {
        let model = differentiable(name);
        let expected = expected(name);
        let (mut text, tokens) = (model.continuation(), &expected.tokens);
        let mut last = text.feed(&tokens[..5]).unwrap().to_vec();
        for position in 5..tokens.len() {
            let row = &expected.logits[position - 1];
            let difference = largest_difference(&last, row, expected.vocabulary);
            assert!(difference <= TOLERANCE, "{name} {position}: {difference:e}");
            last = text.feed(&tokens[position..=position]).unwrap().to_vec();
        }
        assert!(text.feed(&[]).is_err() && text.feed(&[1_000_000]).is_err());
    }
}
