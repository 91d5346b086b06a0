//! `--config FILE` and `--resume`: a training's command line, completed by what a file says.
//!
//! A file holds the flags by their names, without `--`: `rate = 1e-3`, `text = ["books"]`, `text-only = true`, and `teacher`. Whatever
//! the command line says is stronger, and takes the place of what excludes it, too: `--steps 100` that of `epochs = 3`. A run keeps all
//! its settings in such a file, and `--resume` is no more than going on with that.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command};
use kld_train::{Settings, is_run};
use toml::{Table, Value};

use super::TrainArgs;

/// The file in a run's folder.
pub(crate) const FILE: &str = "run.toml";

const TEACHER: &str = "teacher";

/// What is of this call alone, not of the training.
const OF_THE_CALL: [&str; 4] = ["config", "run", "resume", "dry-run"];

/// Settings of which only one can be told.
const ALTERNATIVES: [&[&str]; 5] = [
    &["student", "new", "layers"],
    &["steps", "epochs"],
    &["held-out", "held-out-text"],
    &["tokenizer", "new-tokenizer"],
    &[TEACHER, "text-only"],
];

/// The arguments of `kld train`, program and verb first, completed by the files that they name.
///
/// # Errors
///
/// If a file cannot be read or has something in it that is no setting, or there is no run to go on with.
pub(crate) fn completed(given: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    // What is wrong with the arguments themselves is told by whoever parses them for good.
    let Ok(matches) = parsed(given.iter().skip(1)) else {
        return Ok(given);
    };
    let of_file = |id: &str| matches.get_one::<std::path::PathBuf>(id);
    let mut settings = Table::new();
    if let Some(file) = of_file("config") {
        settings = read(file)?;
    }
    let named = settings.get("run").and_then(Value::as_str).map(Path::new);
    let folder = of_file("run").map(|path| &**path).or(named);
    if let Some(folder) = folder.filter(|_| is_told(&matches, "resume")) {
        let begins = ["teacher", "text_only", "config"];
        if is_run(folder) {
            settings = onto(read(&folder.join(FILE))?, settings);
        } else if !begins.iter().any(|id| is_told(&matches, id)) {
            let folder = folder.display();
            bail!(
                "{folder} holds no training to go on with: begin one with TEACHER, a student and --text, without --resume"
            );
        }
    }
    let command = command();
    for argument in told(&command, &matches) {
        remove(&mut settings, argument.get_long().unwrap_or(TEACHER));
    }
    Ok(command_line(&given, settings))
}

/// All settings of a training as such a file; what follows from the text is told as it is now.
pub(crate) fn complete(given: Vec<OsString>, settings: &Settings) -> anyhow::Result<String> {
    let matches = parsed(completed(given)?.iter().skip(1))?;
    let derived = [
        ("steps", settings.steps),
        ("warmup", settings.schedule.warmup),
        ("evaluate-every", settings.evaluate_every),
    ];
    let mut text = format!(
        "# All settings of this training: kld train --config {FILE} --run DIR begins the same anew.\n"
    );
    let command = command();
    // `--text-only` excludes `--loss`, also where that is as usual.
    let excluded = told(&command, &matches).flat_map(|a| command.get_arg_conflicts_with(a));
    let excluded: Vec<&clap::Id> = excluded.map(clap::Arg::get_id).collect();
    let mut heading = None;
    for argument in command
        .get_arguments()
        .filter(|a| !excluded.contains(&a.get_id()))
    {
        let name = argument.get_long().unwrap_or(TEACHER);
        let derived = derived.iter().find(|(of, _)| *of == name);
        let value = match derived {
            Some(&(_, number)) => Some(Value::Integer(i64::try_from(number)?)),
            None if name == "epochs" || OF_THE_CALL.contains(&name) => None,
            None => value_of(&matches, argument),
        };
        let Some(value) = value else { continue };
        if argument.get_help_heading() != heading {
            heading = argument.get_help_heading();
            let _ = write!(text, "\n# {}\n", heading.unwrap_or_default());
        }
        let _ = writeln!(text, "{name} = {value}");
    }
    Ok(text)
}

fn command() -> Command {
    TrainArgs::augment_args(Command::new("train"))
}

/// What is told of the arguments, where what is missing is no fault.
fn parsed<'a>(words: impl Iterator<Item = &'a OsString>) -> Result<ArgMatches, clap::Error> {
    command().ignore_errors(true).try_get_matches_from(words)
}

/// What is on the command line.
fn told<'a>(command: &'a Command, matches: &'a ArgMatches) -> impl Iterator<Item = &'a clap::Arg> {
    let arguments = command.get_arguments();
    arguments.filter(|argument| is_told(matches, argument.get_id().as_str()))
}

fn is_told(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn read(file: &Path) -> anyhow::Result<Table> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let table: Table = text
        .parse()
        .with_context(|| format!("{shown} is no TOML"))?;
    let command = command();
    for (name, value) in &table {
        let mut names = command.get_arguments().filter_map(|a| a.get_long());
        let is_known = name == TEACHER || names.any(|known| known == name);
        ensure!(
            is_known && (name == "run" || !OF_THE_CALL.contains(&&**name)),
            "{shown}: there is no setting {name:?}; settings are named as the flags of kld train --help, without --"
        );
        ensure!(
            !matches!(value, Value::Table(_) | Value::Datetime(_)),
            "{shown}: {name} is {value}; expected a text, a number, true, false or a list"
        );
    }
    Ok(table)
}

/// `stronger` settings in the place of those that they replace.
fn onto(mut settings: Table, stronger: Table) -> Table {
    for (name, value) in stronger {
        remove(&mut settings, &name);
        settings.insert(name, value);
    }
    settings
}

/// Takes away a setting and its alternatives.
fn remove(settings: &mut Table, name: &str) {
    settings.remove(name);
    let groups = ALTERNATIVES.iter().filter(|group| group.contains(&name));
    for other in groups.copied().flatten() {
        settings.remove(*other);
    }
}

/// Program, verb, settings, and what was given.
fn command_line(given: &[OsString], mut settings: Table) -> Vec<OsString> {
    let (verb, flags) = given.split_at(given.len().min(2));
    let teacher = settings.remove(TEACHER).map(|teacher| plain(&teacher));
    let flag = |(name, value): (String, Value)| match value {
        Value::Boolean(true) => vec![format!("--{name}")],
        Value::Boolean(false) => Vec::new(),
        Value::Array(values) => {
            let one = |value: &Value| format!("--{name}={}", plain(value));
            values.iter().map(one).collect()
        }
        value => vec![format!("--{name}={}", plain(&value))],
    };
    let settings = settings.into_iter().flat_map(flag);
    let settings = teacher.into_iter().chain(settings).map(OsString::from);
    let verb = verb.iter().cloned();
    verb.chain(settings).chain(flags.iter().cloned()).collect()
}

/// A value as it is written on the command line.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What an argument was given, or is by default; `None` where it has no value, or is a flag that is not set.
fn value_of(matches: &ArgMatches, argument: &clap::Arg) -> Option<Value> {
    let id = argument.get_id().as_str();
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return is_told(matches, id).then_some(Value::Boolean(true));
    }
    let mut values: Vec<Value> = matches.get_raw(id)?.map(typed).collect();
    match argument.get_action() {
        ArgAction::Append => Some(Value::Array(values)),
        _ => values.pop(),
    }
}

/// A number as a number, so that the file reads well; all else as text.
fn typed(raw: &OsStr) -> Value {
    let text = raw.to_string_lossy();
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let float = || text.parse::<f64>().ok().filter(|x| x.is_finite());
    match (is_number, text.parse::<i64>()) {
        (true, Ok(number)) => Value::Integer(number),
        // An integer beyond i64 would lose digits.
        (true, Err(_)) if !text.bytes().all(|b| b.is_ascii_digit()) => {
            float().map_or_else(|| Value::String(text.into_owned()), Value::Float)
        }
        _ => Value::String(text.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn what_is_told_takes_the_place_of_a_setting_and_of_what_excludes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let text = "teacher = 't'\nlayers = 6\ntext = ['x', 'y z']\nepochs = 3\nrate = 1e-3\nwithout-t-squared = true\n";
        fs::write(&file, text).unwrap();
        let completed = |flags: &str| {
            let config = file.display();
            completed(words(&format!("kld train --config {config} {flags}"))).unwrap()
        };
        let told = |flags: &str| {
            let line = completed(flags);
            let line: Vec<String> = line.iter().map(|w| w.to_string_lossy().into()).collect();
            line[2..line.len() - 2 - words(flags).len()].join("|")
        };
        assert_eq!(
            told(""),
            "t|--epochs=3|--layers=6|--rate=0.001|--text=x|--text=y z|--without-t-squared"
        );
        assert_eq!(
            told("--steps 9 --text b c"),
            "t|--layers=6|--rate=0.001|--without-t-squared"
        );
        assert_eq!(
            told("other --student=s --rate 1"),
            "--epochs=3|--text=x|--text=y z|--without-t-squared"
        );
    }

    #[test]
    fn a_file_is_read_with_care() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        for (text, told) in [
            ("rate = ", "is no TOML"),
            ("los = 'kl'", "there is no setting \"los\""),
            ("resume = true", "there is no setting \"resume\""),
            ("[rate]\nx = 1", "expected a text, a number"),
        ] {
            fs::write(&file, text).unwrap();
            let error = format!("{:#}", read(&file).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn all_settings_are_written_and_read_back_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let given = "kld train t --layers 6 --text x --run r --penalty l2:0.1 --penalty l1:1e-5 --seed 18446744073709551615 --dry-run";
        let settings = Settings {
            steps: 77,
            ..Settings::default()
        };
        let text = complete(words(given), &settings).unwrap();
        for told in [
            "teacher = \"t\"\n",
            "layers = 6\n",
            "steps = 77\n",
            "rate = 0.001\n",
            "penalty = [\"l2:0.1\", \"l1:1e-5\"]\n",
            "seed = \"18446744073709551615\"\n",
            "loss = \"kl\"\n",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        assert!(
            !text.contains("dry-run") && !text.contains("epochs"),
            "{text}"
        );
        let file = folder.path().join(FILE);
        fs::write(&file, &text).unwrap();
        let config = format!("kld train --config {} --run r", file.display());
        assert_eq!(complete(words(&config), &settings).unwrap(), text);
    }
}
