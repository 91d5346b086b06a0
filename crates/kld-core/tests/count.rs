//! Estimates from counts: against independent definitions, and against the truth in simulated samples.

use kld_core::count::{Bootstrap, Counts, Estimator, Warning, estimate};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use serde_json::Value;

const GOLDEN: &str = include_str!("../../../golden/dist/counts.json");

/// Largest error against the golden values, absolute for values below 1: both sides sum some hundred rounded terms.
const TOLERANCE: f64 = 1e-12;

fn counts(value: &Value) -> Counts {
    Counts::new(
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|count| count.as_u64().unwrap())
            .collect(),
    )
    .unwrap()
}

fn key(estimator: Estimator) -> String {
    serde_json::to_value(estimator)
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn every_estimator_agrees_with_its_definition_written_out() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let (p, q) = (counts(&case["p"]), counts(&case["q"]));
        assert_eq!(
            [p.coverage(), q.coverage()].map(Value::from).as_slice(),
            case["coverage"].as_array().unwrap()
        );
        for estimator in Estimator::ALL {
            let expected = &case["expected"][key(estimator)];
            for (name, got) in [
                ("kl", Some(estimator.kl(&p, &q))),
                ("reverse_kl", Some(estimator.kl(&q, &p))),
                ("js", estimator.js(&p, &q)),
                ("entropy_reference", Some(estimator.entropy(&p))),
                ("entropy_candidate", Some(estimator.entropy(&q))),
            ] {
                let expected = match &expected[name] {
                    Value::Null => None,
                    Value::String(_) => Some(f64::INFINITY),
                    value => value.as_f64(),
                };
                let close = match (got, expected) {
                    (Some(got), Some(expected)) => {
                        got == expected
                            || (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
                    }
                    (got, expected) => got == expected,
                };
                assert!(
                    close,
                    "{name} by {} of {}: {got:?}, expected {expected:?}",
                    estimator.name(),
                    case["name"]
                );
            }
        }
    }
}

/// A sample of so many draws.
fn sample(probs: &[f64], draws: usize, random: &mut Xoshiro256PlusPlus) -> Counts {
    let mut counts = vec![0_u64; probs.len()];
    for _ in 0..draws {
        let mut left: f64 = random.random();
        let outcome = probs.iter().position(|prob| {
            left -= prob;
            left < 0.0
        });
        counts[outcome.unwrap_or(probs.len() - 1)] += 1;
    }
    Counts::new(counts).unwrap()
}

fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum()
}

const P: [f64; 6] = [0.35, 0.25, 0.15, 0.1, 0.1, 0.05];
const Q: [f64; 6] = [0.15, 0.2, 0.3, 0.15, 0.1, 0.1];

/// The mean error of an estimator over simulated pairs of samples.
fn bias(estimator: Estimator, p: &[f64], q: &[f64]) -> f64 {
    let (mut random, repeats) = (Xoshiro256PlusPlus::seed_from_u64(1), 4000);
    let estimates = (0..repeats)
        .map(|_| estimator.kl(&sample(p, 200, &mut random), &sample(q, 150, &mut random)));
    let estimates: Vec<_> = estimates.filter(|estimate| estimate.is_finite()).collect();
    assert!(
        estimates.len() > repeats * 99 / 100,
        "samples large enough that infinities are rare"
    );
    estimates.iter().sum::<f64>() / estimates.len() as f64 - kl(p, q)
}

#[test]
fn corrections_remove_nearly_all_of_the_bias() {
    for (p, q) in [(P, P), (P, Q), (Q, P)] {
        let plain = bias(Estimator::PlugIn, &p, &q);
        // (K−1)(1/n + 1/m)/2 is 0.029 under P = Q.
        assert!(plain > 0.02, "the plug-in is too large by {plain:.4} nats");
        for estimator in [Estimator::MillerMadow, Estimator::ZhangGrabchak] {
            let left = bias(estimator, &p, &q);
            assert!(
                left.abs() < 0.15 * plain,
                "{} is off by {left:.4}, the plug-in by {plain:.4} nats",
                estimator.name()
            );
        }
    }
}

#[test]
fn under_coverage_chao_shen_is_nearer_to_the_entropy_than_the_plug_in() {
    let weights: Vec<f64> = (1..=200).map(|rank| 1.0 / f64::from(rank)).collect();
    let total: f64 = weights.iter().sum();
    let probs: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
    let truth: f64 = probs.iter().map(|p| -p * p.ln()).sum();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let samples: Vec<_> = (0..300).map(|_| sample(&probs, 100, &mut random)).collect();
    let error = |estimator: Estimator| {
        samples
            .iter()
            .map(|sample| estimator.entropy(sample) - truth)
            .sum::<f64>()
            / 300.0
    };
    let (plain, corrected) = (error(Estimator::PlugIn), error(Estimator::ChaoShen));
    assert!(
        plain < -0.4 && corrected.abs() < 0.35 * plain.abs(),
        "plug-in {plain:.3}, Chao-Shen {corrected:.3} nats"
    );
}

#[test]
fn intervals_cover_the_truth_about_as_often_as_they_say() {
    for (p, q) in [(P, P), (P, Q)] {
        let (mut random, repeats, truth) =
            (Xoshiro256PlusPlus::seed_from_u64(3), 200_u64, kl(&p, &q));
        let covered = (0..repeats).filter(|&seed| {
            let (a, b) = (sample(&p, 200, &mut random), sample(&q, 150, &mut random));
            let estimates = estimate(
                &a,
                &b,
                &Bootstrap {
                    resamples: 200,
                    seed,
                },
            )
            .unwrap();
            let kl = estimates.estimators.last().unwrap().kl;
            kl.low.unwrap() <= truth && truth <= kl.high.unwrap()
        });
        let share = covered.count() as f64 / repeats as f64;
        assert!(
            share >= 0.91,
            "{share} of the 95 % intervals cover {truth:.4} nats"
        );
    }
}

fn of(counts: &[u64]) -> Counts {
    Counts::new(counts.to_vec()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let run = |seed| {
        estimate(
            &of(&[30, 20, 5]),
            &of(&[20, 20, 9]),
            &Bootstrap {
                resamples: 200,
                seed,
            },
        )
        .unwrap()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).estimators, run(8).estimators);
}

#[test]
fn samples_too_small_to_say_are_said_to_be_so() {
    let warnings = |p: &[u64], q: &[u64]| {
        estimate(&of(p), &of(q), &Bootstrap::default())
            .unwrap()
            .warnings
    };
    assert_eq!(warnings(&[4000, 5000, 1000], &[1000, 5000, 4000]), []);
    let small = warnings(&[2, 1, 1, 0], &[3, 2, 2, 2]);
    assert!(
        small.contains(&Warning::LowCoverage {
            side: 'P',
            coverage: 0.5
        }),
        "{small:?}"
    );
    assert!(
        small.contains(&Warning::FewDraws {
            side: 'Q',
            draws: 9,
            observed: 4
        }),
        "{small:?}"
    );
    assert!(
        small.contains(&Warning::UnseenInOther {
            side: 'Q',
            outcomes: 1,
            share: 2.0 / 9.0
        }),
        "{small:?}"
    );
    assert!(
        small
            .iter()
            .any(|warning| matches!(warning, Warning::WideInterval { .. })),
        "{small:?}"
    );
}

#[test]
fn samples_of_different_outcomes_are_refused() {
    let refused = estimate(&of(&[1, 2]), &of(&[1, 2, 3]), &Bootstrap::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "P has 2 entries and Q has 3: without names they cannot be matched"
    );
}
