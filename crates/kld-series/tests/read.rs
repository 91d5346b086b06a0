//! Series as trainers leave them, whole, cut off, damaged and hostile.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use kld_core::series::{Point, Series};
use kld_series::{EventFile, Keys, Kind, Role, Told, read};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/series");
    folder.join(name)
}

/// A folder with one file in it.
fn folder(name: &str, content: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    folder
}

fn told(path: &Path) -> Told {
    read(path, &Keys::default()).unwrap()
}

fn refused(path: &Path) -> String {
    read(path, &Keys::default()).unwrap_err().to_string()
}

fn pairs(series: &Series) -> Vec<(f64, f64)> {
    series.points.iter().map(|p| (p.step, p.value)).collect()
}

fn key<'a>(told: &'a Told, key: &str) -> &'a Series {
    told.series.iter().find(|s| s.key == key).unwrap()
}

#[test]
fn event_files_of_others_are_read_as_tensorboard_reads_them() {
    let expected: Value =
        serde_json::from_slice(&fs::read(golden("events.json")).unwrap()).unwrap();
    for (file, tags) in expected.as_object().unwrap() {
        let told = told(&golden(file));
        assert_eq!(told.kind, Kind::TensorBoard);
        for (tag, points) in tags.as_object().unwrap() {
            let got = key(&told, tag);
            let points = points.as_array().unwrap();
            assert_eq!(got.points.len(), points.len(), "{tag}");
            for (got, expected) in got.points.iter().zip(points) {
                assert_eq!(got.step, expected[0].as_f64().unwrap());
                match expected[1].as_f64() {
                    Some(value) => assert_eq!(got.value, value),
                    None => assert!(got.value.is_nan()),
                }
            }
        }
        // Texts and histograms are no series; the gap is made.
        let told: Vec<&str> = told.series.iter().map(|s| &*s.key).collect();
        let tags = tags.as_object().unwrap().keys();
        assert!(tags.clone().all(|tag| told.contains(&tag.as_str())));
        assert_eq!(
            told.len(),
            tags.len() + usize::from(told.contains(&"eval/loss"))
        );
    }
    let told = told(&golden("tensorboardx.tfevents"));
    assert_eq!(told.role(Role::HeldOut).unwrap().key, "eval/loss");
    assert_eq!(told.role(Role::Training).unwrap().key, "train/loss");
}

#[test]
fn what_is_written_is_read_and_a_record_under_way_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = EventFile::create(folder.path(), 1.7e9, 0).unwrap();
    events
        .scalars(10, 1.7e9 + 1.0, &[("eval/loss", 0.5), ("lr", 1e-3)])
        .unwrap();
    events
        .scalars(20, 1.7e9 + 2.0, &[("eval/loss", f64::INFINITY)])
        .unwrap();
    let whole = told(folder.path());
    assert_eq!(
        pairs(key(&whole, "eval/loss")),
        [(10.0, 0.5), (20.0, f64::INFINITY)]
    );
    assert_eq!(
        pairs(whole.role(Role::Rate).unwrap()),
        [(10.0, f64::from(1e-3_f32))]
    );
    let path = folder.path().join("events.out.tfevents.1700000000.kld.000");
    let bytes = fs::read(&path).unwrap();
    // Whatever is missing at the end, what was written before is there.
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        if let Ok(cut) = read(folder.path(), &Keys::default()) {
            assert!(cut.series.iter().all(|s| s.points.len() <= 1), "{length}");
        }
    }
}

#[test]
fn what_is_told_again_after_a_checkpoint_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("other");
    fs::create_dir(&below).unwrap();
    let tell = |folder: &Path, from: u64, steps: &[u64], value: f64| {
        let mut events = EventFile::create(folder, 1.7e9, from).unwrap();
        for step in steps {
            events.scalars(*step, 1.7e9, &[("loss", value)]).unwrap();
        }
    };
    tell(&below, 0, &[1, 2, 3, 4], 0.5);
    tell(folder.path(), 0, &[1, 2, 3, 4], 1.0);
    // Killed, and gone on from the checkpoint of step 2; the second time in the same second.
    tell(folder.path(), 3, &[3], 2.0);
    let told = told(folder.path());
    assert_eq!(
        pairs(key(&told, "loss")),
        [(1.0, 1.0), (2.0, 1.0), (3.0, 2.0)]
    );
    assert_eq!(key(&told, "other/loss").points.len(), 4);
}

#[test]
fn damaged_event_files_are_refused_at_their_place() {
    let bytes = fs::read(golden("tensorboardx.tfevents")).unwrap();
    for at in 0..bytes.len() - 40 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let folder = folder("events.out.tfevents.1", &damaged);
        let error = refused(folder.path());
        assert!(error.contains("the record at byte"), "{at}: {error}");
    }
    let folder = folder("x.tfevents", b"hello, this is no event file");
    assert!(refused(folder.path()).contains("no event file, or damaged"));
}

#[test]
fn a_run_of_kld_train_is_read() {
    let evaluation = |step: u32, held_out: f64, training: f64| {
        let estimate =
            |v: f64| format!(r#"{{"value":{v},"standard_error":0.01,"low":null,"high":null}}"#);
        format!(
            r#"{{"step":{step},"evaluation":{{"step":{step},"rate":0.0,"loss":null,"held_out":{},"training":{},"gap":{},"reverse_kl":null,"best":true}}}}"#,
            estimate(held_out),
            estimate(training),
            estimate(held_out - training)
        )
    };
    let step = r#"{"step":1,"loss":2.5,"divergence":2.5,"nll":0.0,"rate":0.001,"gradient_norm":3.0,"tokens":64,"tokens_per_s":100.0}"#;
    let lines = [
        evaluation(0, 3.0, 2.5),
        step.to_owned(),
        evaluation(1, 2.0, 1.75),
    ]
    .join("\n");
    let folder = folder("metrics.jsonl", lines + "\n{\"step\":2,\"lo");
    fs::write(
        folder.path().join("run.json"),
        r#"{"settings":{"steps":500}}"#,
    )
    .unwrap();
    let told = told(folder.path());
    assert_eq!(
        (told.kind, told.steps_planned),
        (Kind::KldTrain, Some(500.0))
    );
    let held_out = told.role(Role::HeldOut).unwrap();
    let point = Point {
        step: 0.0,
        value: 3.0,
        standard_error: Some(0.01),
    };
    assert_eq!((held_out.points[0], held_out.points.len()), (point, 2));
    assert_eq!(
        pairs(told.role(Role::Training).unwrap()),
        [(0.0, 2.5), (1.0, 1.75)]
    );
    assert_eq!(
        pairs(told.role(Role::Gap).unwrap()),
        [(0.0, 0.5), (1.0, 0.25)]
    );
    assert_eq!(pairs(told.role(Role::Rate).unwrap()), [(1.0, 0.001)]);
    assert_eq!(pairs(told.role(Role::GradientNorm).unwrap()), [(1.0, 3.0)]);
    assert_eq!(pairs(key(&told, "loss")), [(1.0, 2.5)]);
}

#[test]
fn a_hugging_face_trainer_is_read_at_its_newest_checkpoint() {
    let state = |steps: u32| {
        format!(
            r#"{{"global_step": {steps}, "max_steps": 300, "log_history": [
                {{"epoch": 0.1, "grad_norm": 1.5, "learning_rate": 1e-4, "loss": 2.5, "step": 50}},
                {{"epoch": 0.2, "eval_loss": 2.25, "eval_runtime": 3.0, "step": {steps}}},
                {{"epoch": 0.2, "loss": NaN, "note": "NaN, \"Infinity\"", "step": {steps}}}]}}"#
        )
    };
    let folder = tempfile::tempdir().unwrap();
    for steps in [100, 90] {
        let checkpoint = folder.path().join(format!("checkpoint-{steps}"));
        fs::create_dir(&checkpoint).unwrap();
        fs::write(checkpoint.join("trainer_state.json"), state(steps)).unwrap();
    }
    let told = told(folder.path());
    assert_eq!(
        (told.kind, told.steps_planned),
        (Kind::HuggingFace, Some(300.0))
    );
    assert_eq!(pairs(told.role(Role::HeldOut).unwrap()), [(100.0, 2.25)]);
    let training = told.role(Role::Training).unwrap();
    assert!(training.points[1].value.is_nan() && training.points[0].value == 2.5);
    assert_eq!(pairs(told.role(Role::GradientNorm).unwrap()), [(50.0, 1.5)]);
}

#[test]
fn names_that_nobody_uses_can_be_given_and_a_wrong_one_is_refused_with_what_there_is() {
    let lines = "{\"t\": 1, \"a\": 2.0, \"b\": {\"c\": 3.0}}\n\n{\"t\": 2, \"a\": 1.0}\n";
    let folder = folder("log.jsonl", lines);
    let keys = |held_out: &str, step: &str| Keys {
        held_out: Some(held_out.to_owned()),
        step: Some(step.to_owned()),
        ..Keys::default()
    };
    let told = read(folder.path(), &keys("a", "t")).unwrap();
    assert_eq!(
        pairs(told.role(Role::HeldOut).unwrap()),
        [(1.0, 2.0), (2.0, 1.0)]
    );
    let error = |keys: &Keys| read(folder.path(), keys).unwrap_err().to_string();
    assert!(error(&keys("x", "t")).ends_with("has no \"x\"; there are a, b/c"));
    assert!(error(&keys("a", "x")).ends_with("has no \"x\"; there are a, b/c, t"));
    let unnamed = error(&Keys::default());
    assert!(
        unnamed.contains("no record says its step: none of a, b/c, t"),
        "{unnamed}"
    );
}

#[test]
fn what_is_no_series_is_refused() {
    let bad = folder("log.jsonl", "{\"step\": 1}\nnot json\n{\"step\": 2}\n");
    assert!(refused(bad.path()).contains("line 2: no JSON"));
    let state = folder("trainer_state.json", "{\"a\": 1}");
    assert!(refused(state.path()).contains("log_history"));
    let nothing = tempfile::tempdir().unwrap();
    assert!(refused(nothing.path()).contains("tells no series"));
    fs::write(nothing.path().join("a.jsonl"), "").unwrap();
    assert!(told(nothing.path()).series.is_empty());
    fs::write(nothing.path().join("b.jsonl"), "").unwrap();
    assert!(refused(nothing.path()).contains("2 .jsonl files: name one"));
    assert!(refused(&nothing.path().join("missing")).contains("missing"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0_usize..200) {
        let lines = folder("log.jsonl", &bytes);
        let _ = read(lines.path(), &Keys::default());
        // Behind a first event that is right.
        let first = &fs::read(golden("tensors.tfevents")).unwrap()[..cut];
        let events = folder("x.tfevents", [first, &bytes].concat());
        let _ = read(events.path(), &Keys::default());
    }
}
