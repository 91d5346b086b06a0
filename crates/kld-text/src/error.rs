//! What can go wrong between bodies of text and numbers.

use std::path::PathBuf;

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
    /// More text than may be held in memory.
    #[error(
        "{name}: more than {} MB of text up to here, and all of it is held in memory\n    hint: `kld text sample` draws an independent part", most / 1_000_000
    )]
    TooMuchText {
        /// The document that went beyond it.
        name: String,
        /// Bytes that may be held.
        most: usize,
    },
    /// Nothing is left within the limit of memory.
    #[error(
        "{source_names}: its terms are so long and so rare that none is left within {limit} terms in memory; is it text? \
         --unit chars, or a larger --max-vocabulary, may help"
    )]
    NothingKept {
        /// What was named.
        source_names: String,
        /// Terms that may be kept.
        limit: usize,
    },
    /// A file whose ending says nothing.
    #[error("{path}: expected .txt, .md, .jsonl (also with .zst) or .parquet", path = path.display())]
    UnknownTextKind {
        /// The file.
        path: PathBuf,
    },
    /// Text in another encoding, or no text.
    #[error("{name}: not UTF-8 at byte {offset} (--lossy goes on)")]
    NotUtf8 {
        /// The document.
        name: String,
        /// The first byte of the document that is wrong.
        offset: u64,
    },
    /// A file that holds a zero byte, as no text does.
    #[error("{name}: a zero byte at {offset}: expected text, this is binary or UTF-16")]
    Binary {
        /// The document.
        name: String,
        /// Where the byte is.
        offset: u64,
    },
    /// A record that is none, or has no text where it should.
    #[error("{name}: {problem}")]
    BadRecord {
        /// File and line.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Features without a row, or rows without a value.
    #[error("there are no features: expected at least one row with at least one value")]
    NoFeatures,
    /// Features that are no whole number of rows.
    #[error("{values} values are no whole number of rows of {width}")]
    RaggedFeatures {
        /// Values in all.
        values: usize,
        /// Values of a row.
        width: usize,
    },
    /// A feature that is NaN or infinite.
    #[error("feature {column} of row {row} is {value}, expected a finite number")]
    FeatureNotFinite {
        /// The row, from 0.
        row: usize,
        /// The place in the row, from 0.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// Features of different models.
    #[error(
        "rows of the reference have {reference} features, those of the candidate {candidate}: both must come from one model"
    )]
    FeatureWidths {
        /// Width of the reference's rows.
        reference: usize,
        /// Width of the candidate's rows.
        candidate: usize,
    },
    /// More buckets than there are documents to fill them.
    #[error("{buckets} buckets for {documents} documents: expected at most one for each")]
    TooManyBuckets {
        /// Buckets asked for.
        buckets: usize,
        /// Documents of both sides.
        documents: usize,
    },
    /// A text to learn from has no word.
    #[error("no word in the text")]
    NoWords,
    /// More text than one n-gram model can hold.
    #[error(
        "{symbols} different words in a text of {stream}: an n-gram model holds 2^25 and 2^32 at most"
    )]
    TooLarge {
        /// Different words.
        symbols: usize,
        /// Words and marks.
        stream: usize,
    },
    /// A file that is no learnt state, or a broken one.
    #[error("{path} is no learnt state: {problem}", path = path.display())]
    BadState {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file that is no table of counts, or not the whole of one.
    #[error("{path}: {problem}", path = path.display())]
    BadTable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Tables that do not count the same.
    #[error("one counts {here}, the other {there}: expected the same in both")]
    DifferentCounts {
        /// What the first counts.
        here: String,
        /// What the second counts.
        there: String,
    },
    /// A field that has far too many values to group by.
    #[error("the field has more than {most} values: expected one with few, such as a day")]
    TooManyGroups {
        /// How many there may be.
        most: usize,
    },
    /// A sample larger than its corpus.
    #[error(
        "the corpus has {documents} documents, fewer than the {asked} asked for: a .txt file is one document, a .jsonl file has one in each record"
    )]
    SmallCorpus {
        /// What it has.
        documents: u64,
        /// What was asked for.
        asked: u64,
    },
    /// A sample of nothing.
    #[error(
        "none of the {documents} documents could be taken: all overlap with the training text or have no words"
    )]
    NothingTaken {
        /// What the corpus has.
        documents: u64,
    },
    /// The tokenizer failed.
    #[error("cannot tokenize: {0}")]
    Tokenizer(String),
    /// A language model failed.
    #[error("{0}")]
    Model(String),
    /// The user has asked to stop.
    #[error("stopped before the end")]
    Interrupted,
    /// Counts or a distribution of these bodies are none.
    #[error("{side} {source}")]
    Core {
        /// The body.
        side: &'static str,
        /// What is wrong with it.
        source: kld_core::Error,
    },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
