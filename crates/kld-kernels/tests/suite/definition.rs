//! Every instruction set against the scalar definition: one suite, stamped onto each.

use half::{bf16, f16};
use kld_kernels::{Isa, Kernel, PairOptions, RowPair, scalar};

use crate::precision::{DIVERGENCE, FLOOR_NATS, NATS, PROBABILITY, assert_close};
use crate::rows::{disturbed, masked, noise, shifted};

/// Lengths around every border: none to two lanes, a block, several, and a vocabulary.
const LENGTHS: &[usize] = &[
    1, 2, 3, 15, 16, 17, 31, 32, 33, 255, 256, 257, 511, 512, 513, 2047, 2048, 2049, 4095, 4096,
    4097, 32_000, 50_257, 200_003,
];

/// The kernel, or a note that this machine cannot run it.
fn kernel(isa: Isa) -> Option<Kernel> {
    let kernel = Kernel::with_isa(isa);
    if kernel.is_none() {
        eprintln!("{isa} is not available here: skipped");
    }
    kernel
}

#[track_caller]
fn assert_same(what: &str, got: &RowPair, expected: &RowPair) {
    let close = |name: &str, got, expected, tolerance, floor| {
        assert_close(&format!("{what}: {name}"), got, expected, tolerance, floor);
    };
    close("kl", got.kl, expected.kl, DIVERGENCE, FLOOR_NATS);
    close(
        "reverse_kl",
        got.reverse_kl,
        expected.reverse_kl,
        DIVERGENCE,
        FLOOR_NATS,
    );
    close("js", got.js, expected.js, DIVERGENCE, FLOOR_NATS);
    close("entropy_p", got.entropy_p, expected.entropy_p, NATS, 1.0);
    close("entropy_q", got.entropy_q, expected.entropy_q, NATS, 1.0);
    close(
        "log_sum_exp_p",
        got.log_sum_exp_p,
        expected.log_sum_exp_p,
        NATS,
        1.0,
    );
    close(
        "log_sum_exp_q",
        got.log_sum_exp_q,
        expected.log_sum_exp_q,
        NATS,
        1.0,
    );
    close(
        "top1_prob_p",
        got.top1_prob_p,
        expected.top1_prob_p,
        PROBABILITY,
        0.0,
    );
    close(
        "top1_prob_q",
        got.top1_prob_q,
        expected.top1_prob_q,
        PROBABILITY,
        0.0,
    );
    assert_eq!(
        (got.top1_p, got.top1_q),
        (expected.top1_p, expected.top1_q),
        "{what}: top1"
    );
    assert_eq!(
        got.topk_overlap, expected.topk_overlap,
        "{what}: topk_overlap"
    );
    for (side, got, expected) in [
        ("likely_p", got.likely_p, expected.likely_p),
        ("likely_q", got.likely_q, expected.likely_q),
    ] {
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got.token, expected.token, "{what}: {side}");
            let (got, expected) = (f64::from(got.prob), f64::from(expected.prob));
            close(side, got, expected, PROBABILITY, 0.0);
        }
    }
    assert_eq!(
        got.observed.is_some(),
        expected.observed.is_some(),
        "{what}: observed"
    );
    if let (Some(got), Some(expected)) = (got.observed, expected.observed) {
        close("nll_p", got.nll_p, expected.nll_p, NATS, 1.0);
        close("nll_q", got.nll_q, expected.nll_q, NATS, 1.0);
        assert_eq!(
            (got.rank_p, got.rank_q),
            (expected.rank_p, expected.rank_q),
            "{what}: ranks"
        );
    }
}

#[track_caller]
fn check(kernel: Kernel, what: &str, p: &[f32], q: &[f32], options: &PairOptions) {
    let expected = scalar::pair(p, q, options).unwrap();
    assert_same(what, &kernel.pair(p, q, options).unwrap(), &expected);
}

macro_rules! suite {
    ($name:ident, $isa:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn pairs_of_every_length_agree() {
                let Some(kernel) = kernel($isa) else { return };
                for &n in LENGTHS {
                    let p = noise(n, n as u64, 3.0);
                    let options = PairOptions {
                        observed: Some(n as u32 / 3),
                        ..Default::default()
                    };
                    for spread in [0.02, 0.3, 4.0] {
                        let q = disturbed(&p, 7, spread);
                        check(
                            kernel,
                            &format!("n = {n}, noise {spread}"),
                            &p,
                            &q,
                            &options,
                        );
                    }
                }
            }

            #[test]
            fn sharp_and_flat_rows_agree() {
                let Some(kernel) = kernel($isa) else { return };
                for spread in [0.0, 1e-3, 10.0, 40.0, 300.0] {
                    let p = noise(5003, 1, spread);
                    for disturbance in [1e-3, 0.1, 3.0, 50.0] {
                        let q = disturbed(&p, 2, disturbance);
                        let what = format!("spread {spread}, noise {disturbance}");
                        check(kernel, &what, &p, &q, &PairOptions::default());
                    }
                }
            }

            #[test]
            fn masked_entries_agree() {
                let Some(kernel) = kernel($isa) else { return };
                let p = noise(5003, 3, 3.0);
                let q = disturbed(&p, 4, 0.5);
                let options = PairOptions {
                    observed: Some(1),
                    ..Default::default()
                };
                for (start, step) in [(0, 2), (1, 2), (0, 5002), (17, 1), (2048, 1), (4999, 1)] {
                    let what = format!("masked from {start} by {step}");
                    let (half_p, half_q) = (masked(&p, start, step), masked(&q, start, step));
                    check(
                        kernel,
                        &(what.clone() + ", both"),
                        &half_p,
                        &half_q,
                        &options,
                    );
                    check(
                        kernel,
                        &(what.clone() + ", reference"),
                        &half_p,
                        &q,
                        &options,
                    );
                    check(kernel, &(what + ", candidate"), &p, &half_q, &options);
                }
                let front = [vec![f32::NEG_INFINITY; 4096], p.clone()].concat();
                let options = PairOptions {
                    observed: Some(4100),
                    ..Default::default()
                };
                check(
                    kernel,
                    "two leading blocks masked",
                    &front,
                    &disturbed(&front, 5, 0.1),
                    &options,
                );
            }

            #[test]
            fn the_lowest_float_as_a_mask_agrees() {
                let Some(kernel) = kernel($isa) else { return };
                let mut p = noise(3000, 3, 3.0);
                for low in [-1e4, -65504.0, -1e30, f32::MIN] {
                    p.iter_mut().step_by(3).for_each(|x| *x = low);
                    let q = p
                        .iter()
                        .enumerate()
                        .map(|(i, x)| x * if i % 3 == 0 { 1.0 } else { 1.01 });
                    let q: Vec<f32> = q.collect();
                    check(
                        kernel,
                        &format!("both rows masked by {low}"),
                        &p,
                        &q,
                        &PairOptions::default(),
                    );
                }
            }

            #[test]
            fn rows_far_apart_by_a_constant_agree() {
                let Some(kernel) = kernel($isa) else { return };
                let p = noise(20_011, 5, 3.0);
                for shift in [0.01, -0.3, 7.0, 1e3, -1e4, 1e5] {
                    for disturbance in [2e-3, 0.4] {
                        let q = shifted(&disturbed(&p, 6, disturbance), shift);
                        let what = format!("shift {shift}, noise {disturbance}");
                        check(kernel, &what, &p, &q, &PairOptions::default());
                        check(
                            kernel,
                            &(what + ", exchanged"),
                            &q,
                            &p,
                            &PairOptions::default(),
                        );
                    }
                }
            }

            #[test]
            fn rows_that_rise_from_block_to_block_agree() {
                let Some(kernel) = kernel($isa) else { return };
                for slope in [1e-3_f32, 0.02, 0.1, 1.0] {
                    let p: Vec<f32> = (0..9000).map(|i| i as f32 * slope).collect();
                    let q = disturbed(&p, 8, 0.2);
                    check(
                        kernel,
                        &format!("slope {slope}"),
                        &p,
                        &q,
                        &PairOptions::default(),
                    );
                    let back: Vec<f32> = p.iter().rev().copied().collect();
                    check(
                        kernel,
                        &format!("slope −{slope}"),
                        &back,
                        &q,
                        &PairOptions::default(),
                    );
                }
            }

            #[test]
            fn small_divergences_keep_their_digits() {
                let Some(kernel) = kernel($isa) else { return };
                for n in [2, 10, 1000, 151_936] {
                    for offset in [0.0, 0.5, -20.0] {
                        let p = shifted(&noise(n, 11, 2.0), offset);
                        let q = shifted(&disturbed(&p, 12, 1.6e-3), 0.125);
                        let what = format!("n = {n}, offset {offset}");
                        check(kernel, &what, &p, &q, &PairOptions::default());
                    }
                }
            }

            #[test]
            fn rows_whose_likely_tokens_differ_from_the_rest_agree() {
                let Some(kernel) = kernel($isa) else { return };
                for (spread, noise_size) in [(3.0, 0.02), (3.0, 0.3), (0.1, 0.5), (1.0, 0.7)] {
                    let p = noise(20_011, 21, spread);
                    let q = disturbed(&p, 22, noise_size);
                    for (token, height) in [(0, 12.0), (9_000, 8.0), (9_000, 20.0), (20_010, 60.0)]
                    {
                        for change in [0.0, 0.1, -0.6, 1.7, -3.0] {
                            let (mut p, mut q) = (p.clone(), q.clone());
                            p[token] += height;
                            q[token] += height + change;
                            let what = format!(
                                "spread {spread}, noise {noise_size}, token {token} at {height} and {change} more"
                            );
                            check(kernel, &what, &p, &q, &PairOptions::default());
                        }
                    }
                }
            }

            #[test]
            fn differences_that_drift_along_the_row_agree() {
                let Some(kernel) = kernel($isa) else { return };
                let p = noise(20_011, 23, 2.0);
                for slope in [1e-6_f32, 1e-5, -4e-5, 1e-4, 2e-4] {
                    let q = disturbed(&p, 24, 0.05);
                    let q: Vec<f32> = q.iter().enumerate().map(|(i, y)| y + i as f32 * slope).collect();
                    check(kernel, &format!("slope {slope}"), &p, &q, &PairOptions::default());
                    check(kernel, &format!("slope −{slope}"), &q, &p, &PairOptions::default());
                }
            }

            #[test]
            fn rows_that_agree_in_parts_agree() {
                let Some(kernel) = kernel($isa) else { return };
                let p = noise(20_011, 25, 3.0);
                for every in [1, 2, 7] {
                    for (size, low) in [(3.0, 0.0), (0.9, 5.0), (f32::NEG_INFINITY, 0.0)] {
                        let mut q = disturbed(&p, 26, 0.2);
                        let mut p = p.clone();
                        for block in (0..20_000).step_by(1000 * every) {
                            q[block + 5] += size;
                            p[block + 5] -= low;
                        }
                        let what = format!("{size} more every {every}000, {low} lower");
                        check(kernel, &what, &p, &q, &PairOptions::default());
                        check(kernel, &(what + ", exchanged"), &q, &p, &PairOptions::default());
                    }
                }
            }

            #[test]
            fn temperatures_agree() {
                let Some(kernel) = kernel($isa) else { return };
                let p = noise(5003, 13, 3.0);
                let q = disturbed(&p, 14, 0.5);
                for temperature in [0.1, 0.7, 1.3, 2.0, 50.0] {
                    let options = PairOptions {
                        temperature,
                        observed: Some(9),
                        ..Default::default()
                    };
                    check(
                        kernel,
                        &format!("temperature {temperature}"),
                        &p,
                        &q,
                        &options,
                    );
                }
            }

            #[test]
            fn top_k_and_ranks_agree_among_equals() {
                let Some(kernel) = kernel($isa) else { return };
                let p: Vec<f32> = (0..6000_u32)
                    .map(|i| (i * 7919 % 31) as f32 * 0.25)
                    .collect();
                let q: Vec<f32> = (0..6000_u32)
                    .map(|i| (i * 104_729 % 29) as f32 * 0.25)
                    .collect();
                for top_k in [0, 1, 2, 10, kld_kernels::MAX_TOP_K] {
                    for observed in [0, 1, 2047, 2048, 5999] {
                        let options = PairOptions {
                            top_k,
                            observed: Some(observed),
                            ..Default::default()
                        };
                        check(
                            kernel,
                            &format!("top {top_k}, token {observed}"),
                            &p,
                            &q,
                            &options,
                        );
                    }
                }
            }

            #[test]
            fn half_precision_equals_its_widening() {
                let Some(kernel) = kernel($isa) else { return };
                let (p, q) = (noise(5003, 15, 3.0), noise(5003, 16, 3.0));
                let p16: Vec<f16> = p.iter().map(|&x| f16::from_f32(x)).collect();
                let q16: Vec<bf16> = q.iter().map(|&x| bf16::from_f32(x)).collect();
                let p: Vec<f32> = p16.iter().map(|x| x.to_f32()).collect();
                let q: Vec<f32> = q16.iter().map(|x| x.to_f32()).collect();
                let options = PairOptions {
                    observed: Some(1234),
                    ..Default::default()
                };
                assert_eq!(
                    kernel.pair(&p16, &q16, &options),
                    kernel.pair(&p, &q, &options)
                );
                assert_eq!(
                    kernel.pair(&q16, &p, &options),
                    kernel.pair(&q, &p, &options)
                );
                assert_eq!(kernel.single(&p16, Some(3)), kernel.single(&p, Some(3)));
            }

            #[test]
            fn single_rows_and_sums_of_probabilities_agree() {
                let Some(kernel) = kernel($isa) else { return };
                for &n in LENGTHS {
                    let row = masked(&noise(n, 17, 4.0), 1, 7);
                    let (got, expected) = (
                        kernel.single(&row, Some(0)).unwrap(),
                        scalar::single(&row, Some(0)).unwrap(),
                    );
                    assert_close(
                        "log_sum_exp",
                        got.log_sum_exp,
                        expected.log_sum_exp,
                        NATS,
                        1.0,
                    );
                    assert_close("entropy", got.entropy, expected.entropy, NATS, 1.0);
                    assert_close(
                        "top1_prob",
                        got.top1_prob,
                        expected.top1_prob,
                        PROBABILITY,
                        0.0,
                    );
                    assert_eq!(got.top1, expected.top1);
                    let (got_seen, seen) = (got.observed.unwrap(), expected.observed.unwrap());
                    assert_close("nll", got_seen.nll, seen.nll, NATS, 1.0);
                    assert_eq!(got_seen.rank, seen.rank);
                    assert_eq!(kernel.log_sum_exp(&row).unwrap(), got.log_sum_exp);

                    let (mut sums, mut expected) = (vec![1.0; n], vec![1.0; n]);
                    kernel.add_probs(&row, got.log_sum_exp, &mut sums);
                    scalar::add_probs(&row, got.log_sum_exp, &mut expected);
                    for (got, expected) in sums.iter().zip(&expected) {
                        assert_close("1 + probability", *got, *expected, PROBABILITY, 1.0);
                    }
                }
            }
        }
    };
}

suite!(scalar_itself, Isa::Scalar);
suite!(baseline, Isa::Baseline);
suite!(avx2, Isa::Avx2);
suite!(avx512, Isa::Avx512);

#[test]
fn avx2_and_avx512_give_the_same_bits() {
    let (Some(avx2), Some(avx512)) = (kernel(Isa::Avx2), kernel(Isa::Avx512)) else {
        return;
    };
    for n in [1, 17, 2049, 50_257] {
        let p = noise(n, 18, 3.0);
        for spread in [0.1, 5.0] {
            let q = disturbed(&p, 19, spread);
            let options = PairOptions {
                temperature: 1.5,
                observed: Some(0),
                ..Default::default()
            };
            assert_eq!(avx2.pair(&p, &q, &options), avx512.pair(&p, &q, &options));
        }
    }
}

#[test]
fn names_of_instruction_sets_read_back() {
    for &isa in Isa::ALL {
        assert_eq!(isa.name().parse(), Ok(isa));
    }
    let message = "avx1024".parse::<Isa>().unwrap_err().to_string();
    assert_eq!(
        message,
        "unknown instruction set \"avx1024\": expected one of scalar, baseline, avx2, avx512"
    );
    assert!(Isa::available().contains(&Isa::Scalar) && Isa::available().contains(&Isa::detect()));
}

#[test]
fn one_pass_is_right_to_its_absolute_error() {
    for kernel in Isa::available().into_iter().filter_map(kernel) {
        for n in [1, 2, 15, 17, 1023, 1025, 50_257] {
            let p = noise(n, 20, 3.0);
            for (q, what) in [
                (disturbed(&p, 21, 0.3), "near"),
                (masked(&p, 1, 5), "masked"),
            ] {
                let (got, exact) = (
                    kernel.pair_one_pass(&p, &q),
                    scalar::pair(&p, &q, &PairOptions::default()),
                );
                let (got, exact) = (got.unwrap(), exact.unwrap());
                assert_close(&format!("{what}, n = {n}: kl"), got.kl, exact.kl, NATS, 1.0);
                assert_close(
                    &format!("{what}, n = {n}: reverse_kl"),
                    got.reverse_kl,
                    exact.reverse_kl,
                    NATS,
                    1.0,
                );
            }
        }
    }
}
