//! The confidence sequence: golden values, and how often it holds the truth where somebody looks after every window.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use kld_core::{
    estimate::{Cluster, Estimate},
    sequential::{FIRST_LOOK, Until, confidence_sequence, factor},
};
use rand::{
    RngExt, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_distr::{Distribution, LogNormal};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/sequential.md");

/// The golden values minimise numerically, which finds ρ to about 1e-8.
const TOLERANCE: f64 = 1e-7;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|v| v.as_f64().unwrap()).collect()
}

fn clusters(weights: &Value, sums: &Value) -> Vec<Cluster> {
    let pairs = numbers(weights).into_iter().zip(numbers(sums));
    pairs.map(|(weight, sum)| Cluster { weight, sum }).collect()
}

fn assert_close(got: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (got - expected).abs() <= TOLERANCE * expected.abs(),
        "{got:e}, expected {expected:e}"
    );
}

#[test]
fn the_sequence_is_that_of_its_authors() {
    let golden = read(include_str!("../../../golden/sequential/boundary.json"));
    for case in golden["factors"].as_array().unwrap() {
        let windows = case["windows"].as_u64().unwrap() as usize;
        assert_close(factor(windows), &case["factor"]);
    }
    for case in golden["intervals"].as_array().unwrap() {
        let got = confidence_sequence(&clusters(&case["weights"], &case["sums"]));
        assert_close(got.value, &case["value"]);
        assert_close(got.low.unwrap(), &case["low"]);
        assert_close(got.high.unwrap(), &case["high"]);
    }
}

/// Simulated comparisons per row of the table.
const ROUNDS: usize = 1000;
/// The last window at which anybody looks.
const LAST_LOOK: usize = 512;

/// In how many of the simulated comparisons the true mean was held …
#[derive(Clone, Copy, Debug, Default)]
struct Coverage {
    /// … by the confidence sequence at every look.
    sequence: usize,
    /// … by ±1.96 standard errors at every look.
    naive: usize,
    /// … by ±1.96 standard errors at the last look, the only one.
    one_look: usize,
}

/// Simulates comparisons whose windows come from `draw`; the true mean is `truth`.
fn coverage(truth: f64, mut draw: impl FnMut() -> Vec<Cluster>) -> Coverage {
    let mut held = Coverage::default();
    for _ in 0..ROUNDS {
        let windows = draw();
        let looks: Vec<Estimate> = (FIRST_LOOK..=windows.len())
            .map(|seen| confidence_sequence(&windows[..seen]))
            .collect();
        let sequence = |e: &Estimate| e.low.unwrap() <= truth && truth <= e.high.unwrap();
        let naive = |e: &Estimate| (e.value - truth).abs() <= 1.96 * e.standard_error.unwrap();
        held.sequence += usize::from(looks.iter().all(sequence));
        held.naive += usize::from(looks.iter().all(naive));
        held.one_look += usize::from(looks.last().is_some_and(naive));
    }
    held
}

/// By how much windows differ: the standard deviation of their means, as a share of the mean.
fn spread(windows: &[Cluster]) -> f64 {
    let means: Vec<f64> = windows.iter().map(|w| w.sum / w.weight).collect();
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let squares: f64 = means.iter().map(|m| (m - mean).powi(2)).sum();
    (squares / (means.len() - 1) as f64).sqrt() / mean
}

fn share(held: usize) -> f64 {
    held as f64 / ROUNDS as f64
}

/// A row of the table in `docs/sequential.md` must be what was found here.
fn assert_documented(name: &str, spread: f64, held: Coverage) {
    let percent = |held| format!("{:.1} %", 100.0 * share(held));
    let row = format!(
        "| {name} | {:.0} % | {} | {} | {} |",
        100.0 * spread,
        percent(held.sequence),
        percent(held.naive),
        percent(held.one_look)
    );
    assert!(
        DOCUMENT.contains(&row),
        "docs/sequential.md should say: {row}"
    );
}

fn assert_promise_is_kept(name: &str, held: Coverage) {
    assert!(share(held.sequence) >= 0.95, "{name}: {held:?}");
    assert!(share(held.naive) <= 0.85, "{name}: {held:?}");
    assert!(
        (0.92..=0.98).contains(&share(held.one_look)),
        "{name}: {held:?}"
    );
}

#[test]
fn the_sequence_holds_under_peeking_on_recorded_windows_and_the_naive_interval_does_not() {
    let recorded = read(include_str!("../../../golden/sequential/windows.json"));
    for (seed, candidate) in (1..).zip(recorded.as_array().unwrap()) {
        let windows = clusters(&candidate["positions"], &candidate["kl_sums_nats"]);
        let truth = Estimate::clustered(&windows).value;
        let mut rng = StdRng::seed_from_u64(seed);
        let draw = || {
            let one = |_| *windows.choose(&mut rng).unwrap();
            (0..LAST_LOOK).map(one).collect()
        };
        let held = coverage(truth, draw);
        let name = candidate["candidate"].as_str().unwrap();
        let form = name.trim_end_matches(".gguf").rsplit('.').next().unwrap();
        assert_promise_is_kept(form, held);
        assert_documented(form, spread(&windows), held);
    }
}

/// Windows whose means are log-normal with this spread.
fn log_normal(
    rng: &mut StdRng,
    spread: f64,
    count: usize,
    weights: std::ops::Range<u32>,
) -> Vec<Cluster> {
    let sigma = spread.powi(2).ln_1p().sqrt();
    let means = LogNormal::new(-sigma.powi(2) / 2.0, sigma).unwrap();
    let window = |_| {
        let weight = f64::from(rng.random_range(weights.clone()));
        let sum = weight * means.sample(rng);
        Cluster { weight, sum }
    };
    (0..count).map(window).collect()
}

#[test]
fn the_sequence_holds_where_windows_differ_much_and_are_of_unequal_size() {
    for (name, spread, weights) in [
        ("log-normal", 0.25, 255..256),
        ("log-normal", 0.5, 255..256),
        ("log-normal, 1 to 255 positions", 0.5, 1..256),
    ] {
        let mut rng = StdRng::seed_from_u64(11);
        let held = coverage(1.0, || {
            log_normal(&mut rng, spread, LAST_LOOK, weights.clone())
        });
        assert_promise_is_kept(name, held);
        assert_documented(name, spread, held);
    }
}

/// Where single windows carry much of the mean, 64 of them are too few for a normal approximation, and the page says so.
#[test]
fn where_the_promise_is_not_kept_the_page_says_so() {
    for spread in [1.0, 2.0] {
        let mut rng = StdRng::seed_from_u64(12);
        let held = coverage(1.0, || log_normal(&mut rng, spread, LAST_LOOK, 255..256));
        assert!(share(held.sequence) < 0.95 && held.sequence > held.naive);
        assert_documented("log-normal", spread, held);
    }
}

#[test]
fn drawing_each_window_once_makes_the_sequence_hold_more_often() {
    let mut rng = StdRng::seed_from_u64(13);
    let mut windows = log_normal(&mut rng, 0.5, LAST_LOOK, 255..256);
    let truth = Estimate::clustered(&windows).value;
    let held = coverage(truth, || {
        windows.shuffle(&mut rng);
        windows.clone()
    });
    assert!(share(held.sequence) >= 0.97, "{held:?}");
    // Who has seen the whole text knows its mean.
    assert_eq!(held.one_look, ROUNDS);
}

#[test]
fn a_run_stops_when_its_interval_is_as_narrow_as_asked_for() {
    let mut rng = StdRng::seed_from_u64(14);
    let windows = log_normal(&mut rng, 0.3, 2000, 255..256);
    let interval = |seen: usize| confidence_sequence(&windows[..seen]);
    for until in [Until::Relative(0.05), Until::Absolute(0.05)] {
        let stop = (1..2000).find(|seen| until.is_reached_by(&interval(*seen)));
        let stop = stop.unwrap();
        // 3.2 · 0.3 / √n = 0.05 for n = 369.
        assert!((250..500).contains(&stop), "{until}: {stop}");
        assert!(until.half_width(&interval(stop - 1)).unwrap() > 0.05);
    }
}
