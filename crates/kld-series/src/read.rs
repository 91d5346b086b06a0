//! Finding what tells the series, and putting names to them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use kld_core::series::Series;
use serde_json::Value;

use crate::{
    Error, Keys, Result, Role, events,
    json::{self, Gathered},
    keys,
};

/// Who tells the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A run folder of `kld train`.
    KldTrain,
    /// Records, one a line.
    JsonLines,
    /// A Hugging Face trainer.
    HuggingFace,
    /// Event files.
    TensorBoard,
}

impl Kind {
    /// What it is, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KldTrain => "a run of kld train",
            Self::JsonLines => "JSON lines",
            Self::HuggingFace => "a Hugging Face trainer",
            Self::TensorBoard => "TensorBoard event files",
        }
    }
}

/// What was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// By whom.
    pub kind: Kind,
    /// All series: those with a role first, under the role's name; then all others, under their own.
    pub series: Vec<Series>,
    /// The steps that are planned, where that is told.
    pub steps_planned: Option<f64>,
}

impl Told {
    /// The series of a role.
    #[must_use]
    pub fn role(&self, role: Role) -> Option<&Series> {
        self.series.iter().find(|series| series.name == role.name())
    }
}

/// Folders below the one given, in which event files are looked for.
const DEEPEST: usize = 3;

/// Reads all series that a file or a folder tells.
///
/// # Errors
///
/// If there are none, a file cannot be read or is damaged, or a name that was given is not there.
pub fn read(path: &Path, keys: &Keys) -> Result<Told> {
    let step = keys.step.as_deref();
    let (kind, gathered, steps_planned) = match Found::at(path)? {
        Found::KldTrain(metrics) => {
            let planned = planned(&path.join("run.json"));
            (Kind::KldTrain, json::lines(&metrics, step)?, planned)
        }
        Found::JsonLines(file) => (Kind::JsonLines, json::lines(&file, step)?, None),
        Found::State(file) => {
            let (gathered, planned) = json::trainer_state(&file, step)?;
            (Kind::HuggingFace, gathered, planned)
        }
        Found::Events(files) => {
            let mut folders: BTreeMap<&str, Gathered> = BTreeMap::new();
            for (prefix, file) in &files {
                events::read_into(file, folders.entry(prefix).or_default())?;
            }
            let of_folder = |(prefix, gathered): (&str, Gathered)| {
                let named = move |(tag, points)| (format!("{prefix}{tag}"), points);
                gathered.into_iter().map(named).collect::<Gathered>()
            };
            let all = folders.into_iter().flat_map(of_folder).collect();
            (Kind::TensorBoard, all, None)
        }
    };
    let all = gathered.into_iter();
    let all: Vec<Series> = all
        .map(|(key, points)| Series::new(&key, &key, points))
        .collect();
    Ok(Told {
        kind,
        series: named(path, all, keys)?,
        steps_planned,
    })
}

/// Puts the names of roles to the series that have one, and makes the gap where it is not told.
fn named(path: &Path, all: Vec<Series>, keys: &Keys) -> Result<Vec<Series>> {
    let mut named = Vec::new();
    for role in Role::ALL {
        let found = keys.find(role, &all).map_err(|asked| Error::NoKey {
            path: path.to_owned(),
            asked,
            known: all
                .iter()
                .map(|s| s.key.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        if let Some(series) = found {
            named.push(Series {
                name: role.name().to_owned(),
                ..series.clone()
            });
        }
    }
    let of = |role: Role| named.iter().find(|s: &&Series| s.name == role.name());
    if let (Some(held_out), Some(training), None) =
        (of(Role::HeldOut), of(Role::Training), of(Role::Gap))
    {
        let gap = keys::gap(held_out, training);
        if !gap.points.is_empty() {
            named.push(gap);
        }
    }
    let others = all.into_iter().filter(|series| {
        let has_role = |n: &Series| n.key == series.key || n.name == series.name;
        !named.iter().any(has_role)
    });
    let others: Vec<Series> = others.collect();
    named.extend(others);
    Ok(named)
}

/// The steps that a run of `kld train` plans.
fn planned(header: &Path) -> Option<f64> {
    let mut text = String::new();
    let file = File::open(header).ok()?;
    file.take(1 << 24).read_to_string(&mut text).ok()?;
    let header: Value = serde_json::from_str(&text).ok()?;
    header["settings"]["steps"].as_f64()
}

/// What tells the series.
enum Found {
    KldTrain(PathBuf),
    JsonLines(PathBuf),
    State(PathBuf),
    Events(Vec<(String, PathBuf)>),
}

impl Found {
    fn at(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        if !metadata.is_dir() {
            return Ok(Self::in_file(path));
        }
        let metrics = path.join("metrics.jsonl");
        if metrics.is_file() {
            return Ok(if path.join("run.json").is_file() {
                Self::KldTrain(metrics)
            } else {
                Self::JsonLines(metrics)
            });
        }
        if let Some(state) = newest_state(path)? {
            return Ok(Self::State(state));
        }
        let mut files = Vec::new();
        event_files(path, "", 0, &mut files)?;
        if !files.is_empty() {
            return Ok(Self::Events(files));
        }
        let mut lines = entries(path)?;
        lines.retain(|file| file.extension().is_some_and(|e| e == "jsonl"));
        match &lines[..] {
            [only] => Ok(Self::JsonLines(only.clone())),
            [] => Err(Error::NoSeries {
                folder: path.to_owned(),
            }),
            several => Err(Error::bad(
                path,
                format!("{} .jsonl files: name one of them", several.len()),
            )),
        }
    }

    fn in_file(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains("tfevents") {
            Self::Events(vec![(String::new(), path.to_owned())])
        } else if name.ends_with(".json") {
            Self::State(path.to_owned())
        } else {
            Self::JsonLines(path.to_owned())
        }
    }
}

/// The state of a Hugging Face trainer: in the folder, or in the checkpoint of the most steps below it.
fn newest_state(folder: &Path) -> Result<Option<PathBuf>> {
    const STATE: &str = "trainer_state.json";
    if folder.join(STATE).is_file() {
        return Ok(Some(folder.join(STATE)));
    }
    let steps = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("checkpoint-")?.parse::<u64>().ok()
    };
    let checkpoints = entries(folder)?.into_iter();
    let newest = checkpoints
        .filter(|path| path.join(STATE).is_file())
        .filter_map(|path| Some((steps(&path)?, path)))
        .max();
    Ok(newest.map(|(_, path)| path.join(STATE)))
}

/// Event files in the order of their names, which is that of time; tags of a folder below are told with its name before them.
fn event_files(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<()> {
    for path in entries(folder)? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && depth < DEEPEST {
            event_files(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
        } else if name.contains("tfevents") && path.is_file() {
            files.push((prefix.to_owned(), path));
        }
    }
    Ok(())
}

/// What is in a folder, in the order of names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths
        .collect::<std::io::Result<_>>()
        .map_err(Error::io(folder))?;
    paths.sort();
    Ok(paths)
}
