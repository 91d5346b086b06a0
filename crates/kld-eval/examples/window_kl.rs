//! The KL of every window that a run folder holds, as JSON: what `golden/sequential/` keeps of a real comparison, and how a library user
//! reads rows.
//!
//! `cargo run --release -p kld-eval --example window_kl -- RUN_FOLDER`

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::path::PathBuf;

use kld_core::{ModelCard, Summary, WindowRows, summary::Quantity};
use kld_eval::{compare::Summaries, run::Run};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let run = Run::open(&folder.ok_or("expected a run folder")?)?;
    let mut summaries = Summaries::new(&run.plan);
    for rows in run.contents()?.in_order::<WindowRows>()? {
        summaries.add(&rows?);
    }

    let of = |(summary, model): (&Summary, &ModelCard)| {
        let (positions, sums): (Vec<u64>, Vec<f64>) = summary
            .windows()
            .map(|(_, window)| (window.all.count, window.all[Quantity::Kl]))
            .unzip();
        json!({ "candidate": model.name, "positions": positions, "kl_sums_nats": sums })
    };
    let all: Vec<Value> = summaries
        .0
        .iter()
        .zip(&run.plan.candidates)
        .map(of)
        .collect();
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}
