//! Makes a quantized copy of a GGUF file: `requantize IN.gguf TYPE OUT.gguf`, with TYPE like `f16`, `q8_0`, `q4_k`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints"
)]

use std::path::Path;
use std::process::ExitCode;

use kld_models::gguf::{BlockType, requantize};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, dtype, target] = arguments.as_slice() else {
        eprintln!("usage: requantize IN.gguf TYPE OUT.gguf");
        return ExitCode::from(2);
    };
    let Some(dtype) = BlockType::from_name(dtype) else {
        eprintln!("error: '{dtype}' is no type of GGUF; try f16, q8_0, q4_0, q4_k");
        return ExitCode::from(2);
    };
    match requantize(Path::new(source), Path::new(target), dtype) {
        Ok(done) => {
            println!(
                "{target}: {} matrices as {dtype}, {} vectors as F32",
                done.matrices, done.vectors
            );
            for (name, instead) in &done.fallbacks {
                println!("{name}: rows are not whole blocks of {dtype}, stored as {instead}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
