//! Files that are cut short, lie, or ask for what is not computed: always an error that says what is wrong, never a
//! panic, and never memory for something a file merely announces.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use kld_models::gguf::{BlockType, Header, requantize};
use kld_models::native::{LoadOptions, NativeModel, inspect};
use kld_models::{LogitSource, Tokenizer};
use kld_testkit::tiny_model;
use proptest::prelude::*;
use serde_json::{Value, json};

fn open(path: &Path) -> kld_models::Result<NativeModel> {
    let tokenizer = Tokenizer::from_folder(tiny_model("llama")).unwrap();
    if path.is_dir() {
        NativeModel::open_folder(path, tokenizer, &LoadOptions::default())
    } else {
        NativeModel::open_gguf(path, tokenizer, &LoadOptions::default())
    }
}

fn refusal(path: &Path) -> String {
    open(path)
        .expect_err("the file must be refused")
        .to_string()
}

/// A copy of a tiny model's folder that may be damaged.
fn copy_of(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(tiny_model(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().to_owned();
    (folder, path)
}

/// Changes the configuration of a copy of a model and gives the refusal.
fn refusal_with_config(name: &str, change: impl Fn(&mut Value)) -> String {
    let (_keep, folder) = copy_of(name);
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    refusal(&folder)
}

/// A GGUF header by hand: version 3, one metadata entry count, then `rest`.
fn gguf_bytes(tensors: u64, entries: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes.extend(rest);
    bytes
}

fn tensor_entry(name: &str, sizes: &[u64], dtype: u32, offset: u64) -> Vec<u8> {
    let mut bytes = (name.len() as u64).to_le_bytes().to_vec();
    bytes.extend(name.as_bytes());
    bytes.extend((sizes.len() as u32).to_le_bytes());
    for size in sizes {
        bytes.extend(size.to_le_bytes());
    }
    bytes.extend(dtype.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

fn header_refusal(bytes: &[u8]) -> String {
    Header::parse(bytes, bytes.len() as u64, Path::new("x.gguf"))
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn a_file_that_is_no_gguf_is_named() {
    assert!(header_refusal(b"PK\x03\x04 and more bytes").contains("not a GGUF file"));
    assert!(header_refusal(b"").contains("ends within the magic"));
    assert!(header_refusal(b"GGUF\x01\0\0\0").contains("version 1"));
    assert!(header_refusal(b"GGUF\0\0\0\x03").contains("big-endian"));
}

#[test]
fn counts_beyond_the_file_are_refused_before_memory_is_taken() {
    assert!(
        header_refusal(&gguf_bytes(0, u64::MAX, &[]))
            .contains("metadata entries: 18446744073709551615")
    );
    assert!(
        header_refusal(&gguf_bytes(u64::MAX, 0, &[])).contains("tensors: 18446744073709551615")
    );
    let mut array = 1u64.to_le_bytes().to_vec();
    array.extend(b"k\x09\0\0\0\x0a\0\0\0");
    array.extend((1u64 << 60).to_le_bytes());
    assert!(
        header_refusal(&gguf_bytes(0, 1, &array)).contains("k: 1152921504606846976 are announced")
    );
    let mut string = 1u64.to_le_bytes().to_vec();
    string.extend(b"k\x08\0\0\0");
    string.extend((u64::MAX).to_le_bytes());
    assert!(
        header_refusal(&gguf_bytes(0, 1, &string))
            .contains("a string of 18446744073709551615 bytes")
    );
}

#[test]
fn tensors_that_cannot_be_are_refused() {
    let one = |sizes: &[u64], dtype, offset| {
        header_refusal(&gguf_bytes(1, 0, &tensor_entry("t", sizes, dtype, offset)))
    };
    assert!(one(&[1 << 40, 1 << 40], 0, 0).contains("larger than any file"));
    assert!(one(&[u64::MAX], 0, 0).contains("larger than any file"));
    assert!(one(&[0], 0, 0).contains("impossible size"));
    assert!(one(&[1; 5], 0, 0).contains("5 dimensions"));
    assert!(one(&[33], 2, 0).contains("not whole blocks of Q4_0"));
    assert!(one(&[32], 0, u64::MAX - 31).contains("beyond the end of the file"));
    assert!(one(&[32], 0, 8).contains("not on the alignment"));
    assert!(one(&[32], 4, 0).contains("unknown type number 4"));
    let two = [
        tensor_entry("t", &[8], 0, 0),
        tensor_entry("t", &[8], 0, 32),
        vec![0; 200],
    ]
    .concat();
    assert!(header_refusal(&gguf_bytes(2, 0, &two)).contains("two tensors are called 't'"));
    let two = [
        tensor_entry("t", &[16], 0, 0),
        tensor_entry("u", &[8], 0, 32),
        vec![0; 200],
    ]
    .concat();
    assert!(header_refusal(&gguf_bytes(2, 0, &two)).contains("'t' and 'u' share bytes"));
}

#[test]
fn a_type_that_is_not_read_is_named_with_its_tensor_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    fs::write(
        &path,
        gguf_bytes(
            1,
            0,
            &[
                tensor_entry("blk.0.ffn_up.weight", &[256, 2], 23, 0),
                vec![0; 400],
            ]
            .concat(),
        ),
    )
    .unwrap();
    let message = refusal(&path);
    assert!(
        message.contains("'blk.0.ffn_up.weight' is stored as IQ4_XS") && message.contains("hint:"),
        "{message}"
    );
}

#[test]
fn a_gguf_cut_anywhere_is_refused() {
    let bytes = fs::read(tiny_model("qwen2").join("model.gguf")).unwrap();
    for length in (0..bytes.len()).step_by(37) {
        header_refusal(&bytes[..length]);
    }
}

proptest! {
    #[test]
    fn a_gguf_with_changed_bytes_never_panics(changes in prop::collection::vec((0usize..6000, any::<u8>()), 1..8)) {
        let mut bytes = fs::read(tiny_model("qwen2").join("model.gguf")).unwrap();
        for (at, value) in changes {
            bytes[at] = value;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        fs::write(&path, bytes).unwrap();
        if let Ok(model) = open(&path) {
            let _ = model.forward(&[1, 2, 3]).map(|window| window.rows(0..3, &mut Vec::new()));
        }
    }

    #[test]
    fn a_safetensors_header_with_changed_bytes_never_panics(changes in prop::collection::vec((0usize..2500, any::<u8>()), 1..8)) {
        let (_keep, folder) = copy_of("qwen2");
        let path = folder.join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in changes {
            bytes[at] = value;
        }
        fs::write(&path, bytes).unwrap();
        if let Ok(model) = open(&folder) {
            let _ = model.forward(&[1, 2, 3]).map(|window| window.rows(0..3, &mut Vec::new()));
        }
    }
}

/// The refusal of a folder whose safetensors file has this header and this many bytes of data.
fn safetensors_refusal(header: &str, data: usize) -> String {
    let (_keep, folder) = copy_of("qwen2");
    let bytes = [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &vec![0; data],
    ]
    .concat();
    fs::write(folder.join("model.safetensors"), bytes).unwrap();
    refusal(&folder)
}

#[test]
fn lying_safetensors_headers_are_refused() {
    let tensor = |name: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let refused = |tensors: &[String], data| {
        let message = safetensors_refusal(&format!("{{{}}}", tensors.join(",")), data);
        assert!(
            message.contains("not a sound safetensors file"),
            "{message}"
        );
    };
    refused(&[tensor("a", "[4]", 0, 16)], 8);
    refused(&[tensor("a", "[4]", 0, 8)], 8);
    refused(&[tensor("a", "[4]", 16, 0)], 16);
    refused(&[tensor("a", "[4]", 0, 16), tensor("b", "[4]", 8, 24)], 24);
    refused(
        &[tensor(
            "a",
            "[4611686018427387904,4611686018427387904]",
            0,
            16,
        )],
        16,
    );
    refused(&[tensor("a", "[4]", 0, 16)], 64);
}

#[test]
fn a_safetensors_length_beyond_the_file_is_refused() {
    let (_keep, folder) = copy_of("qwen2");
    for length in [u64::MAX, 1 << 40, 100] {
        fs::write(
            folder.join("model.safetensors"),
            [&length.to_le_bytes()[..], b"{}"].concat(),
        )
        .unwrap();
        assert!(refusal(&folder).contains("not a sound safetensors file"));
    }
    fs::write(folder.join("model.safetensors"), b"").unwrap();
    refusal(&folder);
}

#[test]
fn pickled_weights_are_not_opened() {
    let (_keep, folder) = copy_of("qwen2");
    fs::rename(
        folder.join("model.safetensors"),
        folder.join("pytorch_model.bin"),
    )
    .unwrap();
    let message = refusal(&folder);
    assert!(
        message.contains("pickled") && message.contains("convert the model to safetensors"),
        "{message}"
    );
}

#[test]
fn an_index_cannot_point_outside_its_folder() {
    let (_keep, folder) = copy_of("llama-scaled");
    let index = folder.join("model.safetensors.index.json");
    for name in [
        "../model.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..",
    ] {
        fs::write(&index, json!({"weight_map": {"x": name}}).to_string()).unwrap();
        assert!(
            refusal(&folder).contains("names of files in this folder"),
            "{name}"
        );
    }
}

#[test]
fn a_missing_shard_is_named() {
    let (_keep, folder) = copy_of("llama-scaled");
    fs::remove_file(folder.join("model-00003-of-00007.safetensors")).unwrap();
    assert!(refusal(&folder).contains("model-00003-of-00007.safetensors"));
}

#[test]
fn settings_that_would_change_the_numbers_are_refused() {
    let cases: [(&str, &str, Value, &str); 10] = [
        (
            "llama",
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0}),
            "'yarn'",
        ),
        (
            "llama",
            "rope_parameters",
            json!({"rope_type": "linear", "factor": 4.0, "mscale": 2}),
            "'mscale'",
        ),
        (
            "llama",
            "hidden_act",
            json!("gelu"),
            "'hidden_act' is 'gelu'",
        ),
        ("llama", "logit_scale", json!(0.5), "'logit_scale'"),
        (
            "llama",
            "quantization_config",
            json!({"bits": 4}),
            "'quantization_config'",
        ),
        ("llama", "num_key_value_heads", json!(3), "cannot share"),
        (
            "llama",
            "num_hidden_layers",
            json!(u64::MAX),
            "'num_hidden_layers' should be",
        ),
        (
            "llama",
            "num_hidden_layers",
            json!(1_000_000),
            "1000000 layers",
        ),
        (
            "gpt2",
            "scale_attn_by_inverse_layer_idx",
            json!(true),
            "scale_attn_by_inverse_layer_idx",
        ),
        ("gpt2", "model_type", json!("mamba"), "family 'mamba'"),
    ];
    for (model, key, value, expected) in cases {
        let message = refusal_with_config(model, |config| config[key] = value.clone());
        assert!(message.contains(expected), "{key}: {message}");
    }
}

#[test]
fn tensors_missing_wrong_or_left_over_are_named() {
    let message = refusal_with_config("qwen2", |config| config["num_hidden_layers"] = json!(3));
    assert!(message.contains("layers"), "{message}");
    let message = refusal_with_config("mistral", |config| config["intermediate_size"] = json!(64));
    assert!(
        message.contains("has shape [48, 32]") || message.contains("has shape [32, 48]"),
        "{message}"
    );
    let message = refusal_with_config("mistral", |config| config["num_hidden_layers"] = json!(1));
    assert!(
        message.contains("are not used") && message.contains("model.layers.1."),
        "{message}"
    );
    let message = refusal_with_config("llama", |config| config["attention_bias"] = json!(true));
    assert!(
        message.contains("there is no tensor 'model.layers.0.self_attn"),
        "{message}"
    );
}

#[test]
fn requantized_copies_keep_the_model_and_say_what_fell_back() {
    let folder = tempfile::tempdir().unwrap();
    let source = tiny_model("llama").join("model.gguf");
    let (copy, again) = (
        folder.path().join("copy.gguf"),
        folder.path().join("again.gguf"),
    );
    let done = requantize(&source, &copy, BlockType::from_name("q4_0").unwrap()).unwrap();
    // Rows of 48 (the perceptron's way out) are no whole blocks of 32.
    assert_eq!(
        (done.matrices, done.vectors, done.fallbacks.len()),
        (13, 5, 2)
    );
    assert!(
        done.fallbacks
            .iter()
            .all(|(name, dtype)| name.ends_with("ffn_down.weight") && *dtype == BlockType::F16)
    );
    requantize(&source, &again, BlockType::from_name("q4_0").unwrap()).unwrap();
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&again).unwrap());

    let (before, after) = (Header::read(&source).unwrap(), Header::read(&copy).unwrap());
    for (key, value) in before
        .metadata
        .iter()
        .filter(|(key, _)| *key != "general.file_type")
    {
        assert_eq!(after.metadata.get(key), Some(value), "{key}");
    }
    assert!(inspect(&copy).unwrap().model.weights.starts_with("Q4_0 ("));
    open(&copy).unwrap();
    let message = requantize(&source, &copy, BlockType::from_name("iq4_xs").unwrap())
        .unwrap_err()
        .to_string();
    assert!(message.contains("IQ4_XS"), "{message}");
}

#[test]
fn an_f32_copy_has_the_same_logits() {
    let folder = tempfile::tempdir().unwrap();
    let source = tiny_model("llama").join("model.gguf");
    let copy = folder.path().join("copy.gguf");
    requantize(&source, &copy, BlockType::F32).unwrap();
    let logits = |path: &Path| {
        let mut rows = Vec::new();
        open(path)
            .unwrap()
            .forward(&[5, 6, 7])
            .unwrap()
            .rows(0..3, &mut rows)
            .unwrap();
        rows
    };
    assert_eq!(logits(&source), logits(&copy));
}

#[test]
fn a_model_is_described_without_being_loaded() {
    let found = inspect(&tiny_model("mistral")).unwrap();
    assert_eq!(
        (
            found.shape.layers,
            found.shape.hidden,
            found.shape.heads,
            found.shape.kv_heads,
            found.shape.mlp
        ),
        (Some(2), Some(32), Some(4), Some(2), Some(48))
    );
    assert_eq!(
        (found.shape.sliding_window, found.shape.tied_head),
        (Some(7), Some(false))
    );
    assert_eq!(
        (
            found.model.family.as_deref(),
            found.model.format.as_str(),
            found.model.weights.as_str()
        ),
        (Some("mistral"), "safetensors", "F32")
    );
    let values: usize = found
        .tensors
        .iter()
        .map(|tensor| tensor.shape.iter().product::<usize>())
        .sum();
    assert_eq!(found.model.parameters, values as u64);
    assert_eq!(
        found.model.sha256,
        open(&tiny_model("mistral")).unwrap().card().sha256
    );
    assert_eq!(found.model.sha256.len(), 64);
}
