//! What can be wrong with a file of series.

use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that cannot be what it should be.
    #[error("{path}: {problem}", path = path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// A folder in which nothing tells a series.
    #[error(
        "{folder} tells no series: expected metrics.jsonl (kld train), trainer_state.json (Hugging Face), another .jsonl file or TensorBoard's \
         events.out.tfevents… in it", folder = folder.display()
    )]
    NoSeries {
        /// The folder.
        folder: PathBuf,
    },
    /// A name that is not among those that are told.
    #[error("{path} has no {asked:?}; there are {known}", path = path.display())]
    NoKey {
        /// The file or folder.
        path: PathBuf,
        /// What was asked for.
        asked: String,
        /// What is there.
        known: String,
    },
    /// Records of which none says at which step it was made.
    #[error(
        "{path}: no record says its step: none of {known} is one of {names}", path = path.display()
    )]
    NoStep {
        /// The file.
        path: PathBuf,
        /// The numbers that the records have.
        known: String,
        /// The names by which a step is known.
        names: String,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn bad(path: &Path, problem: impl Into<String>) -> Self {
        Self::Bad {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}
