//! llama.cpp's file of log-probs: one made by other hands is read, what is written is read back, and files that lie are refused.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use kld_core::result::ProtocolRecord;
use kld_models::{
    LogitSource, Script, Tokenizer, Window,
    llama_cpp::{FLOOR_NATS, LogProbFile, Writer},
    recording::KeptRows,
};
use kld_testkit::tiny_model;
use proptest::prelude::*;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/recordings")
}

fn open(path: &Path) -> kld_models::Result<LogProbFile> {
    let tokenizer = Tokenizer::from_folder(tiny_model("llama")).unwrap();
    LogProbFile::open(path, tokenizer, None)
}

fn script(windows: &[Vec<u32>]) -> Script {
    let context = windows[0].len();
    let window = |tokens: &Vec<u32>| Window {
        fragment: 0,
        input: tokens.clone(),
        replaced: None,
        scored: context / 2..context - 1,
    };
    Script {
        protocol: ProtocolRecord {
            name: "llama.cpp".to_owned(),
            context,
            scored: "second-half".to_owned(),
            fragments: 1,
            windows: windows.len(),
            tokens: windows.len() * context,
            token_stream_sha256: String::new(),
            windows_left_out: 0,
            seed: None,
        },
        texts: Vec::new(),
        windows: windows.iter().map(window).collect(),
        recorded: 0,
    }
}

/// All rows of a file, window after window.
fn rows(file: &LogProbFile) -> Vec<f32> {
    let windows = &file.script().unwrap().windows;
    let of = |window: &Window| {
        let mut rows = Vec::new();
        let run = file.forward(&window.input).unwrap();
        run.rows(window.scored.clone(), &mut rows).unwrap();
        rows
    };
    windows.iter().flat_map(of).collect()
}

fn log_sum_exp(row: &[f32]) -> f64 {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|x| f64::from(x - top).exp()).sum();
    f64::from(top) + sum.ln()
}

#[test]
fn a_file_made_by_other_hands_is_read() {
    let values = fs::read_to_string(folder().join("values.json")).unwrap();
    let golden = &serde_json::from_str::<Value>(&values).unwrap()["llama_cpp"];
    let file = open(&folder().join("llama-cpp.kld")).unwrap();
    let tokens: Vec<Vec<u32>> = serde_json::from_value(golden["tokens"].clone()).unwrap();
    let fed = file.script().unwrap().windows.iter().map(|w| &w.input);
    assert!(fed.eq(&tokens));

    let log_probs: Vec<Vec<f32>> = serde_json::from_value(golden["log_probs"].clone()).unwrap();
    let found = rows(&file);
    assert_eq!(found.len(), log_probs.concat().len());
    for (found, expected) in found.iter().zip(log_probs.concat()) {
        assert!((found - expected).abs() < 4e-6, "{found} {expected}");
    }

    let floor = file.card().recorded.as_ref().unwrap().floor.unwrap();
    let number = |name: &str| golden[name].as_f64().unwrap();
    assert!((floor.share_at_floor - number("share_at_floor")).abs() < 1e-12);
    assert!((floor.mass_mean - number("mass_mean")).abs() < 1e-6);
    assert!((floor.mass_max - number("mass_max")).abs() < 1e-6);
}

#[test]
fn files_that_end_elsewhere_or_lie_are_refused() {
    let folder_of_test = tempfile::tempdir().unwrap();
    let path = folder_of_test.path().join("x.kld");
    let sound = fs::read(folder().join("llama-cpp.kld")).unwrap();
    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        open(&path).expect_err("must be refused").to_string()
    };
    for length in (0..sound.len()).step_by(7).chain([sound.len() - 1]) {
        refusal(&sound[..length]);
    }
    assert!(refusal(&[&sound[..], &[0]].concat()).contains("the file has"));
    // Context, columns, windows.
    for (place, lies) in [
        (8, [0, 3, 25, 1 << 24, u32::MAX]),
        (12, [0, 95, 97, 1 << 22, u32::MAX]),
        (16, [0, 1, 3, 4_000, u32::MAX]),
    ] {
        for lie in lies {
            let mut bytes = sound.clone();
            bytes[place..place + 4].copy_from_slice(&lie.to_le_bytes());
            refusal(&bytes);
        }
    }
    // All at once, as large as each may be: their product is more than 64 bits hold.
    let mut bytes = sound.clone();
    bytes.resize(1 << 19, 0);
    for (place, lie) in [(8, 1 << 24), (12, 1 << 22), (16, 1_u32 << 19)] {
        bytes[place..place + 4].copy_from_slice(&lie.to_le_bytes());
    }
    assert!(refusal(&bytes).contains("the file has 524288"));
    // The row of an odd vocabulary is filled up, so only the tokenizer can know better.
    let mut bytes = sound.clone();
    bytes[12] = 95;
    assert!(refusal(&bytes).contains("95 columns, the tokenizer it is read with has 96 tokens"));
    let mut bytes = sound.clone();
    bytes[20..24].copy_from_slice(&96_u32.to_le_bytes());
    assert!(refusal(&bytes).contains("it has token 96, the tokenizer it is read with has 96"));
}

#[test]
fn nothing_appears_under_the_name_before_the_file_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.kld");
    let mut writer = Writer::create(&path, &script(&[vec![1; 8], vec![2; 8]]), 5).unwrap();
    writer.append(&KeptRows::Logits(vec![0.0; 15])).unwrap();
    assert!(!path.exists());
    let nan = KeptRows::Logits(vec![f32::NAN; 15]);
    let refused = writer.append(&nan).unwrap_err().to_string();
    assert!(refused.contains("no distribution"), "{refused}");
    drop(writer);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

proptest! {
    // Each case makes a file durable.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_to_half_a_step_above_the_floor(
        logits in prop::collection::vec(-30.0_f32..30.0, 3 * 97),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.kld");
        let mut writer = Writer::create(&path, &script(&[(0..8).collect()]), 97).unwrap();
        writer.append(&KeptRows::Logits(logits.clone())).unwrap();
        let read = rows(&open(&path).unwrap());
        for (row, back) in logits.chunks(97).zip(read.chunks(97)) {
            let lse = log_sum_exp(row);
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let half_a_step = f64::from(FLOOR_NATS) / 65_535.0 / 2.0;
            for (x, back) in row.iter().zip(back) {
                let exact = f64::from(x.max(top - FLOOR_NATS)) - lse;
                prop_assert!((f64::from(*back) - exact).abs() < half_a_step + 2e-5, "{} {}", back, exact);
            }
        }
    }
}
