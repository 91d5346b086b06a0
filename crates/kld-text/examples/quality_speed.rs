//! The time of MAUVE from given features, or of self-BLEU, for `bench/rival_quality.py`.
//!
//! ```text
//! quality_speed mauve P.f32 Q.f32 WIDTH SEEDS      one line for each seed: seconds, MAUVE, frontier integral
//! quality_speed self-bleu TEXTS                    seconds with the cutting into words, self-BLEU; a text on each line
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it found")]

use std::{env, error::Error, fs, time::Instant};

use kld_text::{
    quality::{Corpus, Features, MauveOptions, mauve},
    segment::Cutter,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["mauve", p, q, width, seeds] => mauves(p, q, width.parse()?, seeds.parse()?),
        ["self-bleu", texts] => self_bleu(texts),
        _ => Err("expected: mauve P.f32 Q.f32 WIDTH SEEDS, or self-bleu TEXTS".into()),
    }
}

fn mauves(p: &str, q: &str, width: usize, seeds: u64) -> Result<(), Box<dyn Error>> {
    let features = |path: &str| -> Result<Features, Box<dyn Error>> {
        let bytes = fs::read(path)?;
        let (values, _) = bytes.as_chunks::<4>();
        let values = values.iter().map(|value| f32::from_le_bytes(*value));
        Ok(Features::new(values.collect(), width)?)
    };
    let (p, q) = (features(p)?, features(q)?);
    for seed in 0..seeds {
        let options = MauveOptions {
            seeds: 1,
            seed,
            resamples: 0,
            ..MauveOptions::default()
        };
        let started = Instant::now();
        let result = mauve(&p, &q, &options)?;
        println!(
            "{} {} {}",
            started.elapsed().as_secs_f64(),
            result.plain.mauve.value,
            result.plain.frontier_integral.value
        );
    }
    Ok(())
}

fn self_bleu(path: &str) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let texts: Vec<&str> = text.lines().collect();
    let cutter = Cutter::default();
    let started = Instant::now();
    let corpus = Corpus::new(&texts, &[], &cutter)?;
    let value = corpus.self_bleu(&corpus.reference().collect::<Vec<_>>());
    println!("{} {value}", started.elapsed().as_secs_f64());
    Ok(())
}
