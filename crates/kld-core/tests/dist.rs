//! Divergences between plain distributions: 50-digit values, and the laws that hold for all.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use kld_core::{
    dist::{Contribution, Divergences, GeneralizedKl, OneSided, Orders, Values},
    distribution::{Distribution, Measure},
    smoothing::Smoothing,
};
use proptest::prelude::*;
use serde_json::Value;

/// Largest relative error against the golden values: some hundred roundings.
const TOLERANCE: f64 = 1e-13;

const GOLDEN: &str = include_str!("../../../golden/dist/divergences.json");

fn number(value: &Value) -> f64 {
    match value {
        Value::String(name) if name == "inf" => f64::INFINITY,
        Value::String(name) if name == "-inf" => f64::NEG_INFINITY,
        value => value.as_f64().unwrap(),
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn assert_close(what: &str, got: f64, expected: f64) {
    // The logarithm of a probability next to 1 cannot know more than the rounding of that probability leaves.
    let absolute = if what.contains("entropy") {
        f64::EPSILON
    } else {
        0.0
    };
    let close = got == expected || (got - expected).abs() <= TOLERANCE * expected.abs() + absolute;
    assert!(close, "{what}: {got:e}, expected {expected:e} nats");
}

/// The values by the names that the golden file uses.
fn by_name(d: &Divergences) -> [(&'static str, f64); 18] {
    [
        ("kl", d.kl),
        ("reverse_kl", d.reverse_kl),
        ("jeffreys", d.jeffreys),
        ("js", d.js),
        ("js_distance", d.js_distance),
        ("generalized_js", d.generalized_js.value),
        ("skew_kl", d.skew_kl.value),
        ("reverse_skew_kl", d.skew_kl.reverse),
        ("renyi", d.renyi.value),
        ("reverse_renyi", d.renyi.reverse),
        ("total_variation", d.total_variation),
        ("hellinger", d.hellinger),
        ("chi_square", d.chi_square),
        ("reverse_chi_square", d.reverse_chi_square),
        ("cross_entropy", d.cross_entropy),
        ("reverse_cross_entropy", d.reverse_cross_entropy),
        ("entropy_reference", d.entropy_reference),
        ("entropy_candidate", d.entropy_candidate),
    ]
}

#[test]
fn every_divergence_agrees_with_fifty_digits() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let orders = Orders {
        renyi_alpha: number(&golden["renyi_alpha"]),
        js_beta: number(&golden["js_beta"]),
        skew_alpha: number(&golden["skew_alpha"]),
    };
    for case in golden["cases"].as_array().unwrap() {
        let side = |name| match case["scale"].as_str().unwrap() {
            "logits" => Distribution::from_logits(numbers(&case[name])).unwrap(),
            _ => Distribution::normalized(Measure::new(numbers(&case[name])).unwrap()),
        };
        let divergences = Divergences::between(&side("p"), &side("q"), &orders).unwrap();
        for (name, value) in by_name(&divergences) {
            assert_close(
                &format!("{name} of {}", case["name"]),
                value,
                number(&case["expected"][name]),
            );
        }
    }
}

#[test]
fn generalized_kl_agrees_with_fifty_digits() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    for case in cases.iter().filter(|case| case["scale"] == "probs") {
        let side = |name| Measure::new(numbers(&case[name])).unwrap();
        let got = GeneralizedKl::between(&side("p"), &side("q")).unwrap();
        assert_close(
            &format!("generalized KL of {}", case["name"]),
            got.kl,
            number(&case["generalized"]["kl"]),
        );
        let reverse = number(&case["generalized"]["reverse_kl"]);
        assert_close(
            &format!("reverse generalized KL of {}", case["name"]),
            got.reverse_kl,
            reverse,
        );
    }
}

#[test]
fn a_candidate_that_underflows_is_not_impossible() {
    let p = Distribution::from_logits(vec![0.0, 0.0]).unwrap();
    let q = Distribution::from_logits(vec![0.0, -2000.0]).unwrap();
    let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
    assert_close("KL", d.kl, 1000.0 - 2.0_f64.ln());
    assert_eq!(
        OneSided::of_distributions(&p, &q, None, 5).unwrap().entries,
        0
    );
}

#[test]
fn entries_on_one_side_only_are_found_on_the_right_side() {
    let of = |masses: &[f64]| Distribution::normalized(Measure::new(masses.to_vec()).unwrap());
    let (p, q) = (of(&[0.5, 0.2, 0.3, 0.0]), of(&[0.5, 0.0, 0.0, 0.5]));
    let alone = OneSided::of_distributions(&p, &q, None, 1).unwrap();
    assert_eq!(
        (alone.entries, alone.mass, alone.heaviest[0].index),
        (2, 0.5, 2)
    );
    let reverse = OneSided::of_distributions(&q, &p, None, 9).unwrap();
    assert_eq!((reverse.entries, reverse.heaviest[0].index), (1, 3));
}

#[test]
fn measures_have_null_where_a_distribution_is_needed() {
    let of = |masses: &[f64]| Measure::new(masses.to_vec()).unwrap();
    let values = Values::Measures(GeneralizedKl::between(&of(&[2.0]), &of(&[3.0])).unwrap());
    let json = serde_json::to_value(values).unwrap();
    let p = Distribution::normalized(of(&[1.0]));
    let all =
        serde_json::to_value(Divergences::between(&p, &p, &Orders::default()).unwrap()).unwrap();
    for name in all.as_object().unwrap().keys() {
        let defined = ["kl", "reverse_kl", "jeffreys"].contains(&name.as_str());
        assert_eq!(
            json.get(name).map(Value::is_number),
            Some(defined),
            "{name}"
        );
    }
    assert_eq!(serde_json::from_value::<Values>(json).unwrap(), values);
}

/// Distributions with some zeros.
fn distributions(length: usize) -> impl Strategy<Value = Distribution> {
    let mass = prop_oneof![3 => 1e-6..1.0_f64, 1 => Just(0.0)];
    let some_mass = |masses: &Vec<f64>| masses.iter().any(|mass| *mass > 0.0);
    let masses = prop::collection::vec(mass, length).prop_filter("no mass", some_mass);
    masses.prop_map(|masses| Distribution::normalized(Measure::new(masses).unwrap()))
}

fn pairs() -> impl Strategy<Value = (Distribution, Distribution)> {
    (1..40_usize).prop_flat_map(|length| (distributions(length), distributions(length)))
}

/// The same entries, from last to first.
fn reversed(p: &Distribution) -> Distribution {
    Distribution::normalized(Measure::new(p.probs().iter().rev().copied().collect()).unwrap())
}

proptest! {
    #[test]
    fn no_divergence_is_negative_and_bounded_ones_keep_their_bounds((p, q) in pairs()) {
        let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
        for (name, value) in by_name(&d) {
            prop_assert!(value >= 0.0, "{name} is {value:e}");
        }
        prop_assert!(d.js <= std::f64::consts::LN_2);
        prop_assert!(d.total_variation <= 1.0 && d.hellinger <= 1.0);
    }

    #[test]
    fn nothing_lies_between_a_distribution_and_itself((p, _) in pairs()) {
        let d = Divergences::between(&p, &p, &Orders::default()).unwrap();
        for (name, value) in by_name(&d) {
            prop_assert!(value == 0.0 || name.contains("entropy"), "{name} is {value:e}");
        }
        prop_assert!(Contribution::of_distributions(&p, &p, None).unwrap().iter().all(|c| c.kl == 0.0));
    }

    #[test]
    fn forward_and_reverse_change_places_with_p_and_q((p, q) in pairs()) {
        let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
        let swapped = Divergences::between(&q, &p, &Orders::default()).unwrap();
        prop_assert_eq!((d.kl, d.reverse_kl), (swapped.reverse_kl, swapped.kl));
        prop_assert!((d.js - swapped.js).abs() < 1e-15);
        prop_assert_eq!(d.jeffreys, swapped.jeffreys);
    }

    #[test]
    fn the_order_of_entries_does_not_matter((p, q) in pairs()) {
        let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
        let other = Divergences::between(&reversed(&p), &reversed(&q), &Orders::default()).unwrap();
        for ((name, a), (_, b)) in by_name(&d).into_iter().zip(by_name(&other)) {
            // Normalizing again may move an entry by its last bit, which small differences of entries magnify.
            prop_assert!(a == b || (a - b).abs() <= 1e-10 * a.abs() + 1e-15, "{name}: {a:e} and {b:e}");
        }
    }

    #[test]
    fn known_inequalities_hold((p, q) in pairs()) {
        let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
        let slack = 1.0 + 1e-12;
        // Pinsker; Rényi grows with its order, and is ln(1 + χ²) at 2; Hellinger against total variation.
        prop_assert!(2.0 * d.total_variation.powi(2) <= d.kl * slack);
        prop_assert!(d.kl <= d.renyi.value * slack);
        prop_assert!(d.renyi.value == d.chi_square.ln_1p() || (d.renyi.value / d.chi_square.ln_1p() - 1.0).abs() < 1e-9);
        prop_assert!(d.hellinger.powi(2) <= d.total_variation * slack + 1e-15);
    }

    #[test]
    fn kl_is_cross_entropy_less_entropy_and_not_cross_entropy((p, q) in pairs()) {
        let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
        let difference = d.cross_entropy - d.entropy_reference;
        prop_assert!(d.kl == difference || (d.kl - difference).abs() < 1e-12);
    }

    #[test]
    fn contributions_sum_to_the_divergence((p, q) in pairs()) {
        let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
        let parts = Contribution::of_distributions(&p, &q, None).unwrap();
        let total: f64 = parts.iter().map(|part| part.kl).sum();
        prop_assert!(d.kl == total || (d.kl - total).abs() < 1e-12);
    }

    #[test]
    fn smoothing_makes_every_divergence_finite_and_keeps_distributions((p, q) in pairs()) {
        for smoothing in [Smoothing::Epsilon(1e-10), Smoothing::JelinekMercer(0.1)] {
            let (p, q) = smoothing.distributions(&p, &q);
            prop_assert!((p.probs().iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let d = Divergences::between(&p, &q, &Orders::default()).unwrap();
            prop_assert!(by_name(&d).iter().all(|(_, value)| value.is_finite()));
            if smoothing == Smoothing::JelinekMercer(0.1) {
                prop_assert!(d.kl <= (1.9_f64 / 0.1).ln() + 1e-12);
            }
        }
    }

    #[test]
    fn generalized_kl_is_never_negative(masses in prop::collection::vec((0.0..10.0_f64, 0.0..10.0_f64), 1..40)) {
        let (p, q): (Vec<_>, Vec<_>) = masses.into_iter().unzip();
        let (Ok(p), Ok(q)) = (Measure::new(p), Measure::new(q)) else { return Ok(()) };
        let value = GeneralizedKl::between(&p, &q).unwrap();
        prop_assert!(value.kl >= 0.0 && value.reverse_kl >= 0.0);
    }
}
