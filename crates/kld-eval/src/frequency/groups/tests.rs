use kld_core::Transcript;
use kld_kernels::Kernel;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Golden {
    windows: Vec<Window>,
    groups: usize,
    kl: Estimate,
    js: Estimate,
    parts: Vec<Estimate>,
}

#[derive(Deserialize)]
struct Window {
    fragment: u32,
    positions: Vec<Position>,
}

#[derive(Deserialize)]
struct Position {
    logits: Vec<f32>,
    observed: u32,
}

/// The result of windows, each with its fragment and its positions.
fn result(vocabulary: usize, windows: &[Window]) -> FrequencyKl {
    let fragments: Vec<u32> = windows.iter().map(|w| w.fragment).collect();
    let mut groups = Groups::of_windows(&fragments);
    let mut all = Frequencies::new(vocabulary);
    let mut rng = StdRng::seed_from_u64(1);
    for (index, window) in windows.iter().enumerate() {
        let mut frequencies = Frequencies::new(vocabulary);
        for Position { logits, observed } in &window.positions {
            let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
            let nll = sum.ln() - f64::from(logits[*observed as usize]);
            let came = (*observed, nll);
            frequencies.push(logits, sum.ln(), came, Kernel::detect(), &mut rng);
        }
        groups.add(index, &frequencies);
        all.merge(&frequencies);
    }
    let text = Transcript {
        vocabulary: (0..vocabulary).map(|token| token.to_string()).collect(),
        ..Transcript::default()
    };
    let mut result = all.result(&text);
    groups.add_errors(&all, &mut result);
    result
}

#[test]
fn errors_are_those_of_the_jackknife_written_out_in_numpy() {
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../golden/score/groups.json"
    );
    let golden = std::fs::read_to_string(golden).unwrap();
    let golden: std::collections::BTreeMap<String, Golden> = serde_json::from_str(&golden).unwrap();
    for (unit, golden) in golden {
        let found = result(golden.parts.len(), &golden.windows);
        let errors = found.errors.as_ref().unwrap();
        assert_eq!(format!("{}s", errors.clustered_by.name()), unit);
        assert_eq!(errors.groups, golden.groups);
        assert_close(&errors.kl, &golden.kl);
        assert_close(&errors.js, &golden.js);
        let shares: Vec<&TokenShare> = (found.under_predicted.iter())
            .chain(&found.over_predicted)
            .collect();
        assert_eq!(shares.len(), golden.parts.len());
        for share in shares {
            assert_close(
                &share.estimate.unwrap(),
                &golden.parts[share.token as usize],
            );
        }
        assert!((errors.excess.value - found.excess()).abs() < 1e-15);
    }
}

/// The lanes take exponentials in f32.
fn assert_close(found: &Estimate, golden: &Estimate) {
    let all = |e: &Estimate| [Some(e.value), e.standard_error, e.low, e.high].map(Option::unwrap);
    for (found, golden) in all(found).into_iter().zip(all(golden)) {
        assert!((found - golden).abs() < 1e-6, "{found} {golden}");
    }
}

/// Documents of which half prefer one token and half another, as a model that knows neither expects them.
fn documents(rng: &mut StdRng) -> Vec<Window> {
    const SHARES: [[f64; 4]; 2] = [[0.5, 0.1, 0.2, 0.2], [0.3, 0.5, 0.1, 0.1]];
    let token = |shares: [f64; 4], rng: &mut StdRng| {
        let mut level: f64 = rng.random();
        let found = shares.iter().position(|share| {
            level -= share;
            level < 0.0
        });
        found.map_or(3, |token| token as u32)
    };
    (0..60)
        .map(|fragment| {
            let shares = SHARES[rng.random_range(0..2)];
            let positions = (0..50).map(|_| Position {
                logits: vec![0.25_f32.ln(); 4],
                observed: token(shares, rng),
            });
            Window {
                fragment,
                positions: positions.collect(),
            }
        })
        .collect()
}

#[test]
fn intervals_hold_the_divergence_of_the_population_as_often_as_they_say() {
    let p: [f64; 4] = [0.4, 0.3, 0.15, 0.15];
    let truth: f64 = p.iter().map(|p| p * (p / 0.25).ln()).sum();
    let mut rng = StdRng::seed_from_u64(5);
    let rounds = 300;
    let covered = (0..rounds).filter(|_| {
        let errors = result(4, &documents(&mut rng)).errors.unwrap();
        (errors.kl.low.unwrap()..=errors.kl.high.unwrap()).contains(&truth)
    });
    // 95 % of 300 is 285, give or take 4: three times that.
    let covered = covered.count();
    assert!((273..=297).contains(&covered), "{covered} of {rounds}");
}

#[test]
fn one_window_alone_has_no_errors() {
    let window = |observed: &[u32]| Window {
        fragment: 3,
        positions: observed
            .iter()
            .map(|observed| Position {
                logits: vec![0.0, 1.0, 0.5],
                observed: *observed,
            })
            .collect(),
    };
    assert_eq!(result(3, &[window(&[0, 1])]).errors, None);
    // A window without a position is no group.
    assert_eq!(result(3, &[window(&[0, 1]), window(&[])]).errors, None);
    assert!(result(3, &[window(&[0, 1]), window(&[1])]).errors.is_some());
}
