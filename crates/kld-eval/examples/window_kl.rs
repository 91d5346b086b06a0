//! The mean KL of every window, as JSON: what `golden/sequential/` keeps of a real comparison, and how a library user reads rows.
//!
//! `cargo run --release -p kld-eval --example window_kl -- P.gguf Q.gguf… TEXT.txt`

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};

use kld_core::{observer::Silent, summary::Quantity};
use kld_eval::{
    Cut, Work,
    compare::{Job, Summaries},
    read_fragments,
};
use kld_kernels::Kernel;
use kld_models::{
    LogitSource, Result, Tokenizer,
    gguf::Metadata,
    native::{LoadOptions, NativeModel},
};

fn open(path: &Path) -> Result<NativeModel> {
    let tokenizer = Tokenizer::from_gguf(&Metadata::read(path)?)?;
    NativeModel::open_gguf(path, tokenizer, &LoadOptions::default())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [reference, candidates @ .., text] = paths.as_slice() else {
        return Err("expected P.gguf Q.gguf… TEXT.txt".into());
    };
    let reference = open(reference)?;
    let candidates: Vec<NativeModel> = candidates.iter().map(|q| open(q)).collect::<Result<_>>()?;
    let sources: Vec<&dyn LogitSource> = candidates.iter().map(|q| q as &dyn LogitSource).collect();

    let fragments = read_fragments(std::slice::from_ref(text), "text")?;
    let work = Work {
        threads: 2,
        kernel: Kernel::detect(),
    };
    let job = Job::new(&reference, &sources, &fragments, &Cut::default())?;
    let mut summaries = Summaries::new(&job.plan);
    job.measure(work, &Silent, &mut summaries)?;

    let of = |(summary, model): (&kld_core::Summary, &NativeModel)| {
        let windows: Vec<(u64, f64)> = summary
            .windows()
            .map(|(_, w)| (w.all.count, w.all[Quantity::Kl]))
            .collect();
        serde_json::json!({
            "candidate": model.card().weights,
            "positions": windows.iter().map(|w| w.0).collect::<Vec<_>>(),
            "kl_sums_nats": windows.iter().map(|w| w.1).collect::<Vec<_>>(),
        })
    };
    let all: Vec<serde_json::Value> = summaries.0.iter().zip(&candidates).map(of).collect();
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}
