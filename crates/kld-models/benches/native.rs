//! Tokens per second of the native engine on a real model.
//!
//! `KLD_SMOLLM2=model.gguf cargo bench -p kld-models --bench native [-- WINDOWS]`: windows of 512 tokens, the head on
//! the 255 scored rows of each in slices of 64, on 1 and 2 threads. Before it times anything it checks that the
//! threads get the bits that one thread gets.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use kld_models::gguf::Metadata;
use kld_models::native::{LoadOptions, NativeModel};
use kld_models::{LogitSource, Tokenizer};

const WINDOW: usize = 512;
const SCORED: usize = 255;
const SLICE: usize = 64;

fn main() -> kld_models::Result<()> {
    let Some(path) = std::env::var_os("KLD_SMOLLM2") else {
        eprintln!("skipped: KLD_SMOLLM2 names no model");
        return Ok(());
    };
    let windows = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(8);
    let path = Path::new(&path);
    let start = Instant::now();
    let tokenizer = Tokenizer::from_gguf(&Metadata::read(path)?)?;
    let model = NativeModel::open_gguf(path, tokenizer, &LoadOptions::default())?;
    println!(
        "loaded in {:.2} s: {:?}",
        start.elapsed().as_secs_f64(),
        model.card()
    );

    assert_eq!(
        checksums(&model, 2, 1),
        checksums(&model, 2, 2),
        "bits depend on threads"
    );
    for threads in [1, 2] {
        let rates = (0..3).map(|_| {
            let start = Instant::now();
            checksums(&model, windows, threads);
            (windows * WINDOW) as f64 / start.elapsed().as_secs_f64()
        });
        println!(
            "{threads} threads: {:.0} tokens/s (best of 3)",
            rates.fold(0.0, f64::max)
        );
    }
    Ok(())
}

/// One number for each window, made of all its scored logits.
fn checksums(model: &NativeModel, windows: usize, threads: usize) -> Vec<u64> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let window = next.fetch_add(1, Ordering::Relaxed);
            if window >= windows {
                return done;
            }
            done.push((window, checksum(model, window)));
        }
    };
    let mut all: Vec<(usize, u64)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no worker panics"))
            .collect()
    });
    all.sort_unstable();
    all.into_iter().map(|(_, sum)| sum).collect()
}

fn checksum(model: &NativeModel, window: usize) -> u64 {
    let tokens: Vec<u32> = (0..WINDOW)
        .map(|i| ((window * 7919 + i * 104_729) % 40_000) as u32)
        .collect();
    let logits = model.forward(&tokens).expect("the window is legal");
    let mut rows = Vec::new();
    let first = WINDOW - 1 - SCORED;
    let mut sum = 0u64;
    for start in (first..WINDOW - 1).step_by(SLICE) {
        logits
            .rows(start..(WINDOW - 1).min(start + SLICE), &mut rows)
            .expect("the rows are there");
        sum = rows
            .iter()
            .step_by(97)
            .fold(sum, |sum, x| sum.rotate_left(5) ^ u64::from(x.to_bits()));
    }
    sum
}
