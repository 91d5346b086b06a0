//! How much memory a window takes, forward and back, with KL to a teacher as the loss. `bench/rival_train.py` runs it, checks its
//! answer, and does the same in PyTorch.
//!
//! ```console
//! $ cargo run --release --workspace --example loss_memory -- STUDENT TEACHER TOKENS
//! ```
//!
//! STUDENT and TEACHER are Hugging Face folders, TOKENS a file of token ids. Prints KL per position, the norm of the gradient, and by
//! how many bytes resident memory was at its highest above what it was before (Linux).

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::error::Error;
use std::fs;
use std::path::Path;

use kld_kernels::Kernel;
use kld_models::native::{DifferentiableModel, LoadOptions, NativeModel};
use kld_models::{LogitSource, Tokenizer, Window};
use kld_train::{Example, Objective, Teaching, clip, learn};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [student, teacher, window] = arguments.as_slice() else {
        return Err("expected STUDENT TEACHER WINDOW".into());
    };
    let tokenizer = || Tokenizer::from_folder(student);
    let student = DifferentiableModel::open(Path::new(student), tokenizer()?)?;
    let options = LoadOptions::default();
    let teacher = NativeModel::open_folder(Path::new(teacher), tokenizer()?, &options)?;
    let tokens = fs::read_to_string(window)?;
    let tokens: Vec<u32> = tokens
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let scored = 0..tokens.len() - 1;
    let (count, columns) = (scored.len() as f64, student.vocabulary());
    let example = Example::from(Window {
        fragment: 0,
        input: tokens,
        replaced: None,
        scored,
    });
    let teaching = Teaching {
        teacher: Some(&teacher),
        objective: Objective::default(),
        columns,
        kernel: Kernel::detect(),
        own_text: false,
        seed: 0,
    };
    let before = memory("VmRSS")?;
    fs::write("/proc/self/clear_refs", "5")?;
    let mut learned = learn(&student, &teaching, 0, &example, 1.0 / count)?;
    let peak = memory("VmHWM")?;
    let norm = clip(&mut learned.gradients, None);
    println!("{} {norm} {}", learned.loss / count, peak - before);
    Ok(())
}

/// A line of the process's own account of its memory, in bytes.
fn memory(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(1024 * kilobytes.ok_or("no such line")?.parse::<u64>()?)
}
