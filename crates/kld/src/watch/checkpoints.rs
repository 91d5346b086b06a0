//! Checkpoints as they appear in a folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail};

/// A model that a trainer wrote, perhaps not to its end yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) step: u64,
    /// Its name in the folder.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// What can be seen of a checkpoint without reading it: its files, their sizes, and when they were changed.
pub(super) type Look = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The checkpoints in a folder, in the order of their steps: folders with a config.json or weights in them and .gguf files, with a number in
/// their names. What trainers are still at work on under another name (`.…`, `tmp…`) is none yet.
pub(super) fn list(folder: &Path) -> anyhow::Result<Vec<Checkpoint>> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut found: BTreeMap<u64, Checkpoint> = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        let is_draft = name.starts_with('.') || name.starts_with("tmp");
        let Some(step) = step_of(&name).filter(|_| !is_draft && is_model(&path)) else {
            continue;
        };
        let checkpoint = Checkpoint { step, name, path };
        if let Some(other) = found.insert(step, checkpoint) {
            bail!(
                "{} holds two checkpoints of step {step}, {} and {}: move one away",
                folder.display(),
                other.name,
                found[&step].name
            );
        }
    }
    Ok(found.into_values().collect())
}

impl Checkpoint {
    /// `None` where it has been removed meanwhile.
    pub(super) fn look(&self) -> Option<Look> {
        let mut look = Vec::new();
        if self.path.is_dir() {
            for entry in fs::read_dir(&self.path).ok()? {
                look.push(seen(entry.ok()?.path())?);
            }
        } else {
            look.push(seen(self.path.clone())?);
        }
        look.sort();
        Some(look)
    }
}

/// What tells a model from another that is written under its name later: the bytes of its files, and when the last of them was changed. What a
/// trainer keeps beside a model does not count.
pub(super) fn written(look: &Look) -> String {
    let is_of_model = |path: &Path| {
        ends(path, "safetensors") || ends(path, "gguf") || path.ends_with("config.json")
    };
    let files = look.iter().filter(|(path, ..)| is_of_model(path));
    let (mut bytes, mut changed) = (0, None);
    for (_, size, time) in files {
        bytes += size;
        changed = changed.max(*time);
    }
    let since = changed.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let seconds = since.unwrap_or_default();
    format!(
        "{bytes} bytes, {}.{:09} s",
        seconds.as_secs(),
        seconds.subsec_nanos()
    )
}

fn seen(path: PathBuf) -> Option<(PathBuf, u64, Option<SystemTime>)> {
    let metadata = fs::metadata(&path).ok()?;
    let changed = metadata.modified().ok();
    Some((path, metadata.len(), changed))
}

/// Does it look like a model, or the beginning of one?
fn is_model(path: &Path) -> bool {
    if !path.is_dir() {
        return ends(path, "gguf");
    }
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    let mut files = entries.filter_map(Result::ok).map(|entry| entry.path());
    files.any(|file| ends(&file, "safetensors") || file.ends_with("config.json"))
}

fn ends(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|e| e == ending)
}

/// The step in a name: the number after the last of the words that trainers put before it, else the last number.
fn step_of(name: &str) -> Option<u64> {
    const WORDS: [&str; 6] = ["checkpoint", "ckpt", "step", "iter", "epoch", "global_step"];
    let lower = name.to_ascii_lowercase();
    let after = WORDS.iter().filter_map(|word| {
        let at = lower.rfind(word)? + word.len();
        let rest = lower[at..].trim_start_matches(['-', '_', '=', '.', ' ', 's']);
        Some((at, leading_number(rest)?))
    });
    after.max().map(|(_, step)| step).or_else(|| {
        let end = lower.rfind(|c: char| c.is_ascii_digit())? + 1;
        let begin = lower[..end].trim_end_matches(|c: char| c.is_ascii_digit());
        lower[begin.len()..end].parse().ok()
    })
}

fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_trainers_write_them() {
        for (name, step) in [
            ("checkpoint-500", Some(500)),
            ("checkpoint_500-bf16", Some(500)),
            ("step=00012000.gguf", Some(12_000)),
            ("llama-7b-step1500-q8_0.gguf", Some(1500)),
            ("epoch3", Some(3)),
            ("iter_0000100", Some(100)),
            ("global_step40", Some(40)),
            ("steps-7", Some(7)),
            ("epoch-1-step-20", Some(20)),
            ("000300", Some(300)),
            ("model-v2", Some(2)),
            ("é300", Some(300)),
            ("99999999999999999999999", None),
            ("final", None),
            ("", None),
        ] {
            assert_eq!(step_of(name), step, "{name}");
        }
    }

    #[test]
    fn checkpoints_are_listed_by_step_and_drafts_are_none() {
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in [
            ("checkpoint-100", "config.json"),
            ("checkpoint-20", "model-00001-of-00002.safetensors"),
            ("checkpoint-30", "optimizer.pt"),
            ("tmp-checkpoint-40", "config.json"),
            (".checkpoint-50", "config.json"),
            ("final", "config.json"),
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(file), "{}").unwrap();
        }
        fs::write(folder.path().join("step-60.gguf"), "").unwrap();
        fs::write(folder.path().join("step-70.txt"), "").unwrap();
        let names = || {
            let found = list(folder.path());
            found.map(|all| all.into_iter().map(|c| c.name).collect::<Vec<_>>())
        };
        assert_eq!(
            names().unwrap(),
            ["checkpoint-20", "step-60.gguf", "checkpoint-100"]
        );
        let of_20 = list(folder.path()).unwrap().swap_remove(0);
        let before = of_20.look();
        assert_eq!(of_20.look(), before);
        let as_written = || written(&of_20.look().unwrap());
        let at_first = as_written();
        fs::write(of_20.path.join("optimizer.pt"), "…").unwrap();
        assert_ne!(of_20.look(), before);
        assert_eq!(as_written(), at_first);
        fs::write(of_20.path.join("config.json"), "{ }").unwrap();
        assert_ne!(as_written(), at_first);
        fs::remove_dir_all(&of_20.path).unwrap();
        assert_eq!(of_20.look(), None);
        fs::write(folder.path().join("epoch-100.gguf"), "").unwrap();
        let error = names().unwrap_err().to_string();
        assert!(error.contains("two checkpoints of step 100"), "{error}");
    }
}
