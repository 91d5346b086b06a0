//! Row pairs per second, as gigabytes of logits read, beside the error and the machine's own read bandwidth.
//!
//! ```console
//! $ cargo bench -p kld-kernels --bench pair
//! ```
//!
//! Every line first checks its answer against the scalar definition. `memory` streams rows of more than 512 MB, `cache`
//! repeats one row pair. The best of several rounds counts, for what disturbs a measurement only ever slows it.
//! `KLD_BENCH_MB` sets the size of the working set, `KLD_BENCH_ROUNDS` the number of rounds.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

use std::hint::black_box;
use std::time::Instant;

use kld_kernels::{Isa, Kernel, PairOptions, scalar};

const VOCABULARIES: &[usize] = &[32_000, 49_152, 151_936, 262_144];

/// Spreads of the candidate's noise: near (8-bit weights), as with 4-bit weights, another model.
const NOISES: &[f32] = &[0.03, 0.3, 3.0];

fn main() {
    let megabytes = setting("KLD_BENCH_MB", 640);
    let rounds = setting("KLD_BENCH_ROUNDS", 5);
    let logits = megabytes * 1_000_000 / 8;
    let p = noise(logits, 1, 3.0);
    println!(
        "read bandwidth, 1 thread: {:.1} GB/s",
        bandwidth(&p, 1, rounds)
    );
    println!(
        "read bandwidth, 2 threads: {:.1} GB/s",
        bandwidth(&p, 2, rounds)
    );
    for &spread in NOISES {
        let q: Vec<f32> = p
            .iter()
            .zip(noise(logits, 2, spread))
            .map(|(x, d)| x + d)
            .collect();
        println!("\nnoise {spread}: GB/s, largest relative error of kl, reverse_kl and js");
        println!(
            "{:9} {:10} {:>8} {:>8} {:>10} {:>9}",
            "V", "", "memory", "cache", "2 threads", "error"
        );
        for &vocabulary in VOCABULARIES {
            for isa in Isa::available() {
                measure(&p, &q, vocabulary, isa, rounds);
            }
            one_pass(&p, &q, vocabulary, rounds);
        }
    }
}

/// One line of the table: [`Kernel::pair`] with everything it gives.
fn measure(p: &[f32], q: &[f32], vocabulary: usize, isa: Isa, rounds: usize) {
    let kernel = Kernel::with_isa(isa).unwrap();
    let run = |p: &[f32], q: &[f32]| {
        // A token that is likely, as observed ones are.
        let options = PairOptions {
            observed: kernel.single(&p[..64], None).ok().map(|s| s.top1),
            ..Default::default()
        };
        black_box(kernel.pair(p, q, &options).unwrap());
    };
    let (p_row, q_row) = (&p[..vocabulary], &q[..vocabulary]);
    let got = kernel.pair(p_row, q_row, &PairOptions::default()).unwrap();
    let exact = scalar::pair(p_row, q_row, &PairOptions::default()).unwrap();
    let error = [
        (got.kl, exact.kl),
        (got.reverse_kl, exact.reverse_kl),
        (got.js, exact.js),
    ]
    .map(|(got, exact)| (got / exact - 1.0).abs());
    let error = error.into_iter().fold(0.0, f64::max);
    assert!(error <= 1e-6, "{isa} is off by {error:e}");
    // The definition is slow: a few rows say enough.
    let rows = if isa == Isa::Scalar {
        4
    } else {
        p.len() / vocabulary
    };
    let memory = speed(p, q, vocabulary, rows, 1, rounds, &run);
    let two = speed(p, q, vocabulary, rows, 2, rounds, &run);
    let cache = cached(p_row, q_row, rows.min(64), rounds, &run);
    println!(
        "{vocabulary:<9} {:10} {memory:8.1} {cache:8.1} {two:10.1} {error:9.0e}",
        isa.name()
    );
}

/// The line of the less exact variant.
fn one_pass(p: &[f32], q: &[f32], vocabulary: usize, rounds: usize) {
    let kernel = Kernel::detect();
    let run = |p: &[f32], q: &[f32]| drop(black_box(kernel.pair_one_pass(p, q)));
    let (p_row, q_row) = (&p[..vocabulary], &q[..vocabulary]);
    let exact = scalar::pair(p_row, q_row, &PairOptions::default())
        .unwrap()
        .kl;
    let error = (kernel.pair_one_pass(p_row, q_row).unwrap().kl / exact - 1.0).abs();
    let rows = p.len() / vocabulary;
    let memory = speed(p, q, vocabulary, rows, 1, rounds, &run);
    let two = speed(p, q, vocabulary, rows, 2, rounds, &run);
    let cache = cached(p_row, q_row, 64, rounds, &run);
    println!(
        "{vocabulary:<9} {:10} {memory:8.1} {cache:8.1} {two:10.1} {error:9.0e}",
        "one pass"
    );
}

/// GB/s of running over `rows` rows, split among `threads`.
fn speed(
    p: &[f32],
    q: &[f32],
    vocabulary: usize,
    rows: usize,
    threads: usize,
    rounds: usize,
    run: &(impl Fn(&[f32], &[f32]) + Sync),
) -> f64 {
    let pass = || {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for row in (thread..rows).step_by(threads) {
                        let range = row * vocabulary..(row + 1) * vocabulary;
                        run(&p[range.clone()], &q[range]);
                    }
                });
            }
        });
    };
    8.0 * (rows * vocabulary) as f64 / best(rounds, pass) / 1e9
}

/// GB/s of running over one row pair again and again.
fn cached(p: &[f32], q: &[f32], times: usize, rounds: usize, run: &impl Fn(&[f32], &[f32])) -> f64 {
    let pass = || (0..times).for_each(|_| run(black_box(p), black_box(q)));
    8.0 * (times * p.len()) as f64 / best(rounds, pass) / 1e9
}

/// GB/s of a plain vector sum over `data`, split among `threads`.
fn bandwidth(data: &[f32], threads: usize, rounds: usize) -> f64 {
    let pass = || {
        std::thread::scope(|scope| {
            for part in data.chunks(data.len().div_ceil(threads)) {
                scope.spawn(move || black_box(sum(part)));
            }
        });
    };
    4.0 * data.len() as f64 / best(rounds, pass) / 1e9
}

/// The sum, in enough lanes that only reading takes time.
fn sum(data: &[f32]) -> f32 {
    let mut lanes = [0.0; 64];
    for chunk in data.as_chunks::<64>().0 {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    lanes.iter().sum()
}

/// The shortest of several runs, in seconds.
fn best(rounds: usize, mut run: impl FnMut()) -> f64 {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..rounds)
        .map(|_| time(&mut run))
        .fold(f64::INFINITY, f64::min)
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

/// A number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
