//! MAUVE and the frontier integral against the Python package mauve-text (`golden/quality/generate_mauve.py`), and the laws they obey.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use kld_text::quality::{Features, Frontier, MauveOptions, mauve};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    rows: [usize; 2],
    width: usize,
    topics: usize,
    skew: usize,
    buckets: usize,
    given_buckets: Option<usize>,
    scores: Scores,
    first: First,
}

/// Each score of 20 seeds.
#[derive(Deserialize)]
struct Scores {
    mauve: Vec<f64>,
    frontier_integral: Vec<f64>,
    mauve_star: Vec<f64>,
    frontier_integral_star: Vec<f64>,
}

/// The counts of the first seed, and its curve.
#[derive(Deserialize)]
struct First {
    reference: Vec<u64>,
    candidate: Vec<u64>,
    curve: Vec<[f64; 2]>,
}

fn cases() -> Vec<Case> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../golden/quality/mauve.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Numbers in [0, 1) by `SplitMix64`, the same as in the generator.
fn uniform(stream: u64, count: usize) -> Vec<f32> {
    let number = |i: u64| {
        let mut z = ((stream << 32) + i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / 2_f32.powi(24)
    };
    (1..=count as u64).map(number).collect()
}

fn features(stream: u64, rows: usize, case: &Case, skew: usize) -> Features {
    let (width, topics) = (case.width, case.topics);
    let centres = uniform(1, topics * width);
    let noise = uniform(stream + 1, rows * width);
    let rows = uniform(stream, rows).into_iter().zip(noise.chunks(width));
    let values = rows.flat_map(|(place, noise)| {
        let share = (0..skew).fold(place, |share, _| share * place);
        let topic = (share * topics as f32) as usize;
        let centre = &centres[topic * width..][..width];
        let sum = |(c, n): (&f32, &f32)| (c - 0.5) + (n - 0.5);
        centre.iter().zip(noise).map(sum).collect::<Vec<_>>()
    });
    Features::new(values.collect(), width).unwrap()
}

fn sides(case: &Case) -> [Features; 2] {
    [
        features(10, case.rows[0], case, 0),
        features(20, case.rows[1], case, case.skew),
    ]
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

#[test]
fn scores_agree_within_the_spread_that_another_seed_makes() {
    for case in cases() {
        let [p, q] = sides(&case);
        let options = MauveOptions {
            buckets: case.given_buckets,
            seeds: 20,
            resamples: 0,
            ..MauveOptions::default()
        };
        let ours = mauve(&p, &q, &options).unwrap();
        assert_eq!(ours.quantization.buckets, case.buckets, "{}", case.name);
        for (ours, theirs) in [
            (ours.plain.mauve, &case.scores.mauve),
            (ours.plain.frontier_integral, &case.scores.frontier_integral),
            (ours.smoothed.mauve, &case.scores.mauve_star),
            (
                ours.smoothed.frontier_integral,
                &case.scores.frontier_integral_star,
            ),
        ] {
            let (mean, deviation) = mean_and_deviation(theirs);
            // Both are means of 20 seeds: they should differ by less than one seed from the next.
            assert!(
                (ours.value - mean).abs() < deviation,
                "{}: {} is not {mean} ± {deviation}",
                case.name,
                ours.value
            );
        }
    }
}

#[test]
fn the_frontier_of_the_same_counts_is_the_same() {
    for case in cases() {
        let frequencies = |counts: &[u64], added: f64| -> Vec<f64> {
            let total: f64 = counts.iter().map(|&c| c as f64 + added).sum();
            counts.iter().map(|&c| (c as f64 + added) / total).collect()
        };
        let frontier = |added| {
            let p = frequencies(&case.first.reference, added);
            Frontier::of(&p, &frequencies(&case.first.candidate, added), 5.0)
        };
        let (plain, smoothed) = (frontier(0.0), frontier(0.5));
        for (ours, theirs) in [
            (plain.mauve(), &case.scores.mauve),
            (plain.integral(), &case.scores.frontier_integral),
            (smoothed.mauve(), &case.scores.mauve_star),
            (smoothed.integral(), &case.scores.frontier_integral_star),
        ] {
            assert!(
                (ours - theirs[0]).abs() < 1e-6,
                "{}: {ours} {}",
                case.name,
                theirs[0]
            );
        }
        let mut points: Vec<[f64; 2]> = plain
            .points()
            .iter()
            .map(|p| [p.of_candidate, p.of_reference])
            .collect();
        let mut theirs = case.first.curve.clone();
        let along = |a: &[f64; 2], b: &[f64; 2]| a[0].total_cmp(&b[0]).then(b[1].total_cmp(&a[1]));
        points.sort_by(along);
        theirs.sort_by(along);
        assert_eq!(points.len(), theirs.len(), "{}", case.name);
        for (ours, theirs) in points.iter().zip(&theirs) {
            let near = (ours[0] - theirs[0]).abs().max((ours[1] - theirs[1]).abs());
            assert!(near < 1e-6, "{}: {ours:?} {theirs:?}", case.name);
        }
    }
}

#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let [p, q] = sides(&cases()[2]);
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| mauve(&p, &q, &MauveOptions::default()).unwrap())
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn halves_tell_that_few_documents_flatter() {
    let [p, q] = sides(&cases()[1]);
    let options = MauveOptions {
        resamples: 100,
        ..MauveOptions::default()
    };
    let result = mauve(&p, &q, &options).unwrap();
    let interval = result.plain.mauve;
    assert!(interval.low.unwrap() < interval.value && interval.value < interval.high.unwrap());
    let halved = result.halved.unwrap();
    assert!(halved.reference_with_itself > interval.value);
    // What is the same is nearer to itself than what is not.
    let same = mauve(&p, &p, &options).unwrap();
    assert!(same.plain.mauve.value > interval.value);
}

#[test]
fn what_cannot_be_bucketed_is_refused() {
    let rows =
        |count: usize, width: usize| Features::new(uniform(3, count * width), width).unwrap();
    let said = |p: &Features, q: &Features, buckets| {
        let options = MauveOptions {
            buckets,
            ..MauveOptions::default()
        };
        mauve(p, q, &options).unwrap_err().to_string()
    };
    assert!(said(&rows(9, 3), &rows(9, 4), None).contains("both must come from one model"));
    assert!(said(&rows(3, 3), &rows(3, 3), Some(7)).contains("7 buckets for 6 documents"));
    let nan = Features::new(vec![0.0, f32::NAN], 1)
        .unwrap_err()
        .to_string();
    assert!(nan.contains("feature 0 of row 1 is NaN"), "{nan}");
    // One document on each side is too little for an error, and is still compared.
    let alone = mauve(&rows(1, 3), &rows(1, 3), &MauveOptions::default()).unwrap();
    assert_eq!((alone.resamples, alone.plain.mauve.low), (0, None));
}
