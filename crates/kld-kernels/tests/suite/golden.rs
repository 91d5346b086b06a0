//! The definitions against values to 50 digits from `golden/kernels/generate.py`, and the kernels against those.

use std::collections::BTreeMap;

use kld_kernels::divergence::{Divergence, from_log_probs, from_logits, from_probs};
use kld_kernels::{Isa, Kernel, PairOptions};

use crate::precision::{DEFINITION, DIVERGENCE, FLOOR_NATS, NATS, assert_close};

const VALUES: &str = include_str!("../../../../golden/kernels/values.txt");

/// A row pair and what it should give.
#[derive(Default)]
struct Case {
    name: String,
    p: Vec<f32>,
    q: Vec<f32>,
    values: BTreeMap<String, f64>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in VALUES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (key, rest) = line.split_once(' ').unwrap();
        if key == "case" {
            cases.push(Case {
                name: rest.to_owned(),
                ..Default::default()
            });
            continue;
        }
        let case = cases.last_mut().unwrap();
        match key {
            "p" => case.p = row(rest),
            "q" => case.q = row(rest),
            _ => drop(case.values.insert(key.to_owned(), rest.parse().unwrap())),
        }
    }
    cases
}

/// `list x x x` or `rule n a b m d o`.
fn row(text: &str) -> Vec<f32> {
    let (kind, numbers) = text.split_once(' ').unwrap();
    let numbers: Vec<f64> = numbers.split(' ').map(|x| x.parse().unwrap()).collect();
    match (kind, numbers.as_slice()) {
        ("list", list) => list.iter().map(|&x| x as f32).collect(),
        ("rule", &[n, a, b, m, d, o]) => (0..n as u64)
            .map(|i| ((a as u64 * i + b as u64) % m as u64) as f64 / d + o)
            .map(|x| x as f32)
            .collect(),
        _ => panic!("neither a list nor a rule: {text}"),
    }
}

const DIVERGENCES: &[(&str, Divergence)] = &[
    ("kl", Divergence::Kl),
    ("reverse_kl", Divergence::ReverseKl),
    ("jeffreys", Divergence::Jeffreys),
    ("js", Divergence::Js),
    (
        "generalized_js_0.25",
        Divergence::GeneralizedJs { beta: 0.25 },
    ),
    ("skew_kl_0.1", Divergence::SkewKl { alpha: 0.1 }),
    (
        "reverse_skew_kl_0.1",
        Divergence::ReverseSkewKl { alpha: 0.1 },
    ),
    ("renyi_0.5", Divergence::Renyi { alpha: 0.5 }),
    ("renyi_2", Divergence::Renyi { alpha: 2.0 }),
    ("total_variation", Divergence::TotalVariation),
    ("hellinger", Divergence::Hellinger),
    ("chi_square", Divergence::ChiSquare),
    ("cross_entropy", Divergence::CrossEntropy),
];

/// Rows of log-probs in f64, by the log-sum-exps of the file.
fn log_probs(case: &Case) -> (Vec<f64>, Vec<f64>) {
    let of = |row: &[f32], lse: f64| row.iter().map(|&x| f64::from(x) - lse).collect();
    (
        of(&case.p, case.values["log_sum_exp_p"]),
        of(&case.q, case.values["log_sum_exp_q"]),
    )
}

#[test]
fn there_are_cases() {
    assert!(cases().len() >= 15 && cases().iter().all(|case| case.values.len() == 17));
}

#[test]
fn every_divergence_from_logits_log_probs_and_probs_is_right() {
    for case in &cases() {
        let (ln_p, ln_q) = log_probs(case);
        let (p, q): (Vec<f64>, Vec<f64>) = (
            ln_p.iter().map(|a| a.exp()).collect(),
            ln_q.iter().map(|b| b.exp()).collect(),
        );
        for &(name, d) in DIVERGENCES {
            let expected = case.values[name];
            let what = format!("{}: {name}", case.name);
            assert_close(
                &what,
                from_logits(d, &case.p, &case.q).unwrap(),
                expected,
                DEFINITION,
                0.2,
            );
            assert_close(
                &what,
                from_log_probs(d, &ln_p, &ln_q).unwrap(),
                expected,
                DEFINITION,
                1.0,
            );
            assert_close(&what, from_probs(d, &p, &q), expected, DEFINITION, 1.0);
        }
    }
}

#[test]
fn every_kernel_is_right() {
    for kernel in Isa::available().into_iter().filter_map(Kernel::with_isa) {
        for case in &cases() {
            let row = kernel
                .pair(&case.p, &case.q, &PairOptions::default())
                .unwrap();
            let near = |name: &str, got, tolerance, floor| {
                let what = format!("{} by {}: {name}", case.name, kernel.isa());
                assert_close(&what, got, case.values[name], tolerance, floor);
            };
            near("kl", row.kl, DIVERGENCE, FLOOR_NATS);
            near("reverse_kl", row.reverse_kl, DIVERGENCE, FLOOR_NATS);
            near("js", row.js, DIVERGENCE, FLOOR_NATS);
            near("log_sum_exp_p", row.log_sum_exp_p, NATS, 1.0);
            near("log_sum_exp_q", row.log_sum_exp_q, NATS, 1.0);
            near("entropy_p", row.entropy_p, NATS, 1.0);
            near("entropy_q", row.entropy_q, NATS, 1.0);
        }
    }
}
