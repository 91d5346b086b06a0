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

/// Days of the same few words, the last of which has others.
fn days() -> TempDir {
    let words = ["one", "two", "three", "four", "five", "six", "seven"];
    let record = |day: usize, text: String| format!("{{\"text\":\"{text}\",\"day\":{day}}}\n");
    let usual = |i: usize| format!("{} ", words[i * i % 7]).repeat(3) + words[i % 7];
    let a: String = (0..60).map(|i| record(i, usual(i))).collect();
    let b: String = (0..40).map(|i| record(i / 4, usual(i))).collect();
    let strange = record(10, "other things are here now ".repeat(4));
    folder(&[
        ("a.jsonl", a.as_bytes()),
        ("b.jsonl", (b + &strange).as_bytes()),
    ])
}

#[test]
fn the_document_that_is_strange_comes_first() {
    let folder = days();
    let found = &result(folder.path(), "a.jsonl b.jsonl --documents --top 2")["fragments"];
    assert_eq!(found["number"], 41);
    assert_eq!(found["listed"].as_array().unwrap().len(), 2);
    assert_eq!(found["listed"][0]["name"], "b.jsonl:41");
    assert_eq!(found["spread"]["number"], 60);
    let table = printed(folder.path(), "a.jsonl b.jsonl --documents");
    assert!(table.contains("P's own 60 documents"), "{table}");
}

#[test]
fn drift_is_followed_by_a_field_and_by_windows() {
    let folder = days();
    let groups = &result(folder.path(), "a.jsonl b.jsonl --by day")["fragments"];
    let listed = groups["listed"].as_array().unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    // As numbers: 10 comes last.
    assert_eq!((names.len(), names[1], names[10]), (11, "1", "10"));
    let excess = |one: &Value| one["excess"].as_f64().unwrap();
    assert!(
        listed[..10]
            .iter()
            .all(|one| excess(one) < excess(&listed[10]))
    );

    let windows = &result(folder.path(), "a.jsonl b.jsonl --window 25")["fragments"];
    assert_eq!(
        (&windows["number"], &windows["cut_off"]),
        (&7.into(), &5.into())
    );
    assert_eq!(windows["listed"][6]["name"], "151–175");
    let table = printed(folder.path(), "a.jsonl b.jsonl --window 25");
    assert!(
        table.contains("7 windows of 25 words of Q") && table.contains('█'),
        "{table}"
    );
}

#[test]
fn what_is_needed_to_look_at_fragments_is_said() {
    let folder = days();
    fs::write(folder.path().join("plain.txt"), "one two").unwrap();
    printed(folder.path(), "count a.jsonl -o a.kldcounts");
    for (arguments, said) in [
        ("a.jsonl - --documents", "read the text twice"),
        (
            "a.jsonl a.kldcounts --window 5",
            "a.kldcounts holds counts alone",
        ),
        (
            "a.jsonl plain.txt --by day",
            "plain.txt: plain text has no fields to group by",
        ),
        ("a.jsonl b.jsonl --by date", "has no field \"date\""),
    ] {
        let stderr = refused(folder.path(), arguments);
        assert!(stderr.contains(said), "{stderr}");
    }
    let table = printed(folder.path(), "a.kldcounts b.jsonl --documents");
    assert!(
        table.contains("without a test: the texts of P are not at hand"),
        "{table}"
    );
}

#[test]
fn a_text_is_compared_with_what_a_model_expects() {
    let folder = days();
    let model = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../golden/models/gpt2/model.gguf"
    );
    let found = result(
        folder.path(),
        &format!("a.jsonl --expected {model} --context 64"),
    );
    assert_eq!(found["schema"], "kld.text-expected/1");
    assert_eq!(found["documents"].as_array().unwrap().len(), 60);
    assert!(found["frequency"]["kl"].as_f64().unwrap() > 0.0);
    let errors = &found["frequency"]["errors"];
    assert_eq!(
        (&errors["clustered_by"], &errors["groups"]),
        (&"fragment".into(), &20.into())
    );
    for (name, value) in [
        ("kl", &found["frequency"]["kl"]),
        (
            "excess",
            &(found["frequency"]["kl"].as_f64().unwrap()
                - found["frequency"]["sampling_floor"].as_f64().unwrap())
            .into(),
        ),
    ] {
        assert_eq!(&errors[name]["value"], value);
        assert!(errors[name]["standard_error"].as_f64().unwrap() > 0.0);
    }
    let token = &found["frequency"]["under_predicted"][0];
    assert_eq!(token["estimate"]["value"], token["contribution"]);
    let table = printed(
        folder.path(),
        &format!("a.jsonl --expected {model} --context 64"),
    );
    assert!(
        table.contains("by document, largest excess first")
            && table.contains("errors by leaving out each of 20 groups of fragments"),
        "{table}"
    );
    let stderr = refused(
        folder.path(),
        &format!("a.jsonl b.jsonl --expected {model}"),
    );
    assert!(stderr.contains("cannot be used with"), "{stderr}");
}

#[test]
fn a_sample_is_drawn_and_said_to_stand_for_the_corpus() {
    let folder = days();
    let arguments = "sample a.jsonl --number 12 --seed 3 --near 1 -o test.jsonl";
    let table = printed(folder.path(), arguments);
    for said in [
        "taken (seed 3)",
        "near-duplicates, left out",
        "Zhang-Grabchak",
        "drawn from the corpus one by one",
        "a.jsonl:",
    ] {
        assert!(table.contains(said), "{said}\n{table}");
    }
    let sampled = fs::read_to_string(folder.path().join("test.jsonl")).unwrap();
    let first: Value = serde_json::from_str(sampled.lines().next().unwrap()).unwrap();
    assert!(
        first["source"].as_str().unwrap().starts_with("a.jsonl:"),
        "{first}"
    );
    printed(
        folder.path(),
        &arguments.replace("test.jsonl", "again.jsonl"),
    );
    let again = fs::read_to_string(folder.path().join("again.jsonl")).unwrap();
    assert_eq!(sampled, again);

    fs::write(folder.path().join("train.txt"), "something else").unwrap();
    let arguments = "sample a.jsonl --number 3 --stratify day --exclude train.txt -o c.jsonl";
    let found = result(folder.path(), arguments);
    assert_eq!(found["schema"], "kld.text-sample/1");
    assert!(found["floor"].as_f64().is_some());
    assert_eq!(found["settings"]["exclude"]["sources"][0], "train.txt");
    let stderr = refused(
        folder.path(),
        &arguments.replace("train.txt", "b.jsonl --overlap-ngram 2"),
    );
    assert!(
        stderr.contains("none of the 60 documents could be taken"),
        "{stderr}"
    );
    for (arguments, said) in [
        (
            "sample a.jsonl -o x.jsonl",
            "the corpus has 60 documents, fewer than the 1000 asked for",
        ),
        (
            "sample - -o x.jsonl",
            "standard input can be read only once",
        ),
        (
            "sample a.jsonl -o x.txt",
            "expected a name that ends in .jsonl",
        ),
        ("sample a.jsonl -o a.jsonl", "a.jsonl"),
    ] {
        let stderr = refused(folder.path(), arguments);
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn poems_of_two_dynasties_differ_in_characters_that_make_sense() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let found = result(&data, "tang-poems.jsonl song-poems.jsonl --unit chars");
    let listed = |side: &str| {
        let terms = found["contributors"][side].as_array().unwrap();
        terms
            .iter()
            .map(|one| one["term"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // Tang poems address a lord by night, Song poems ask.
    let (tang, song) = (listed("more_in_reference"), listed("more_in_candidate"));
    assert!(
        ["君", "夜"].iter().all(|c| tang.iter().any(|t| t == c)),
        "{tang:?}"
    );
    assert!(
        ["无", "？"].iter().all(|c| song.iter().any(|t| t == c)),
        "{song:?}"
    );
    assert_eq!(found["reference"]["documents"], 313);
}

#[test]
fn the_page_shows_the_word_shift_and_the_course() {
    let folder = days();
    printed(folder.path(), "a.jsonl b.jsonl --by day --html page.html");
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    for said in [
        "Word shift",
        "class=\"shift\"",
        "class=\"course\"",
        "things",
        "more in Q",
        "default-src 'none'",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let hostile = days();
    fs::write(
        hostile.path().join("x.txt"),
        "<script>alert(1)</script> & \"quoted\"",
    )
    .unwrap();
    printed(
        hostile.path(),
        "a.jsonl x.txt --unit chars --html page.html",
    );
    let page = fs::read_to_string(hostile.path().join("page.html")).unwrap();
    assert!(
        page.contains("&lt;") && page.matches("<script").count() == 1,
        "one script, ours"
    );
}
