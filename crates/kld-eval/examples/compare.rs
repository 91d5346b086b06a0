//! How far has a candidate moved from a reference? The main job as a library.
//!
//! `cargo run --release -p kld-eval --example compare -- P.gguf Q.gguf TEXT.txt`

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::{Path, PathBuf};

use kld_core::observer::Silent;
use kld_eval::{Cut, Work, compare::compare, read_fragments};
use kld_kernels::Kernel;
use kld_models::{
    Result, Tokenizer,
    gguf::Metadata,
    native::{LoadOptions, NativeModel},
};

fn open(path: &Path) -> Result<NativeModel> {
    let tokenizer = Tokenizer::from_gguf(&Metadata::read(path)?)?;
    NativeModel::open_gguf(path, tokenizer, &LoadOptions::default())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [reference, candidate, text] = paths.as_slice() else {
        return Err("expected P.gguf Q.gguf TEXT.txt".into());
    };
    let (reference, candidate) = (open(reference)?, open(candidate)?);

    let fragments = read_fragments(std::slice::from_ref(text), "text")?;
    let cut = Cut {
        context: 64,
        ..Cut::default()
    };
    let work = Work {
        threads: 2,
        kernel: Kernel::detect(),
    };
    let result = compare(&reference, &[&candidate], &fragments, &cut, work, &Silent)?;

    let kl = &result.candidates[0].kl;
    println!(
        "mean KL {:.6} nats, 99 % {:.6}, over {} positions",
        kl.mean.value, kl.p99, result.candidates[0].positions
    );
    Ok(())
}
