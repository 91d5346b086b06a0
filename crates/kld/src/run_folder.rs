//! `--run`, `--resume` and `--part`: work that is kept in a folder as it goes.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use kld_core::{Plan, result::RunRecord};
use kld_eval::run::{Header, Part, Run, is_run, is_taken};
use kld_kernels::Kernel;
use kld_report::{Exporter, Json};

use crate::output::Output;

/// Where the work is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run folder")]
pub(crate) struct RunArgs {
    /// Keep what is measured in this folder, window by window, so that nothing is lost when the run ends early
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,

    /// Go on with what is in the folder of --run, alone or beside the processes that are at it; begin where nothing is. With no
    /// other arguments than these two, those of the run are taken
    #[arg(long, requires = "run")]
    pub(crate) resume: bool,

    /// Measure only part K of N, e.g. one on each of N machines; `kld merge` makes one run of them
    #[arg(long, value_name = "K/N", requires = "run", value_parser = part)]
    pub(crate) part: Option<Part>,

    /// The arguments are those of the run in the folder, see [`recalled`]
    #[arg(long, hide = true, requires = "resume")]
    recalled: bool,
}

impl RunArgs {
    /// The run whose work this process is to do, if it is to be kept. A folder that has something else in it is refused.
    pub(crate) fn begin(
        &self,
        verb: &str,
        kernel: Kernel,
        plan: &Plan,
    ) -> anyhow::Result<Option<Run>> {
        let Some(folder) = &self.run else {
            return Ok(None);
        };
        self.check()?;
        let header = Header::new(
            verb,
            kernel,
            self.part,
            storable(std::env::args_os().skip(2)),
        );
        match Run::open_or_create(folder, &header, plan) {
            Err(error @ kld_eval::Error::RunDiffers { .. }) => {
                Err(error).context("cannot go on; to begin anew name another folder")
            }
            run => Ok(Some(run?)),
        }
    }

    /// Refuses a folder that cannot be begun in or gone on with; to be called before the work that a refusal would waste.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match &self.run {
            // In this order: between the two looks another process may make the plan.
            Some(folder) if self.resume && (!is_taken(folder) || is_run(folder)) => Ok(()),
            Some(folder) if is_run(folder) => bail!(
                "{} holds a run: add --resume to go on with it, or name another folder",
                folder.display()
            ),
            Some(folder) if is_taken(folder) => bail!(
                "{} is not empty and holds no run: name another folder",
                folder.display()
            ),
            _ => Ok(()),
        }
    }

    /// The run, where all its arguments come from the folder and nothing is left to measure: then no model is needed.
    pub(crate) fn finished(&self) -> anyhow::Result<Option<Run>> {
        let Some(folder) = self.run.as_ref().filter(|_| self.recalled) else {
            return Ok(None);
        };
        let run = Run::open(folder)?;
        Ok(run.is_complete()?.then_some(run))
    }

    /// Leaves the result in the folder, beside what it was made of.
    pub(crate) fn leave<R>(&self, result: &R) -> anyhow::Result<()>
    where
        Json: Exporter<R>,
    {
        match &self.run {
            Some(folder) => Output::open(&folder.join("result.json"))?.write(&Json, result),
            None => Ok(()),
        }
    }

    /// Has this process done its part of the windows, though that is not all of them?
    pub(crate) fn part_is_done(&self, record: &RunRecord, windows: usize) -> bool {
        let mine = |part: Part| (0..windows).filter(|visit| part.has(*visit)).count();
        self.part
            .is_some_and(|part| record.windows_done == mine(part))
    }

    /// What to do after a run that has not measured all windows.
    pub(crate) fn hint(&self, verb: &str, record: &RunRecord, windows: usize) -> Option<String> {
        let folder = self.run.as_ref().filter(|_| !record.complete)?.display();
        Some(if self.part_is_done(record, windows) {
            format!(
                "this part is measured; kld merge makes one run of all parts: kld merge {folder} … -o DIR"
            )
        } else {
            format!("nothing is lost; go on with: kld {verb} --run {folder} --resume")
        })
    }

    /// Tells with an error that ended the work what becomes of the work.
    pub(crate) fn explain<T>(&self, verb: &str, outcome: kld_eval::Result<T>) -> anyhow::Result<T> {
        match &self.run {
            Some(folder) => outcome.with_context(|| {
                let folder = folder.display();
                format!("stopped; what is measured is kept, and kld {verb} --run {folder} --resume goes on with it")
            }),
            None => Ok(outcome?),
        }
    }
}

/// The arguments of the program; where a verb is given a run folder and `--resume` and nothing else, those that the run was begun
/// with.
pub(crate) fn recalled(given: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    if given.get(1).is_some_and(|verb| verb == "train") {
        return crate::train::completed(given);
    }
    let Some((folder, resumed)) = given.get(2..).and_then(only_a_folder) else {
        return Ok(given);
    };
    if !resumed || !is_run(&folder) {
        return Ok(given);
    }
    let header = Run::open(&folder)?.header;
    if given[1].to_str() != Some(&header.verb) {
        bail!(
            "{folder} holds a run of kld {verb}: go on with kld {verb} --run {folder} --resume",
            folder = folder.display(),
            verb = header.verb
        );
    }
    Ok(arguments_of(&folder, &header, given[0].clone()))
}

/// The command line that goes on with a run.
pub(crate) fn arguments_of(folder: &Path, header: &Header, program: OsString) -> Vec<OsString> {
    let part = header.part.map(|p| format!("--part={}/{}", p.number, p.of));
    let mut run = OsString::from("--run=");
    run.push(folder);
    [program, header.verb.clone().into()]
        .into_iter()
        .chain(header.arguments.iter().map(OsString::from))
        .chain(part.map(OsString::from))
        .chain([run, "--resume".into(), "--recalled".into()])
        .collect()
}

/// The folder of `--run` and whether `--resume` is there, if there is nothing else.
fn only_a_folder(arguments: &[OsString]) -> Option<(PathBuf, bool)> {
    let (mut folder, mut resumed) = (None, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str()? {
            "--resume" => resumed = true,
            "--run" => folder = Some(PathBuf::from(arguments.next()?)),
            other => folder = Some(PathBuf::from(other.strip_prefix("--run=")?)),
        }
    }
    Some((folder?, resumed))
}

/// The arguments that make a run what it is: without those that say where it is kept and which part of it is done.
pub(crate) fn storable(arguments: impl Iterator<Item = OsString>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = arguments.next() {
        match argument.split('=').next().unwrap_or_default() {
            "--run" | "--part" if !argument.contains('=') => drop(arguments.next()),
            "--run" | "--part" | "--resume" | "--recalled" => {}
            _ => kept.push(argument),
        }
    }
    kept
}

/// Reads `2/3`.
fn part(text: &str) -> Result<Part, String> {
    let numbers = text.split_once('/').and_then(|(number, of)| {
        Some(Part {
            number: number.parse().ok()?,
            of: of.parse().ok()?,
        })
    });
    numbers
        .filter(|part| (1..=part.of).contains(&part.number))
        .ok_or_else(|| format!("expected K/N with K from 1 to N, such as 2/3, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn where_and_which_part_is_not_what_a_run_is() {
        let given = words("p q --run a --text t --part=1/2 --resume --json r --part 1/2 --run=b");
        let kept = storable(given.into_iter());
        assert_eq!(kept, ["p", "q", "--text", "t", "--json", "r"]);
    }

    #[test]
    fn only_a_command_without_anything_else_is_recalled() {
        let folder = |text: &str| only_a_folder(&words(text));
        assert_eq!(folder("--run a --resume"), Some(("a".into(), true)));
        assert_eq!(folder("--resume --run=a"), Some(("a".into(), true)));
        assert_eq!(folder("--run a"), Some(("a".into(), false)));
        for other in [
            "--resume",
            "--run",
            "p --run a --resume",
            "--run a --resume --bits",
        ] {
            assert_eq!(folder(other), None);
        }
    }

    #[test]
    fn parts_are_read_as_people_write_them() {
        assert_eq!(part("2/3"), Ok(Part { number: 2, of: 3 }));
        for bad in ["0/3", "4/3", "1", "1/", "a/b", "1/0"] {
            assert!(part(bad).is_err(), "{bad}");
        }
    }
}
