//! How long a divergence and its gradient take for one row pair: the scalar definition beside the kernel of this machine.
//!
//! ```console
//! $ cargo bench -p kld-kernels --bench gradient
//! ```
//!
//! Each line first checks the kernel's answer against the definition; the fastest of many repetitions counts.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

use std::hint::black_box;
use std::time::Instant;

use kld_kernels::Kernel;
use kld_kernels::divergence::{Divergence, GradientOptions, value_and_gradient};

const ROUNDS: usize = 30;

fn main() {
    let kernel = Kernel::detect();
    let options = GradientOptions::default();
    println!(
        "µs a row       V    definition  {:>10}   times",
        kernel.isa().name()
    );
    for vocabulary in [2048, 49_152, 151_936] {
        let (p, q) = (row(vocabulary, 1), row(vocabulary, 2));
        for (name, d) in [
            ("KL", Divergence::Kl),
            ("reverse KL", Divergence::ReverseKl),
            ("Jeffreys", Divergence::Jeffreys),
        ] {
            let (mut slow, mut fast) = (vec![0.0; vocabulary], vec![0.0; vocabulary]);
            let expected = value_and_gradient(d, &p, &q, &options, &mut slow).unwrap();
            let found = kernel
                .value_and_gradient(d, &p, &q, &options, &mut fast)
                .unwrap();
            assert!((found / expected - 1.0).abs() < 1e-6, "{name}: {found}");
            let largest = slow.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
            let pairs = slow.iter().zip(&fast);
            let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 3e-6 * largest, "{name} is off by {off:e}");
            let definition = fastest(|| {
                black_box(value_and_gradient(d, black_box(&p), &q, &options, &mut slow).unwrap());
            });
            let lanes = fastest(|| {
                let value = kernel.value_and_gradient(d, black_box(&p), &q, &options, &mut fast);
                black_box(value.unwrap());
            });
            println!(
                "{name:10} {vocabulary:>7} {definition:>12.0} {lanes:>11.1} {:>7.1}",
                definition / lanes
            );
        }
    }
}

/// The shortest of many times, in microseconds.
fn fastest(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        work();
        best = best.min(begin.elapsed().as_secs_f64());
    }
    best * 1e6
}

/// Logits that repeat in no period that matters.
fn row(vocabulary: usize, seed: usize) -> Vec<f32> {
    let logit = |i: usize| ((i * 7919 + i * i % 131 * seed * 104_729) % 1013) as f32 / 100.0;
    (0..vocabulary).map(logit).collect()
}
