//! `kld watch` as its user meets it: whose series it reads, what it says of them, rules, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod desk;

use std::{fs, path::Path};

use desk::{Desk, golden, stderr};
use serde_json::Value;

/// A log of 40 evaluations, a hundred steps apart, that wobble by half a thousandth.
fn log(desk: &Desk, held_out: impl Fn(f64) -> f64, training: impl Fn(f64) -> f64) {
    let line = |i: u32| {
        let (t, wobble) = (f64::from(i), 0.0005 * (f64::from(i * 7 % 11) - 5.0));
        format!(
            "{{\"step\": {}, \"eval_loss\": {}, \"train_loss\": {}, \"lr\": 0.001}}\n",
            i * 100,
            held_out(t) * (1.0 + wobble),
            training(t) * (1.0 + wobble)
        )
    };
    let lines: String = (0..40).map(line).collect();
    fs::write(desk.path("log.jsonl"), lines).unwrap();
}

fn falling(t: f64) -> f64 {
    0.1 + 0.4 * (-t / 8.0).exp()
}

/// `kld watch log.jsonl` with arguments that have spaces in them.
fn watched(desk: &Desk, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = desk.command("watch log.jsonl");
    let output = command.args(arguments).output().unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code(), told, stderr(&output))
}

#[test]
fn each_kind_of_training_gets_its_verdict() {
    type Curve = fn(f64) -> f64;
    let kinds: [(&str, &str, Curve, Curve); 4] = [
        (
            "IMPROVING: it still falls",
            "improving",
            |t| 0.5 - 0.005 * t,
            falling,
        ),
        (
            "CONVERGED: what could still be gained is below the tolerance",
            "converged",
            |_| 0.1,
            |_| 0.1,
        ),
        (
            "OVER-FITTING: it rises while training falls",
            "over_fitting",
            |t| falling(t) + 0.004 * t,
            falling,
        ),
        (
            "DIVERGING: it rises, and training does not fall",
            "diverging",
            |t| 0.1 + 0.01 * t,
            |t| 0.1 + 0.01 * t,
        ),
    ];
    let desk = Desk::new();
    for (shown, named, held_out, training) in kinds {
        log(&desk, held_out, training);
        let printed = desk.printed("watch log.jsonl");
        assert!(printed.contains(shown), "{shown}:\n{printed}");
        let result = desk.json("watch log.jsonl");
        assert_eq!(result["schema"], "kld.watch/1");
        assert_eq!(result["convergence"]["verdict"], named);
    }
    fs::write(desk.path("log.jsonl"), "{\"step\": 1, \"val/loss\": 2.0}\n").unwrap();
    let printed = desk.printed("watch log.jsonl");
    assert!(
        printed.contains("TOO EARLY TO SAY: 1 evaluations, the first verdict is after 10"),
        "{printed}"
    );
    assert!(printed.contains("warning: no training series"), "{printed}");
}

#[test]
fn the_tolerance_and_the_stretch_can_be_chosen() {
    let desk = Desk::new();
    log(&desk, |t| 0.5 - 0.0005 * t, falling);
    let verdict = |arguments: &str| {
        let result = desk.json(&format!("watch log.jsonl {arguments}"));
        let told = &result["convergence"];
        (
            told["verdict"].clone(),
            told["window"].clone(),
            told["horizon"].clone(),
        )
    };
    assert_eq!(verdict(""), ("improving".into(), 20.into(), 1900.0.into()));
    assert_eq!(verdict("--tolerance 5%").0, "converged");
    assert_eq!(verdict("--tolerance 0.1").0, "converged");
    assert_eq!(
        verdict("--window 12 --horizon 100 --tolerance 0.001"),
        ("converged".into(), 12.into(), 100.0.into())
    );
}

#[test]
fn a_run_of_kld_train_is_watched_to_its_end() {
    let desk = Desk::for_training();
    desk.fine(
        "train teacher --student student --text long.jsonl --context 24 --held-out 0.2 --batch 4 --rate 5e-3 --threads 2 --run run --steps 24 \
         --evaluate-every 2",
    );
    let trained: Value =
        serde_json::from_slice(&fs::read(desk.path("run/result.json")).unwrap()).unwrap();
    let result = desk.json("watch run");
    assert_eq!(result["kind"], "a run of kld train");
    assert_eq!(
        (&result["step"], &result["steps_planned"]),
        (&24.0.into(), &24.0.into())
    );
    let series = |name: &str| {
        let all = result["series"].as_array().unwrap();
        all.iter().find(|s| s["name"] == name).unwrap()["points"].clone()
    };
    let curve = trained["curve"].as_array().unwrap();
    for (name, field) in [
        ("kl_heldout", "held_out"),
        ("kl_train", "training"),
        ("gap", "gap"),
    ] {
        let points = series(name);
        assert_eq!(points.as_array().unwrap().len(), curve.len());
        for (point, trained) in points.as_array().unwrap().iter().zip(curve) {
            assert_eq!(point["value"], trained[field]["value"], "{name}");
            assert_eq!(
                point["standard_error"], trained[field]["standard_error"],
                "{name}"
            );
        }
    }
    assert_eq!(series("gradient_norm").as_array().unwrap().len(), 24);
    assert_eq!(
        result["best"]["step"],
        trained["best_step"].as_f64().unwrap()
    );
    let printed = desk.printed("watch run --once");
    for told in [
        "step 24 of 24",
        "held-out   ",
        "best ",
        "learning rate",
        "gradient norm",
        "tokens/s",
        "● held-out",
    ] {
        assert!(printed.contains(told), "{told}:\n{printed}");
    }
    // The same numbers as TensorBoard has them, in 32 bits.
    let events = fs::read_dir(desk.path("run"))
        .unwrap()
        .map(|f| f.unwrap().path());
    let events = events.filter(|f| f.to_string_lossy().contains("tfevents"));
    for file in events {
        fs::rename(&file, desk.path("by-tensorboard.tfevents")).unwrap();
    }
    let again = desk.json("watch by-tensorboard.tfevents");
    assert_eq!(again["kind"], "TensorBoard event files");
    let close = |a: &Value, b: &Value| {
        let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
        (a - b).abs() <= 1e-6 * b.abs()
    };
    let (mine, theirs) = (&again["series"], &result["series"]);
    for (mine, theirs) in mine
        .as_array()
        .unwrap()
        .iter()
        .zip(theirs.as_array().unwrap())
    {
        assert_eq!(
            (&mine["name"], &mine["key"]),
            (&theirs["name"], &theirs["key"])
        );
        let points = theirs["points"].as_array().unwrap();
        assert_eq!(mine["points"].as_array().unwrap().len(), points.len());
        for (mine, theirs) in mine["points"].as_array().unwrap().iter().zip(points) {
            assert!(close(&mine["value"], &theirs["value"]), "{mine} {theirs}");
        }
    }
}

#[test]
fn event_files_and_names_that_nobody_uses_are_read() {
    let desk = Desk::new();
    let events =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/series/tensorboardx.tfevents");
    fs::copy(events, desk.path("events.out.tfevents.1")).unwrap();
    let result = desk.json("watch events.out.tfevents.1");
    assert_eq!(result["series"][0]["key"], "eval/loss");
    // Its last evaluation is no number.
    assert_eq!(result["convergence"]["rise"], "not_finite");
    assert_eq!(result["series"][0]["points"][12]["value"], Value::Null);
    fs::write(
        desk.path("log.jsonl"),
        "{\"iter\": 10, \"dev\": {\"nll\": 3.5}}\n{\"iter\": 20, \"dev\": {\"nll\": 3.0}}\n",
    )
    .unwrap();
    let printed = desk.printed("watch log.jsonl --held-out dev/nll");
    assert!(
        printed.contains("held-out   3.00 at step 20, best 3.00 at step 20  [dev/nll]"),
        "{printed}"
    );
}

#[test]
fn rules_are_asked_at_every_step_and_tell_by_exit_code_and_command() {
    let desk = Desk::new();
    log(&desk, |t| falling(t) + 0.004 * t, falling);
    let (code, printed, _) = watched(
        &desk,
        &[
            "--alert",
            "kl_heldout > 1.1 * min(kl_heldout)",
            "--alert",
            "\"lr\" > 1",
            "--on-alert",
            "echo \"$KLD_ALERT_STEP $KLD_ALERT_RUN $KLD_ALERT\" >> fired",
            "--json",
            "result.json",
        ],
    );
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("FIRED first at step"), "{printed}");
    assert!(printed.contains("never held"), "{printed}");
    let result: Value =
        serde_json::from_slice(&fs::read(desk.path("result.json")).unwrap()).unwrap();
    // The same by hand.
    let points = result["series"][0]["points"].as_array().unwrap();
    let (mut least, mut held) = (f64::INFINITY, Vec::new());
    for point in points {
        let value = point["value"].as_f64().unwrap();
        least = least.min(value);
        if value > 1.1 * least {
            held.push(point["step"].as_f64().unwrap());
        }
    }
    let alert = &result["alerts"][0];
    assert_eq!(alert["first_step"].as_f64(), held.first().copied());
    assert_eq!(alert["last_step"].as_f64(), held.last().copied());
    assert_eq!(
        (&alert["held"], &alert["asked"]),
        (&held.len().into(), &40.into())
    );
    let fired = fs::read_to_string(desk.path("fired")).unwrap();
    let expected = format!("{} log.jsonl kl_heldout > 1.1 * min(kl_heldout)\n", held[0]);
    assert_eq!(fired, expected);
    assert_eq!(watched(&desk, &["--alert", "gap > 0.5"]).0, Some(0));
    // What a trainer may tell later is waited for.
    let (code, printed, _) = watched(&desk, &["--alert", "gradient_norm > 5"]);
    assert_eq!(code, Some(0));
    assert!(
        printed.contains("is not asked: gradient_norm is not told so far"),
        "{printed}"
    );
    // A command that fails is told of.
    let (code, _, told) = watched(&desk, &["--alert", "gap > 0", "--on-alert", "exit 7"]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("--on-alert \"exit 7\": exit status: 7"),
        "{told}"
    );
}

#[test]
fn a_page_says_it_too_and_what_strangers_called_things_is_no_markup() {
    let desk = Desk::new();
    let line = |i: u32| {
        format!(
            "{{\"step\": {i}, \"<img src=x onerror=alert(1)>\": {}}}\n",
            1.0 / f64::from(i)
        )
    };
    fs::write(
        desk.path("log.jsonl"),
        (1..30).map(line).collect::<String>(),
    )
    .unwrap();
    let name = "<img src=x onerror=alert(1)>";
    let rule = format!("\"{name}\" < 0.5");
    let (code, _, told) = watched(
        &desk,
        &["--held-out", name, "--alert", &rule, "--html", "page.html"],
    );
    assert_eq!(code, Some(1), "{told}");
    let page = fs::read_to_string(desk.path("page.html")).unwrap();
    assert!(!page.contains("<img src=x"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"));
    for told in [
        "Training log.jsonl",
        "expected further gain",
        "<svg",
        "first at step",
    ] {
        assert!(page.contains(told), "{told}");
    }
}

/// Puts a form of the model of the desk into `out`, as a checkpoint.
fn checkpoint(desk: &Desk, form: &str, name: &str) {
    fs::create_dir_all(desk.path("out")).unwrap();
    fs::copy(desk.path(form), desk.path("out").join(name)).unwrap();
}

/// The last value of a series.
fn last(result: &Value, name: &str) -> f64 {
    let all = result["series"].as_array().unwrap();
    let series = all.iter().find(|s| s["name"] == name || s["key"] == name);
    let points = series.unwrap()["points"].as_array().unwrap();
    points.last().unwrap()["value"].as_f64().unwrap()
}

/// The mean KL that `kld compare` finds.
fn compared(desk: &Desk, arguments: &str) -> f64 {
    let result = desk.json(&format!("compare {arguments} --context 24"));
    result["candidates"][0]["kl"]["mean"]["value"]
        .as_f64()
        .unwrap()
}

#[test]
fn checkpoints_are_scored_as_they_appear_and_each_once() {
    let desk = Desk::new();
    fs::write(desk.path("general.txt"), &desk::TEXT[40..]).unwrap();
    checkpoint(&desk, "q4_0.gguf", "step-10.gguf");
    let watch = "watch out --reference p.gguf --text text.txt --context 24 --base q8_0.gguf --base-text general.txt --train-text general.txt";
    let result = desk.json(watch);
    assert_eq!(
        (&result["kind"], &result["step"]),
        (&"checkpoints".into(), &10.0.into())
    );
    for (name, arguments) in [
        ("kl_heldout", "p.gguf q4_0.gguf --text text.txt"),
        ("kl_train", "p.gguf q4_0.gguf --text general.txt"),
        ("kl_base", "q8_0.gguf q4_0.gguf --text general.txt"),
    ] {
        assert_eq!(last(&result, name), compared(&desk, arguments), "{name}");
    }
    assert_eq!(
        last(&result, "gap"),
        last(&result, "kl_heldout") - last(&result, "kl_train")
    );

    // A checkpoint as Transformers leaves it, without a tokenizer; it is P itself.
    let folder = desk.path("out/checkpoint-20");
    fs::create_dir(&folder).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden("llama").join(file), folder.join(file)).unwrap();
    }
    let kept = desk.path("out/kld-watch.jsonl");
    let before = fs::read_to_string(&kept).unwrap();
    let result = desk.json(watch);
    assert_eq!(result["step"], 20.0);
    assert!(last(&result, "kl_heldout").abs() < 1e-9, "{result}");
    let after = fs::read_to_string(&kept).unwrap();
    assert!(
        after.starts_with(&before) && after.lines().count() == 2,
        "{after}"
    );
    // Both are known, and need not be there any more.
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(desk.json(watch)["series"], result["series"]);
    assert_eq!(fs::read_to_string(&kept).unwrap(), after);
    // A line that was being written when the power went is written again.
    fs::write(&kept, &after[..after.len() - 9]).unwrap();
    checkpoint(&desk, "p.gguf", "step-20.gguf");
    desk.fine(watch);
    assert_eq!(fs::read_to_string(&kept).unwrap().lines().count(), 2);

    // One that is written anew under its name is scored anew, in its own place; what is beside it is left alone.
    checkpoint(&desk, "q8_0.gguf", "step-10.gguf");
    let of_step_10 = |result: &Value| result["series"][0]["points"][0].clone();
    for _ in 0..2 {
        let result = desk.json(watch);
        let kl = compared(&desk, "p.gguf q8_0.gguf --text text.txt");
        assert_eq!(of_step_10(&result)["step"], 10.0);
        assert_eq!(of_step_10(&result)["value"], kl);
        assert_eq!(
            (&result["step"], last(&result, "kl_heldout")),
            (&20.0.into(), 0.0)
        );
        assert_eq!(fs::read_to_string(&kept).unwrap().lines().count(), 3);
    }

    let other = watch.replace("--text text.txt", "--text general.txt");
    let refused = desk.refused(&other);
    assert!(
        refused.contains("keeps scores against other models or texts"),
        "{refused}"
    );
    desk.fine(&format!("{other} --scores-in elsewhere.jsonl"));
    assert_eq!(desk.json("watch elsewhere.jsonl")["step"], 20.0);
}

#[test]
fn a_fine_tuning_is_judged_by_its_text_and_warned_of_forgetting() {
    let desk = Desk::new();
    checkpoint(&desk, "q8_0.gguf", "step-1.gguf");
    checkpoint(&desk, "q4_0.gguf", "step-2.gguf");
    let watch = "watch out --base p.gguf --text text.txt --context 24";
    let result = desk.json(watch);
    assert_eq!(result["series"][0]["key"], "nll_heldout");
    let kl = compared(&desk, "p.gguf q4_0.gguf --text text.txt");
    assert_eq!(last(&result, "kl_base"), kl);
    let mut command = desk.command(watch);
    let output = command
        .args(["--alert", &format!("kl_base > {}", kl / 2.0)])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("FIRED first at step 2"), "{printed}");
    assert!(printed.contains("from base  "), "{printed}");
}

#[test]
fn a_recording_is_a_reference_too() {
    let desk = Desk::new();
    desk.fine("record p.gguf --text text.txt --context 24 -o p.kldrec");
    checkpoint(&desk, "q4_0.gguf", "step-3.gguf");
    let result = desk.json("watch out --reference p.kldrec");
    let kl = last(&result, "kl_heldout");
    let expected = compared(&desk, "p.gguf q4_0.gguf --text text.txt");
    assert!((kl / expected - 1.0).abs() < 0.01, "{kl} {expected}");
}

#[test]
fn a_checkpoint_that_is_not_whole_is_left_until_it_is() {
    let desk = Desk::new();
    let whole = fs::read(desk.path("q8_0.gguf")).unwrap();
    fs::create_dir(desk.path("out")).unwrap();
    let watch = "watch out --reference p.gguf --text text.txt --context 24";
    let refused = desk.refused(watch);
    assert!(
        refused.contains("expected folders such as checkpoint-500"),
        "{refused}"
    );
    fs::write(desk.path("out/step-7.gguf"), &whole[..whole.len() / 2]).unwrap();
    let refused = desk.refused(watch);
    assert!(
        refused.contains("step-7.gguf is left out until it changes"),
        "{refused}"
    );
    checkpoint(&desk, "q4_0.gguf", "step-5.gguf");
    let printed = desk.printed(watch);
    assert!(printed.contains("step 5\n"), "{printed}");
    assert!(
        printed.contains("warning: step-7.gguf is left out until it changes"),
        "{printed}"
    );
    fs::write(desk.path("out/step-7.gguf"), whole).unwrap();
    assert_eq!(desk.json(watch)["step"], 7.0);
}

#[test]
fn wrong_input_is_refused_with_what_to_do() {
    let desk = Desk::new();
    log(&desk, falling, falling);
    fs::create_dir(desk.path("empty")).unwrap();
    fs::write(desk.path("nothing.jsonl"), "").unwrap();
    fs::write(
        desk.path("broken.jsonl"),
        "{\"step\": 1}\n{\"step\"\n{\"step\": 2}\n",
    )
    .unwrap();
    let cases = [
        ("watch missing", "missing"),
        (
            "watch empty",
            "expected metrics.jsonl (kld train), trainer_state.json",
        ),
        ("watch nothing.jsonl", "tells nothing yet"),
        ("watch broken.jsonl", "line 2: no JSON"),
        (
            "watch log.jsonl --held-out dev",
            "has no \"dev\"; there are eval_loss, lr, train_loss",
        ),
        ("watch log.jsonl --step at", "has no \"at\""),
        (
            "watch log.jsonl --alert klheldout>1",
            "names \"klheldout\", which is not told; there are kl_heldout (eval_loss)",
        ),
        ("watch log.jsonl --alert gap>>1", "    gap>>1\n        ^"),
        ("watch log.jsonl --on-alert true", "--alert"),
        (
            "watch log.jsonl --tolerance 0",
            "expected a share such as 1% or a number such as 0.001",
        ),
        ("watch log.jsonl --window 3", "10"),
        ("watch log.jsonl --horizon -1", "unexpected argument"),
        ("watch log.jsonl --horizon 0", "expected a number above 0"),
        ("watch log.jsonl --html -", "a page goes to a file"),
        ("watch log.jsonl --json log.jsonl", "is an input"),
        (
            "watch log.jsonl --json nowhere/x.json",
            "cannot write nowhere/x.json",
        ),
    ];
    for (arguments, told) in cases {
        let refused = desk.refused(arguments);
        assert!(refused.contains(told), "{arguments}: {refused}");
    }
}
