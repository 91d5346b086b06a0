//! `kld train` as its user meets it: a run, its folder, what is refused, and what `kill -9` leaves.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod desk;

use std::{fs, thread, time::Duration};

use desk::{Desk, golden, stderr};

fn read(desk: &Desk, file: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(desk.path(file)).unwrap()).unwrap()
}

const SMALL: &str =
    "--text long.jsonl --context 24 --held-out 0.2 --batch 4 --rate 5e-3 --threads 2";

#[test]
fn a_training_tells_how_far_it_came_and_leaves_a_model() {
    let desk = Desk::for_training();
    let printed = desk.printed(&format!(
        "train teacher --student student {SMALL} --run run --steps 20 --json result.json"
    ));
    for told in [
        "teacher    teacher",
        "minimised  kl\n",
        "KL(P‖Q) held out",
        "steps      20 of 20",
        "model      run/model",
    ] {
        assert!(printed.contains(told), "{told}:\n{printed}");
    }
    let result = read(&desk, "result.json");
    assert_eq!(result["schema"], "kld.train/1");
    assert_eq!(result["curve"].as_array().unwrap().len(), 11);
    assert!(
        result["change"]["high"].as_f64().unwrap() < 0.0,
        "{printed}"
    );
    for file in [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ] {
        assert!(desk.path("run/model").join(file).exists(), "{file}");
    }
    // What it says of itself is what `compare` finds.
    desk.fine("compare teacher run/model student --text text.txt --context 24 --score all --json compared.json");
    let compared = read(&desk, "compared.json");
    let kl = |i: usize| {
        compared["candidates"][i]["kl"]["mean"]["value"]
            .as_f64()
            .unwrap()
    };
    assert!(kl(0) < 0.8 * kl(1), "{} {}", kl(0), kl(1));
}

#[test]
fn after_kill_9_a_run_goes_on_to_the_same_weights() {
    let desk = Desk::for_training();
    let begin = format!(
        "train teacher --layers 1 {SMALL} --steps 120 --evaluate-every 40 --checkpoint-every 5 --penalty l2:0.1"
    );
    desk.fine(&format!("{begin} --run whole"));
    let mut child = desk.spawn(&format!("{begin} --run killed"));
    let metrics = desk.path("killed/metrics.jsonl");
    let steps = || fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
    while steps() < 12 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "ended before it could be killed"
        );
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !desk.path("killed/model").exists(),
        "ended before it was killed"
    );
    let refused = desk.refused(&format!("{begin} --run killed"));
    assert!(refused.contains("add --resume"), "{refused}");
    desk.fine("train --run killed --resume");
    let model = |run: &str| fs::read(desk.path(run).join("model/model.safetensors")).unwrap();
    assert!(model("killed") == model("whole"), "other weights");
}

#[test]
fn settings_come_from_a_file_and_a_run_keeps_all_of_its_own() {
    let desk = Desk::for_training();
    let file = "teacher = 'teacher'\nstudent = 'student'\ntext = ['long.jsonl']\ncontext = 24\nheld-out = 0.2\nbatch = 4\nrate = 5e-3\nepochs = 9\n";
    fs::write(desk.path("my.toml"), file).unwrap();
    let begun = desk.printed("train --config my.toml --run run --steps 6 --threads 2");
    assert!(begun.contains("steps      6 of 6"), "{begun}");
    let weights = |run: &str| fs::read(desk.path(run).join("model/model.safetensors")).unwrap();

    // The run's own file begins the same anew, or nearly the same.
    desk.fine("train --config run/run.toml --run again --threads 1");
    assert!(weights("again") == weights("run"), "other weights");
    let other = desk.printed("train --config run/run.toml --run other --layers 1 --steps 2");
    assert!(other.contains("steps      2 of 2"), "{other}");
    assert!(weights("other").len() < weights("run").len());

    // What changes no weight may be another on the way.
    desk.fine("train --run run --resume --threads 1 --dtype f16");
    let (half, whole) = (weights("run").len(), weights("again").len());
    assert!(half < whole * 55 / 100, "{half} {whole}");
    let refused = desk.refused("train --run run --resume --rate 1e-3");
    assert!(
        refused.contains("its schedule rate is 0.005, asked for is 0.001"),
        "{refused}"
    );
    let refused = desk.refused("train --run nothing --resume --threads 2");
    assert!(refused.contains("nothing holds no training"), "{refused}");
    let refused = desk.refused("train --config run/run.json --run r");
    assert!(refused.contains("run/run.json is no TOML"), "{refused}");
}

#[test]
fn a_damaged_checkpoint_is_told_and_the_best_one_stands_in() {
    let desk = Desk::for_training();
    desk.fine(&format!(
        "train teacher --student student {SMALL} --run run --steps 20 --evaluate-every 7"
    ));
    let (last, best) = (
        desk.path("run/last.safetensors"),
        desk.path("run/best.safetensors"),
    );
    let model = desk.path("run/model/model.safetensors");
    let weights = fs::read(&model).unwrap();
    fs::write(&last, &fs::read(&last).unwrap()[..2000]).unwrap();
    fs::remove_file(&model).unwrap();
    let refused = desk.refused("train --run run --resume");
    assert!(refused.contains("hint: best.safetensors"), "{refused}");
    fs::copy(best, last).unwrap();
    desk.fine("train --run run --resume");
    assert!(fs::read(&model).unwrap() == weights, "other weights");
}

#[test]
fn a_recording_teaches_without_the_teacher_and_text_alone_without_any() {
    let desk = Desk::for_training();
    desk.fine("record teacher --text long.jsonl --context 24 --score all -o teacher.kldrec");
    fs::remove_dir_all(desk.path("teacher")).unwrap();
    let printed = desk.printed(
        "train teacher.kldrec --student student --held-out 0.2 --batch 4 --rate 5e-3 --run recorded --steps 8 --loss js:0.3 --mix ce:0.2 \
         --temperature 2",
    );
    let told = "minimised  js:0.3 at temperature 2, times T², mixed with 0.2 cross-entropy";
    assert!(printed.contains(told), "{printed}");
    let fresh = desk.printed(&format!(
        "train --text-only --new student/config.json --tokenizer student {SMALL} --run fresh --steps 8 --seed 3 --early-stop patience=3"
    ));
    assert!(
        fresh.contains("minimised  cross-entropy of the text"),
        "{fresh}"
    );
    assert!(desk.path("fresh/model/tokenizer.json").exists());
}

#[test]
fn a_recording_of_likely_tokens_teaches_with_its_tail_as_it_is_told() {
    let desk = Desk::for_training();
    desk.fine(
        "record teacher --text long.jsonl --context 24 --score all --keep top-k:8 -o top.kldrec",
    );
    desk.fine("record teacher --text long.jsonl --context 24 --score all -o whole.kldrec");
    let begin = "--student student --held-out 0.2 --batch 4 --rate 5e-3 --steps 12";
    let mut found = Vec::new();
    for (tail, told) in [
        ("uniform", "minimised  kl\n"),
        ("lump", "minimised  kl, the tail one outcome\n"),
        ("renormalize", "minimised  kl, without the tail\n"),
    ] {
        let printed = desk.printed(&format!(
            "train top.kldrec {begin} --tail {tail} --run {tail} --json -"
        ));
        let result: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let objective = told.trim_start_matches("minimised").trim();
        assert_eq!(result["objective"], objective);
        desk.fine(&format!(
            "compare whole.kldrec {tail}/model student --json {tail}.json"
        ));
        let compared = read(&desk, &format!("{tail}.json"));
        let kl = |i: usize| {
            compared["candidates"][i]["kl"]["mean"]["value"]
                .as_f64()
                .unwrap()
        };
        // Without a tail the student is drawn to somebody else; else it comes closer, and what is exported is not how it began.
        assert!(
            tail == "renormalize" || kl(0) < 0.95 * kl(1),
            "{tail}: {} {}",
            kl(0),
            kl(1)
        );
        assert!(result["best_step"].as_u64() > Some(0), "{tail}");
        found.push(kl(0));
    }
    assert!(found[0] != found[1] && found[1] != found[2], "{found:?}");
    let drawn = desk.printed(&format!(
        "train whole.kldrec {begin} --sampled 12 --run drawn"
    ));
    assert!(
        drawn.contains("of 12 tokens drawn at each position"),
        "{drawn}"
    );
    for (arguments, told) in [
        (
            "whole.kldrec --tail lump",
            "expected one made by kld record --keep top-k:K",
        ),
        (
            "teacher --text long.jsonl --context 24 --tail lump",
            "--keep top-k:K",
        ),
        (
            "top.kldrec --tail lump --temperature 2",
            "use temperature 1",
        ),
        (
            "top.kldrec --tail renormalize --loss reverse-kl",
            "reverse-kl is infinite",
        ),
        (
            "top.kldrec --sampled 12 --loss js",
            "of kl alone, not of js",
        ),
        (
            "top.kldrec --on-policy 0.5",
            "cannot score what the student writes",
        ),
    ] {
        let refused = desk.refused(&format!("train {arguments} {begin} --run refused"));
        assert!(refused.contains(told), "{arguments}: {refused}");
    }
}

#[test]
fn a_prompt_is_read_but_counts_neither_here_nor_there() {
    let desk = Desk::for_training();
    let tokens = |flags: &str, run: &str| {
        let told = desk.printed(&format!(
            "train teacher --student student {SMALL} --run {run} --steps 4 --json - {flags}"
        ));
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        told["tokens"].as_u64().unwrap()
    };
    let (all, some) = (tokens("", "all"), tokens("--ignore-before nobler", "some"));
    assert!(0 < some && some < all, "{some} {all}");
    let refused = desk.refused(&format!(
        "train teacher --student student {SMALL} --run r --ignore-before NOBLER"
    ));
    assert!(
        refused.contains("none of the 8 fragments has it"),
        "{refused}"
    );
    let refused = desk.refused(&format!(
        "train teacher --student student {SMALL} --run r --ignore-before nobler --max-windows 9"
    ));
    assert!(refused.contains("leave --max-windows"), "{refused}");
}

#[test]
fn a_student_writes_itself_and_adapters_learn_alone() {
    let desk = Desk::for_training();
    let begin = format!("train teacher --student student {SMALL} --steps 8");
    let plan = desk.printed(&format!(
        "{begin} --on-policy 0.5 --lora rank=2,targets=q_proj --run run --dry-run"
    ));
    assert!(plan.contains("reverse-kl"), "{plan}");
    desk.fine(&format!("{begin} --on-policy 0.5 --lora rank=2 --run run"));
    let metrics = fs::read_to_string(desk.path("run/metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"own_text\":{\"tokens\":"), "{metrics}");
    let settings = fs::read_to_string(desk.path("run/run.toml")).unwrap();
    for told in [
        "lora = \"rank=2\"\n",
        "on-policy = 0.5\n",
        "student = \"student\"\n",
    ] {
        assert!(settings.contains(told), "{told}: {settings}");
    }
    desk.fine("train --run run --resume --threads 1");
    for (flags, told) in [
        ("--lora rank=0", "expected rank=N"),
        (
            "--lora rank=2,targets=nothing",
            "no matrix of a layer is called 'nothing'",
        ),
        ("--lora rank=2 --freeze *", "cannot be used with"),
        ("--on-policy 2", "a number from 0 to 1"),
    ] {
        let refused = desk.refused(&format!("{begin} --run r {flags}"));
        assert!(refused.contains(told), "{flags}: {refused}");
    }
}

#[test]
fn a_model_and_its_tokenizer_begin_with_nothing_but_text() {
    let desk = Desk::for_training();
    let config = fs::read_to_string(golden("llama").join("config.json")).unwrap();
    let config = config.replace("\"vocab_size\": 96", "\"vocab_size\": 300");
    fs::write(desk.path("config.json"), config).unwrap();
    let begin = format!("train --text-only --new config.json --new-tokenizer {SMALL} --steps 4");
    desk.fine(&format!("{begin} --run run"));
    let tokenizer = read(&desk, "run/model/tokenizer.json");
    let size = tokenizer["model"]["vocab"].as_object().unwrap().len();
    assert!((257..=300).contains(&size), "{size}");
    desk.fine("score run/model --text text.txt --context 24");
    // The same text gives the same tokenizer, so that a run can go on.
    desk.fine("train --run run --resume");
}

#[test]
fn a_dry_run_plans_and_leaves_nothing() {
    let desk = Desk::for_training();
    let plan = desk.printed(&format!(
        "train teacher --layers 1 {SMALL} --run run --epochs 3 --dry-run"
    ));
    for told in [
        "student    ",
        "memory     ",
        "time       about",
        "each window 3.",
    ] {
        assert!(plan.contains(told), "{told}:\n{plan}");
    }
    assert!(!desk.path("run").exists());
}

#[test]
fn wrong_input_is_refused_with_what_to_do() {
    let desk = Desk::for_training();
    let cases = [
        (
            "train teacher --student student --run r",
            "no text: name it with --text",
        ),
        (
            "train teacher --student p.gguf --text text.txt --run r --context 24",
            "p.gguf is a GGUF file",
        ),
        (
            "train teacher --layers 9 --text text.txt --run r --context 24",
            "9 layers were asked for, the model has 2",
        ),
        (
            "train teacher --student student --text text.txt --run r --loss kll",
            "expected kl, reverse-kl",
        ),
        ("train teacher --text text.txt --run r", "--student"),
        (
            "train --text-only --new student/config.json --text text.txt --run r",
            "name it with --tokenizer",
        ),
        (
            "train teacher --student student --text text.txt --run student --context 24",
            "is not empty and holds no training",
        ),
        (
            "train teacher --student student --text text.txt --run r --context 24 --held-out 1",
            "above 0 and below 1",
        ),
        (
            "train teacher --student student --text text.txt --run r --context 24 --steps 3 --warmup 3",
            "--warmup 3 leaves none of the 3 steps",
        ),
        (
            "train teacher --student student --text text.txt --run r --context 24 --freeze nothing",
            "no weight of",
        ),
        (
            "train teacher --student student --text text.txt --run r --context 24 --steps 3 --warmup 0 --clip 0 --optimizer sgd --rate 1e30",
            "training diverged at step",
        ),
    ];
    for (arguments, told) in cases {
        let refused = desk.refused(arguments);
        assert!(refused.contains(told), "{arguments}: {refused}");
    }
    let other =
        desk.fine("train teacher --student student --text text.txt --context 24 --run o --steps 2");
    assert!(stderr(&other).is_empty() || !stderr(&other).contains("error"));
    let refused = desk.refused(
        "train teacher --student student --text text.txt --context 24 --run o --steps 3 --resume",
    );
    assert!(
        refused.contains("its steps is 2, asked for is 3"),
        "{refused}"
    );
}
