//! Scenarios of `kld text`, run through the program itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// What a run left behind.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `kld text` in a folder with arguments separated by spaces.
fn text(folder: &Path, arguments: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_kld"))
        .arg("text")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn printed(folder: &Path, arguments: &str) -> String {
    let run = text(folder, arguments);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments}");
    run.stdout
}

fn refused(folder: &Path, arguments: &str) -> String {
    let run = text(folder, arguments);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{arguments}");
    run.stderr
}

fn result(folder: &Path, arguments: &str) -> Value {
    serde_json::from_str(&printed(folder, &format!("{arguments} --json -"))).unwrap()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn two_bodies() -> TempDir {
    let record = |text: &str| format!("{{\"text\":\"{text}\"}}\n");
    let a: String = [
        "The cat sat on the mat.",
        "A cat and a dog.",
        "The mat is red.",
    ]
    .map(record)
    .concat();
    let b: String = [
        "我们在北京大学学习。",
        "The dog sat.",
        "A red dog, 世界和平!",
    ]
    .map(record)
    .concat();
    folder(&[("a.jsonl", a.as_bytes()), ("b.jsonl", b.as_bytes())])
}

#[test]
fn two_bodies_are_compared_both_ways_and_the_words_are_named() {
    let folder = two_bodies();
    let table = printed(folder.path(), "a.jsonl b.jsonl");
    for said in [
        "P  a.jsonl  3 documents  15 words  10 different",
        "KL(P‖Q) of the frequencies is infinite",
        "Zhang-Grabchak",
        "P has 3 documents, Q has 3 documents",
        "北京",
    ] {
        assert!(table.contains(said), "{said}\n{table}");
    }
    let result = result(folder.path(), "a.jsonl b.jsonl");
    assert_eq!(result["schema"], "kld.text/1");
    assert_eq!(result["estimators"][0]["kl"]["value"], "inf");
    assert_eq!(
        result["only_in_reference"]["most_frequent"][0]["term"],
        "cat"
    );
}

#[test]
fn smoothing_is_done_on_request_and_said() {
    let folder = two_bodies();
    let arguments = "a.jsonl b.jsonl --smooth jelinek-mercer:0.1";
    let table = printed(folder.path(), arguments);
    assert!(
        table.contains("smoothed: a share 0.1 of each side replaced by the mean of both"),
        "{table}"
    );
    let kl = &result(folder.path(), arguments)["smoothed"]["kl"]["value"];
    assert!(kl.as_f64().unwrap() < (1.9_f64 / 0.1).ln());
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let folder = folder(&[
        ("a.txt", b"some words"),
        ("empty.txt", b" \n"),
        ("signs.txt", b"!?! ..."),
        ("latin.txt", b"gr\xfc\xdfe"),
        ("binary.txt", b"ab\0c"),
        ("picture.png", b"x"),
    ]);
    for (file, said) in [
        ("empty.txt", "B: no text in empty.txt"),
        ("signs.txt", "B: no text in signs.txt"),
        ("latin.txt", "latin.txt: not UTF-8 at byte 2"),
        ("binary.txt", "binary.txt: a zero byte at 2"),
        ("picture.png", "expected .txt, .md, .jsonl"),
        ("missing.txt", "missing.txt"),
    ] {
        let stderr = refused(folder.path(), &format!("a.txt {file}"));
        assert!(stderr.contains(said), "{stderr}");
    }
    let stderr = refused(folder.path(), "- -");
    assert!(
        stderr.contains("only one of A and B can be `-`"),
        "{stderr}"
    );
    let lossy = printed(folder.path(), "a.txt latin.txt --lossy");
    assert!(
        lossy.contains("2 places that are not UTF-8 replaced"),
        "{lossy}"
    );
}

#[test]
fn one_word_is_compared_and_called_too_little() {
    let folder = folder(&[("a.txt", b"one two two"), ("b.txt", b"two")]);
    let table = printed(folder.path(), "a.txt b.txt");
    assert!(table.contains("without errors"), "{table}");
    assert!(table.contains("warning: Q is redrawn by 1 part"), "{table}");
}

#[test]
fn counts_are_saved_merged_and_compared() {
    let folder = two_bodies();
    let shown = printed(folder.path(), "count a.jsonl -o a.kldcounts");
    assert!(shown.contains("a.jsonl  3 documents  15 words"), "{shown}");
    printed(folder.path(), "count b.jsonl -o b.kldcounts");
    printed(
        folder.path(),
        "count a.kldcounts b.kldcounts -o merged.kldcounts",
    );
    printed(folder.path(), "count a.jsonl b.jsonl -o whole.kldcounts");
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("merged.kldcounts"), bytes("whole.kldcounts"));
    let of_tables = result(folder.path(), "a.kldcounts b.kldcounts");
    let of_texts = result(folder.path(), "a.jsonl b.jsonl");
    assert_eq!(of_tables["estimators"], of_texts["estimators"]);
    printed(folder.path(), "count a.jsonl --ngram 2 -o pairs.csv");
    assert!(
        String::from_utf8(bytes("pairs.csv"))
            .unwrap()
            .contains("the mat,2\n")
    );
    let stderr = refused(folder.path(), "count a.jsonl -o counts.xls");
    assert!(
        stderr.contains("ends in .kldcounts, .json or .csv"),
        "{stderr}"
    );
}

#[test]
fn tokens_of_a_tokenizer_are_counted() {
    let folder = two_bodies();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/tokenizers/gpt2");
    let of = |tokenizer: &str| {
        let arguments = format!("a.jsonl b.jsonl --tokenizer {golden}/{tokenizer}");
        result(folder.path(), &arguments)
    };
    let by_file = of("tokenizer.json");
    assert_eq!(by_file["counted"]["unit"], "tokens");
    let by_model = of("tokenizer.gguf");
    assert_eq!(by_file["contributors"], by_model["contributors"]);
    let stderr = refused(folder.path(), "a.jsonl b.jsonl --tokenizer a.jsonl");
    assert!(stderr.contains("a.jsonl"), "{stderr}");
}

#[test]
fn counts_in_short_are_json_too() {
    let folder = two_bodies();
    let counts = result(folder.path(), "count a.jsonl --top 1");
    assert_eq!(counts["schema"], "kld.text-counts/1");
    assert_eq!(counts["most_frequent"][0]["term"], "the");
    assert_eq!(counts["most_frequent"][0]["count"], 3);
}
