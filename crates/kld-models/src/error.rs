//! What can go wrong between a model's name and its logits.

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
    /// A file is damaged, lies about itself, or is not what its name says.
    #[error("{path}: {what}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        what: String,
    },
    /// A sound file asks for something that this program does not compute.
    #[error("{path}: {what}\nhint: {hint}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is asked for.
        what: String,
        /// What can be done about it.
        hint: String,
    },
    /// A recording that cannot be begun or gone on with.
    #[error("{path}: {what}\nhint: {hint}", path = path.display())]
    Recording {
        /// The recording.
        path: PathBuf,
        /// What stands in the way.
        what: String,
        /// What can be done about it.
        hint: &'static str,
    },
    /// A pattern that selects no matrix of a model.
    #[error(
        "no matrix of {model} is called '{pattern}'\nhint: its matrices have names like {names}; * stands for any text; \
         norms and biases are never quantized"
    )]
    NoSuchMatrix {
        /// What was asked for.
        pattern: String,
        /// The model.
        model: String,
        /// A name of each kind.
        names: String,
    },
    /// A pattern that matches no weight of a model.
    #[error(
        "no weight of {model} is called '{pattern}'\nhint: its weights have names like {names}; * stands for any text"
    )]
    NoSuchWeight {
        /// What was asked for.
        pattern: String,
        /// The model.
        model: String,
        /// Some names.
        names: String,
    },
    /// A probability of dropout that is none, or leaves nothing.
    #[error("the probability of dropout is {rate}, expected one from 0 to below 1")]
    DropoutRate {
        /// What was asked for.
        rate: f64,
    },
    /// A weight that would never learn.
    #[error("the weight '{name}' gets no gradient from the loss")]
    NoGradient {
        /// Its name.
        name: String,
    },
    /// Weights that are not those of the model.
    #[error("the weight '{name}' is not there, or not of the size that {model} has")]
    OtherWeights {
        /// The first that differs.
        name: String,
        /// The model.
        model: String,
    },
    /// A window of tokens that the model cannot take.
    #[error("{what}")]
    Window {
        /// What was expected and what came.
        what: String,
    },
    /// A tokenizer could not be built or used.
    #[error(transparent)]
    Tokenizer(#[from] crate::tokenizer::TokenizerError),
    /// A chat could not become text.
    #[error(transparent)]
    Chat(#[from] crate::chat::ChatError),
    /// A model's files could not be had.
    #[error(transparent)]
    Hub(#[from] crate::hub::HubError),
    /// The tensor library failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn malformed(path: &Path, what: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn recording(path: &Path, what: impl Into<String>, hint: &'static str) -> Self {
        Self::Recording {
            path: path.to_owned(),
            what: what.into(),
            hint,
        }
    }

    pub(crate) fn unsupported(
        path: &Path,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
            hint: hint.into(),
        }
    }
}
