//! Scenarios of several candidates: which is better, which to ship, and when enough was measured.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

mod desk;

use std::fs;

use desk::{Desk, TEXT, stderr};
use serde_json::Value;

/// A desk with a text of many windows.
fn desk() -> Desk {
    let desk = Desk::new();
    let texts: Vec<String> = (0..40)
        .map(|i| TEXT.replace("to be", &format!("to {i} be")))
        .collect();
    fs::write(desk.path("long.txt"), texts.join("\n")).unwrap();
    desk
}

/// What does not depend on how the work was done.
fn without_run(mut result: Value) -> Value {
    result.as_object_mut().unwrap().remove("run").unwrap();
    result
}

#[test]
fn a_ranking_says_which_differences_are_real() {
    let result = desk()
        .json("compare p.gguf q4_0.gguf q8_0.gguf --text long.txt --context 32 --max-windows 40");
    let ranking = &result["ranking"];
    let order: Vec<&Value> = ranking["ranked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["candidate"])
        .collect();
    assert_eq!(order, [1, 0]);
    assert_eq!(
        [
            &ranking["ranked"][0]["groups"],
            &ranking["ranked"][1]["groups"]
        ],
        ["a", "b"]
    );
    assert!(ranking["pairs"][0]["p_holm"].as_f64().unwrap() < 1e-6);
}

#[test]
fn the_smallest_that_passes_is_picked_and_nothing_to_pick_fails() {
    let desk = desk();
    let compare = "compare p.gguf q8_0.gguf q4_0.gguf --text text.txt --context 32 --pick";
    let picked =
        |wanted: &str| desk.json(&format!("{compare} {wanted}"))["pick"]["candidate"].clone();
    assert_eq!(picked("max-kl=0.5"), 1);
    assert_eq!(picked("max-kl=0.01"), 0);
    assert_eq!(picked("max-size=20kB"), 1);
    assert_eq!(picked("max-size=1MB"), 0);
    let none = desk.kld(&format!("{compare} max-kl=0.0000001"));
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stdout).contains("NONE of the candidates"));
    let none = desk.kld(&format!("{compare} max-size=1kB --json -"));
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("no candidate is what --pick asks for"));
}

#[test]
fn the_table_begins_with_what_is_known_which_is_better_and_what_to_ship() {
    let table = desk().printed(
        "compare p.gguf q8_0.gguf q4_0.gguf --text long.txt --context 32 --until 20% --seed 3 --pick max-kl=0.02",
    );
    let head: Vec<&str> = table
        .lines()
        .skip(3)
        .take_while(|line| !line.starts_with("candidate"))
        .collect();
    insta::assert_snapshot!(head.join("\n"), @"
    until      ±20.00 % of the mean reached after 64 of 484 windows, 2 048 tokens
               KL(P‖Q) nats   95 % at every look            half width     95 % at one look
    q8_0.gguf      0.000412  0.000360 – 0.000464  ±12.63 % of the mean  0.000378 – 0.000446
    q4_0.gguf         0.110       0.0948 – 0.124  ±13.46 % of the mean       0.0998 – 0.119

    ranking    group     size  bits/weight  front         KL(P‖Q) nats  over the one above     99 %  top-1 agreement        ppl ratio
    q8_0.gguf      a  26.2 kB        11.29      ●  0.000412 ± 0.000017                      0.00151   95.83 ± 0.62 %  1.0001 ± 0.0010
    q4_0.gguf      b  18.6 kB         7.99      ●      0.1095 ± 0.0049    +0.1091 ± 0.0048    0.390     53.8 ± 1.5 %    1.027 ± 0.014
      a shared letter: not told apart by paired differences (Holm over all pairs, 5.0 %)
      ● on the front of size against KL

    pick       the smallest with a mean KL of at most 0.0200 nats: q8_0.gguf  26.2 kB, KL 0.000412 ± 0.000017 (0.000378 – 0.000446) nats
    ");
}

#[test]
fn a_run_stops_at_the_same_window_for_any_number_of_threads() {
    let desk = desk();
    let run = |threads: usize| {
        desk.json(&format!(
            "compare p.gguf q8_0.gguf q4_0.gguf --text long.txt --context 32 --until 20% --seed 3 --threads {threads}"
        ))
    };
    let once = run(1);
    let sequential = &once["sequential"];
    assert_eq!(
        (&sequential["reached"], &once["run"]["complete"]),
        (&true.into(), &true.into())
    );
    let (windows, all) = (
        sequential["windows"].as_u64().unwrap(),
        once["protocol"]["windows"].as_u64().unwrap(),
    );
    assert!((64..all).contains(&windows), "{windows} of {all}");
    for threads in [2, 5] {
        assert_eq!(without_run(run(threads)), without_run(once.clone()));
    }
}

#[test]
fn a_run_folder_stops_at_the_same_window_and_can_be_asked_for_more() {
    let desk = desk();
    let compare = "compare p.gguf q8_0.gguf --text long.txt --context 32 --seed 3";
    for until in ["20%", "12%"] {
        desk.fine(&format!("{compare} --until {until} --json {until}.json"));
    }
    let (loose, tight) = (desk.result("20%.json"), desk.result("12%.json"));
    assert!(tight["sequential"]["windows"].as_u64() > loose["sequential"]["windows"].as_u64());

    let in_folder = format!("{compare} --until 20% --run night --resume");
    let mut both = [desk.spawn(&in_folder), desk.spawn(&in_folder)];
    assert!(both.iter_mut().all(|p| p.wait().unwrap().success()));
    assert_eq!(desk.result("night/result.json"), loose);
    desk.fine(&format!(
        "{compare} --until 12% --run night --resume --threads 3"
    ));
    assert_eq!(desk.result("night/result.json"), tight);
    // No model is needed where nothing is left to measure.
    fs::remove_file(desk.path("p.gguf")).unwrap();
    desk.fine("compare --run night --resume");
    assert_eq!(desk.result("night/result.json"), tight);
}

#[test]
fn what_cannot_be_reached_is_measured_whole_and_said() {
    let table = desk().printed("compare p.gguf q4_0.gguf --text text.txt --context 32 --until 1%");
    assert!(
        table.contains("NOT reached after 11 of 11 windows"),
        "{table}"
    );
    assert!(table.contains("the first look is after 64"), "{table}");
}

#[test]
fn wishes_that_mean_nothing_are_refused() {
    let desk = Desk::new();
    for (flag, said) in [
        ("--until 2", "for 2 % of the mean write 2%"),
        ("--until 0", "expected a half width"),
        ("--pick kl=1", "expected max-kl=NATS or max-size=SIZE"),
        ("--pick max-size=big", "expected a size such as"),
        ("--pick max-kl=-1", "expected nats"),
    ] {
        let refused = desk.refused(&format!("compare p.gguf q8_0.gguf --text text.txt {flag}"));
        assert!(refused.contains(said), "{flag}: {refused}");
    }
}
