//! The browser in which the pages are tested: one that is installed, or that of the package manager, or Playwright's.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{python, run};

/// The environment variable by which tests find the browser.
pub(crate) const VARIABLE: &str = "KLD_CHROMIUM";

/// Under these names Chromium and its kin are installed.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Makes sure a browser is there; returns its path.
pub(crate) fn fetch() -> Result<PathBuf> {
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    if let Some(browser) = named.or_else(installed) {
        return Ok(browser);
    }
    // Debian has it as a package. Ubuntu's package of that name is a door to the snap store, which few containers have: then
    // nothing that runs has been installed.
    if python::apt(&["chromium"]).is_ok()
        && let Some(browser) = installed()
    {
        return Ok(browser);
    }
    playwright().context(
        "a Chromium is needed to test the pages; on Debian: apt-get install chromium, elsewhere: let KLD_CHROMIUM name one",
    )
}

/// The first browser on the path that starts.
fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut places = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places.find(|program| starts(program))
}

fn starts(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// The browser that the Python package `playwright` fetches, with the libraries that it needs.
fn playwright() -> Result<PathBuf> {
    let python = python::with(&["playwright"])?;
    run(Command::new(&python).args(["-m", "playwright", "install", "--with-deps", "chromium"]))?;
    let where_it_is = "from playwright.sync_api import sync_playwright as p\n\
                       with p() as p: print(p.chromium.executable_path)";
    let output = Command::new(&python).args(["-c", where_it_is]).output()?;
    let path = String::from_utf8(output.stdout).context("playwright names no path")?;
    let path = PathBuf::from(path.trim());
    ensure!(starts(&path), "{} does not start", path.display());
    Ok(path)
}
