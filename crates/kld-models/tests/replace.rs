//! Candidates in memory against the files they stand for.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

use kld_core::observer::Silent;
use kld_models::gguf::{BlockType, requantize};
use kld_models::native::{LoadOptions, NativeModel, Replacements, Selection};
use kld_models::{LogitSource, Tokenizer};
use kld_testkit::{expected, tiny_model};

/// Every type that can be made: rows of the tiny models are whole blocks of 32 in part, and never of 256.
const TYPES: [&str; 13] = [
    "f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k",
    "q6_k",
];

fn folder(name: &str) -> NativeModel {
    let path = tiny_model(name);
    let tokenizer = Tokenizer::from_folder(&path).unwrap();
    NativeModel::open_folder(&path, tokenizer, &LoadOptions::default()).unwrap()
}

fn open(name: &str, path: &Path, options: &LoadOptions) -> NativeModel {
    let tokenizer = Tokenizer::from_folder(tiny_model(name)).unwrap();
    NativeModel::open_gguf(path, tokenizer, options).unwrap()
}

fn gguf(name: &str) -> NativeModel {
    let path = tiny_model(name).join("model.gguf");
    open(name, &path, &LoadOptions::default())
}

fn dtype(name: &str) -> BlockType {
    BlockType::from_name(name).unwrap()
}

fn only(patterns: &[&str]) -> Selection {
    Selection::new(patterns.iter().map(ToString::to_string).collect())
}

fn quantized(model: &NativeModel, name: &str, selection: &Selection) -> Replacements {
    model.quantized(dtype(name), selection, &Silent).unwrap()
}

fn bits(model: &NativeModel, tokens: &[u32]) -> Vec<u32> {
    let mut rows = Vec::new();
    let window = model.forward(tokens).unwrap();
    window.rows(0..tokens.len(), &mut rows).unwrap();
    rows.iter().map(|x| x.to_bits()).collect()
}

/// The file of this type, as `requantize` writes it.
fn file(name: &str, form: &str, folder: &tempfile::TempDir) -> (PathBuf, Vec<(String, String)>) {
    let path = folder.path().join(format!("{form}.gguf"));
    let source = tiny_model(name).join("model.gguf");
    let done = requantize(&source, &path, dtype(form)).unwrap();
    let fallbacks = done.fallbacks.iter();
    let mut fallbacks: Vec<_> = fallbacks
        .map(|(tensor, dtype)| (tensor.clone(), dtype.name().to_owned()))
        .collect();
    fallbacks.sort();
    (path, fallbacks)
}

#[test]
fn a_candidate_in_memory_is_the_file_that_would_be_written_to_the_last_bit() {
    let temporary = tempfile::tempdir().unwrap();
    for name in ["llama", "qwen2", "qwen3", "gpt2"] {
        let (model, tokens) = (gguf(name), expected(name).tokens);
        for form in TYPES {
            let made = quantized(&model, form, &Selection::default());
            let candidate = model.with(form, &made, None).unwrap();
            let (path, fallbacks) = file(name, form, &temporary);
            let stored = open(name, &path, &LoadOptions::default());
            assert_eq!(
                bits(&candidate, &tokens),
                bits(&stored, &tokens),
                "{name} {form}"
            );
            let card = candidate.card();
            assert_eq!(card.weights, stored.card().weights, "{name} {form}");
            let difference = card.bytes.abs_diff(stored.card().bytes);
            assert!(difference < 200, "{name} {form}: {difference} bytes");
            let told = card.quantized.as_ref().unwrap().fallbacks.iter();
            let told: Vec<_> = told.map(|f| (f.tensor.clone(), f.dtype.clone())).collect();
            assert_eq!(told, fallbacks, "{name} {form}");
        }
    }
}

#[test]
fn a_folder_is_quantized_as_the_file_made_of_it_would_be() {
    // GPT-2's folders have a row per input, Llama's have another order of rows than its files.
    let temporary = tempfile::tempdir().unwrap();
    for name in ["llama", "qwen2", "qwen3", "gpt2"] {
        let (model, tokens) = (folder(name), expected(name).tokens);
        for form in ["q8_0", "q4_0", "q3_k"] {
            let made = quantized(&model, form, &Selection::default());
            let candidate = model.with(form, &made, None).unwrap();
            let stored = open(
                name,
                &file(name, form, &temporary).0,
                &LoadOptions::default(),
            );
            assert_eq!(
                bits(&candidate, &tokens),
                bits(&stored, &tokens),
                "{name} {form}"
            );
        }
    }
}

#[test]
fn little_memory_changes_the_compute_text_and_no_bit() {
    for name in ["llama", "gpt2"] {
        let (model, tokens) = (gguf(name), expected(name).tokens);
        let made = quantized(&model, "q4_0", &Selection::default());
        let (held, layered) = (
            model.with("q", &made, None),
            model.with("q", &made, Some(1000)),
        );
        let (held, layered) = (held.unwrap(), layered.unwrap());
        assert_ne!(held.card().compute, layered.card().compute);
        assert!(layered.resident_bytes() < held.resident_bytes());
        assert_eq!(bits(&held, &tokens), bits(&layered, &tokens), "{name}");
    }
}

#[test]
fn matrices_that_are_not_selected_stay_as_they_are() {
    let model = gguf("llama");
    let tokens = expected("llama").tokens;
    let down = quantized(&model, "q4_0", &only(&["blk.*.ffn_down.*"]));
    let names: Vec<&str> = down.names().collect();
    assert_eq!(names, ["blk.0.ffn_down.weight", "blk.1.ffn_down.weight"]);
    // All but those, and those: together everything.
    let all = quantized(&model, "q4_0", &Selection::default());
    let part = all.part(|name| name.contains("ffn_down"));
    let [some, same, every] = [&down, &part, &all].map(|r| model.with("q", r, None).unwrap());
    assert_eq!(bits(&some, &tokens), bits(&same, &tokens));
    assert_eq!(some.card().sha256, same.card().sha256);
    assert_ne!(bits(&some, &tokens), bits(&every, &tokens));
    let hashes = [&model, &some, &every].map(|m| m.card().sha256.clone());
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
    assert!(every.card().bytes < some.card().bytes && some.card().bytes < model.card().bytes);
    assert!(some.resident_bytes() < every.resident_bytes());
}

#[test]
fn a_pattern_that_selects_nothing_is_an_error_that_names_what_there_is() {
    let selection = only(&["blk.*.ffn_down.*", "blk.*.ffn_dwn.*"]);
    let failed = gguf("llama").quantized(dtype("q4_0"), &selection, &Silent);
    let message = failed.unwrap_err().to_string();
    assert!(message.contains("'blk.*.ffn_dwn.*'"), "{message}");
    assert!(
        message.contains("token_embd.weight, blk.0.attn_q.weight"),
        "{message}"
    );
}

#[test]
fn nothing_changed_gives_the_same_bits() {
    for name in ["llama", "gpt2", "mistral"] {
        let (model, tokens) = (folder(name), expected(name).tokens);
        let control = model.unchanged(&Selection::default(), &Silent).unwrap();
        assert_eq!(control.change().relative_error(), 0.0);
        let with = model.with("control", &control, None).unwrap();
        assert_eq!(bits(&with, &tokens), bits(&model, &tokens), "{name}");
        let none = model.with("none", &control.part(|_| false), None).unwrap();
        assert_eq!(bits(&none, &tokens), bits(&model, &tokens), "{name}");
        assert_eq!(none.card().sha256, model.card().sha256);
    }
}

#[test]
fn noise_has_the_size_of_the_error_and_is_the_seeds_alone() {
    let (model, tokens) = (gguf("llama"), expected("llama").tokens);
    let made = quantized(&model, "q4_0", &Selection::default());
    let noisy = |seed| model.noisy(&made, seed).unwrap();
    let (size, wanted) = (noisy(1).change(), made.change());
    assert!((size.relative_error() / wanted.relative_error() - 1.0).abs() < 1e-6);
    assert_eq!(size.bytes_after, wanted.bytes_after);
    for name in made.names() {
        let of = |all: &Replacements| all.part(|other| other == name).change().relative_error();
        let (size, wanted) = (of(&noisy(1)), of(&made));
        assert!(
            (size / wanted - 1.0).abs() < 1e-4,
            "{name}: {size} {wanted}"
        );
    }
    let with = |seed| bits(&model.with("noise", &noisy(seed), None).unwrap(), &tokens);
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
    assert_ne!(with(1), bits(&model, &tokens));
}

#[test]
fn activations_rounded_to_bf16_move_the_logits_a_little() {
    for name in ["llama", "gpt2"] {
        let (model, expected) = (folder(name), expected(name));
        let rounded = model.with_bf16_activations();
        let rows = |m: &NativeModel| {
            bits(m, &expected.tokens)
                .into_iter()
                .map(f32::from_bits)
                .collect::<Vec<_>>()
        };
        let (exact, near) = (rows(&model), rows(&rounded));
        let difference = kld_testkit::largest_difference(&near, &exact, expected.vocabulary);
        // bf16 has eight bits: 2⁻⁹ of each value, through a few layers.
        assert!((1e-4..5e-2).contains(&difference), "{name}: {difference}");
        assert_ne!(rounded.card().compute, model.card().compute);
        assert_eq!(rounded.card().sha256, model.card().sha256);
    }
}
