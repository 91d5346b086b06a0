//! The ranking: values of SciPy and statsmodels, letters by brute force, the laws that hold for all, and the rate of false alarms.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use kld_core::{
    ModelCard, Place, Summary, TokenRow,
    pick::{Pick, Wanted},
    ranking::{Front, LEVEL, Ranking, above, holm, letters, rank},
    result::Candidate,
};
use kld_kernels::RowPair;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

/// A candidate of so many bytes whose windows have so many positions each and these means; NaN is a position that is not finite.
fn measured(name: &str, bytes: u64, windows: &[(u32, u32, f64)]) -> (Candidate, Summary) {
    let mut summary = Summary::default();
    for (window, (fragment, count, kl)) in windows.iter().enumerate() {
        for row in 0..*count {
            summary.push(&TokenRow {
                place: Place {
                    fragment: *fragment,
                    window: window as u32,
                    row,
                },
                observed: 0,
                pair: RowPair {
                    kl: *kl,
                    ..RowPair::default()
                },
                nll_p: 1.0,
                nll_q: 1.0,
                padding_mass_p: 0.0,
                padding_mass_q: 0.0,
            });
        }
    }
    let model = ModelCard {
        name: name.to_owned(),
        revision: None,
        sha256: String::new(),
        config_sha256: String::new(),
        format: "gguf".to_owned(),
        family: "llama".to_owned(),
        weights: String::new(),
        compute: String::new(),
        parameters: 1000,
        bytes,
        vocabulary: 2,
        context_length: 8,
        recorded: None,
        quantized: None,
    };
    let candidate = Candidate::from_summary(model, &summary, &[], Vec::new());
    (candidate, summary)
}

/// Candidates of one fragment with four positions a window; bytes and the means of the windows.
fn all(of: &[(u64, Vec<f64>)]) -> (Vec<Candidate>, Ranking) {
    let measured = of.iter().enumerate().map(|(index, (bytes, means))| {
        let windows: Vec<_> = means.iter().map(|kl| (0, 4, *kl)).collect();
        measured(&format!("q{index}"), *bytes, &windows)
    });
    let (candidates, summaries): (Vec<_>, Vec<_>) = measured.unzip();
    let ranking = rank(&candidates, &summaries).unwrap();
    (candidates, ranking)
}

fn order(ranking: &Ranking) -> Vec<usize> {
    ranking.ranked.iter().map(|r| r.candidate).collect()
}

fn groups(ranking: &Ranking) -> Vec<&str> {
    ranking.ranked.iter().map(|r| r.groups.as_str()).collect()
}

fn read(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}

fn assert_close(what: &str, got: f64, expected: &Value, relative: f64) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (got - expected).abs() <= relative * expected.abs(),
        "{what}: {got:e}, expected {expected:e}"
    );
}

#[test]
fn paired_differences_agree_with_scipy_and_statsmodels() {
    for case in read(include_str!("../../../golden/ranking/paired.json")) {
        let side = |name: &str| {
            let windows = numbers(&case["fragment"])
                .into_iter()
                .zip(numbers(&case["count"]))
                .zip(numbers(&case[name]))
                .map(|((fragment, count), sum)| (fragment as u32, count as u32, sum / count))
                .collect::<Vec<_>>();
            measured(name, 1, &windows)
        };
        let ((b, sb), (w, sw)) = (side("better"), side("worse"));
        let ranking = rank(&[b, w], &[sb, sw]).unwrap();
        let pair = ranking.pair(0, 1).unwrap();
        // Which of the two is ranked first is chance where they do not differ.
        let sign = if pair.better == 0 { 1.0 } else { -1.0 };
        assert_close(
            "difference",
            sign * pair.difference.value,
            &case["difference"],
            1e-9,
        );
        let error = pair.difference.standard_error.unwrap();
        assert_close("standard error", error, &case["standard_error"], 1e-9);
        assert_close("p", pair.p_value.unwrap(), &case["p_value"], 1e-8);
        let leaves_zero_out =
            pair.difference.low.unwrap() > 0.0 || pair.difference.high.unwrap() < 0.0;
        assert_eq!(pair.p_value.unwrap() < LEVEL, leaves_zero_out);
    }
}

#[test]
fn holm_agrees_with_statsmodels() {
    for case in read(include_str!("../../../golden/ranking/holm.json")) {
        let adjusted = holm(&numbers(&case["p"]));
        for (got, expected) in adjusted.iter().zip(case["holm"].as_array().unwrap()) {
            assert_close("Holm", *got, expected, 1e-14);
        }
    }
}

#[test]
fn letters_are_those_found_by_trying_every_set() {
    for case in read(include_str!("../../../golden/ranking/letters.json")) {
        let pair = |v: &Value| {
            (
                v[0].as_u64().unwrap() as usize,
                v[1].as_u64().unwrap() as usize,
            )
        };
        let differ: Vec<_> = case["differ"]
            .as_array()
            .unwrap()
            .iter()
            .map(pair)
            .collect();
        let count = case["count"].as_u64().unwrap() as usize;
        assert_eq!(Value::from(letters(count, &differ)), case["letters"]);
    }
}

/// Windows whose level all candidates share, with a little noise of each candidate's own.
fn noisy(rng: &mut StdRng, levels: &[f64], factor: f64) -> Vec<f64> {
    let noise = |rng: &mut StdRng| 0.05 * (rng.random::<f64>() + rng.random::<f64>() - 1.0);
    levels.iter().map(|l| l * (factor + noise(rng))).collect()
}

fn levels(rng: &mut StdRng, windows: usize) -> Vec<f64> {
    (0..windows)
        .map(|_| 0.01 * (0.5 + rng.random::<f64>()))
        .collect()
}

#[test]
fn pairing_finds_what_the_two_errors_would_hide() {
    let mut rng = StdRng::seed_from_u64(1);
    let levels = levels(&mut rng, 40);
    let means = [1.0, 1.03].map(|factor| noisy(&mut rng, &levels, factor));
    let (candidates, ranking) = all(&[(2, means[0].clone()), (1, means[1].clone())]);
    let pair = ranking.pair(0, 1).unwrap();
    let errors = candidates.iter().map(|c| c.kl.mean.standard_error.unwrap());
    let unpaired = errors.map(|e| e * e).sum::<f64>().sqrt();
    assert!(
        pair.differ && pair.difference.value < unpaired,
        "{pair:?}, {unpaired:e}"
    );
    assert_eq!(
        (order(&ranking), groups(&ranking)),
        (vec![0, 1], vec!["a", "b"])
    );
}

#[test]
fn candidates_that_do_not_differ_are_seldom_told_apart() {
    const ROUNDS: usize = 400;
    // Five equally good ones, ten pairs: uncorrected, some pair would differ in a third of all comparisons.
    let mut rng = StdRng::seed_from_u64(2);
    let alarms = (0..ROUNDS).filter(|_| {
        let levels = levels(&mut rng, 30);
        let five: Vec<_> = (0..5).map(|i| (i, noisy(&mut rng, &levels, 1.0))).collect();
        all(&five).1.pairs.iter().any(|pair| pair.differ)
    });
    let rate = alarms.count() as f64 / ROUNDS as f64;
    assert!((0.01..=0.075).contains(&rate), "{rate}");
}

#[test]
fn equal_candidates_are_tied_and_the_given_order_stays() {
    let means = vec![0.01, 0.03, 0.02];
    let (_, ranking) = all(&[(1, means.clone()), (1, means)]);
    let pair = ranking.pair(1, 0).unwrap();
    assert_eq!(
        (pair.p_value, pair.p_holm, pair.differ),
        (Some(1.0), Some(1.0), false)
    );
    assert_eq!(
        (order(&ranking), groups(&ranking)),
        (vec![0, 1], vec!["a", "a"])
    );
    assert!(ranking.ranked.iter().all(|r| r.front == Front::On));
}

#[test]
fn one_window_can_tell_nothing_and_says_so() {
    let (_, ranking) = all(&[(1, vec![0.5]), (1, vec![0.1])]);
    assert_eq!(ranking.pairs[0].p_value, None);
    assert_eq!(
        (order(&ranking), groups(&ranking)),
        (vec![1, 0], vec!["a", "a"])
    );
    assert!(
        ranking.notes[0].contains("no pair was tested"),
        "{:?}",
        ranking.notes
    );
}

#[test]
fn candidates_that_are_all_within_the_noise_floor_are_said_not_to_be_ranked() {
    let noted = |means: &[[f64; 3]], has_floor: bool| {
        let windows = |means: &[f64; 3]| [0, 1, 2].map(|w| (w, 4, means[w as usize]));
        let (_, floor) = measured("floor", 1, &windows(&[0.02, 0.03, 0.01]));
        let made = means.iter().map(|means| measured("q", 1, &windows(means)));
        let (mut candidates, summaries): (Vec<_>, Vec<_>) = made.unzip();
        for (candidate, summary) in candidates.iter_mut().zip(&summaries) {
            candidate.above_noise_floor = has_floor.then(|| above(&floor, summary));
        }
        let ranking = rank(&candidates, &summaries).unwrap();
        ranking.notes.iter().any(|n| n.contains("does not rank"))
    };
    let (below, unclear, higher) = ([0.01; 3], [0.02, 0.03, 0.02], [0.12, 0.13, 0.11]);
    assert!(noted(&[below, unclear], true));
    assert!(!noted(&[below, unclear], false));
    assert!(!noted(&[below, unclear, higher], true));
}

#[test]
fn what_is_not_finite_is_ranked_last_and_its_windows_leave_the_pair() {
    let (candidates, ranking) = all(&[
        (1, vec![0.01, f64::NAN, 0.012, 0.011]),
        (2, vec![0.02, 0.021, 0.023, 0.022]),
        (3, vec![0.03, 0.033, 0.031, 0.034]),
    ]);
    assert_eq!(order(&ranking), [1, 2, 0]);
    let pair = ranking.pair(0, 1).unwrap();
    assert_eq!((pair.windows, pair.windows_left_out), (3, 1));
    // Over the windows that remain the one ranked lower has the smaller mean, and the sign says so.
    assert!((pair.difference.value - (0.033 - 0.065) / 3.0).abs() < 1e-12);
    let notes = ranking.notes.join("\n");
    assert!(
        notes.contains("q0 has 4 positions that are not finite"),
        "{notes}"
    );
    assert!(notes.contains("at most 1 of 4"), "{notes}");
    assert_eq!(ranking.ranked[2].front, Front::Off);
    let pick = |wanted| Pick::new(wanted, &candidates, Some(&ranking), true).candidate;
    assert_eq!(pick(Wanted::MaxKl(0.5)), Some(1));
    assert_eq!(pick(Wanted::MaxSize(1)), None);
}

#[test]
fn the_front_is_what_nothing_beats_in_size_and_divergence() {
    use Front::{Off, On, Unproven};
    let around = |kl: f64| vec![kl, kl * 1.01, kl * 0.99, kl * 1.02, kl];
    let (_, ranking) = all(&[
        (100, around(0.001)),
        (90, around(0.004)),
        (95, around(0.006)), // larger and worse than the one before
        (50, vec![0.02, 0.03, 0.025, 0.021, 0.024]),
        (40, vec![0.024, 0.025, 0.027, 0.020, 0.026]), // not told apart from the one before, and smaller
        (40, around(0.5)),                             // as small, shown to be worse
    ]);
    let fronts: Vec<_> = ranking.ranked.iter().map(|r| r.front).collect();
    assert_eq!(order(&ranking), [0, 1, 2, 3, 4, 5]);
    assert_eq!(fronts, [On, On, Off, Unproven, On, Off]);
    assert_eq!(groups(&ranking), ["a", "b", "c", "d", "d", "e"]);
    assert_eq!(ranking.ranked[0].bits_per_weight, 0.8);
}

#[test]
fn picks_say_what_is_not_certain() {
    let (candidates, ranking) = all(&[
        (100, vec![0.001, 0.0011, 0.0009, 0.001]),
        (50, vec![0.021, 0.030, 0.025, 0.021]),
        (40, vec![0.024, 0.025, 0.027, 0.020]),
        (30, vec![0.5, 0.52, 0.51, 0.53]),
    ]);
    let pick = |wanted| Pick::new(wanted, &candidates, Some(&ranking), true);
    let smallest = pick(Wanted::MaxKl(0.0245));
    assert_eq!(
        (smallest.candidate, smallest.straddling),
        (Some(2), vec![1, 2])
    );
    assert_eq!(smallest.tied, Vec::<usize>::new());
    let closest = pick(Wanted::MaxSize(60));
    assert_eq!((closest.candidate, closest.tied), (Some(2), vec![1]));
    assert_eq!(pick(Wanted::MaxKl(1e-6)).candidate, None);
    assert_eq!(pick(Wanted::MaxSize(29)).candidate, None);
    let stopped = Pick::new(Wanted::MaxSize(60), &candidates, Some(&ranking), false);
    assert_eq!((stopped.candidate, stopped.complete), (None, false));
    // One candidate alone has no ranking, and can be picked.
    assert_eq!(
        Pick::new(Wanted::MaxKl(0.01), &candidates[..1], None, true).candidate,
        Some(0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Letters follow the tests, the front follows size and mean, and neither depends on the order in which candidates were given.
    #[test]
    fn a_ranking_is_consistent(
        of in prop::collection::vec((1_u64..5, prop::collection::vec(0.001_f64..0.1, 6)), 2..7),
    ) {
        let (candidates, ranking) = all(&of);
        let share = |a: &str, b: &str| a.chars().any(|letter| b.contains(letter));
        for (place, a) in ranking.ranked.iter().enumerate() {
            for b in &ranking.ranked[place + 1..] {
                let pair = ranking.pair(a.candidate, b.candidate).unwrap();
                prop_assert_eq!((pair.better, pair.worse), (a.candidate, b.candidate));
                prop_assert!(pair.difference.value >= -1e-15);
                prop_assert_eq!(share(&a.groups, &b.groups), !pair.differ);
                prop_assert!(pair.p_holm >= pair.p_value);
                let (small, close) = (&candidates[b.candidate], &candidates[a.candidate]);
                if close.model.bytes < small.model.bytes {
                    prop_assert_eq!(b.front, Front::Off, "larger and not closer");
                }
            }
        }
        let reversed: Vec<_> = of.iter().rev().cloned().collect();
        let (_, again) = all(&reversed);
        prop_assert_eq!(groups(&again), groups(&ranking));
        let mirrored: Vec<_> = order(&again).iter().map(|c| of.len() - 1 - c).collect();
        prop_assert_eq!(mirrored, order(&ranking));
    }
}
