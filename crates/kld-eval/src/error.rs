//! What can go wrong between text and numbers.

use std::path::{Path, PathBuf};

/// An error of this crate; names the thing, what was expected and what came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No text where text was named.
    #[error("no text in {source_names}")]
    NoText {
        /// What was named.
        source_names: String,
    },
    /// A file whose ending says nothing.
    #[error("{path}: expected .txt, .md or .jsonl", path = path.display())]
    UnknownTextKind {
        /// The file.
        path: PathBuf,
    },
    /// Text in another encoding.
    #[error("{path}: not UTF-8 at byte {offset}", path = path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong.
        offset: usize,
    },
    /// A line of a `.jsonl` file that is no record.
    #[error("{name}: {problem}")]
    BadRecord {
        /// File and line.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A conversation for a model that has no chat template.
    #[error("{fragment} is a conversation, but {model} has no chat template")]
    NoChatTemplate {
        /// The fragment.
        fragment: String,
        /// The reference.
        model: String,
    },
    /// Two tokenizers cut the text differently, so that rows would not belong to the same position.
    #[error(
        "tokenizers disagree on this text: in {fragment}, token {index} is {reference} in the reference and \
         {candidate} in {candidate_name}"
    )]
    TokenizersDisagree {
        /// The fragment.
        fragment: String,
        /// Where in it, counted in tokens.
        index: usize,
        /// The reference's token there.
        reference: String,
        /// The candidate's token there.
        candidate: String,
        /// The candidate.
        candidate_name: String,
    },
    /// Column i of one model is not column i of the other.
    #[error("vocabulary differs from that of {candidate_name}: {difference}")]
    VocabularyDiffers {
        /// The candidate.
        candidate_name: String,
        /// The first token that differs.
        difference: String,
    },
    /// Two tokenizers begin a text differently: every position would be shifted, or see another beginning.
    #[error(
        "before a text the reference's tokenizer puts {reference}, that of {candidate_name} puts {candidate}"
    )]
    BosDiffers {
        /// What the reference's tokenizer adds.
        reference: String,
        /// What the candidate's adds.
        candidate: String,
        /// The candidate.
        candidate_name: String,
    },
    /// A recording that does not have what is to be compared.
    #[error(
        "{recording} does not have window {index} of this text: it was recorded on another token stream, or cut otherwise (its {windows} \
         windows of {context} tokens, scored {scored}, protocol {protocol})"
    )]
    RecordingDiffers {
        /// The recording.
        recording: String,
        /// The first window that it does not have.
        index: usize,
        /// How many it has.
        windows: usize,
        /// Tokens per window.
        context: usize,
        /// Which rows of them it has.
        scored: String,
        /// Whose rules cut them.
        protocol: String,
    },
    /// No text, and nobody who brings one.
    #[error(
        "no text to compare on: none was given, and no model is a recording, which would bring its own"
    )]
    NothingRecorded,
    /// A window that a model cannot hold.
    #[error("a window of {context} tokens was asked for, but {model} was made for at most {limit}")]
    ContextTooLong {
        /// What was asked for.
        context: usize,
        /// The model.
        model: String,
        /// The longest window it was made for.
        limit: usize,
    },
    /// A window too short to have a scored position.
    #[error("a window of {context} tokens was asked for, expected at least 4")]
    ContextTooShort {
        /// What was asked for.
        context: usize,
    },
    /// The text is too short for a single scored position.
    #[error(
        "nothing to score: the text has {tokens} tokens (fragments: {fragments}); protocol {protocol} needs {needed}"
    )]
    NothingToScore {
        /// Tokens of the text.
        tokens: usize,
        /// Its fragments.
        fragments: usize,
        /// The protocol.
        protocol: &'static str,
        /// What it takes to score one position.
        needed: String,
    },
    /// A folder without a run in it.
    #[error("{folder} holds no run: there is no plan.json in it", folder = folder.display())]
    NotARun {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of a run folder that cannot be what it should be.
    #[error("{path}: {problem}", path = path.display())]
    BadRun {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A run folder of another verb.
    #[error("{folder} holds a run of kld {found}, expected one of kld {expected}", folder = folder.display())]
    OtherVerb {
        /// The folder.
        folder: PathBuf,
        /// The verb that was to be found.
        expected: &'static str,
        /// The verb that it is of.
        found: String,
    },
    /// Two runs that should be one are not.
    #[error("{folder} holds another run: {difference}", folder = folder.display())]
    RunDiffers {
        /// The folder.
        folder: PathBuf,
        /// The first thing that differs.
        difference: String,
    },
    /// No run folder was given.
    #[error("nothing to report: expected at least one run folder")]
    NothingToJoin,
    /// Run folders that cannot be merged.
    #[error("{first} and {other} are not of one run; {difference}", first = first.display(), other = other.display())]
    NotOneRun {
        /// The first of them.
        first: PathBuf,
        /// The one that does not fit.
        other: PathBuf,
        /// The first thing that differs.
        difference: String,
    },
    /// Features are asked of somebody who gives logits only.
    #[error("{model} gives logits but no hidden states")]
    NoHiddenStates {
        /// Its name.
        model: String,
    },
    /// A model whose matrices were swapped for copies of themselves gave other numbers.
    #[error(
        "with nothing swapped the KL reaches {kl:e} nats, expected exactly 0: this is an error of the program, and nothing that it \
         would say of groups could be believed"
    )]
    ControlMoved {
        /// The largest KL.
        kl: f64,
    },
    /// The model or its tokenizer failed.
    #[error(transparent)]
    Model(#[from] kld_models::Error),
}

impl Error {
    /// What the system said of a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// What is wrong with a file of a run folder.
    pub(crate) fn bad_run(path: &Path, problem: String) -> Self {
        Self::BadRun {
            path: path.to_owned(),
            problem,
        }
    }
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
