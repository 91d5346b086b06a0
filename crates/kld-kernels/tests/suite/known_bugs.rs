//! Bugs that other divergence tools have had, by their number in the project's collection: each would fail here.

use std::f64::consts::LN_2;

use kld_kernels::divergence::{
    Divergence, GradientOptions, from_log_probs, from_logits, from_probs, value_and_gradient,
};
use kld_kernels::{FaultKind, Isa, Kernel, PairOptions, RowPair};

use crate::precision::{DIVERGENCE, assert_close};
use crate::rows::{disturbed, masked, noise};

fn kernels() -> Vec<Kernel> {
    Isa::available()
        .into_iter()
        .filter_map(Kernel::with_isa)
        .collect()
}

fn pair(kernel: &Kernel, p: &[f32], q: &[f32]) -> RowPair {
    kernel.pair(p, q, &PairOptions::default()).unwrap()
}

const FAMILY: [Divergence; 16] = [
    Divergence::Kl,
    Divergence::ReverseKl,
    Divergence::Jeffreys,
    Divergence::Js,
    Divergence::GeneralizedJs { beta: 0.0 },
    Divergence::GeneralizedJs { beta: 1.0 },
    Divergence::SkewKl { alpha: 0.0 },
    Divergence::SkewKl { alpha: 0.1 },
    Divergence::ReverseSkewKl { alpha: 0.0 },
    Divergence::ReverseSkewKl { alpha: 0.1 },
    Divergence::Renyi { alpha: 0.5 },
    Divergence::Renyi { alpha: 2.0 },
    Divergence::TotalVariation,
    Divergence::Hellinger,
    Divergence::ChiSquare,
    Divergence::CrossEntropy,
];

#[test]
fn bug_1_nearly_equal_rows_never_give_a_negative_kl() {
    for kernel in kernels() {
        for seed in 0..200 {
            let p = noise(1000 + 7 * seed as usize, seed, 8.0);
            for spread in [1e-7, 1e-6, 1e-5, 1e-4] {
                let row = pair(&kernel, &p, &disturbed(&p, seed + 1, spread));
                assert!(
                    row.kl >= 0.0 && row.reverse_kl >= 0.0 && row.js >= 0.0,
                    "{}: {row:?}",
                    kernel.isa()
                );
            }
        }
    }
}

#[test]
fn bug_2_forward_is_forward_in_value_and_gradient() {
    // P is certain, Q even: D(P‖Q) = ln 2 and D(Q‖P) is large, so that an exchange would show.
    let (p, q) = ([20.0_f32, 0.0], [0.0_f32, 0.0]);
    for kernel in kernels() {
        let row = pair(&kernel, &p, &q);
        assert_close("kl", row.kl, LN_2, 1e-6, 1.0);
        assert_close("reverse_kl", row.reverse_kl, 10.0 - LN_2, 1e-6, 1.0);
    }
    let gradient = |d| {
        let mut grad = [0.0; 2];
        value_and_gradient(d, &p, &q, &GradientOptions::default(), &mut grad).unwrap();
        grad
    };
    // Forward: Q − P. Reverse: Q·(ln(Q/P) − D(Q‖P)).
    assert_close(
        "forward",
        f64::from(gradient(Divergence::Kl)[0]),
        -0.5,
        1e-6,
        1.0,
    );
    assert_close(
        "reverse",
        f64::from(gradient(Divergence::ReverseKl)[0]),
        -5.0,
        1e-6,
        1.0,
    );
}

#[test]
fn bug_3_zero_times_ln_zero_is_zero_and_a_missing_token_is_infinite() {
    let p = noise(100, 1, 2.0);
    let (p_zero, q_zero) = (masked(&p, 3, 10), masked(&disturbed(&p, 2, 0.1), 3, 10));
    for kernel in kernels() {
        let both = pair(&kernel, &p_zero, &q_zero);
        assert!(both.kl.is_finite() && both.reverse_kl.is_finite() && both.js.is_finite());
        let missing = pair(&kernel, &p, &q_zero);
        assert!(
            missing.kl == f64::INFINITY && missing.reverse_kl.is_finite() && missing.js.is_finite()
        );
        let extra = pair(&kernel, &p_zero, &p);
        assert!(extra.kl.is_finite() && extra.reverse_kl == f64::INFINITY && extra.js.is_finite());
    }
    assert_eq!(from_probs(Divergence::Kl, &[0.0, 1.0], &[0.0, 1.0]), 0.0);
    assert_eq!(
        from_probs(Divergence::Kl, &[0.5, 0.5], &[0.0, 1.0]),
        f64::INFINITY
    );
}

#[test]
fn bug_3_gradients_at_zero_are_finite() {
    let full = noise(50, 3, 2.0);
    let half = masked(&full, 0, 2);
    let mut grad = vec![f32::NAN; 50];
    for d in FAMILY {
        for (p, q) in [(&full, &half), (&half, &full), (&half, &half)] {
            let value =
                value_and_gradient(d, p, q, &GradientOptions::default(), &mut grad).unwrap();
            assert!(
                !value.is_nan() && grad.iter().all(|g| g.is_finite()),
                "{d:?}: {value}, {grad:?}"
            );
        }
    }
}

#[test]
fn bug_4_negative_probabilities_are_not_clipped_into_a_number() {
    for d in FAMILY {
        assert!(
            from_probs(d, &[-0.1, 1.1], &[0.5, 0.5]).is_nan(),
            "{d:?} of a negative reference"
        );
        assert!(
            from_probs(d, &[0.5, 0.5], &[-0.1, 1.1]).is_nan(),
            "{d:?} of a negative candidate"
        );
    }
}

#[test]
fn bug_5_logits_and_probabilities_are_not_taken_for_log_probs() {
    let logits = noise(1000, 4, 3.0);
    let fault = from_log_probs(Divergence::Kl, &logits, &logits).unwrap_err();
    assert!(
        matches!(
            fault.kind,
            FaultKind::AboveZero | FaultKind::NotNormalized { .. }
        ),
        "{fault}"
    );
    let probs = vec![1e-3; 1000];
    let fault = from_log_probs(Divergence::Kl, &probs, &probs).unwrap_err();
    assert!(
        matches!(fault.kind, FaultKind::NotNormalized { .. }),
        "{fault}"
    );
}

#[test]
fn bug_6_a_row_is_summed_over_its_entries_not_averaged() {
    // The same two distributions, each token split into four: the divergence stays.
    let (p, q) = ([0.0_f32, 1.0, 2.0], [2.0_f32, 1.0, 0.0]);
    let split = |row: &[f32]| row.iter().flat_map(|&x| [x; 4]).collect::<Vec<_>>();
    for kernel in kernels() {
        let (few, many) = (pair(&kernel, &p, &q), pair(&kernel, &split(&p), &split(&q)));
        assert_close("kl", many.kl, few.kl, DIVERGENCE, 0.0);
        assert_close("js", many.js, few.js, DIVERGENCE, 0.0);
    }
}

#[test]
fn bug_13_kl_is_cross_entropy_less_entropy_over_the_whole_row() {
    let p = noise(5000, 5, 3.0);
    let q = disturbed(&p, 6, 1.0);
    let cross_entropy = from_logits(Divergence::CrossEntropy, &p, &q).unwrap();
    for kernel in kernels() {
        let row = pair(&kernel, &p, &q);
        assert_close("kl", row.kl, cross_entropy - row.entropy_p, 1e-5, 0.0);
        assert!(
            row.entropy_p > 1.0,
            "the entropy is not negligible here: {}",
            row.entropy_p
        );
    }
}

#[test]
fn bug_15_the_smallest_divergences_are_not_flushed_to_zero() {
    let p = [1.0_f32, 2.0, 3.0];
    let q = [1.0_f32, 2.0, 3.000_000_2];
    let expected = from_logits(Divergence::Kl, &p, &q).unwrap();
    assert!(expected > 1e-16 && expected < 1e-14, "{expected:e}");
    for kernel in kernels() {
        assert_close("kl", pair(&kernel, &p, &q).kl, expected, 0.1, 0.0);
    }
}

#[test]
fn bug_16_equal_rows_give_exactly_zero_and_a_changed_bit_does_not() {
    let p = noise(20_000, 7, 3.0);
    let mut q = p.clone();
    q[777] = q[777].next_up();
    for kernel in kernels() {
        assert_eq!(pair(&kernel, &p, &p).kl, 0.0);
        assert!(pair(&kernel, &p, &q).kl > 0.0);
    }
}
