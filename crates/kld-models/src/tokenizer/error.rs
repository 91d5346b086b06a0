//! What can be wrong with a tokenizer.

use std::path::PathBuf;

/// Why a tokenizer could not be built or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A folder without anything that describes a tokenizer.
    #[error("{folder} has no tokenizer: expected tokenizer.json, or vocab.json with merges.txt{hint}", folder = folder.display())]
    Missing {
        /// The folder that was searched.
        folder: PathBuf,
        /// What to do, when something close was found; else empty.
        hint: &'static str,
    },
    /// A JSON file that does not say what it should.
    #[error("{path}: {source}", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why reading stopped.
        source: serde_json::Error,
    },
    /// A file or metadata that contradicts itself.
    #[error("{origin}: {reason}")]
    Broken {
        /// The file, or `GGUF metadata`.
        origin: String,
        /// What was expected and what came.
        reason: String,
    },
    /// A GGUF file without a key that its tokenizer needs.
    #[error("GGUF metadata has no {key}, which a `{model}` tokenizer needs")]
    MissingKey {
        /// The key.
        key: &'static str,
        /// Value of `tokenizer.ggml.model`.
        model: String,
    },
    /// A kind of tokenizer that is not implemented.
    #[error("{what} `{name}` is not known; known are {}", known.join(", "))]
    Unknown {
        /// Which name it is, for instance `tokenizer.ggml.pre`.
        what: &'static str,
        /// The name that came.
        name: String,
        /// The names that would have been understood.
        known: Vec<&'static str>,
    },
    /// The tokenizer's engine gave up.
    #[error("{origin}: {doing} failed: {message}")]
    Engine {
        /// The file, or `GGUF metadata`.
        origin: String,
        /// `loading`, `encoding` or `decoding`.
        doing: &'static str,
        /// What the engine said.
        message: String,
    },
}

impl TokenizerError {
    pub(super) fn broken(origin: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Broken {
            origin: origin.into(),
            reason: reason.into(),
        }
    }
}
