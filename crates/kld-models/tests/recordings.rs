//! Recordings as files: given back with the bits of the model, cut and torn anywhere, and made by somebody who lies.

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
    LogitSource, Recording, Script, ScriptText, Tokenizer, Window,
    native::{LoadOptions, NativeModel},
    recording::{HeadPlace, Keep, KeptRows, Plan, Recorder, TopK},
};
use kld_testkit::tiny_model;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const COLUMNS: usize = 96;
const FILE_HEAD: usize = 16;
const FRAME_HEAD: usize = 48;

fn model(family: &str) -> NativeModel {
    let folder = tiny_model(family);
    let tokenizer = Tokenizer::from_folder(&folder).unwrap();
    NativeModel::open_folder(&folder, tokenizer, &LoadOptions::default()).unwrap()
}

/// Three windows of two fragments; the first and the last have the same tokens and other rows.
fn script() -> Script {
    let tokens: Vec<u32> = (0..12).map(|i| i * 7 % 96).collect();
    let window = |fragment, tokens: &[u32], scored| Window {
        fragment,
        input: tokens.to_vec(),
        replaced: None,
        scored,
    };
    let windows = vec![
        window(0, &tokens, 5..11),
        window(1, &tokens[3..9], 2..5),
        window(1, &tokens, 0..5),
    ];
    let text = |name: &str, text: &str| ScriptText {
        name: name.to_owned(),
        text: text.to_owned(),
        marked_up: false,
    };
    Script {
        protocol: ProtocolRecord {
            name: "kld".to_owned(),
            context: 12,
            scored: "second-half".to_owned(),
            fragments: 2,
            windows: windows.len(),
            tokens: windows.iter().map(|w| w.input.len()).sum(),
            token_stream_sha256: "of the test".to_owned(),
            windows_left_out: 0,
            seed: None,
        },
        texts: vec![text("a", "To be, or"), text("b", " not to be – that")],
        windows,
        recorded: 0,
    }
}

/// What is kept of a window; of the most likely tokens simply the first columns.
fn kept(model: &NativeModel, window: &Window, keep: Keep) -> KeptRows {
    let run = model.forward(&window.input).unwrap();
    let rows = window.scored.len();
    match keep {
        Keep::Hidden => KeptRows::Hidden(run.hidden(window.scored.clone()).unwrap().to_vec()),
        Keep::Logits => {
            let mut logits = Vec::new();
            run.rows(window.scored.clone(), &mut logits).unwrap();
            KeptRows::Logits(logits)
        }
        Keep::TopK(k) => KeptRows::TopK(TopK {
            ids: (0..rows).flat_map(|_| 0..k as u32).collect(),
            log_probs: vec![-3.0; rows * k],
            log_tail: vec![-0.5; rows],
            loss: vec![0.01; rows],
        }),
    }
}

fn record(family: &str, keep: Keep, path: &Path) {
    let (model, script) = (model(family), script());
    let plan = plan(&model, &script, keep);
    let head = match keep {
        Keep::Hidden => Some((model.head().unwrap(), HeadPlace::Stored)),
        _ => None,
    };
    let mut recorder = Recorder::create(path, &plan, &head).unwrap();
    for window in &script.windows {
        recorder.append(&kept(&model, window, keep)).unwrap();
    }
}

fn plan<'a>(model: &'a NativeModel, script: &'a Script, keep: Keep) -> Plan<'a> {
    Plan {
        kld: "test",
        model: model.card(),
        tokenizer: model.tokenizer(),
        script,
        keep,
        columns: COLUMNS,
    }
}

fn open(path: &Path) -> kld_models::Result<Recording> {
    Recording::open(path, &LoadOptions::default())
}

/// A folder with a recording of the tiny Llama in it, and its bytes.
fn recorded(keep: Keep) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.kldrec");
    record("llama", keep, &path);
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

/// Where frames begin, by what their heads say; and the end of the last.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = vec![FILE_HEAD];
    while let Some(&start) = at.last().filter(|&&start| start < bytes.len()) {
        let length = u64::from_le_bytes(*bytes[start + 8..].first_chunk().unwrap()) as usize;
        at.push(start + FRAME_HEAD + length.next_multiple_of(8));
    }
    at
}

/// The payload of a frame.
fn payload(bytes: &[u8], frame: usize) -> &[u8] {
    let start = boundaries(bytes)[frame];
    let length = u64::from_le_bytes(*bytes[start + 8..].first_chunk().unwrap()) as usize;
    &bytes[start + FRAME_HEAD..][..length]
}

/// The file with another payload in one frame, and the checksum that belongs to it.
fn with_payload(bytes: &[u8], frame: usize, payload: &[u8]) -> Vec<u8> {
    let at = boundaries(bytes);
    let kind = &bytes[at[frame]..at[frame] + 8];
    let head = [kind, &(payload.len() as u64).to_le_bytes()].concat();
    let hash = Sha256::new().chain_update(&head).chain_update(payload);
    let zeros = vec![0; payload.len().next_multiple_of(8) - payload.len()];
    let parts: [&[u8]; 6] = [
        &bytes[..at[frame]],
        &head,
        &hash.finalize(),
        payload,
        &zeros,
        &bytes[at[frame + 1]..],
    ];
    parts.concat()
}

/// The JSON at the beginning of a payload, and the tensors behind it.
fn header(payload: &[u8]) -> (Value, &[u8]) {
    let length = u64::from_le_bytes(*payload.first_chunk().unwrap()) as usize;
    let (json, tensors) = payload[8..].split_at(length);
    (serde_json::from_slice(json).unwrap(), tensors)
}

fn with_header(json: &Value, tensors: &[u8]) -> Vec<u8> {
    let mut text = json.to_string();
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), tensors].concat()
}

/// The refusal of a file, at the door or where its windows are read.
fn refusal(path: &Path, bytes: &[u8]) -> String {
    fs::write(path, bytes).unwrap();
    open(path)
        .and_then(|recording| recording.check())
        .expect_err("the file must be refused")
        .to_string()
}

#[test]
fn a_recording_gives_back_the_bits_of_the_model_in_any_slice() {
    for family in ["llama", "gpt2", "mistral", "qwen2", "qwen3", "llama-linear"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.kldrec");
        record(family, Keep::Hidden, &path);
        let (live, replay) = (model(family), open(&path).unwrap());
        replay.check().unwrap();
        assert_eq!(replay.script().unwrap().windows, script().windows);
        assert_eq!(replay.script().unwrap().texts, script().texts);
        assert_eq!(replay.card().sha256, live.card().sha256);
        for window in script().windows {
            let (p, q) = (
                live.forward(&window.input).unwrap(),
                replay.forward(&window.input).unwrap(),
            );
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for start in window.scored.clone() {
                for end in start + 1..=window.scored.end {
                    p.rows(start..end, &mut ours).unwrap();
                    q.rows(start..end, &mut theirs).unwrap();
                    assert!(
                        ours.iter()
                            .map(|x| x.to_bits())
                            .eq(theirs.iter().map(|x| x.to_bits())),
                        "{family}, rows {start}..{end}"
                    );
                }
            }
        }
    }
}

#[test]
fn windows_and_rows_that_were_not_recorded_are_errors() {
    let (_folder, path, _) = recorded(Keep::Hidden);
    let replay = open(&path).unwrap();
    let said = |tokens: &[u32], rows| {
        let run = replay.forward(tokens).map_err(|e| e.to_string())?;
        run.rows(rows, &mut Vec::new()).map_err(|e| e.to_string())
    };
    let unknown = said(&[1, 2, 3], 0..1).unwrap_err();
    assert!(unknown.contains("is none of the 3 windows"), "{unknown}");
    let window = &script().windows[1].input;
    assert!(said(window, 2..5).is_ok());
    let outside = said(window, 1..5).unwrap_err();
    assert!(outside.contains("it has rows 2..5"), "{outside}");
    // The same tokens twice: both recorded ranges are there, what reaches over both is not.
    let window = &script().windows[0].input;
    assert!(said(window, 0..5).is_ok() && said(window, 5..11).is_ok());
    assert!(said(window, 4..6).is_err());
}

#[test]
fn a_file_that_ends_anywhere_is_refused_or_good_for_its_whole_windows() {
    for keep in [Keep::Hidden, Keep::Logits, Keep::TopK(3)] {
        let (_folder, path, bytes) = recorded(keep);
        let at = boundaries(&bytes);
        let opening = at.len() - 1 - script().windows.len();
        let near = |length: usize| at.iter().any(|at| at.abs_diff(length) < 12);
        for length in (0..bytes.len()).filter(|&length| near(length) || length % 211 == 0) {
            fs::write(&path, &bytes[..length]).unwrap();
            // The zeros behind a payload carry nothing.
            let whole = (1..at.len())
                .filter(|&i| at[i - 1] + FRAME_HEAD + payload(&bytes, i - 1).len() <= length)
                .count();
            match open(&path) {
                Ok(recording) => {
                    recording.check().unwrap();
                    let recorded = recording.script().unwrap().recorded;
                    assert_eq!(recorded + opening, whole, "{keep}, {length} bytes");
                }
                Err(_) => assert!(whole < opening, "{keep}, {length} bytes"),
            }
        }
    }
}

#[test]
fn resuming_behind_any_cut_ends_with_the_same_bytes() {
    let (_folder, path, bytes) = recorded(Keep::Hidden);
    let (model, script) = (model("llama"), script());
    let plan = plan(&model, &script, Keep::Hidden);
    let head = Some((model.head().unwrap(), HeadPlace::Stored));
    for length in (boundaries(&bytes)[2]..=bytes.len()).step_by(29) {
        fs::write(&path, &bytes[..length]).unwrap();
        let mut recorder = Recorder::resume(&path, &plan, &head).unwrap();
        for window in &script.windows[recorder.done()..] {
            recorder
                .append(&kept(&model, window, Keep::Hidden))
                .unwrap();
        }
        assert!(fs::read(&path).unwrap() == bytes, "cut at {length}");
    }
}

#[test]
fn a_recording_has_one_writer() {
    let (_folder, path, _) = recorded(Keep::Hidden);
    let (model, script) = (model("llama"), script());
    let plan = plan(&model, &script, Keep::Hidden);
    let head = Some((model.head().unwrap(), HeadPlace::Stored));
    let _first = Recorder::resume(&path, &plan, &head).unwrap();
    let refused = Recorder::resume(&path, &plan, &head)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("another process is recording"),
        "{refused}"
    );
}

#[test]
fn a_flipped_bit_anywhere_is_seen() {
    let (_folder, path, bytes) = recorded(Keep::TopK(3));
    let at = boundaries(&bytes);
    let last = at[at.len() - 2];
    let near = |place: usize| at.iter().any(|at| (*at..at + FRAME_HEAD).contains(&place));
    for place in (0..bytes.len()).filter(|&place| near(place) || place % 37 == 0) {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        match open(&path).and_then(|recording| recording.check().map(|()| recording)) {
            Err(_) => {}
            // What is wrong in or behind the length of a frame looks like a file that was cut there.
            Ok(recording) => {
                let recorded = recording.script().unwrap().recorded;
                assert!(recorded < 3, "bit in byte {place}");
                assert!(place >= last || near(place), "bit in byte {place}");
            }
        }
    }
}

#[test]
fn frames_of_absurd_lengths_and_kinds_cost_nothing() {
    let (_folder, path, bytes) = recorded(Keep::Hidden);
    let at = boundaries(&bytes);
    for frame in 0..at.len() - 1 {
        for length in [u64::MAX, u64::MAX - 60, 1 << 62, 1 << 40] {
            let mut bytes = bytes.clone();
            bytes[at[frame] + 8..at[frame] + 16].copy_from_slice(&length.to_le_bytes());
            fs::write(&path, &bytes).unwrap();
            // As if it had been cut there.
            assert_eq!(open(&path).is_ok(), frame >= 2, "frame {frame}");
        }
        for (place, said) in [(0, "kind 9"), (4, "flags 9")] {
            let mut bytes = bytes.clone();
            bytes[at[frame] + place] = 9;
            let refused = refusal(&path, &bytes);
            assert!(refused.contains(said), "{refused}");
        }
    }
    // Headers of safetensors that announce more than there is.
    for length in [u64::MAX, 1 << 50, 7] {
        for frame in 0..3 {
            let mut lies = payload(&bytes, frame).to_vec();
            lies[..8].copy_from_slice(&length.to_le_bytes());
            let refused = refusal(&path, &with_payload(&bytes, frame, &lies));
            assert!(refused.contains("is not sound safetensors"), "{refused}");
        }
    }
}

#[test]
fn manifests_that_lie_are_refused_though_their_checksum_is_right() {
    let (_folder, path, bytes) = recorded(Keep::Hidden);
    let (json, tensors) = header(payload(&bytes, 0));
    let manifest: Value =
        serde_json::from_str(json["__metadata__"]["manifest"].as_str().unwrap()).unwrap();
    let lies = [
        ("/columns", json!(0), "from 1 to 4194304"),
        ("/columns", json!(1_u64 << 60), "from 1 to 4194304"),
        ("/columns", json!(97), "cannot be 'head.weight'"),
        ("/columns", json!(40), "has token"),
        ("/head/width", json!(0), "a width of 0"),
        ("/head/width", json!(1 << 19), "cannot be 'head.weight'"),
        ("/head/type", json!("Q9_9"), "cannot read"),
        ("/head/type", json!("F16"), "has 'head.weight' as"),
        ("/head", Value::Null, "names no output head"),
        (
            "/keep",
            json!("everything"),
            "expected hidden, logits or top-k:K",
        ),
        (
            "/keep",
            json!("top-k:18446744073709551616"),
            "expected hidden",
        ),
        ("/keep", json!("top-k:96"), "keeps 96 of 96 columns"),
        ("/keep", json!("logits"), "has no tensor 'logits'"),
        ("/texts/0/bytes", json!(1_u64 << 40), "bytes of text"),
        ("/texts/0/bytes", json!(1), "belong to no fragment"),
        ("/texts/1/bytes", json!(1), "belong to no fragment"),
        ("/model", json!("me"), "does not say what it should"),
    ];
    for (place, lie, said) in lies {
        let mut manifest = manifest.clone();
        *manifest.pointer_mut(place).unwrap() = lie.clone();
        let mut json = json.clone();
        json["__metadata__"]["manifest"] = manifest.to_string().into();
        let refused = refusal(
            &path,
            &with_payload(&bytes, 0, &with_header(&json, tensors)),
        );
        assert!(refused.contains(said), "{place} {lie}: {refused}");
    }
}

#[test]
fn tables_of_windows_that_lie_are_refused() {
    let (_folder, path, bytes) = recorded(Keep::Hidden);
    let (json, tensors) = header(payload(&bytes, 0));
    // The first tensor: fragment, length, replaced, first row, end.
    let lies = [
        (0, 7, "cuts window 0 from fragment 7"),
        (1, u32::MAX, "more tokens than the 30 there are"),
        (1, 11, "has 1 tokens that belong to no window"),
        (3, 11, "scores rows 11..11"),
        (3, u32::MAX, "scores rows"),
        (4, 12, "scores rows 5..12 of window 0, which has 12 tokens"),
        (3, 6, "has 'hidden' of shape [6, 32], expected [5, 32]"),
        (15, 96, "has token 96 in window 0; there are 96"),
    ];
    for (place, lie, said) in lies {
        let mut tensors = tensors.to_vec();
        tensors[4 * place..4 * place + 4].copy_from_slice(&lie.to_le_bytes());
        let refused = refusal(
            &path,
            &with_payload(&bytes, 0, &with_header(&json, &tensors)),
        );
        assert!(refused.contains(said), "{place} {lie}: {refused}");
    }
}

#[test]
fn windows_that_lie_are_refused() {
    let (_folder, path, bytes) = recorded(Keep::TopK(3));
    let (json, tensors) = header(payload(&bytes, 2));
    let ids = json["ids"]["data_offsets"][0].as_u64().unwrap() as usize;
    for lie in [u32::MAX, 96, 0] {
        let mut tensors = tensors.to_vec();
        tensors[ids + 8..ids + 12].copy_from_slice(&lie.to_le_bytes());
        let refused = refusal(
            &path,
            &with_payload(&bytes, 2, &with_header(&json, &tensors)),
        );
        assert!(refused.contains("has ids that do not ascend"), "{refused}");
    }
    let swapped = with_payload(&bytes, 1, payload(&bytes, 2));
    assert!(refusal(&path, &swapped).contains("is that of another window"));
    let more = [&bytes[..], &bytes[boundaries(&bytes)[3]..]].concat();
    assert!(refusal(&path, &more).contains("are not those of at most 3 windows"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_that_goes_on_with_anything_keeps_what_was_whole(garbage in prop::collection::vec(any::<u8>(), 1..200)) {
        let (_folder, path, bytes) = recorded(Keep::Logits);
        fs::write(&path, [&bytes[..], &garbage].concat()).unwrap();
        if let Ok(recording) = open(&path) {
            prop_assert_eq!(recording.script().unwrap().recorded, 3);
            recording.check().unwrap();
        }
    }

    #[test]
    fn what_is_kept_of_the_top_is_given_back(
        log_probs in prop::collection::vec(-9.0_f32..-2.0, 4),
        columns in 5_usize..300,
    ) {
        let mass: f64 = log_probs.iter().map(|x| f64::from(*x).exp()).sum();
        let top = TopK {
            ids: vec![0, 2, 3, 4],
            log_probs: log_probs.clone(),
            log_tail: vec![(1.0 - mass).ln()],
            loss: vec![0.0],
        };
        let mut row = vec![f32::NAN; columns];
        top.give_back(0, &mut row);
        let kept: Vec<f32> = top.ids.iter().map(|&id| row[id as usize]).collect();
        prop_assert_eq!(kept, log_probs);
        let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        prop_assert!((sum - 1.0).abs() < 1e-6, "{}", sum);
    }
}

#[test]
fn a_recording_written_by_python_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/recordings");
    let values = fs::read_to_string(folder.join("values.json")).unwrap();
    let golden = &serde_json::from_str::<Value>(&values).unwrap()["recording"];
    let tokens: Vec<u32> = serde_json::from_value(golden["tokens"].clone()).unwrap();
    let [first, end]: [usize; 2] = serde_json::from_value(golden["rows"].clone()).unwrap();
    let logits: Vec<Vec<f32>> = serde_json::from_value(golden["logits"].clone()).unwrap();

    let recording = open(&folder.join("python.kldrec")).unwrap();
    recording.check().unwrap();
    let script = recording.script().unwrap();
    assert_eq!(script.texts[0].text, "a recording made by Python");
    let mut rows = Vec::new();
    let run = recording.forward(&tokens).unwrap();
    run.rows(first..end, &mut rows).unwrap();
    for (found, expected) in rows.iter().zip(logits.concat()) {
        assert!((found - expected).abs() < 4e-6, "{found} {expected}");
    }
    assert_eq!(rows.len(), logits.concat().len());
}
