//! Row pairs per second, as gigabytes of logits read, beside the error and the machine's own read bandwidth.
//!
//! ```console
//! $ cargo bench -p kld-kernels --bench pair
//! ```
//!
//! Every line first checks its answer against the scalar definition. `memory` streams over rows of more than 512 MB, `cache`
//! repeats one row pair. The working set is timed in segments of some 16 MB, and the fastest segment of several rounds
//! counts, for the bandwidth as for the kernels: what disturbs a measurement only ever slows it.
//! `KLD_BENCH_MB` sets the size of the working set, `KLD_BENCH_ROUNDS` the number of rounds.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::unwrap_used, reason = "a bench may fail where it stands")]

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use kld_kernels::{Isa, Kernel, PairOptions, scalar};

const VOCABULARIES: &[usize] = &[32_000, 49_152, 151_936, 262_144];

/// Spreads of the candidate's noise: near (8-bit weights), as with 4-bit weights, another model.
const NOISES: &[f32] = &[0.03, 0.3, 3.0];

/// Entries of a row timed together, some 16 MB of both rows.
const SEGMENT: usize = 2 << 20;

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
    let cache = cached(p_row, q_row, rounds, &run);
    println!(
        "{vocabulary:<9} {:10} {memory:8.2} {cache:8.2} {two:10.2} {error:9.0e}",
        isa.name()
    );
}

/// The line of the less exact variant.
fn one_pass(p: &[f32], q: &[f32], vocabulary: usize, rounds: usize) {
    let kernel = Kernel::detect();
    let run = |p: &[f32], q: &[f32]| {
        black_box(kernel.pair_one_pass(p, q).unwrap());
    };
    let (p_row, q_row) = (&p[..vocabulary], &q[..vocabulary]);
    let exact = scalar::pair(p_row, q_row, &PairOptions::default())
        .unwrap()
        .kl;
    let error = (kernel.pair_one_pass(p_row, q_row).unwrap().kl / exact - 1.0).abs();
    let rows = p.len() / vocabulary;
    let memory = speed(p, q, vocabulary, rows, 1, rounds, &run);
    let two = speed(p, q, vocabulary, rows, 2, rounds, &run);
    let cache = cached(p_row, q_row, rounds, &run);
    println!(
        "{vocabulary:<9} {:10} {memory:8.2} {cache:8.2} {two:10.2} {error:9.0e}",
        "one pass"
    );
}

/// GB/s of running over `rows` rows, those of each segment dealt to `threads`.
fn speed(
    p: &[f32],
    q: &[f32],
    vocabulary: usize,
    rows: usize,
    threads: usize,
    rounds: usize,
    run: &(impl Fn(&[f32], &[f32]) + Sync),
) -> f64 {
    let segment = (SEGMENT / vocabulary).max(2).min(rows);
    let best = fastest(rounds, rows / segment, threads, |part, thread| {
        for row in (part * segment + thread..(part + 1) * segment).step_by(threads) {
            let range = row * vocabulary..(row + 1) * vocabulary;
            run(&p[range.clone()], &q[range]);
        }
    });
    8.0 * (segment * vocabulary) as f64 / best / 1e9
}

/// GB/s of running over one row pair again and again.
fn cached(p: &[f32], q: &[f32], rounds: usize, run: &(impl Fn(&[f32], &[f32]) + Sync)) -> f64 {
    let best = fastest(rounds, 32, 1, |_, _| run(black_box(p), black_box(q)));
    8.0 * p.len() as f64 / best / 1e9
}

/// GB/s of a plain vector sum over `data`, each segment split among `threads`.
fn bandwidth(data: &[f32], threads: usize, rounds: usize) -> f64 {
    let segments: Vec<&[f32]> = data.chunks_exact(2 * SEGMENT).collect();
    let best = fastest(rounds, segments.len(), threads, |part, thread| {
        let share = 2 * SEGMENT / threads;
        black_box(sum(&segments[part][thread * share..(thread + 1) * share]));
    });
    4.0 * (2 * SEGMENT) as f64 / best / 1e9
}

/// The shortest time in seconds of `parts` pieces of work, each done by all threads, over several rounds.
fn fastest(rounds: usize, parts: usize, threads: usize, work: impl Fn(usize, usize) + Sync) -> f64 {
    let (work, start) = (&work, &Barrier::new(threads));
    let time = |thread: usize| {
        let mut best = f64::INFINITY;
        for part in (0..rounds).flat_map(|_| 0..parts) {
            start.wait();
            let begin = Instant::now();
            work(part, thread);
            start.wait();
            best = best.min(begin.elapsed().as_secs_f64());
        }
        best
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|thread| scope.spawn(move || time(thread)))
            .collect();
        let own = time(0);
        others
            .into_iter()
            .map(|other| other.join().unwrap())
            .fold(own, f64::max)
    })
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
