//! A real model, SmolLM2-135M-Instruct, against Transformers in f32 on the same dequantized weights.
//!
//! The environment names the file: `KLD_SMOLLM2=…/SmolLM2-135M-Instruct.Q4_1.gguf`. Without it the tests are skipped,
//! visibly; in CI (`CI=true`) that is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and says what it skips"
)]

use std::path::{Path, PathBuf};

use kld_core::observer::Silent;
use kld_models::gguf::{BlockType, Metadata, requantize};
use kld_models::native::{LoadOptions, NativeModel, Selection};
use kld_models::{LogitSource, Tokenizer};
use kld_testkit::tiny_model;
use serde_json::Value;

fn real_model() -> Option<PathBuf> {
    let path = std::env::var_os("KLD_SMOLLM2").map(PathBuf::from);
    if path.is_none() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "KLD_SMOLLM2 must name the model in CI"
        );
        eprintln!("skipped: KLD_SMOLLM2 names no model");
    }
    path
}

fn golden() -> Value {
    let text = std::fs::read_to_string(tiny_model("smollm2.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn windows(golden: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(golden["windows"].clone()).unwrap()
}

fn open(path: &Path, options: &LoadOptions) -> NativeModel {
    let tokenizer = Tokenizer::from_gguf(&Metadata::read(path).unwrap()).unwrap();
    NativeModel::open_gguf(path, tokenizer, options).unwrap()
}

fn rows(model: &NativeModel, tokens: &[u32]) -> Vec<f32> {
    let mut rows = Vec::new();
    model
        .forward(tokens)
        .unwrap()
        .rows(0..tokens.len(), &mut rows)
        .unwrap();
    rows
}

fn log_sum_exp(row: &[f32]) -> f64 {
    let top = row.iter().fold(f32::NEG_INFINITY, |top, &x| top.max(x));
    f64::from(top)
        + row
            .iter()
            .map(|&x| f64::from(x - top).exp())
            .sum::<f64>()
            .ln()
}

/// D(P‖Q) of a pair of rows, by its definition, in f64.
fn kl(p: &[f32], q: &[f32]) -> f64 {
    let (p_lse, q_lse) = (log_sum_exp(p), log_sum_exp(q));
    let term = |(&p, &q): (&f32, &f32)| {
        let (p, q) = (f64::from(p) - p_lse, f64::from(q) - q_lse);
        p.exp() * (p - q)
    };
    p.iter().zip(q).map(term).sum()
}

#[test]
fn logits_agree_with_transformers() {
    let Some(path) = real_model() else { return };
    let golden = golden();
    let model = open(&path, &LoadOptions::default());
    assert_eq!(
        model.card().sha256,
        golden["sha256"],
        "the golden values are of another file"
    );
    for (tokens, positions) in windows(&golden)
        .iter()
        .zip(golden["positions"].as_array().unwrap())
    {
        let rows = rows(&model, tokens);
        for (row, expected) in rows
            .chunks(model.vocabulary())
            .zip(positions.as_array().unwrap())
        {
            let scale = row.iter().fold(0f32, |top, x| top.max(x.abs()));
            let tolerance = f64::from(1e-4 * scale);
            assert!((log_sum_exp(row) - expected["lse"].as_f64().unwrap()).abs() <= tolerance);
            for top in expected["top"].as_array().unwrap() {
                let (id, logit) = (top[0].as_u64().unwrap() as usize, top[1].as_f64().unwrap());
                let found = f64::from(row[id]);
                assert!(
                    (found - logit).abs() <= tolerance,
                    "logit of {id} is {found}, expected {logit}"
                );
            }
        }
    }
}

#[test]
fn mean_kl_of_requantized_weights_agrees_with_transformers() {
    let Some(path) = real_model() else { return };
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    let reference = open(&path, &LoadOptions::default());
    let windows = windows(&golden);
    let reference_rows: Vec<Vec<f32>> = windows
        .iter()
        .map(|tokens| rows(&reference, tokens))
        .collect();
    for (dtype, expected) in golden["mean_kl_nats"].as_object().unwrap() {
        let copy = folder.path().join(format!("{dtype}.gguf"));
        requantize(&path, &copy, BlockType::from_name(dtype).unwrap()).unwrap();
        let candidate = open(&copy, &LoadOptions::default());
        let vocabulary = candidate.vocabulary();
        let mut values = Vec::new();
        for (tokens, p) in windows.iter().zip(&reference_rows) {
            let q = rows(&candidate, tokens);
            values.extend(
                p.chunks(vocabulary)
                    .zip(q.chunks(vocabulary))
                    .map(|(p, q)| kl(p, q)),
            );
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let expected = expected.as_f64().unwrap();
        let tolerance = 1e-4 * expected + 1e-6;
        assert!(
            (mean - expected).abs() <= tolerance,
            "{dtype}: {mean} nats, Transformers' is {expected}"
        );
        println!("{dtype}: mean KL {mean:.9} nats, Transformers' {expected:.9}");
    }
}

#[test]
fn a_candidate_in_memory_is_the_file_that_would_be_written_to_the_last_bit() {
    let Some(path) = real_model() else { return };
    let tokens = &windows(&golden())[0][..20];
    let folder = tempfile::tempdir().unwrap();
    let model = open(&path, &LoadOptions::default());
    for dtype in ["q4_0", "q4_k"] {
        let dtype = BlockType::from_name(dtype).unwrap();
        let copy = folder.path().join("copy.gguf");
        requantize(&path, &copy, dtype).unwrap();
        let stored = open(&copy, &LoadOptions::default());
        let made = model
            .quantized(dtype, &Selection::default(), &Silent)
            .unwrap();
        let candidate = model.with("candidate", &made, None).unwrap();
        assert_eq!(candidate.card().weights, stored.card().weights);
        assert_eq!(rows(&candidate, tokens), rows(&stored, tokens), "{dtype}");
    }
}

#[test]
fn weights_made_layer_by_layer_give_the_same_bits() {
    let Some(path) = real_model() else { return };
    let tokens = &windows(&golden())[0][..40];
    let limited = LoadOptions {
        memory_limit_bytes: Some(100 << 20),
        ..LoadOptions::default()
    };
    let (held, made) = (open(&path, &LoadOptions::default()), open(&path, &limited));
    assert_ne!(held.card().compute, made.card().compute);
    assert_eq!(rows(&held, tokens), rows(&made, tokens));
}
