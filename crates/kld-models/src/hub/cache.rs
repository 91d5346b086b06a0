//! The cache on disk, in the layout of Hugging Face's own programs.
//!
//! ```text
//! models--org--name/refs/main                     the commit that a branch or tag meant when it was downloaded
//! models--org--name/snapshots/<commit>/<file>     a link to
//! models--org--name/blobs/<etag>                  the bytes
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Deserialize;

use super::{
    HubError,
    name::{RepositoryName, is_commit, is_relative_path},
};

/// An index of shards beyond this is not read; the largest known have some 100 kB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The part of the cache that belongs to one repository.
pub(super) struct Cache {
    root: PathBuf,
}

impl Cache {
    pub(super) fn new(folder: &Path, repository: &RepositoryName) -> Self {
        Self {
            root: folder.join(format!(
                "models--{}--{}",
                repository.organisation, repository.name
            )),
        }
    }

    /// Commit and path of what is named, if all of it is here.
    pub(super) fn find(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<(String, PathBuf)>, HubError> {
        let Some(commit) = self.commit(&repository.revision)? else {
            return Ok(None);
        };
        let snapshot = self.snapshot(&commit);
        let path = match &repository.file {
            Some(file) => Some(snapshot.join(file)).filter(|path| path.is_file()),
            None if usable(&snapshot)? => Some(snapshot),
            None => None,
        };
        Ok(path.map(|path| (commit, path)))
    }

    /// The commit that a revision means here.
    fn commit(&self, revision: &str) -> Result<Option<String>, HubError> {
        if is_commit(revision) {
            return Ok(Some(revision.to_owned()));
        }
        let path = self.root.join("refs").join(revision);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(source) => Err(HubError::Io { path, source }),
        }
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    pub(super) fn blob(&self, etag: &str) -> Result<PathBuf, HubError> {
        let folder = self.root.join("blobs");
        made(&folder)?;
        Ok(folder.join(etag))
    }

    /// Lets a file of a snapshot be a blob: by a relative link, as the other programs do, or by a copy where there are no links.
    pub(super) fn link(&self, commit: &str, file: &str, blob: &Path) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(file);
        if path.is_file() {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            made(folder)?;
        }
        let up = "../".repeat(2 + file.matches('/').count());
        let target = PathBuf::from(up)
            .join("blobs")
            .join(blob.file_name().unwrap_or_default());
        // Made aside and renamed: whoever else links the same file now, or reads it, always finds one of the two.
        let draft = draft_of(&path);
        let placed = symbolic_link(&target, &draft).or_else(|_| fs::copy(blob, &draft).map(drop));
        placed
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(|source| HubError::Io { path, source })
    }

    /// Remembers the commit that a branch or tag means.
    pub(super) fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        if let Some(folder) = path.parent() {
            made(folder)?;
        }
        let draft = draft_of(&path);
        let written = fs::write(&draft, commit).and_then(|()| fs::rename(&draft, &path));
        written.map_err(|source| HubError::Io { path, source })
    }
}

/// Names of the weight files that a folder with these files needs, or `None` if it has no weights in safetensors.
///
/// An index goes before a single file, and a single file before loose ones.
pub(super) fn weights(files: &BTreeSet<String>, index: Option<Vec<String>>) -> Option<Vec<String>> {
    if let Some(shards) = index {
        return Some(shards);
    }
    if files.contains("model.safetensors") {
        return Some(vec!["model.safetensors".to_owned()]);
    }
    let loose: Vec<String> = files
        .iter()
        .filter(|file| file.ends_with(".safetensors") && !file.contains('/'))
        .cloned()
        .collect();
    (!loose.is_empty()).then_some(loose)
}

/// The shards that `model.safetensors.index.json` names.
pub(super) fn shards(index: &Path) -> Result<Option<Vec<String>>, HubError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let failed = |source| HubError::Io {
        path: index.to_owned(),
        source,
    };
    match fs::metadata(index) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(found) if found.len() > MAX_INDEX_BYTES => {
            return Err(failed(io::Error::other(format!(
                "{} bytes are too many for an index",
                found.len()
            ))));
        }
        Ok(_) => {}
    }
    let text = fs::read_to_string(index).map_err(failed)?;
    let parsed: Index = serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
    let shards: BTreeSet<String> = parsed.weight_map.into_values().collect();
    match shards
        .iter()
        .find(|shard| !is_relative_path(shard) || !shard.ends_with(".safetensors"))
    {
        Some(shard) => Err(failed(io::Error::other(format!(
            "`{shard}` cannot be a shard"
        )))),
        None => Ok(Some(shards.into_iter().collect())),
    }
}

/// Whether a snapshot has settings, a tokenizer and all its weights.
fn usable(snapshot: &Path) -> Result<bool, HubError> {
    let has = |file: &str| snapshot.join(file).is_file();
    let tokenizer = has("tokenizer.json") || (has("vocab.json") && has("merges.txt"));
    if !has("config.json") || !tokenizer {
        return Ok(false);
    }
    let index = shards(&snapshot.join("model.safetensors.index.json"))?;
    let weights = weights(&names(snapshot)?, index);
    Ok(weights.is_some_and(|files| files.iter().all(|file| has(file))))
}

fn names(folder: &Path) -> Result<BTreeSet<String>, HubError> {
    let failed = |source| HubError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

fn made(folder: &Path) -> Result<(), HubError> {
    fs::create_dir_all(folder).map_err(|source| HubError::Io {
        path: folder.to_owned(),
        source,
    })
}

/// A name beside `path` that no other thread or process uses.
fn draft_of(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.new", std::process::id()))
}

#[cfg(unix)]
fn symbolic_link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symbolic_link(_target: &Path, _link: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
