//! The Python of the chores: with pip, and with packages in a virtual environment of the project's own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{run, smollm2::models};

/// A Python that has pip: the system's, the project's own, or, for root on Debian and Ubuntu, after installing it.
pub(crate) fn with_pip() -> Result<PathBuf> {
    let system = PathBuf::from("python3");
    if has_pip(&system) {
        return Ok(system);
    }
    if let Ok(own) = own() {
        return Ok(own);
    }
    if apt(&["python3-pip", "python3-venv"]).is_ok() && has_pip(&system) {
        return Ok(system);
    }
    bail!("pip is needed to fetch the test model; on Debian or Ubuntu: apt-get install python3-pip")
}

/// The project's own Python, with these packages. A system's Python takes none that its package manager did not bring (PEP 668).
pub(crate) fn with(packages: &[&str]) -> Result<PathBuf> {
    let own = own().or_else(|_| {
        apt(&["python3-venv"])?;
        own()
    })?;
    // One by one: asked for several, pip is content with any of them.
    let has = |package: &&str| {
        let shown = ["-m", "pip", "show", "--quiet", package];
        let output = Command::new(&own).args(shown).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !packages.iter().all(has) {
        run(Command::new(&own)
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages))
        .with_context(|| {
            format!(
                "could not install the Python packages {packages:?}: is a package index reachable?"
            )
        })?;
    }
    Ok(own)
}

/// Installs packages, for root on Debian and Ubuntu.
pub(crate) fn apt(packages: &[&str]) -> Result<()> {
    run(Command::new("apt-get").args(["update", "--quiet"]))?;
    run(Command::new("apt-get")
        .args(["install", "--yes", "--quiet"])
        .args(packages))
}

/// The virtual environment, made where it is not there yet.
fn own() -> Result<PathBuf> {
    let folder = models()?.join("python");
    let own = folder.join("bin/python3");
    if !has_pip(&own) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    Ok(own)
}

fn has_pip(python: &Path) -> bool {
    let output = Command::new(python)
        .args(["-m", "pip", "--version"])
        .output();
    output.is_ok_and(|output| output.status.success())
}
