//! Run folders through the program itself: killed at random moments, shared, parted and merged, and on a full disk.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

mod desk;

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use desk::{Desk, TEXT, interrupt, stderr};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A desk with a text of many windows.
fn desk() -> Desk {
    let desk = Desk::new();
    fs::write(desk.path("long.txt"), format!("{TEXT} ").repeat(40)).unwrap();
    desk
}

const COMPARE: &str = "compare p.gguf q8_0.gguf --text long.txt --context 32";
const SCORE: &str = "score p.gguf --text long.txt text.txt --context 32";

/// Kills runs at random moments, each with `processes` at one folder, until so many processes have died by it.
fn killed_runs_end_with_the_same_bits(verb: &str, processes: usize, kills: usize, seed: u64) {
    let desk = desk();
    desk.fine(&format!("{verb} --json straight.json"));
    let straight = desk.result("straight.json");
    let begun = Instant::now();
    desk.fine(&format!("{verb} --run alone"));
    let whole = begun.elapsed();
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut killed, mut run, mut finished) = (0, 0, 0);
    while killed < kills || finished == 0 {
        let arguments = format!("{verb} --run run{run} --resume --json r{run}.json");
        let mut children: Vec<Child> = (0..processes).map(|_| desk.spawn(&arguments)).collect();
        let mut ended = 0;
        for child in &mut children {
            // Once all kills are made, the last run is let through.
            if killed < kills {
                thread::sleep(whole.mul_f64(rng.random_range(0.0..0.5)));
                child.kill().unwrap();
            }
            match child.wait().unwrap().code() {
                None => killed += 1,
                Some(code) => {
                    assert_eq!(code, 0);
                    ended += 1;
                }
            }
        }
        if ended > 0 {
            assert_eq!(desk.result(&format!("r{run}.json")), straight);
            assert_eq!(desk.result(&format!("run{run}/result.json")), straight);
            (run, finished) = (run + 1, finished + 1);
        }
    }
}

#[test]
fn a_comparison_that_is_killed_again_and_again_ends_with_the_same_bits() {
    killed_runs_end_with_the_same_bits(COMPARE, 1, 50, 1);
}

#[test]
fn two_processes_at_one_folder_that_are_killed_again_and_again_end_with_the_same_bits() {
    killed_runs_end_with_the_same_bits(COMPARE, 2, 50, 2);
}

#[test]
fn a_score_that_is_killed_again_and_again_ends_with_the_same_bits() {
    killed_runs_end_with_the_same_bits(SCORE, 1, 20, 3);
}

#[test]
fn a_run_that_stopped_by_its_rule_tells_the_same_from_its_folder() {
    let desk = desk();
    let verb = format!("{COMPARE} --until 20% --seed 1");
    desk.fine(&format!("{verb} --json live.json"));
    let live = desk.result("live.json");
    let done = live["run"]["windows_done"].as_u64().unwrap();
    assert!(
        live["run"]["complete"] == true && done < live["protocol"]["windows"].as_u64().unwrap()
    );
    desk.fine(&format!("{verb} --run night --json r.json"));
    assert_eq!(desk.result("r.json"), live);
    // Nothing is left to measure: this comes of the rows alone.
    fs::remove_file(desk.path("p.gguf")).unwrap();
    desk.fine("compare --run night --resume");
    assert_eq!(desk.result("r.json"), live);
}

#[test]
fn a_run_is_gone_on_with_by_its_folder_alone() {
    let desk = desk();
    let table = desk
        .fine(&format!("{COMPARE} --run night --json r.json"))
        .stdout;
    let straight = desk.result("r.json");
    fs::remove_file(desk.path("r.json")).unwrap();
    // No model is needed for what is measured.
    fs::rename(desk.path("p.gguf"), desk.path("elsewhere.gguf")).unwrap();
    let again = desk.fine("compare --run night --resume").stdout;
    assert_eq!(
        String::from_utf8(again).unwrap(),
        String::from_utf8(table).unwrap()
    );
    assert_eq!(desk.result("r.json"), straight);
}

#[test]
fn a_folder_that_is_taken_is_refused_with_what_to_do() {
    let desk = desk();
    desk.fine(&format!("{COMPARE} --run night"));
    let told = desk.refused(&format!("{COMPARE} --run night"));
    assert!(
        told.contains("night holds a run: add --resume to go on with it"),
        "{told}"
    );
    let told =
        desk.refused("compare p.gguf p.gguf --text long.txt --context 32 --run night --resume");
    assert!(
        told.contains("night holds another run: model: q8_0.gguf (sha256 "),
        "{told}"
    );
    let told =
        desk.refused("compare p.gguf q8_0.gguf --text long.txt --run night --resume --context 16");
    assert!(
        told.contains("night holds another run: context: 32 there, 16 here"),
        "{told}"
    );
    fs::create_dir(desk.path("full")).unwrap();
    fs::write(desk.path("full/novel.txt"), "mine").unwrap();
    for resume in ["", "--resume"] {
        let told = desk.refused(&format!("{COMPARE} --run full {resume}"));
        assert!(
            told.contains("full is not empty and holds no run"),
            "{told}"
        );
    }
    let told = desk.refused(&format!("{COMPARE} --resume"));
    assert!(told.contains("--run <DIR>"), "{told}");
    let told = desk.refused("compare --run nowhere --resume");
    assert!(told.contains("<P>"), "{told}");
    let told = desk.refused("score --run night --resume");
    assert!(
        told.contains(
            "night holds a run of kld compare: go on with kld compare --run night --resume"
        ),
        "{told}"
    );
    let told = desk.refused(&format!("{SCORE} --run night --resume"));
    assert!(told.contains("night holds another run: "), "{told}");
}

#[test]
fn parts_of_several_machines_merge_to_what_one_would_have_told() {
    let desk = desk();
    let straight = desk
        .fine(&format!(
            "{COMPARE} --fail-above mean=1 --json straight.json"
        ))
        .stdout;
    for part in ["1/2", "2/2"] {
        let folder = &part[..1];
        let output = desk.fine(&format!(
            "{COMPARE} --fail-above mean=1 --json r.json --run {folder} --part {part}"
        ));
        assert!(
            stderr(&output).contains("hint: this part is measured; kld merge makes one run"),
            "{}",
            stderr(&output)
        );
    }
    let merged = desk.fine("merge 1 2 -o all").stdout;
    assert_eq!(
        String::from_utf8(merged).unwrap(),
        String::from_utf8(straight).unwrap()
    );
    assert_eq!(desk.result("r.json"), desk.result("straight.json"));

    let alone = desk.kld("merge 2 -o half");
    assert_eq!(alone.status.code(), Some(3));
    assert!(
        stderr(&alone)
            .contains("windows; what is missing is measured by: kld compare --run half --resume"),
        "{}",
        stderr(&alone)
    );
    desk.fine("compare --run half --resume");
    assert_eq!(desk.result("r.json"), desk.result("straight.json"));
    assert!(
        desk.refused("merge 1 2 -o all")
            .contains("all: is not empty")
    );
    assert!(desk.refused("merge 1 text.txt -o new").contains("text.txt"));
}

#[test]
fn parts_of_a_score_merge_to_what_one_machine_would_have_told() {
    let desk = desk();
    let straight = desk.printed(&format!("{SCORE} --json straight.json"));
    for part in ["1/3", "2/3", "3/3"] {
        let folder = &part[..1];
        desk.fine(&format!(
            "{SCORE} --json r.json --run {folder} --part {part}"
        ));
    }
    assert_eq!(desk.printed("merge 3 1 2 -o all"), straight);
    assert_eq!(desk.result("r.json"), desk.result("straight.json"));
    assert_eq!(desk.result("all/result.json"), desk.result("straight.json"));
}

#[test]
fn what_is_measured_before_ctrl_c_is_kept_and_the_way_on_is_told() {
    let desk = desk();
    fs::write(desk.path("text.txt"), TEXT.repeat(20_000)).unwrap();
    let mut command = desk.command(&format!("{COMPARE} --run night"));
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Some rows, and then the signal.
    let rows = desk.path("night/rows/1.rows");
    while fs::metadata(&rows).map_or(0, |file| file.len()) < 20_000 {
        thread::sleep(Duration::from_millis(10));
    }
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("hint: nothing is lost; go on with: kld compare --run night --resume"),
        "{told}"
    );
    assert_eq!(desk.result("night/result.json")["run"]["complete"], false);
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let desk = desk();
    desk.fine(&format!("{COMPARE} --json straight.json"));
    // A limit on the size of files stands for a full disk: the write that crosses it fails in the middle.
    let program = env!("CARGO_BIN_EXE_kld");
    let limited = format!("trap '' XFSZ; ulimit -f 1000; exec {program} {COMPARE} --run night");
    let output = Command::new("sh")
        .args(["-c", &limited])
        .current_dir(desk.folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("stopped; what is measured is kept, and kld compare --run night --resume goes on with it: night/rows/1.rows: "),
        "{told}"
    );
    assert!(fs::metadata(desk.path("night/rows/1.rows")).unwrap().len() > 200_000);
    desk.fine(&format!("{COMPARE} --run night --resume --json r.json"));
    assert_eq!(desk.result("r.json"), desk.result("straight.json"));
}
