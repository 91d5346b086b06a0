//! Why a model was not found or did not arrive.

use std::{io, path::PathBuf};

/// Why a model's files could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A name that no file, folder or repository can have here.
    #[error(
        "`{name}` is neither a file or folder here nor the name of a repository: {reason}\nhint: models are named by a folder, a .gguf file, org/name[@revision] or org/name/file.gguf"
    )]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name with nothing behind it.
    #[error("no model `{name}`\nhint: {hint}")]
    NotFound {
        /// The name.
        name: String,
        /// What to do.
        hint: &'static str,
    },
    /// A file that is not a model.
    #[error("{path} is not a model: expected a folder or a .gguf file", path = path.display())]
    NotAModel {
        /// The file.
        path: PathBuf,
    },
    /// Not cached, and downloads are not allowed.
    #[error("`{name}` is not complete in the cache {cache}, and downloads are off\nhint: no file or folder here has that name either; allow downloads, or fetch it elsewhere and name the folder", cache = cache.display())]
    Offline {
        /// The name.
        name: String,
        /// The cache that was searched.
        cache: PathBuf,
    },
    /// The hub did not answer.
    #[error(
        "cannot reach {url}: {reason}\nhint: no file or folder here has the name that was given; without a network, copy the model's folder here and name the folder, or set HF_ENDPOINT to a mirror"
    )]
    Network {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The hub wants to know who asks.
    #[error(
        "{url} answered {status}: the repository is private, needs its conditions accepted, or does not exist\nhint: check the name; {hint}"
    )]
    Denied {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
        /// What to do about the token.
        hint: &'static str,
    },
    /// The hub does not have it.
    #[error(
        "{url} answered 404: no such repository, revision or file\nhint: check the name; no file or folder here has it either"
    )]
    Absent {
        /// What was asked for.
        url: String,
    },
    /// The hub answered something else.
    #[error("{url} answered {answer}")]
    Answer {
        /// What was asked for.
        url: String,
        /// The status or what was wrong with the answer.
        answer: String,
    },
    /// A repository without weights that can be read.
    #[error("`{name}` has no safetensors weights with a config.json{found}")]
    NoWeights {
        /// The repository.
        name: String,
        /// What it has instead and what to do.
        found: String,
    },
    /// A file that ended before its time.
    #[error(
        "{file}: expected {expected} bytes, {found} came\nhint: resolve the same name again, the download goes on where it stopped"
    )]
    Incomplete {
        /// The file.
        file: String,
        /// The announced size.
        expected: u64,
        /// The size so far.
        found: u64,
    },
    /// A file that is not what was announced; it was removed.
    #[error("{file}: expected SHA-256 {expected}, {found} came")]
    Checksum {
        /// The file.
        file: String,
        /// The announced hash.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// Stopped on request.
    #[error(
        "the download of {file} was interrupted\nhint: resolve the same name again, it goes on where it stopped"
    )]
    Interrupted {
        /// The file that was being downloaded.
        file: String,
    },
    /// A file of the cache could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
