//! Diversity against NLTK, sacreBLEU, lexicalrichness, SciPy and zstandard (`golden/quality/generate_diversity.py`), and what tests of it say.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use kld_core::result::{Diversity, DiversityKind, Verdict};
use kld_text::{
    quality::{Corpus, DiversityOptions, diversity, perplexity_overlap},
    segment::Cutter,
};
use serde_json::Value;

fn golden() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../golden/quality/diversity.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn texts(name: &str) -> Vec<String> {
    serde_json::from_value(golden()["texts"][name].clone()).unwrap()
}

fn measured(reference: &[String], candidate: &[String]) -> Diversity {
    let [p, q] =
        [reference, candidate].map(|side| side.iter().map(String::as_str).collect::<Vec<_>>());
    let corpus = Corpus::new(&p, &q, &Cutter::default()).unwrap();
    diversity(&corpus, &Cutter::default(), &DiversityOptions::default())
}

fn verdict(result: &Diversity, measure: DiversityKind) -> Verdict {
    result
        .measures
        .iter()
        .find(|m| m.measure == measure)
        .unwrap()
        .verdict
}

#[test]
fn every_measure_is_that_of_other_libraries() {
    let golden = golden();
    let (human, machine) = (texts("human"), texts("machine"));
    let result = measured(&human, &machine);
    // Of the larger body only a part is measured; beside itself all of it is.
    let whole = |side: &[String]| measured(side, side);
    assert!(result.candidate.words <= result.reference.words * 11 / 10);
    for (name, side) in [("human", &human), ("machine", &machine)] {
        let result = whole(side);
        for m in &result.measures {
            let measure = serde_json::to_value(m.measure).unwrap();
            let measure = measure.as_str().unwrap();
            // What is expected depends on the runs that both bodies have together.
            if measure.starts_with("expected") {
                continue;
            }
            let expected = golden["measures"][name][measure].as_f64().unwrap();
            let tolerance = if measure == "compression_ratio" {
                0.01
            } else {
                1e-9
            };
            assert!(
                (m.reference.value - expected).abs() <= tolerance * expected.abs(),
                "{name} {measure}: {} is not {expected}",
                m.reference.value
            );
        }
    }
}

#[test]
fn what_is_expected_is_expected_of_the_runs_of_both_bodies() {
    let golden = golden();
    // As many words on both sides, so that nothing is cut down.
    let (human, machine) = (texts("human"), texts("machine"));
    let result = measured(&human, &machine);
    assert_eq!(
        (result.reference.documents, result.candidate.documents),
        (human.len(), machine.len())
    );
    for m in &result.measures {
        let measure = serde_json::to_value(m.measure).unwrap();
        let measure = measure.as_str().unwrap();
        if measure.starts_with("expected") {
            for (side, value) in [("human", m.reference.value), ("machine", m.candidate.value)] {
                let expected = golden["measures"][side][measure].as_f64().unwrap();
                assert!(
                    (value / expected - 1.0).abs() < 1e-9,
                    "{side} {measure}: {value} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn that_one_repeats_more_is_tested() {
    let result = measured(&texts("human"), &texts("machine"));
    for measure in [
        DiversityKind::Distinct3,
        DiversityKind::Rep3,
        DiversityKind::Shared4,
        DiversityKind::SelfBleu,
    ] {
        assert_eq!(
            verdict(&result, measure),
            Verdict::CandidateRepeatsMore,
            "{measure:?}"
        );
    }
    let other_way = measured(&texts("machine"), &texts("human"));
    assert_eq!(
        verdict(&other_way, DiversityKind::Rep3),
        Verdict::CandidateVariesMore
    );
    // Halves of one body do not differ.
    let human = texts("human");
    let half = |odd: usize| {
        human
            .iter()
            .skip(odd)
            .step_by(2)
            .cloned()
            .collect::<Vec<_>>()
    };
    let same = measured(&half(0), &half(1));
    for m in &same.measures {
        assert_eq!(m.verdict, Verdict::NoDifference, "{:?}", m.measure);
    }
}

#[test]
fn the_larger_body_is_cut_down_and_the_same_seed_cuts_the_same() {
    let human = texts("human");
    let result = measured(&human, &human[..10]);
    assert_eq!(result.candidate.documents, 10);
    assert!(result.reference.documents < human.len());
    assert!(result.reference.words >= result.candidate.words);
    assert_eq!(result, measured(&human, &human[..10]));
}

#[test]
fn one_short_text_has_values_but_no_errors() {
    let one = |text: &str| vec![text.to_owned()];
    let result = measured(
        &one("the cat sat on the mat"),
        &one("the the the the the the"),
    );
    for m in &result.measures {
        assert_eq!(
            (m.p_value, m.verdict),
            (None, Verdict::Untested),
            "{:?}",
            m.measure
        );
    }
    let value = |measure| {
        result
            .measures
            .iter()
            .find(|m| m.measure == measure)
            .unwrap()
            .candidate
            .value
    };
    assert!((value(DiversityKind::Distinct1) - 1.0 / 6.0).abs() < 1e-12);
    assert!((value(DiversityKind::Rep2) - 0.8).abs() < 1e-12);
    assert!(value(DiversityKind::Mattr).is_nan() && value(DiversityKind::SelfBleu).is_nan());
}

#[test]
fn scripts_without_spaces_are_cut_too() {
    let chinese = [
        "我们在北京大学学习。",
        "我们在北京大学学习世界和平。",
        "世界和平!",
    ]
    .map(str::to_owned);
    let result = measured(&chinese, &chinese);
    assert_eq!(result.reference.words, 14);
    assert_eq!(
        result.repeated_in_reference[0].text,
        "我们 在 北京 大学 学习"
    );
}

#[test]
fn perplexities_overlap_as_scipy_has_it() {
    let golden = &golden()["perplexities"];
    let values = |name: &str| -> Vec<f64> { serde_json::from_value(golden[name].clone()).unwrap() };
    let result = perplexity_overlap(&values("reference"), &values("candidate"), 200, 0);
    for (ours, theirs) in [
        (result.overlap, &golden["overlap"]),
        (result.candidate_higher, &golden["candidate_higher"]),
    ] {
        assert!((ours.value - theirs.as_f64().unwrap()).abs() < 1e-12);
        assert!(ours.low.unwrap() < ours.value && ours.value < ours.high.unwrap());
    }
    for (ours, theirs) in [result.reference, result.candidate].into_iter().zip(0..) {
        let theirs: Vec<f64> =
            serde_json::from_value(golden["quantiles"][theirs as usize].clone()).unwrap();
        for (ours, theirs) in [ours.p5, ours.p25, ours.p50, ours.p75, ours.p95]
            .iter()
            .zip(theirs)
        {
            assert!((ours - theirs).abs() < 1e-9);
        }
    }
}
