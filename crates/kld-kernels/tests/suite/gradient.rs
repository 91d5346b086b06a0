//! Gradients against central differences of the values.

use kld_kernels::divergence::{Divergence, GradientOptions, from_log_probs, value_and_gradient};
use kld_kernels::{Isa, Kernel};

use crate::precision::GRADIENT;
use crate::rows::{disturbed, masked, noise};

const SMOOTH: &[Divergence] = &[
    Divergence::Kl,
    Divergence::ReverseKl,
    Divergence::Jeffreys,
    Divergence::Js,
    Divergence::GeneralizedJs { beta: 0.1 },
    Divergence::GeneralizedJs { beta: 0.9 },
    Divergence::SkewKl { alpha: 0.1 },
    Divergence::SkewKl { alpha: 0.9 },
    Divergence::ReverseSkewKl { alpha: 0.1 },
    Divergence::ReverseSkewKl { alpha: 0.9 },
    Divergence::Renyi { alpha: 0.5 },
    Divergence::Renyi { alpha: 1.0 },
    Divergence::Renyi { alpha: 2.0 },
    Divergence::TotalVariation,
    Divergence::Hellinger,
    Divergence::ChiSquare,
    Divergence::CrossEntropy,
];

/// The divergence of two rows of f64 logits at a temperature.
fn value(d: Divergence, p: &[f64], q: &[f64], temperature: f64) -> f64 {
    let log_probs = |row: &[f64]| {
        let total: f64 = row.iter().map(|x| (x / temperature).exp()).sum();
        row.iter()
            .map(|x| x / temperature - total.ln())
            .collect::<Vec<_>>()
    };
    from_log_probs(d, &log_probs(p), &log_probs(q)).unwrap()
}

#[track_caller]
fn check(d: Divergence, p: &[f32], q: &[f32], options: GradientOptions) {
    let wide = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    let (wide_p, wide_q) = (wide(p), wide(q));
    let mut grad = vec![f32::NAN; q.len()];
    let got = value_and_gradient(d, p, q, &options, &mut grad).unwrap();
    let temperature = f64::from(options.temperature);
    let expected = value(d, &wide_p, &wide_q, temperature);
    assert!(
        (got - expected).abs() <= 1e-12 * expected.max(1.0),
        "{d:?}: {got} against {expected}"
    );

    let largest = grad
        .iter()
        .fold(0.0_f64, |most, &g| most.max(f64::from(g).abs()));
    for (j, &g) in grad.iter().enumerate() {
        if q[j] == f32::NEG_INFINITY {
            continue;
        }
        let step = 1e-5;
        let at = |by: f64| {
            let mut moved = wide_q.clone();
            moved[j] += by;
            value(d, &wide_p, &moved, temperature)
        };
        let slope = f64::from(options.scale) * (at(step) - at(-step)) / (2.0 * step);
        let error = (f64::from(g) - slope).abs();
        assert!(
            error <= GRADIENT * largest + 1e-9,
            "{d:?} at {j}: gradient {g:e}, differences {slope:e}"
        );
    }
}

#[test]
fn gradients_are_the_slopes_of_the_values() {
    let p = noise(37, 1, 2.0);
    for spread in [0.05, 1.0, 4.0] {
        let q = disturbed(&p, 2, spread);
        for &d in SMOOTH {
            check(d, &p, &q, GradientOptions::default());
        }
    }
}

#[test]
fn the_outer_gradient_and_the_temperature_are_applied() {
    let p = noise(29, 3, 2.0);
    let q = disturbed(&p, 4, 0.7);
    for &d in SMOOTH {
        check(
            d,
            &p,
            &q,
            GradientOptions {
                scale: -2.5,
                temperature: 1.0,
            },
        );
        check(
            d,
            &p,
            &q,
            GradientOptions {
                scale: 4.0,
                temperature: 2.0,
            },
        );
    }
}

#[test]
fn masked_tokens_have_gradients_too() {
    let p = masked(&noise(31, 5, 2.0), 3, 5);
    let q = masked(&disturbed(&noise(31, 5, 2.0), 6, 0.7), 3, 5);
    for &d in SMOOTH {
        check(d, &p, &q, GradientOptions::default());
    }
}

#[test]
fn gradients_sum_to_zero() {
    let p = noise(1000, 7, 3.0);
    let q = disturbed(&p, 8, 1.0);
    let mut grad = vec![0.0; q.len()];
    for &d in SMOOTH {
        value_and_gradient(d, &p, &q, &GradientOptions::default(), &mut grad).unwrap();
        let sum: f64 = grad.iter().map(|&g| f64::from(g)).sum();
        let size: f64 = grad.iter().map(|&g| f64::from(g).abs()).sum();
        assert!(sum.abs() <= 1e-6 * size, "{d:?}: {sum:e} of {size:e}");
    }
}

#[test]
fn the_gradient_at_the_minimum_is_zero() {
    let p = noise(100, 9, 3.0);
    let mut grad = vec![f32::NAN; p.len()];
    for &d in SMOOTH {
        value_and_gradient(d, &p, &p, &GradientOptions::default(), &mut grad).unwrap();
        assert!(grad.iter().all(|g| g.abs() < 1e-9), "{d:?}: {grad:?}");
    }
}

#[test]
fn every_kernel_gives_the_gradients_of_the_definition() {
    let lengths = [1, 15, 16, 17, 1000, 1024, 1029, 5000];
    let near_and_far = [1e-4, 0.05, 1.0, 6.0];
    for kernel in kernels() {
        for (length, spread) in lengths.iter().flat_map(|&n| near_and_far.map(|s| (n, s))) {
            let p = noise(length, 11, 3.0);
            let q: Vec<f32> = disturbed(&p, 12, spread)
                .iter()
                .map(|x| x + 300.0)
                .collect();
            for d in [
                Divergence::Kl,
                Divergence::ReverseKl,
                Divergence::Jeffreys,
                Divergence::Js,
            ] {
                for (scale, temperature) in [(1.0, 1.0), (0.01, 2.5)] {
                    check_kernel(kernel, d, &p, &q, GradientOptions { temperature, scale });
                }
            }
        }
        let p = noise(100, 13, 2.0);
        let (q, some) = (disturbed(&p, 14, 0.5), GradientOptions::default());
        // Masked in both, in the reference alone, in the candidate alone.
        check_kernel(
            kernel,
            Divergence::Kl,
            &masked(&p, 3, 5),
            &masked(&q, 3, 5),
            some,
        );
        check_kernel(
            kernel,
            Divergence::ReverseKl,
            &masked(&p, 3, 5),
            &masked(&q, 3, 5),
            some,
        );
        check_kernel(kernel, Divergence::ReverseKl, &masked(&p, 3, 5), &q, some);
        check_kernel(kernel, Divergence::Jeffreys, &p, &masked(&q, 3, 5), some);
    }
}

#[track_caller]
fn check_kernel(kernel: Kernel, d: Divergence, p: &[f32], q: &[f32], options: GradientOptions) {
    let (mut expected, mut found) = (vec![f32::NAN; q.len()], vec![f32::NAN; q.len()]);
    let value = value_and_gradient(d, p, q, &options, &mut expected).unwrap();
    let ours = kernel
        .value_and_gradient(d, p, q, &options, &mut found)
        .unwrap();
    let told = format!("{d:?} of {} entries with {:?}", q.len(), kernel.isa());
    assert!(
        ours == value || (ours - value).abs() <= 1e-6 * value.abs() + 1e-14,
        "{told}: {ours} against {value}"
    );
    let largest = expected.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
    let outer = options.scale / options.temperature;
    for (j, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (found - expected).abs() <= 3e-6 * largest + 2e-7 * outer,
            "{told} at {j}: {found:e} against {expected:e}, the largest is {largest:e}"
        );
    }
}

#[test]
fn every_kernel_adds_a_softmax() {
    let row = noise(1029, 15, 4.0);
    let total = log_sum_exp(&row);
    for kernel in kernels() {
        let mut sum = vec![0.25; row.len()];
        kernel.add_softmax(&row, total, -0.5, &mut sum);
        for (sum, &x) in sum.iter().zip(&row) {
            let expected = 0.25 - 0.5 * (f64::from(x) - total).exp();
            assert!(
                (f64::from(*sum) - expected).abs() < 1e-7,
                "{:?}",
                kernel.isa()
            );
        }
    }
}

fn log_sum_exp(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln()
}

fn kernels() -> impl Iterator<Item = Kernel> {
    Isa::available().into_iter().filter_map(Kernel::with_isa)
}
