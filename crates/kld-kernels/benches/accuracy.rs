//! The largest errors of every instruction set against the scalar definition: the table of `docs/numerics.md`.
//!
//! ```console
//! $ cargo bench -p kld-kernels --bench accuracy
//! ```
//!
//! Over vocabularies from 2 to 262,144, spreads of the logits from 0.1 to 20, noise from 1e-3 to 5, constant shifts up to
//! 1000, with and without masked tokens. Divergences count relatively, where they are at least 1e-6 nats.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

use kld_kernels::{Isa, Kernel, PairOptions, RowPair, scalar};

const VOCABULARIES: &[usize] = &[2, 10, 1000, 32_000, 262_144];
const SPREADS: &[f32] = &[0.1, 3.0, 20.0];
const NOISES: &[f32] = &[2e-3, 0.03, 0.3, 5.0];
const SHIFTS: &[f32] = &[0.0, 0.3, -1000.0];

fn main() {
    let kernels: Vec<Kernel> = Isa::available()
        .into_iter()
        .filter(|&isa| isa != Isa::Scalar)
        .filter_map(Kernel::with_isa)
        .collect();
    let mut worst = vec![[0.0_f64; 5]; kernels.len()];
    for_each_pair(|p, q| {
        let exact = scalar::pair(p, q, &PairOptions::default()).unwrap();
        for (kernel, worst) in kernels.iter().zip(&mut worst) {
            let got = kernel.pair(p, q, &PairOptions::default()).unwrap();
            for (worst, error) in worst.iter_mut().zip(errors(&got, &exact)) {
                *worst = worst.max(error);
            }
        }
    });
    println!("| | kl | reverse_kl | js | entropy (nats) | log-sum-exp (nats) |");
    println!("|---|---|---|---|---|---|");
    for (kernel, [kl, reverse_kl, js, entropy, lse]) in kernels.iter().zip(&worst) {
        println!(
            "| {} | {kl:.1e} | {reverse_kl:.1e} | {js:.1e} | {entropy:.1e} | {lse:.1e} |",
            kernel.isa()
        );
    }
}

/// Relative errors of the divergences, absolute ones of entropies and log-sum-exps.
fn errors(got: &RowPair, exact: &RowPair) -> [f64; 5] {
    let relative = |got: f64, exact: f64| {
        if exact < 1e-6 || exact.is_infinite() {
            0.0
        } else {
            (got / exact - 1.0).abs()
        }
    };
    [
        relative(got.kl, exact.kl),
        relative(got.reverse_kl, exact.reverse_kl),
        relative(got.js, exact.js),
        (got.entropy_p - exact.entropy_p)
            .abs()
            .max((got.entropy_q - exact.entropy_q).abs()),
        (got.log_sum_exp_p - exact.log_sum_exp_p)
            .abs()
            .max((got.log_sum_exp_q - exact.log_sum_exp_q).abs()),
    ]
}

/// Calls `check` with every row pair of the grid.
fn for_each_pair(mut check: impl FnMut(&[f32], &[f32])) {
    let mut seed = 0;
    for &n in VOCABULARIES {
        for (&spread, &size) in SPREADS
            .iter()
            .flat_map(|s| NOISES.iter().map(move |d| (s, d)))
        {
            for &shift in SHIFTS {
                seed += 1;
                let mut p = noise(n, seed, spread);
                let mut q: Vec<f32> = p
                    .iter()
                    .zip(noise(n, seed + 1000, size))
                    .map(|(x, d)| x + d + shift)
                    .collect();
                check(&p, &q);
                for row in [&mut p, &mut q] {
                    row.iter_mut()
                        .skip(1)
                        .step_by(2)
                        .for_each(|x| *x = f32::NEG_INFINITY);
                }
                check(&p, &q);
            }
        }
    }
}

/// Roughly normal numbers of the given spread, from a seed.
fn noise(n: usize, seed: u64, spread: f32) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    (0..n)
        .map(|_| (uniform() + uniform() + uniform() + uniform()) * 1.732 * spread)
        .collect()
}
