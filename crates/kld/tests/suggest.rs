//! Scenarios of `kld suggest`, run through the program itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

#[path = "desk/mod.rs"]
mod desk;

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use desk::{Desk, stderr};
use serde_json::Value;

/// Somebody who always writes the same.
const REFRAIN: &str = "the quick brown fox jumps over the lazy dog, and Anne looks on. ";

/// A desk with `base.txt` and `history.txt`.
fn desk() -> Desk {
    let desk = Desk::new();
    fs::write(
        desk.path("base.txt"),
        "the dog and the fox were lazy, and the quick one was brown too. Anne looks at the dog.",
    )
    .unwrap();
    fs::write(desk.path("history.txt"), REFRAIN.repeat(60)).unwrap();
    desk
}

fn words(of: &Value) -> Vec<&str> {
    let words = of["words"].as_array().unwrap();
    words
        .iter()
        .map(|word| word["word"].as_str().unwrap())
        .collect()
}

#[test]
fn a_history_is_measured_and_shown_with_and_without() {
    let desk = desk();
    let table = desk.printed("suggest ngram:base.txt --history history.txt");
    for part in [
        "base     ngram:base.txt  modified Kneser-Ney, order 5, 19 words",
        "without",
        "with history",
        "top-3 hit rate",
        "keystrokes saved",
    ] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    let found = desk.json("suggest ngram:base.txt --history history.txt --prefix quic");
    let kl = &found["following"]["kl"];
    let value = |of: &Value| of["value"].as_f64().unwrap();
    assert!(
        value(&kl["before"]) > 2.0 && value(&kl["after"]) < 0.5,
        "{kl}"
    );
    assert!((value(&kl["after"]) - value(&kl["before"]) - value(&kl["change"])).abs() < 1e-9);
    assert!(
        kl["change"]["interval"]["high"]
            .as_f64()
            .is_none_or(|high| high < 0.0),
        "{kl}"
    );
    assert_eq!(words(&found["next"]), ["quick"]);
    assert_eq!(found["schema"], "kld.suggest/1");
}

#[test]
fn a_state_is_its_owners_alone_and_nothing_else_is_written() {
    let desk = desk();
    let files = || {
        let mut names: Vec<_> = fs::read_dir(desk.path(""))
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = files();
    desk.printed("suggest ngram:base.txt --history history.txt --state me.json");
    let mut after = files();
    after.retain(|name| name != "me.json");
    assert_eq!(before, after);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
        desk.printed("suggest --state me.json --export counts.tsv");
        assert_eq!((mode("me.json"), mode("counts.tsv")), (0o600, 0o600));
    }
    let inspected = desk.printed("suggest --state me.json --inspect");
    assert!(
        inspected.contains("780 words learnt: 12 different"),
        "{inspected}"
    );
    assert!(inspected.contains("most often: the 120"), "{inspected}");
    assert!(
        desk.printed("suggest --state me.json --export -")
            .contains("60\tthe quick brown\n")
    );
    assert_eq!(
        desk.printed("suggest --state me.json --forget Fox"),
        "forgot 60 words in me.json\n"
    );
    assert!(
        !fs::read_to_string(desk.path("me.json"))
            .unwrap()
            .contains("fox")
    );
    assert_eq!(
        desk.printed("suggest --state me.json --forget 2020-01-01"),
        "forgot 720 words in me.json\n"
    );
    assert!(
        desk.printed("suggest --state me.json --inspect")
            .contains("0 words learnt")
    );
}

#[test]
fn an_editor_is_served_line_by_line_and_what_it_taught_is_kept() {
    let desk = desk();
    let serve = |input: &str| -> Vec<Value> {
        let mut child = desk
            .command("suggest ngram:base.txt --state me.json --serve --top 2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let answers = serve(
        "{\"id\":1,\"prefix\":\"the qu\"}\n{\"typed\":\"the quokka\"}\nnonsense\n{\"prefix\":\"the quo\"}\n",
    );
    assert_eq!(
        (words(&answers[0]), &answers[0]["id"]),
        (vec!["quick"], &1.into())
    );
    assert_eq!(answers[1]["learnt"], 2);
    assert!(answers[2]["error"].is_string());
    assert_eq!(words(&answers[3]), ["quokka"]);
    assert_eq!(words(&serve("{\"prefix\":\"the quo\"}\n")[0]), ["quokka"]);
}

/// A program that waits for its user, and one that works, both end where they are told to.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_serving_and_learning() {
    let desk = desk();
    let mut serving = desk
        .command("suggest ngram:base.txt --state me.json --serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open: an editor that is still there.
    let (mut input, output) = (
        serving.stdin.take().unwrap(),
        serving.stdout.take().unwrap(),
    );
    input.write_all(b"{\"typed\":\"the quokka\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(output).read_line(&mut answer).unwrap();
    assert_eq!(answer, "{\"learnt\":2}\n");
    desk::interrupt(&serving);
    assert_eq!(serving.wait().unwrap().code(), Some(3));
    let kept = desk.printed("suggest --state me.json --inspect");
    assert!(kept.contains("2 words learnt"), "{kept}");

    // Hours of work.
    fs::write(desk.path("long.txt"), REFRAIN.repeat(2000)).unwrap();
    let learning = desk
        .command("suggest p.gguf --history long.txt --judged 100000 --state other.json")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_secs(3));
    desk::interrupt(&learning);
    let ended = learning.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3), "{}", stderr(&ended));
    assert!(!desk.path("other.json").exists());
}

/// Runs the program on a pseudo-terminal; see `desk/type.py` for the steps. `None` where there is no Python to make one.
#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn typed(desk: &Desk, arguments: &str, steps: &Value) -> Option<Output> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/desk/type.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(steps.to_string())
        .arg(env!("CARGO_BIN_EXE_kld"))
        .args(arguments.split_whitespace())
        .current_dir(desk.folder.path())
        .output();
    if let Err(error) = &output {
        let in_ci = env::var("CI").as_deref() == Ok("true");
        assert!(!in_ci, "python3 does not start: {error}");
        eprintln!("skipped: the terminal is Python's, and python3 does not start: {error}");
    }
    output.ok()
}

#[test]
#[cfg(unix)]
fn somebody_types_on_a_terminal_and_takes_what_is_suggested() {
    let desk = desk();
    let steps = serde_json::json!([
        ["1 the", "the qui"],
        ["1 quick", "\t"],
        ["1 brown", "1"],
        ["the quick brown ", "\r"],
        ["1 ", "\u{4}"],
        ["17 characters with 10 keys", ""],
    ]);
    let arguments = "suggest ngram:base.txt --history history.txt --state me.json --demo";
    let Some(output) = typed(&desk, arguments, &steps) else {
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", stderr(&output));
    let state = desk.printed("suggest --state me.json --inspect");
    // The 780 words of the history and the three that were typed.
    assert!(state.contains("783 words learnt"), "{state}");
}

#[test]
fn an_endless_line_is_refused_before_memory_runs_out() {
    let desk = desk();
    let refused = |arguments: &str| {
        let mut child = (desk.command(arguments))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let words = "one line of words without an end ".repeat(1 << 15);
        // A gigabyte, if the program would take it.
        let _refused = (0..1000).find(|_| stdin.write_all(words.as_bytes()).is_err());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    for (arguments, said) in [
        (
            "suggest ngram:base.txt --history -",
            "more than 64 MB of text",
        ),
        ("suggest ngram:- --prefix one", "more than 256 MB of text"),
        ("text - --expected p.gguf", "more than 64 MB of text"),
    ] {
        let stderr = refused(arguments);
        assert!(stderr.contains(said), "{arguments}: {stderr}");
        assert!(stderr.contains("hint: `kld text sample`"), "{stderr}");
    }
}

#[test]
fn a_promise_of_privacy_keeps_only_what_many_passages_share() {
    let desk = desk();
    let passage = format!("{REFRAIN}\n\n");
    fs::write(
        desk.path("many.txt"),
        format!("my secret is xyzzy\n\n{}", passage.repeat(400)),
    )
    .unwrap();
    let found =
        desk.json("suggest ngram:base.txt --history many.txt --epsilon 2 --state shared.json");
    assert!(
        found["warnings"][0]
            .as_str()
            .unwrap()
            .contains("only n-grams that about")
    );
    let state = fs::read_to_string(desk.path("shared.json")).unwrap();
    assert!(!state.contains("xyzzy"));
    assert!(
        desk.printed("suggest --state shared.json --inspect")
            .contains("ε = 2")
    );
    // A promise is not to be broken by learning more.
    let refused = desk.refused("suggest ngram:base.txt --history history.txt --state shared.json");
    assert!(refused.contains("would break its promise"), "{refused}");
}

#[test]
fn what_cannot_be_used_is_refused_with_a_reason() {
    let desk = desk();
    fs::write(desk.path("empty.txt"), " \n").unwrap();
    fs::write(desk.path("signs.txt"), "... ?").unwrap();
    fs::write(desk.path("bytes.txt"), b"caf\xe9 au lait").unwrap();
    for (arguments, reason) in [
        ("suggest", "required"),
        ("suggest ngram:none.txt", "none.txt"),
        ("suggest ngram:empty.txt", "no word"),
        (
            "suggest ngram:base.txt --history signs.txt",
            "the history has no word",
        ),
        ("suggest ngram:base.txt --history bytes.txt", "not UTF-8"),
        (
            "suggest ngram:base.txt --history history.txt --tail 1",
            "a share from 0",
        ),
        (
            "suggest ngram:base.txt --history history.txt --epsilon 0",
            "ε",
        ),
        (
            "suggest ngram:base.txt --state history.txt",
            "is no learnt state",
        ),
        ("suggest --state none.json --inspect", "none.json"),
        ("suggest none.gguf --prefix a", "none.gguf"),
        ("suggest ngram:base.txt --demo", "needs a terminal"),
    ] {
        let said = desk.refused(arguments);
        assert!(said.contains(reason), "{arguments}: {said}");
    }
    let fine = desk.fine("suggest ngram:base.txt --history bytes.txt --lossy");
    assert!(
        String::from_utf8_lossy(&fine.stdout).contains("were not UTF-8"),
        "{}",
        stderr(&fine)
    );
}

/// What trying every string gives: `golden/suggest/words.py`.
#[test]
fn a_language_model_gives_the_words_that_trying_every_string_gives() {
    let desk = desk();
    let cases: Value =
        serde_json::from_str(include_str!("../../../golden/suggest/words.json")).unwrap();
    let mut compared = 0;
    for case in cases.as_array().unwrap() {
        let text = format!(
            "{}{}",
            case["before"].as_str().unwrap(),
            case["prefix"].as_str().unwrap()
        );
        let suggest = |passes: &str| -> Value {
            let mut command = desk.command("suggest p.gguf --top 30 --json - --prefix");
            let output = command
                .arg(&text)
                .args(["--passes", passes])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            serde_json::from_slice::<Value>(&output.stdout).unwrap()["next"].take()
        };
        let expected = |word: &Value| {
            let words = case["words"].as_array().unwrap();
            words
                .iter()
                .find(|of| of[0] == *word)
                .and_then(|of| of[1].as_f64())
        };
        // The prefix itself, in all its spellings and no more.
        let spelt = suggest("5");
        let of = &spelt["words"][0];
        let ratio = of["base"].as_f64().unwrap() / expected(&of["word"]).unwrap();
        assert!((ratio - 1.0).abs() < 1e-4, "{text}: {ratio}");
        // Words with an apostrophe at their end, which the golden leaves out, add a little.
        let more = suggest("40");
        for of in more["words"].as_array().unwrap() {
            let p = of["base"].as_f64().unwrap();
            let Some(golden) = expected(&of["word"]) else {
                continue;
            };
            assert!(
                (0.9999..1.01).contains(&(p / golden))
                    || golden - p <= more["undecided"].as_f64().unwrap(),
                "{text}: {of} {golden}"
            );
            compared += 1;
        }
        assert!(more["undecided"].as_f64().unwrap() < spelt["undecided"].as_f64().unwrap());
    }
    assert!(compared >= 6, "{compared}");
}

#[test]
fn a_language_model_follows_a_history_too() {
    let desk = desk();
    fs::write(desk.path("short.txt"), REFRAIN.repeat(20)).unwrap();
    let found = desk.json(
        "suggest p.gguf --history short.txt --judged 100 --passes 2 --context 24 --prefix qui",
    );
    let kl = &found["following"]["kl"];
    let value = |of: &Value| of["value"].as_f64().unwrap();
    assert!(
        value(&kl["before"]) > 8.0 && value(&kl["after"]) < 2.0,
        "{kl}"
    );
    assert_eq!(words(&found["next"])[0], "quick");
    assert!(found["adaptation"]["fitted"].as_bool().unwrap());
    let table = desk.printed("suggest p.gguf --prefix qui --passes 3");
    assert!(table.contains("undecided"), "{table}");
}
