//! Where results go: stdout, or a file that is opened before the work begins and appears whole at its end.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use kld_report::{Exporter, Html, Json, Terminal as Table, Unit};
use serde::Serialize;

/// The files that are written and not yet renamed.
static DRAFTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn drafts<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    change(&mut DRAFTS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Removes what an end without return would leave behind.
pub(crate) fn remove_drafts() {
    drafts(|drafts| {
        for draft in drafts.drain(..) {
            // Gone already where the result was renamed into place.
            let _ = fs::remove_file(draft);
        }
    });
}

/// Says a line on stdout; a reader that has gone away is no error.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to stdout"),
    }
}

/// A place for one result. A file is written beside its final name and renamed, so that nobody ever sees half of it, and an
/// older result survives a run that fails.
#[derive(Debug)]
pub(crate) enum Output {
    Stdout,
    File {
        path: PathBuf,
        part: PathBuf,
        file: Option<File>,
    },
}

impl Output {
    /// Opens `-` or a file now, so that a path that cannot be written fails before the work and not after it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Output::Stdout);
        }
        let name = path
            .file_name()
            .with_context(|| format!("{} is not the name of a file", path.display()))?;
        // What is there but no ordinary file (a pipe, a device) cannot be replaced by renaming.
        let special = fs::metadata(path).is_ok_and(|m| !m.is_file());
        let part = if special {
            path.to_owned()
        } else {
            path.with_file_name(format!(
                ".{}.{}.part",
                name.to_string_lossy(),
                std::process::id()
            ))
        };
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&part);
        let file = Some(file.with_context(|| format!("cannot write {}", path.display()))?);
        if part != path {
            drafts(|drafts| drafts.push(part.clone()));
        }
        Ok(Output::File {
            path: path.to_owned(),
            part,
            file,
        })
    }

    /// Writes the result; a reader of stdout that has gone away is no error.
    pub(crate) fn write<R: ?Sized>(
        mut self,
        exporter: &impl Exporter<R>,
        result: &R,
    ) -> anyhow::Result<()> {
        match &mut self {
            Output::Stdout => match exporter.export(result, &mut io::stdout().lock()) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                other => other.context("cannot write to stdout"),
            },
            Output::File { path, part, file } => {
                let Some(file) = file.take() else {
                    return Ok(());
                };
                let mut out = BufWriter::new(file);
                let written = exporter.export(result, &mut out).and_then(|()| out.flush());
                let placed = written.and_then(|()| {
                    if part == path {
                        Ok(())
                    } else {
                        fs::rename(&*part, &*path)
                    }
                });
                placed.with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }

    /// Does it take stdout, so that nothing else may go there?
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Output::Stdout)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Output::File { path, part, .. } = self
            && part != path
        {
            drafts(|drafts| drafts.retain(|draft| draft != part));
            // Gone already where the result was renamed into place.
            let _ = fs::remove_file(part);
        }
    }
}

/// Where a result goes that can be a table, JSON or a page.
#[derive(Debug)]
pub(crate) struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
    unit: Unit,
}

impl Outputs {
    /// Opens what was asked for, before the work begins; the table is shown in `unit`.
    pub(crate) fn open(
        json: Option<&PathBuf>,
        html: Option<&PathBuf>,
        unit: Unit,
    ) -> anyhow::Result<Self> {
        let open = |path: Option<&PathBuf>| path.map(|path| Output::open(path)).transpose();
        Ok(Self {
            json: open(json)?,
            html: open(html)?,
            unit,
        })
    }

    /// Writes a result to all of them, and its table to stdout unless one of them goes there.
    pub(crate) fn write<R: Serialize>(self, result: &R) -> anyhow::Result<()>
    where
        Table: Exporter<R>,
        Html: Exporter<R>,
    {
        let stdout_is_taken = [&self.json, &self.html]
            .into_iter()
            .flatten()
            .any(Output::is_stdout);
        if let Some(html) = self.html {
            html.write(&Html, result)?;
        }
        if let Some(json) = self.json {
            json.write(&Json, result)?;
        }
        if !stdout_is_taken {
            Output::Stdout.write(&Table { unit: self.unit }, result)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_return_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let files = || fs::read_dir(folder.path()).unwrap().count();
        let output = Output::open(&folder.path().join("r.json")).unwrap();
        assert_eq!(files(), 1);
        remove_drafts();
        assert_eq!(files(), 0);
        drop(output);
    }
}
