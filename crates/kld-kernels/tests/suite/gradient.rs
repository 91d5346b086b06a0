//! Gradients against central differences of the values.

use kld_kernels::divergence::{Divergence, GradientOptions, from_log_probs, value_and_gradient};

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
