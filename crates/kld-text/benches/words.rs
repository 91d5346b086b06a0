//! Megabytes per second and core at counting words.
//!
//! `cargo bench --workspace --bench words [-- MEGABYTES]`: the bundled book over and over, and words of a made-up language of 200,000 after Zipf's
//! law, each as a file of that size. Before it times anything it checks the counts: those of the book are as many times those of one
//! book, those of the other text are what a plain loop over a map gives. A core is a second of CPU time, reading included.
//! With `-- FILE…` it times files of your own instead, whose counts it does not check.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use kld_core::observer::Silent;
use kld_text::count::{CountOptions, CountTable, count, count_texts};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench` of its own.
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|given| given != "--bench")
        .collect();
    let megabytes: usize = match given.first().map(|first| first.parse()) {
        None => 128,
        Some(Ok(megabytes)) => megabytes,
        Some(Err(_)) => {
            return given
                .iter()
                .try_for_each(|file| report(file, Path::new(file)));
        }
    };
    let folder = tempfile::tempdir()?;
    let (book, zipf) = (
        folder.path().join("book.txt"),
        folder.path().join("zipf.txt"),
    );

    let one = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/austen-persuasion.txt"),
    )?;
    let times = (megabytes << 20).div_ceil(one.len());
    fs::write(&book, one.repeat(times))?;
    let counts = counted(&book)?;
    for term in count_texts([one.as_str()], &CountOptions::default())?.terms() {
        assert_eq!(
            counts.count(term.term),
            term.count() * times as u64,
            "{}",
            term.term
        );
    }

    let text = made_up(megabytes << 20);
    fs::write(&zipf, &text)?;
    let mut plain: HashMap<&str, u64> = HashMap::new();
    text.split_whitespace()
        .for_each(|word| *plain.entry(word).or_default() += 1);
    let counts = counted(&zipf)?;
    assert_eq!(counts.vocabulary(), plain.len());
    assert!(
        plain
            .iter()
            .all(|(word, count)| counts.count(word) == *count)
    );

    report("the book", &book)?;
    report("200,000 words after Zipf", &zipf)
}

fn counted(path: &Path) -> kld_text::Result<CountTable> {
    count(&[path.to_owned()], &CountOptions::default(), &Silent)
}

fn report(name: &str, path: &Path) -> Result<(), Failure> {
    let size = fs::metadata(path)?.len() as f64 / 1e6;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let (start, before) = (Instant::now(), cpu_time());
        counted(path)?;
        let spent = match (before, cpu_time()) {
            (Some(before), Some(after)) => after.saturating_sub(before),
            _ => start.elapsed(),
        };
        best = best.min(spent.as_secs_f64());
    }
    println!(
        "{name}: {:.0} MB/s per core ({size:.0} MB, best of 3)",
        size / best
    );
    Ok(())
}

/// CPU time of this process where the system tells it, in steps of 10 ms.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

/// Words of two to nine letters, the k-th most frequent one 1/k as often as the first.
fn made_up(bytes: usize) -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut word = || -> String {
        let letters = random.random_range(2..10);
        (0..letters)
            .map(|_| random.random_range('a'..='z'))
            .collect()
    };
    let words: Vec<String> = (0..200_000).map(|_| word()).collect();
    let mut sum = 0.0;
    let cumulated: Vec<f64> = (0..words.len())
        .map(|k| {
            sum += 1.0 / (k + 1) as f64;
            sum
        })
        .collect();
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        let at = random.random_range(0.0..sum);
        text.push_str(&words[cumulated.partition_point(|upto| *upto <= at)]);
        text.push(' ');
    }
    text
}
