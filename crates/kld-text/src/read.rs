//! Files, folders and standard input as a stream of documents, in memory that does not grow with them.
//!
//! A `.txt` or `.md` file (or standard input) is one document; in a `.jsonl` file every record is one, in a `.parquet` file every row. All but the
//! last may be compressed (`.jsonl.zst`). Folders are read in the
//! order of their paths, so the same folder gives the same documents everywhere.
//!
//! Two ways to read: [`Pieces`] hands on every document in pieces of a few kilobytes, so that a file of one line may be larger than
//! memory; [`documents`] hands on whole ones.

mod columns;
mod cut;
mod files;
mod piece;
mod plain;
mod records;

use std::{fmt, path::PathBuf};

use kld_core::{
    Observer,
    observer::{Pace, Progress},
};

pub use piece::{Origin, Piece};

use crate::{Error, Result};

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// The field of a record that holds its text; a record without it may hold `messages`.
    pub field: String,
    /// A field of records whose value is kept beside the text, such as a date.
    pub by: Option<String>,
    /// What is not UTF-8 is replaced by U+FFFD and counted, where it is otherwise an error.
    pub lossy: bool,
    /// About how many bytes of a plain text make a piece; beyond 256 pieces they grow, to 32 times as much.
    pub piece_bytes: usize,
    /// Where whole documents are read: more text than this, all documents together, is an error.
    pub most_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            field: "text".to_owned(),
            by: None,
            lossy: false,
            piece_bytes: PIECE_BYTES,
            most_bytes: usize::MAX,
        }
    }
}

/// The usual size of a piece of plain text: some 1,500 English words.
pub const PIECE_BYTES: usize = 8 << 10;

/// A text that belongs together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The file, or the file and the line of the record: `notes.jsonl:17`.
    pub name: String,
    /// What it says.
    pub text: String,
    /// The value of the field asked for by [`ReadOptions::by`].
    pub by: Option<String>,
    /// How often something that was not UTF-8 was replaced.
    pub replaced: u64,
}

/// The pieces of all documents of some sources, in order. An observer is told how much was read, and may ask to stop.
pub struct Pieces<'o> {
    options: ReadOptions,
    /// Files still to be read, the next one last.
    waiting: Vec<files::Source>,
    open: Option<files::Reader>,
    /// Documents begun.
    documents: u64,
    /// The number of the last piece in its document.
    number: u64,
    told: Told<'o>,
}

/// What an observer is told.
struct Told<'o> {
    observer: &'o dyn Observer,
    pace: Pace,
    /// Bytes of all files; `None` where there is standard input among them.
    total: Option<u64>,
    /// Bytes of the files read to their end.
    before: u64,
    /// Bytes of pieces since the observer was told.
    since: usize,
}

impl fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("waiting", &self.waiting)
            .field("documents", &self.documents)
            .finish_non_exhaustive()
    }
}

impl Told<'_> {
    /// Bytes between two looks at the observer.
    const EVERY: usize = 1 << 20;

    fn piece(&mut self, size: usize, open: &files::Reader) -> Result<()> {
        self.since += size.max(1);
        if self.since < Self::EVERY {
            return Ok(());
        }
        self.since = 0;
        if self.observer.interrupted() {
            return Err(Error::Interrupted);
        }
        let megabytes = |bytes: u64| bytes.div_ceil(1_000_000) as usize;
        self.pace.tell(self.observer, false, || Progress {
            stage: "MB read",
            done: megabytes(self.before + open.taken()),
            total: self.total.map_or(0, megabytes),
            estimate: String::new(),
        });
        Ok(())
    }
}

impl<'o> Pieces<'o> {
    /// The pieces of files, folders and `-` (standard input), in that order.
    ///
    /// # Errors
    ///
    /// If a folder cannot be listed or holds no text. A piece is an error, and the last, if it cannot be read, and where the observer has asked to
    /// stop.
    pub fn of(
        sources: &[PathBuf],
        options: &ReadOptions,
        observer: &'o dyn Observer,
    ) -> Result<Self> {
        let mut waiting = files::sources(sources)?;
        waiting.reverse();
        Ok(Self {
            options: options.clone(),
            told: Told {
                observer,
                pace: Pace::default(),
                total: waiting.iter().map(files::Source::size).sum(),
                before: 0,
                since: 0,
            },
            waiting,
            open: None,
            documents: 0,
            number: 0,
        })
    }

    fn next_piece(&mut self) -> Result<Option<Piece>> {
        loop {
            if let Some(reader) = &mut self.open {
                if let Some((origin, content)) = reader.next()? {
                    self.told.piece(content.size(), reader)?;
                    let begins = origin.offset == 0;
                    self.documents += u64::from(begins);
                    self.number = if begins { 0 } else { self.number + 1 };
                    return Ok(Some(Piece {
                        document: self.documents - 1,
                        number: self.number,
                        origin,
                        content,
                    }));
                }
                self.told.before += reader.taken();
                self.open = None;
            }
            match self.waiting.pop() {
                Some(source) => self.open = Some(source.open(&self.options)?),
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.next_piece().transpose();
        if matches!(piece, Some(Err(_))) {
            // After a failure there is no telling where reading would go on.
            (self.open, self.waiting) = (None, Vec::new());
        }
        piece
    }
}

/// The documents of files, folders and `-`, each of them whole, in order.
///
/// # Errors
///
/// If a folder cannot be listed or holds no text; every document may be an error of its own, and is then the last.
pub fn documents<'o>(
    sources: &[PathBuf],
    options: &ReadOptions,
    observer: &'o dyn Observer,
) -> Result<Documents<'o>> {
    let pieces = Pieces::of(sources, options, observer)?;
    Ok(Documents {
        pieces,
        left: options.most_bytes,
        options: options.clone(),
    })
}

/// Whole documents, in order: see [`documents`].
#[derive(Debug)]
pub struct Documents<'o> {
    pieces: Pieces<'o>,
    options: ReadOptions,
    /// Bytes that may still come.
    left: usize,
}

impl Documents<'_> {
    fn next_document(&mut self) -> Result<Option<Document>> {
        let mut document: Option<Document> = None;
        for piece in &mut self.pieces {
            let piece = piece?;
            let last = piece.origin.last;
            let part = piece.read(&self.options)?;
            let Some(left) = self.left.checked_sub(part.text.len()) else {
                return Err(Error::TooMuchText {
                    name: part.name,
                    most: self.options.most_bytes,
                });
            };
            self.left = left;
            let whole = document.get_or_insert_default();
            whole.name = part.name;
            whole.text += &part.text;
            whole.by = part.by;
            whole.replaced += part.replaced;
            if last {
                break;
            }
        }
        Ok(document)
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_document().transpose()
    }
}

/// All documents of files, folders and `-`, in memory.
///
/// # Errors
///
/// As [`documents`], and if there is no text at all.
pub fn read_documents(
    sources: &[PathBuf],
    options: &ReadOptions,
    observer: &dyn Observer,
) -> Result<Vec<Document>> {
    let all = documents(sources, options, observer)?.collect::<Result<Vec<_>>>()?;
    if all.iter().all(|document| document.text.trim().is_empty()) {
        return Err(no_text(sources));
    }
    Ok(all)
}

/// The error of sources without text.
pub(crate) fn no_text(sources: &[PathBuf]) -> Error {
    Error::NoText {
        source_names: names(sources),
    }
}

/// Sources as the user named them.
pub(crate) fn names(sources: &[PathBuf]) -> String {
    let names: Vec<String> = sources
        .iter()
        .map(|source| source.display().to_string())
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
