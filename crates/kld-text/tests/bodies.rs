//! Comparisons of bodies of text: against SciPy (`golden/text`), and the laws that they obey.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use kld_core::{
    count::{Bootstrap, Estimator, EstimatorResult},
    observer::Silent,
    result::{Contributor, FragmentKind, TextComparison},
};
use kld_text::{
    compare::{CompareOptions, compare},
    count::{CountOptions, CountTable, count, count_texts},
    fragments::{Body, fragments},
};
use proptest::prelude::*;
use serde_json::Value;

const TOLERANCE: f64 = 1e-12;

fn table(texts: &[String], ngram: usize) -> CountTable {
    let options = CountOptions {
        ngram,
        ..CountOptions::default()
    };
    count_texts(texts.iter().map(String::as_str), &options).unwrap()
}

fn compared(p: &CountTable, q: &CountTable, options: &CompareOptions) -> TextComparison {
    compare(("A", p), ("B", q), options).unwrap()
}

fn few() -> CompareOptions {
    CompareOptions {
        bootstrap: Bootstrap {
            resamples: 5,
            seed: 1,
        },
        listed: 3,
        ..CompareOptions::default()
    }
}

fn by(result: &TextComparison, estimator: Estimator) -> EstimatorResult {
    let mut all = result.estimators.iter();
    *all.find(|r| r.estimator == estimator).unwrap()
}

fn golden() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../golden/text/compare.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Is a value the one that stands in a golden file?
fn assert_close(value: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap_or(f64::INFINITY);
    assert!(
        value == expected || (value - expected).abs() <= TOLERANCE * (1.0 + expected.abs()),
        "{what}: {value}, expected {expected}"
    );
}

#[test]
fn counts_and_divergences_are_those_of_scipy() {
    let golden = golden();
    for case in golden["cases"].as_array().unwrap() {
        let ngram = case["ngram"].as_u64().unwrap() as usize;
        let [p, q] = ["reference", "candidate"].map(|side| table(&texts(&golden[side]), ngram));
        for (side, table) in [("reference", &p), ("candidate", &q)] {
            let counts: Vec<u64> = texts(&case["terms"])
                .iter()
                .map(|term| table.count(term))
                .collect();
            assert_eq!(serde_json::to_value(counts).unwrap(), case[side]);
        }
        let result = compared(&p, &q, &few());
        let plug_in = by(&result, Estimator::PlugIn);
        let js = plug_in.js.unwrap();
        assert_close(plug_in.kl.value, &case["plug_in"]["kl"], "KL");
        assert_close(
            plug_in.reverse_kl.value,
            &case["plug_in"]["reverse_kl"],
            "reverse KL",
        );
        assert_close(js.value, &case["plug_in"]["js"], "JS");
        let corrected = by(&result, Estimator::MillerMadow).js.unwrap();
        assert_close(corrected.value, &case["miller_madow_js"], "corrected JS");
        let series = by(&result, Estimator::ZhangGrabchak);
        let expected = &case["zhang_grabchak"];
        assert_close(series.kl.value, &expected["kl"], "KL by the series");
        assert_close(
            series.reverse_kl.value,
            &expected["reverse_kl"],
            "reverse KL by the series",
        );
        for (name, expected) in case["smoothed"].as_object().unwrap() {
            smoothed_is(name, expected, &case["terms"], (&p, &q));
        }
    }
}

fn smoothed_is(name: &str, expected: &Value, terms: &Value, (p, q): (&CountTable, &CountTable)) {
    let options = CompareOptions {
        smoothing: Some(name.parse().unwrap()),
        listed: 1000,
        ..few()
    };
    let result = compared(p, q, &options);
    let smoothed = result.smoothed.unwrap();
    assert_close(smoothed.kl.value, &expected["kl"], name);
    assert_close(smoothed.reverse_kl.value, &expected["reverse_kl"], name);
    assert_close(smoothed.js.value, &expected["js"], name);
    let terms = texts(terms);
    let contributors = &result.contributors;
    let all = contributors
        .more_in_reference
        .iter()
        .chain(&contributors.more_in_candidate);
    for c in all {
        let place = terms.iter().position(|term| *term == c.term).unwrap();
        assert_close(c.kl.value, &expected["parts"][place], &c.term);
    }
}

#[test]
fn two_halves_of_one_body_do_not_differ_and_are_called_small() {
    let texts = texts(&golden()["reference"]);
    let (p, q) = (table(&texts[..6], 1), table(&texts[6..], 1));
    let result = compared(&p, &q, &CompareOptions::default());
    let js = by(&result, Estimator::MillerMadow).js.unwrap();
    assert!(js.low < Some(0.0) && Some(0.0) < js.high, "{js:?}");
    assert!(!result.warnings.is_empty(), "six documents are few");
}

#[test]
fn documents_one_by_one_are_those_of_scipy() {
    let golden = &golden()["fragments"];
    let folder = tempfile::tempdir().unwrap();
    let bodies = ["reference", "candidate"].map(|side| {
        let path = folder.path().join(format!("{side}.jsonl"));
        let record = |text| format!("{}\n", serde_json::json!({ "text": text }));
        let records: String = texts(&golden[side]).into_iter().map(record).collect();
        std::fs::write(&path, records).unwrap();
        [path]
    });
    for threads in [1, 3] {
        let options = CountOptions {
            threads,
            ..CountOptions::default()
        };
        let tables = bodies
            .each_ref()
            .map(|body| count(body, &options, &Silent).unwrap());
        let [a, b] = [0, 1].map(|side| Body {
            table: &tables[side],
            sources: &bodies[side],
        });
        let result = fragments(a, b, &FragmentKind::Documents, 100, &options, &Silent).unwrap();
        let found = golden["found"].as_array().unwrap();
        assert_eq!(result.number as usize, found.len());
        assert_eq!(result.spread.unwrap().kind, FragmentKind::Documents);
        for fragment in &result.listed {
            let (_, line) = fragment.name.rsplit_once(':').unwrap();
            let expected = &found[line.parse::<usize>().unwrap() - 1];
            assert_close(fragment.kl, &expected["kl"], &fragment.name);
            assert_close(fragment.floor, &expected["floor"], &fragment.name);
            assert_close(fragment.p.unwrap(), &expected["p"], &fragment.name);
            assert_close(
                fragment.adjusted_p.unwrap(),
                &expected["adjusted_p"],
                &fragment.name,
            );
        }
        let far = found
            .iter()
            .filter(|one| one["adjusted_p"].as_f64() <= Some(0.05));
        assert_eq!(result.stand_out, Some(far.count() as u64));
    }
}

fn body() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("([a-e]{1,2} |世界|[1-3] ){1,20}", 1..6)
}

proptest! {
    #[test]
    fn the_order_of_the_bodies_swaps_the_directions(a in body(), b in body()) {
        let (p, q) = (table(&a, 1), table(&b, 1));
        let (there, back) = (compared(&p, &q, &few()), compared(&q, &p, &few()));
        for (there, back) in there.estimators.iter().zip(&back.estimators) {
            prop_assert_eq!(there.kl.value, back.reverse_kl.value);
            let (js, js_back) = (there.js.map(|js| js.value), back.js.map(|js| js.value));
            prop_assert!((js.unwrap_or(0.0) - js_back.unwrap_or(0.0)).abs() < 1e-14);
        }
        prop_assert_eq!(there.only_in_reference, back.only_in_candidate);
        let terms = |list: &[Contributor]| list.iter().map(|c| c.term.clone()).collect::<Vec<_>>();
        prop_assert_eq!(
            terms(&there.contributors.more_in_reference),
            terms(&back.contributors.more_in_candidate)
        );
    }

    #[test]
    fn contributors_and_the_others_add_up_to_the_total(
        a in body(), b in body(), smooth in any::<bool>(),
    ) {
        let smoothing = smooth.then(|| "absolute:0.5".parse().unwrap());
        let options = CompareOptions { smoothing, ..few() };
        let result = compared(&table(&a, 1), &table(&b, 1), &options);
        let c = &result.contributors;
        let added = |part: fn(&Contributor) -> f64| -> f64 {
            c.more_in_reference.iter().chain(&c.more_in_candidate).map(part).sum()
        };
        let corrected = by(&result, Estimator::ZhangGrabchak);
        let (kl, reverse_kl) = result
            .smoothed
            .map_or((corrected.kl, corrected.reverse_kl), |s| (s.kl, s.reverse_kl));
        prop_assert!((added(|c| c.kl.value) + c.others.kl - kl.value).abs() < 1e-12);
        let reverse = added(|c| c.reverse_kl.value) + c.others.reverse_kl;
        prop_assert!((reverse - reverse_kl.value).abs() < 1e-12);
    }

    #[test]
    fn threads_change_nothing(a in body(), b in body()) {
        let (p, q) = (table(&a, 1), table(&b, 1));
        let options = |threads| CompareOptions { threads, ..few() };
        prop_assert_eq!(
            serde_json::to_string(&compared(&p, &q, &options(1))).unwrap(),
            serde_json::to_string(&compared(&p, &q, &options(3))).unwrap()
        );
    }

    #[test]
    fn a_body_is_at_no_distance_from_itself(a in body()) {
        let p = table(&a, 1);
        let plug_in = by(&compared(&p, &p, &few()), Estimator::PlugIn);
        prop_assert_eq!((plug_in.kl.value, plug_in.js.unwrap().value), (0.0, 0.0));
    }
}
