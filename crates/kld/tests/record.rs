//! Recordings through the program: replayed, resumed, lossy, refused; and llama.cpp's file.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

mod desk;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use desk::{Desk, TEXT, golden, stderr};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

/// A desk with a text of several fragments.
fn desk() -> Desk {
    let desk = Desk::new();
    fs::create_dir(desk.path("texts")).unwrap();
    for (name, times) in [("a", 4), ("b", 1), ("c", 7)] {
        fs::write(
            desk.path(&format!("texts/{name}.txt")),
            format!("{name} {TEXT} ").repeat(times),
        )
        .unwrap();
    }
    desk
}

/// A result, but for how it came to be and how its models are called.
fn numbers(mut result: Value) -> Value {
    result.as_object_mut().unwrap().remove("run").unwrap();
    let plain = |card: &mut Value| {
        let card = card.as_object_mut().unwrap();
        card.remove("name").unwrap();
        card.remove("recorded");
    };
    plain(&mut result["reference"]);
    for candidate in result["candidates"].as_array_mut().unwrap() {
        plain(&mut candidate["model"]);
    }
    result
}

#[test]
fn what_is_replayed_has_the_bits_of_what_is_live() {
    let desk = desk();
    for cut in [
        "--context 32",
        "--context 48 --score all",
        "--context 64 --max-windows 5 --seed 3",
        "--context 32 --protocol llama.cpp",
    ] {
        let live = numbers(desk.json(&format!(
            "compare p.gguf q8_0.gguf q4_0.gguf --text texts {cut}"
        )));
        for (name, how) in [
            ("hidden", ""),
            ("referenced", "--head referenced"),
            ("logits", "--keep logits"),
        ] {
            desk.fine(&format!(
                "record p.gguf --text texts {cut} {how} -o {name}.kldrec"
            ));
            for threads in [1, 3] {
                let replayed = desk.json(&format!(
                    "compare {name}.kldrec q8_0.gguf q4_0.gguf --threads {threads}"
                ));
                assert_eq!(numbers(replayed), live, "{name}, {cut}");
            }
            // With the text named again the windows must be those of the recording, and are.
            let named = desk.json(&format!(
                "compare {name}.kldrec q8_0.gguf q4_0.gguf --text texts {cut}"
            ));
            assert_eq!(numbers(named), live, "{name}, {cut}");
            fs::remove_file(desk.path(&format!("{name}.kldrec"))).unwrap();
        }
    }
}

#[test]
fn every_family_is_replayed_with_its_bits() {
    let desk = desk();
    for family in ["gpt2", "mistral", "qwen2", "qwen3", "llama-scaled"] {
        let model = golden(family);
        let model = model.display();
        desk.fine(&format!(
            "record {model} --text texts --context 32 -o {family}.kldrec"
        ));
        let live = numbers(desk.json(&format!(
            "compare {model} {model} --text texts --context 32"
        )));
        assert_eq!(
            numbers(desk.json(&format!("compare {family}.kldrec {model}"))),
            live,
            "{family}"
        );
    }
}

#[test]
fn two_recordings_compare_without_any_model() {
    let desk = desk();
    let live = numbers(desk.json("compare p.gguf q4_0.gguf --text texts --context 32"));
    for model in ["p", "q4_0"] {
        desk.fine(&format!(
            "record {model}.gguf --text texts --context 32 -o {model}.kldrec"
        ));
        fs::remove_file(desk.path(&format!("{model}.gguf"))).unwrap();
    }
    fs::remove_dir_all(desk.path("texts")).unwrap();
    assert_eq!(numbers(desk.json("compare p.kldrec q4_0.kldrec")), live);
    let score = desk.json("score p.kldrec");
    assert_eq!(score["positions"], live["candidates"][0]["positions"]);
}

#[test]
fn a_recording_that_is_killed_again_and_again_is_the_straight_one_to_the_byte() {
    let desk = desk();
    let record = "record p.gguf --text texts --context 24 --threads 2 -o";
    let begun = Instant::now();
    desk.fine(&format!("{record} straight.kldrec"));
    let whole = begun.elapsed().max(Duration::from_millis(50));
    let straight = fs::read(desk.path("straight.kldrec")).unwrap();
    let mut rng = StdRng::seed_from_u64(5);
    let (mut kills, mut finished) = (0, 0);
    while kills < 50 || finished == 0 {
        let file = format!("r{finished}.kldrec");
        let mut child = desk.spawn(&format!("{record} {file} --resume"));
        if kills < 50 {
            thread::sleep(whole.mul_f64(rng.random_range(0.0..1.1)));
            child.kill().unwrap();
        }
        match child.wait().unwrap().code() {
            None => kills += 1,
            Some(code) => {
                assert_eq!(code, 0);
                assert!(
                    fs::read(desk.path(&file)).unwrap() == straight,
                    "{file} is another"
                );
                finished += 1;
            }
        }
    }
}

#[test]
fn a_recording_that_was_stopped_is_good_for_what_it_has() {
    let desk = desk();
    desk.fine("record p.gguf --text texts --context 32 -o whole.kldrec");
    let whole = fs::read(desk.path("whole.kldrec")).unwrap();
    fs::write(desk.path("torn.kldrec"), &whole[..whole.len() - 1]).unwrap();
    let result = desk.json("compare torn.kldrec q8_0.gguf");
    let all = desk.json("compare whole.kldrec q8_0.gguf");
    let windows = |result: &Value| result["protocol"]["windows"].as_u64().unwrap();
    assert_eq!(windows(&result) + 1, windows(&all));
    let warnings = result["candidates"][0]["warnings"].to_string();
    assert!(warnings.contains("was stopped after"), "{warnings}");
    desk.fine("record p.gguf --text texts --context 32 -o torn.kldrec --resume");
    assert!(fs::read(desk.path("torn.kldrec")).unwrap() == whole);
}

#[test]
fn what_a_lossy_recording_loses_stands_in_every_result() {
    let desk = desk();
    let live = desk.json("compare p.gguf q4_0.gguf --text texts --context 32");
    let mut last = f64::INFINITY;
    for k in [2, 16, 64] {
        desk.fine(&format!(
            "record p.gguf --text texts --context 32 --keep top-k:{k} -o {k}.kldrec"
        ));
        let result = desk.json(&format!("compare {k}.kldrec q4_0.gguf"));
        let loss = result["reference"]["recorded"]["loss"]["kl"]["value"]
            .as_f64()
            .unwrap();
        assert!(0.0 < loss && loss < last, "{k}: {loss}");
        last = loss;
        // The loss measured while recording is the divergence of the model from its recording.
        let back = desk.json(&format!("compare p.gguf {k}.kldrec"));
        let measured = back["candidates"][0]["kl"]["mean"]["value"]
            .as_f64()
            .unwrap();
        assert!(
            (measured / loss - 1.0).abs() < 1e-6,
            "{k}: {measured} {loss}"
        );
    }
    let kl = |result: &Value| {
        result["candidates"][0]["kl"]["mean"]["value"]
            .as_f64()
            .unwrap()
    };
    let close = desk.json("compare 64.kldrec q4_0.gguf");
    assert!((kl(&close) - kl(&live)).abs() < 0.2 * kl(&live));
    let table = desk.printed("compare 2.kldrec q8_0.gguf");
    assert!(table.contains("top-k:2 of p.gguf; loses KL"), "{table}");
    assert!(
        table.contains("warning: the recording 2.kldrec itself loses"),
        "{table}"
    );
}

#[test]
fn what_is_not_on_the_recording_is_refused() {
    let desk = desk();
    desk.fine("record p.gguf --text texts --context 32 -o p.kldrec");
    desk.fine("record p.gguf --text texts/a.txt --context 32 -o a.kldrec");
    let cases = [
        (
            "compare p.kldrec q8_0.gguf --context 48",
            "the recording was cut with --context 32, not 48",
        ),
        (
            "compare p.kldrec q8_0.gguf --score all",
            "the recording was cut with --score second-half, not all",
        ),
        (
            "compare p.kldrec q8_0.gguf --protocol llama.cpp",
            "the recording was cut with --protocol kld, not llama.cpp",
        ),
        (
            "compare p.kldrec q8_0.gguf --text text.txt --context 32",
            "it was recorded on another token stream, or cut otherwise",
        ),
        ("compare p.kldrec a.kldrec", "a.kldrec does not have window"),
        ("compare p.gguf q8_0.gguf", "no text: name it with --text"),
        (
            "record p.gguf --text texts --context 32 -o p.kldrec",
            "there is a file already",
        ),
        (
            "record p.gguf --text texts --context 48 -o p.kldrec --resume",
            "it was begun with context 32, this run has 48",
        ),
        (
            "record q8_0.gguf --text texts --context 32 -o p.kldrec --resume",
            "it was begun with weights",
        ),
        (
            "record p.gguf --text texts --keep top-k:0 -o x.kldrec",
            "expected hidden, logits or top-k:K",
        ),
        (
            "record p.gguf --text texts --context 32 --keep top-k:999999 -o x.kldrec",
            "so K must be smaller",
        ),
        (
            "record p.gguf --text texts --context 32 --format llama.cpp -o x.kld",
            "add --protocol llama.cpp",
        ),
    ];
    for (command, said) in cases {
        let refused = desk.refused(command);
        assert!(refused.contains(said), "{command}: {refused}");
    }
    // A head kept by reference is that of one very file.
    desk.fine("record p.gguf --text texts --context 32 --head referenced -o r.kldrec");
    fs::copy(desk.path("q8_0.gguf"), desk.path("p.gguf")).unwrap();
    let refused = desk.refused("compare r.kldrec q4_0.gguf");
    assert!(
        refused.contains("which has changed: its SHA-256 is"),
        "{refused}"
    );
}

#[test]
fn damaged_recordings_are_errors() {
    let desk = desk();
    desk.fine("record p.gguf --text texts/b.txt --context 32 -o p.kldrec");
    let sound = fs::read(desk.path("p.kldrec")).unwrap();
    let mut rng = StdRng::seed_from_u64(8);
    for _ in 0..40 {
        let mut bytes = sound.clone();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        fs::write(desk.path("x.kldrec"), &bytes).unwrap();
        let output = desk.kld("compare x.kldrec q8_0.gguf --json x.json");
        // Only the last window may be taken for torn; everything else is seen as damage.
        match output.status.code() {
            Some(2) => {}
            Some(0) => {
                let result: Value =
                    serde_json::from_slice(&fs::read(desk.path("x.json")).unwrap()).unwrap();
                assert!(
                    result["candidates"][0]["warnings"]
                        .to_string()
                        .contains("was stopped after"),
                    "bit at {at}"
                );
            }
            other => panic!("bit at {at}: {other:?} {}", stderr(&output)),
        }
    }
    for _ in 0..40 {
        let length = rng.random_range(0..sound.len());
        fs::write(desk.path("x.kldrec"), &sound[..length]).unwrap();
        let code = desk.kld("compare x.kldrec q8_0.gguf").status.code();
        assert!(matches!(code, Some(0 | 2)), "{length} bytes: {code:?}");
    }
}

#[test]
fn the_file_of_llama_cpp_is_written_and_read() {
    let desk = desk();
    let cut = "--text texts --context 32 --protocol llama.cpp";
    desk.fine(&format!(
        "record p.gguf {cut} --format llama.cpp -o base.kld"
    ));
    let live = desk.json(&format!("compare p.gguf q4_0.gguf {cut}"));
    let read = desk.json("compare base.kld q4_0.gguf");
    let kl = |result: &Value| {
        result["candidates"][0]["kl"]["mean"]["value"]
            .as_f64()
            .unwrap()
    };
    assert!(
        (kl(&read) / kl(&live) - 1.0).abs() < 0.01,
        "{} {}",
        kl(&read),
        kl(&live)
    );
    assert_eq!(
        read["protocol"]["token_stream_sha256"],
        live["protocol"]["token_stream_sha256"]
    );
    let floor = &read["reference"]["recorded"]["floor"];
    assert!(
        (floor["mass_mean"].as_f64().unwrap() - 1.0).abs() < 0.01,
        "{floor}"
    );
    assert!(
        desk.printed("compare base.kld q4_0.gguf")
            .contains("of its entries lie at a floor 16 nats below the top")
    );
    let lifted = "was lifted: a mean KL of";
    assert!(desk.printed("compare base.kld p.gguf").contains(lifted));
    assert!(!desk.printed("compare base.kld q4_0.gguf").contains(lifted));

    let bytes = fs::read(desk.path("base.kld")).unwrap();
    for (name, bytes) in [
        ("short.kld", &bytes[..bytes.len() - 1]),
        ("head.kld", &bytes[..12]),
    ] {
        fs::write(desk.path(name), bytes).unwrap();
        desk.refused(&format!("compare {name} q4_0.gguf"));
    }
    assert!(
        desk.refused("compare p.gguf base.kld --text texts")
            .contains("give it as the reference P")
    );
}

#[test]
fn the_divergence_from_a_file_that_others_wrote_is_that_which_others_compute() {
    let desk = desk();
    let folder = golden("../recordings");
    fs::copy(folder.join("llama-cpp.kld"), desk.path("base.kld")).unwrap();
    let values: Value =
        serde_json::from_slice(&fs::read(folder.join("values.json")).unwrap()).unwrap();
    let rows: Vec<f64> =
        serde_json::from_value(values["llama_cpp"]["kl_of_first_window"].clone()).unwrap();
    let expected = rows.iter().sum::<f64>() / rows.len() as f64;
    let result = desk.json("compare base.kld p.gguf --max-windows 1");
    let kl = result["candidates"][0]["kl"]["mean"]["value"]
        .as_f64()
        .unwrap();
    assert!((kl / expected - 1.0).abs() < 1e-5, "{kl} {expected}");
}
