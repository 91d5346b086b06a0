//! What can go wrong while a student learns.

use std::path::{Path, PathBuf};

/// An error of this crate; names the thing, what was expected and what came.
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
    /// A file of a run folder that cannot be what it should be.
    #[error("{path}: {problem}", path = path.display())]
    BadRun {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The run in the folder is another one.
    #[error("{folder} holds another run: its {what} is {there}, asked for is {asked}", folder = folder.display())]
    RunDiffers {
        /// The folder.
        folder: PathBuf,
        /// The first thing that differs.
        what: String,
        /// What it is there.
        there: String,
        /// What it is now.
        asked: String,
    },
    /// There is nothing to learn from, or nothing to be judged by.
    #[error("{what}")]
    TooLittleText {
        /// What was expected and what came.
        what: String,
    },
    /// The loss, its gradient or the held-out divergence is no number any more, or far above where it began.
    #[error(
        "training diverged at step {step}: {what}\nhint: a smaller --rate or --clip, or a longer --warmup, keeps it stable; what was best so far is kept"
    )]
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// What was seen.
        what: String,
    },
    /// A row of the teacher's that is no distribution.
    #[error("the teacher gives no distribution in window {window}, row {row}: {fault}")]
    TeacherRow {
        /// The window's number.
        window: usize,
        /// The row in it.
        row: usize,
        /// What is wrong.
        fault: kld_kernels::RowFault,
    },
    /// The checkpoint to go on from is damaged.
    #[error(
        "{source}\nhint: best.safetensors beside it is the whole state at the best evaluation: copied over it, the run goes on from there"
    )]
    BadCheckpoint {
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// A target of adapters that is no matrix of the student.
    #[error(
        "no matrix of a layer is called '{target}'; there are {names}, …\nhint: give the last part of a name, or a pattern with *"
    )]
    NoSuchTarget {
        /// The target.
        target: String,
        /// Some names of matrices.
        names: String,
    },
    /// Adapters of another student, or of another rank.
    #[error("the adapters are those of other matrices, or of another rank")]
    OtherAdapters,
    /// A model failed.
    #[error(transparent)]
    Model(#[from] kld_models::Error),
    /// The event file could not be written.
    #[error(transparent)]
    Series(#[from] kld_series::Error),
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

    pub(crate) fn bad_checkpoint(self) -> Self {
        Self::BadCheckpoint {
            source: Box::new(self),
        }
    }

    pub(crate) fn bad_run(path: &Path, problem: impl Into<String>) -> Self {
        Self::BadRun {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}
