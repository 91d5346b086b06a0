//! Trends against SciPy and NumPy, and how often a verdict is wrong on series whose truth is known.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use kld_core::series::{Convergence, FEWEST, Judging, Point, Rise, Series, Trend, Verdict};
use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, StandardNormal};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/watch.md");

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn trends_are_those_of_scipy_and_numpy() {
    let golden = include_str!("../../../golden/series/trend.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    for case in golden.as_array().unwrap() {
        let steps = numbers(&case["steps"]).into_iter();
        let points = steps.zip(numbers(&case["values"]));
        let points: Vec<Point> = points.map(|(s, v)| Point::bare(s, v)).collect();
        let trend = Trend::of(&points).unwrap();
        let (low, high) = trend.slope_between(0.975);
        for (name, got) in [
            ("slope", trend.slope),
            ("slope_error", trend.slope_error),
            ("level", trend.level),
            ("noise", trend.noise),
            ("correlation", trend.correlation),
            ("low", low),
            ("high", high),
        ] {
            let expected = case[name].as_f64().unwrap();
            assert!(
                (got - expected).abs() <= 1e-9 * expected.abs().max(1e-6),
                "{name} of {}: {got:e}, expected {expected:e}",
                points.len()
            );
        }
    }
}

/// Simulated trainings per row of the table, and the evaluations of each.
const ROUNDS: usize = 200;
const EVALUATIONS: usize = 60;

/// A training whose truth is known.
struct Truth {
    name: &'static str,
    /// Held-out and training after so many evaluations.
    held_out: fn(f64) -> f64,
    training: fn(f64) -> f64,
}

const FALLING: fn(f64) -> f64 = |t| 0.1 + 0.4 * (-t / 10.0).exp();

const TRUTHS: [Truth; 8] = [
    Truth {
        name: "exponential, slow",
        held_out: |t| 0.1 + 0.4 * (-t / 20.0).exp(),
        training: FALLING,
    },
    Truth {
        name: "exponential, fast",
        held_out: |t| 0.1 + 0.4 * (-t / 4.0).exp(),
        training: FALLING,
    },
    Truth {
        name: "power law, to 0.1",
        held_out: |t| 0.1 + 0.4 / (t + 1.0).sqrt(),
        training: FALLING,
    },
    Truth {
        name: "power law, to 0",
        held_out: |t| 0.4 * (t + 1.0).powf(-0.2),
        training: FALLING,
    },
    Truth {
        name: "straight down",
        held_out: |t| 0.5 - 0.001 * t,
        training: |t| 0.5 - 0.001 * t,
    },
    Truth {
        name: "plateau",
        held_out: |_| 0.1,
        training: |_| 0.1,
    },
    Truth {
        name: "down and up again",
        held_out: |t| 0.1 + 0.4 * (-t / 6.0).exp() + 0.002 * t,
        training: FALLING,
    },
    Truth {
        name: "breaks out at 40",
        held_out: |t| FALLING(t) + 0.02 * (t - 40.0).max(0.0),
        training: |t| FALLING(t) + 0.02 * (t - 40.0).max(0.0),
    },
];

/// What was said, over all looks of all trainings of a row.
#[derive(Clone, Debug, Default)]
struct Said {
    verdicts: [usize; 5],
    /// Looks at which the true further gain was above the tolerance, and `converged` was said nevertheless.
    unfinished: usize,
    falsely_converged: usize,
    /// Trainings in which that happened at any look.
    ever: usize,
    /// The verdicts of the last look.
    at_the_end: [usize; 5],
}

fn noise(rng: &mut StdRng, correlation: f64) -> Vec<f64> {
    let mut last: f64 = StandardNormal.sample(rng);
    let mut next = || {
        let new: f64 = StandardNormal.sample(rng);
        let this = last;
        last = correlation * last + (1.0 - correlation * correlation).sqrt() * new;
        this
    };
    (0..EVALUATIONS).map(|_| next()).collect()
}

/// The points of a curve under noise that is a share of it.
fn told(rng: &mut StdRng, curve: fn(f64) -> f64, spread: f64, correlation: f64) -> Vec<Point> {
    let noise = noise(rng, correlation).into_iter().enumerate();
    noise
        .map(|(t, e)| Point::bare(t as f64 * 100.0, curve(t as f64) * (1.0 + spread * e)))
        .collect()
}

fn simulate(truth: &Truth, spread: f64, correlation: f64, rng: &mut StdRng) -> Said {
    let mut said = Said::default();
    for _ in 0..ROUNDS {
        let held_out = told(rng, truth.held_out, spread, correlation);
        let training = told(rng, truth.training, spread, correlation);
        let mut falsely = false;
        for seen in FEWEST..=EVALUATIONS {
            let series = Series::new("kl_heldout", "kl_heldout", held_out[..seen].to_vec());
            let found = Convergence::of(&series, &training[..seen], &Judging::default());
            let verdict = found.verdict as usize;
            said.verdicts[verdict] += 1;
            let (now, then) = ((seen - 1) as f64, found.horizon / 100.0);
            let level = (truth.held_out)(now);
            if level - (truth.held_out)(now + then) > 0.01 * level {
                said.unfinished += 1;
                let is_false = found.verdict == Verdict::Converged;
                said.falsely_converged += usize::from(is_false);
                falsely |= is_false;
            }
            if seen == EVALUATIONS {
                said.at_the_end[verdict] += 1;
            }
        }
        said.ever += usize::from(falsely);
    }
    said
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// The row of the table in `docs/watch.md`.
fn row(truth: &Truth, spread: f64, correlation: f64, said: &Said) -> String {
    let looks = ROUNDS * (EVALUATIONS - FEWEST + 1);
    let verdicts = said
        .verdicts
        .map(|n| format!("{:.0}", 100.0 * share(n, looks)));
    let falsely = match said.unfinished {
        0 => "– | –".to_owned(),
        all => format!(
            "{:.1} % | {:.1} %",
            100.0 * share(said.falsely_converged, all),
            100.0 * share(said.ever, ROUNDS)
        ),
    };
    format!(
        "| {} | {:.1} % | {correlation} | {} | {falsely} |",
        truth.name,
        100.0 * spread,
        verdicts.join(" | ")
    )
}

#[test]
fn converged_is_seldom_said_where_there_is_more_to_gain() {
    let mut missing = Vec::new();
    let mut worst = (0.0_f64, 0.0_f64);
    for truth in &TRUTHS {
        for (seed, (spread, correlation)) in
            (1..).zip([(0.002, 0.0), (0.01, 0.0), (0.01, 0.8), (0.05, 0.5)])
        {
            let said = simulate(truth, spread, correlation, &mut StdRng::seed_from_u64(seed));
            if said.unfinished > 0 {
                let at_a_look = share(said.falsely_converged, said.unfinished);
                worst = (
                    worst.0.max(at_a_look),
                    worst.1.max(share(said.ever, ROUNDS)),
                );
            }
            let row = row(truth, spread, correlation, &said);
            if !DOCUMENT.contains(&row) {
                missing.push(row);
            }
        }
    }
    assert!(worst.0 <= 0.05, "at a look {worst:?}: {missing:#?}");
    assert!(
        missing.is_empty(),
        "docs/watch.md should say:\n{}\n{worst:?}",
        missing.join("\n")
    );
}

/// What a verdict says of a training at its end, under little noise, is the truth.
#[test]
fn with_little_noise_every_kind_of_training_is_recognised() {
    for (name, expected) in [
        ("exponential, slow", Verdict::Improving),
        ("exponential, fast", Verdict::Converged),
        ("power law, to 0", Verdict::Improving),
        ("straight down", Verdict::Improving),
        ("plateau", Verdict::Converged),
        ("down and up again", Verdict::OverFitting),
        ("breaks out at 40", Verdict::Diverging),
    ] {
        let truth = TRUTHS.iter().find(|t| t.name == name).unwrap();
        let said = simulate(truth, 0.002, 0.0, &mut StdRng::seed_from_u64(9));
        let right = share(said.at_the_end[expected as usize], ROUNDS);
        assert!(right >= 0.95, "{name}: {said:?}");
    }
}

fn judged(held_out: &[f64]) -> Convergence {
    let points = (0..).zip(held_out);
    let points: Vec<Point> = points.map(|(s, v)| Point::bare(f64::from(s), *v)).collect();
    let series = Series::new("kl_heldout", "kl_heldout", points);
    Convergence::of(&series, &[], &Judging::default())
}

#[test]
fn a_jump_and_what_is_not_a_number_are_seen_at_once() {
    let wave = |i: i32| 0.2 + 0.001 * f64::from(i * 7 % 5);
    let mut values: Vec<f64> = (0..20).map(wave).collect();
    assert_eq!(judged(&values).rise, None);
    values.extend([0.9, 1.1, 1.0]);
    let found = judged(&values);
    assert_eq!(
        (found.verdict, found.rise),
        (Verdict::Diverging, Some(Rise::Jump))
    );
    values.truncate(22);
    values.push(f64::NAN);
    let found = judged(&values);
    assert_eq!(
        (found.verdict, found.rise, found.not_finite),
        (Verdict::Diverging, Some(Rise::NotFinite), 1)
    );
}

#[test]
fn of_few_evaluations_nothing_is_said() {
    let values: Vec<f64> = (0..9).map(|i| 1.0 - 0.1 * f64::from(i)).collect();
    let found = judged(&values);
    assert_eq!(
        (found.verdict, found.gain.value.is_nan()),
        (Verdict::TooEarly, true)
    );
    assert_eq!(judged(&[]).verdict, Verdict::TooEarly);
    assert_eq!(judged(&[f64::INFINITY]).verdict, Verdict::Diverging);
}
