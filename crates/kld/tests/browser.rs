//! The page of a comparison in a real browser: it says what the JSON says, answers to mouse and keyboard, fits a phone, and asks for nothing.
//!
//! The environment names the browser: `KLD_CHROMIUM=/usr/bin/chromium`; `cargo xtask test` finds or fetches one. Without it the tests are
//! skipped, visibly; in CI (`CI=true`) that is a failure.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

mod chromium;
mod desk;

use std::fs;

use chromium::Browser;
use desk::{Desk, TEXT};
use serde_json::{Value, json};

/// A token of it would run, were it ever taken for markup.
const HOSTILE: &str =
    "<img src=x onerror=\"hacked=1\"></script><script>hacked=1</script> and more, and more of it";

/// A page of two candidates on two fragments, one of them hostile, and the JSON of the same result.
fn page(desk: &Desk) -> (Browser, Value) {
    fs::write(desk.path("hostile <b>.txt"), HOSTILE).unwrap();
    fs::create_dir(desk.path("texts")).unwrap();
    for name in ["text.txt", "hostile <b>.txt"] {
        fs::rename(desk.path(name), desk.path("texts").join(name)).unwrap();
    }
    let result = desk.json("compare p.gguf q8_0.gguf q4_0.gguf --text texts --context 32 --html page.html --fail-above mean=1");
    (Browser::open(&desk.path("page.html")).unwrap(), result)
}

fn is_named() -> bool {
    // Says aloud that it is skipped.
    Browser::open(std::path::Path::new("/dev/null")).is_some()
}

/// The names and exact values of the tiles of a panel.
fn tiles(browser: &mut Browser, panel: usize) -> Value {
    browser.value(&format!(
        "Object.fromEntries([...document.querySelectorAll('#panel-{panel} .tile')].map(tile => \
         [tile.querySelector('.name').textContent, tile.querySelector('data')?.value]))"
    ))
}

#[test]
fn tiles_say_what_the_json_says() {
    if !is_named() {
        return;
    }
    let (mut browser, result) = page(&Desk::new());
    for (index, candidate) in result["candidates"].as_array().unwrap().iter().enumerate() {
        let tiles = tiles(&mut browser, index);
        for (tile, value) in [
            ("mean KL(P‖Q), nats", &candidate["kl"]["mean"]["value"]),
            ("median KL", &candidate["kl"]["median"]),
            (
                "mean KL(Q‖P), nats",
                &candidate["reverse_kl"]["mean"]["value"],
            ),
            ("Jensen–Shannon, nats", &candidate["js"]["mean"]["value"]),
            ("top-1 agreement", &candidate["top1_agreement"]["value"]),
            (
                "perplexity ratio",
                &candidate["perplexity"]["ratio"]["value"],
            ),
        ] {
            let shown: f64 = tiles[tile].as_str().unwrap().parse().unwrap();
            assert_eq!(shown, value.as_f64().unwrap(), "{tile}");
        }
    }
    let shown = browser.value("document.querySelectorAll('.tile.pass').length");
    assert_eq!(shown, 2);
}

#[test]
fn a_page_runs_without_errors_and_asks_for_nothing() {
    if !is_named() {
        return;
    }
    let (mut browser, _) = page(&Desk::new());
    assert_eq!(browser.value("typeof hacked"), "undefined");
    assert_eq!(browser.value("document.images.length"), 0);
    is_quiet(&browser);
}

/// It asked for nothing but itself, and no script of it failed.
fn is_quiet(browser: &Browser) {
    for event in &browser.events {
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str().unwrap();
                let own = url.ends_with("/page.html") || url.starts_with("data:");
                assert!(own, "the page asked for {url}");
            }
            "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded" => {
                panic!("the page complained: {event}");
            }
            _ => {}
        }
    }
}

/// What is told of the token that is chosen: its KL, and both models' most likely token with its probability.
const TOLD: &str = "(() => { const aside = document.getElementById('token'); \
    const first = index => [...aside.querySelectorAll('ol')[index].querySelector('li').children].slice(1).map(e => e.textContent); \
    return { kl: parseFloat(aside.querySelector('dd').textContent), p: first(0), q: first(1), lists: aside.querySelectorAll('ol').length }; })()";

#[test]
fn a_token_tells_what_both_models_expected_by_mouse_and_by_keyboard() {
    if !is_named() {
        return;
    }
    let (mut browser, result) = page(&Desk::new());
    let tokens = browser.value("document.querySelectorAll('#text b').length");
    assert_eq!(tokens, result["candidates"][0]["positions"]);
    browser.point_at("document.querySelectorAll('#text b')[40]");
    let pointed = browser.value(TOLD);
    assert_eq!(pointed["lists"], 2);
    browser.value("document.querySelectorAll('#text b')[39].focus()");
    browser.press("ArrowRight");
    assert_eq!(browser.value("document.activeElement.dataset.index"), "40");
    assert_eq!(browser.value(TOLD), pointed);
    browser.press("End");
    let last = tokens.as_u64().unwrap() - 1;
    assert_eq!(
        browser.value("document.activeElement.dataset.index"),
        last.to_string()
    );

    // The token that is farthest off says what the JSON says of it.
    let worst = &result["candidates"][0]["worst"][0];
    let told = browser.value(&format!(
        "[...document.querySelectorAll('#text b')].map(b => {{ b.focus(); return {TOLD}; }}).reduce((a, b) => b.kl > a.kl ? b : a)"
    ));
    let kl = told["kl"].as_f64().unwrap();
    assert!(
        (kl / worst["kl"].as_f64().unwrap() - 1.0).abs() < 0.01,
        "{told}, {worst}"
    );
    let percent = |prob: &Value| format!("{:.1} %", 100.0 * prob.as_f64().unwrap());
    assert_eq!(
        told["p"],
        json!([
            worst["top1_reference"],
            percent(&worst["top1_prob_reference"])
        ])
    );
    assert_eq!(
        told["q"],
        json!([
            worst["top1_candidate"],
            percent(&worst["top1_prob_candidate"])
        ])
    );
}

#[test]
fn the_other_candidate_is_chosen_by_keyboard() {
    if !is_named() {
        return;
    }
    let (mut browser, _) = page(&Desk::new());
    let seen = "[0, 1].map(i => !document.getElementById(`panel-${i}`).hidden)";
    let colours = "[...document.querySelectorAll('#text b')].map(b => b.className).join()";
    assert_eq!(browser.value(seen), json!([true, false]));
    let before = browser.value(colours);
    browser.value("document.getElementById('tab-0').focus()");
    browser.press("ArrowRight");
    assert_eq!(browser.value(seen), json!([false, true]));
    assert_eq!(browser.value("document.activeElement.id"), "tab-1");
    assert_ne!(browser.value(colours), before);
}

#[test]
fn a_page_fits_a_phone_a_dark_room_and_paper() {
    if !is_named() {
        return;
    }
    let (mut browser, _) = page(&Desk::new());
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        &json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true }),
    );
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 360);
    let paper = "getComputedStyle(document.body).backgroundColor";
    let mut in_scheme = |scheme: &str| {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        browser.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
        browser.value(paper)
    };
    assert_ne!(in_scheme("light"), in_scheme("dark"));
    // The switch goes on from the system's scheme to light, whatever the system has.
    let dark = browser.value(paper);
    browser.value("document.getElementById('theme').click()");
    assert_ne!(browser.value(paper), dark);
    browser.call("Emulation.setEmulatedMedia", &json!({ "media": "print" }));
    let seen = "[0, 1].map(i => getComputedStyle(document.getElementById(`panel-${i}`)).display)";
    assert_eq!(browser.value(seen), json!(["block", "block"]));
}

#[test]
fn the_page_of_a_training_says_what_the_json_says_and_fits_a_phone() {
    if !is_named() {
        return;
    }
    let desk = Desk::new();
    let line = |i: u32| {
        let (t, wobble) = (f64::from(i), f64::from(i * 7 % 11) / 1000.0);
        let held_out = 0.1 + 0.4 * (-t / 8.0).exp() + wobble;
        format!(
            "{{\"step\": {i}, \"eval_loss\": {held_out}, \"train_loss\": {}, \"lr\": {}}}\n",
            held_out / 2.0,
            0.1 / t
        )
    };
    fs::write(
        desk.path("log.jsonl"),
        (1..60).map(line).collect::<String>(),
    )
    .unwrap();
    let result = desk.json("watch log.jsonl --html page.html");
    let mut browser = Browser::open(&desk.path("page.html")).unwrap();
    let shown = browser.value(
        "Object.fromEntries([...document.querySelectorAll('.tile')].map(tile => \
         [tile.querySelector('.name').textContent, tile.querySelector('data')?.value]))",
    );
    let last = |index: usize| &result["series"][index]["points"][58]["value"];
    for (tile, value) in [
        ("held-out", last(0)),
        ("training", last(1)),
        (
            "expected further gain",
            &result["convergence"]["gain"]["value"],
        ),
    ] {
        let shown: f64 = shown[tile].as_str().unwrap().parse().unwrap();
        assert_eq!(shown, value.as_f64().unwrap(), "{tile}");
    }
    let verdict = browser.value("document.querySelector('.tile .value').textContent");
    assert_eq!(verdict, "improving");
    // A circle for each evaluation, and a line each for training, trend and learning rate.
    assert_eq!(
        browser.value("document.querySelectorAll('svg circle').length"),
        59
    );
    assert!(
        browser
            .value("document.querySelectorAll('svg .curve').length")
            .as_u64()
            >= Some(2)
    );
    let asks = |event: &Value| {
        event["method"] == "Network.requestWillBeSent"
            && !event["params"]["request"]["url"]
                .as_str()
                .unwrap()
                .ends_with("/page.html")
            && !event["params"]["request"]["url"]
                .as_str()
                .unwrap()
                .starts_with("data:")
    };
    assert!(!browser.events.iter().any(asks));
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        &json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true }),
    );
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 360);
}

#[test]
fn a_text_that_is_too_long_is_shown_in_part_and_fits_into_2_mb() {
    let desk = Desk::new();
    let texts: Vec<String> = (0..160)
        .map(|i| TEXT.replace("to be", &format!("to {i} be")))
        .collect();
    fs::write(desk.path("long.txt"), texts.join("\n")).unwrap();
    let result = desk
        .json("compare p.gguf q8_0.gguf q4_0.gguf --text long.txt --context 64 --html page.html");
    let positions = result["candidates"][0]["positions"].as_u64().unwrap();
    assert!(positions > 20_000, "{positions}");
    let size = fs::metadata(desk.path("page.html")).unwrap().len();
    assert!((1_000_000..=2_000_000).contains(&size), "{size} bytes");
    let page = fs::read_to_string(desk.path("page.html")).unwrap();
    assert!(page.contains("chosen at random among the others"));
}

#[test]
fn pages_of_texts_fit_a_phone_and_ask_for_nothing() {
    if !is_named() {
        return;
    }
    let desk = Desk::new();
    let lines = |texts: [&str; 4]| {
        let with = |i: usize| format!("{} {i} {HOSTILE}\n", texts[i % 4]);
        (0..24).map(with).collect::<String>()
    };
    let human = lines([
        "the harbour woke before the town did",
        "gulls argued",
        "two coins",
        "北京大学",
    ]);
    fs::write(desk.path("human.txt"), human).unwrap();
    fs::write(desk.path("machine.txt"), lines(["the sea and the sea"; 4])).unwrap();
    for arguments in [
        "text human.txt machine.txt --quality --lines --features p.gguf --model p.gguf --resamples 20",
        "text human.txt machine.txt --pairs --features p.gguf --resamples 20 --permutations 9",
        "text human.txt machine.txt --window 20",
        "text human.txt --expected p.gguf --context 64",
        "text count human.txt machine.txt",
        "suggest ngram:human.txt --history machine.txt --prefix the",
    ] {
        desk.printed(&format!("{arguments} --html page.html"));
        let mut browser = Browser::open(&desk.path("page.html")).unwrap();
        assert_eq!(browser.value("typeof hacked"), "undefined", "{arguments}");
        is_quiet(&browser);
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true }),
        );
        let width = browser.value("document.documentElement.scrollWidth");
        assert_eq!(width, 360, "{arguments}");
    }
}
