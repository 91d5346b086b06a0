//! Plain text, piece by piece.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cut::cut,
    piece::{Content, Origin},
};
use crate::{Error, Result, count::PARTS};

/// A file of plain text that is being read.
pub(super) struct Plain {
    path: PathBuf,
    name: Arc<str>,
    read: Box<dyn Read + Send>,
    piece_bytes: usize,
    /// Read and not yet handed on, from `begin` on.
    buffer: Vec<u8>,
    begin: usize,
    offset: u64,
    at_end: bool,
    done: bool,
}

/// Pieces of the first size that are read at once.
const AHEAD: usize = 2 << MOST_DOUBLINGS;

/// Pieces grow to 32 times their first size.
const MOST_DOUBLINGS: u32 = 5;

/// How often the size of pieces has doubled, given how many of the first size stand before: for the first time after twice [`PARTS`] of them, then
/// each time after as many again as stand before. So large texts are not cut finer than is of use, and yet all parts of a text are about equally large.
fn doublings(before: u64) -> u32 {
    (before / PARTS as u64)
        .checked_ilog2()
        .unwrap_or(0)
        .min(MOST_DOUBLINGS)
}

impl Plain {
    pub(super) fn new(path: &Path, read: Box<dyn Read + Send>, piece_bytes: usize) -> Self {
        Self {
            path: path.to_owned(),
            name: path.display().to_string().into(),
            read,
            piece_bytes: piece_bytes.max(16),
            buffer: Vec::new(),
            begin: 0,
            offset: 0,
            at_end: false,
            done: false,
        }
    }

    /// The next piece; an empty file has one that is empty.
    pub(super) fn next(&mut self) -> Result<Option<(Origin, Content)>> {
        if self.done {
            return Ok(None);
        }
        let limit = self.piece_bytes << doublings(self.offset / self.piece_bytes as u64);
        // One byte more than a piece tells whether it is the last.
        if self.buffer.len() - self.begin <= limit && !self.at_end {
            self.fill()?;
        }
        let rest = &self.buffer[self.begin..];
        let size = if rest.len() <= limit {
            rest.len()
        } else {
            cut(rest, limit)
        };
        self.done = size == rest.len();
        let piece = rest[..size].to_vec();
        let origin = Origin::new(&self.name, None, self.offset, self.done);
        self.begin += size;
        self.offset += size as u64;
        Ok(Some((origin, Content::Text(piece))))
    }

    fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        let wanted = (AHEAD * self.piece_bytes - self.buffer.len()) as u64;
        let read = self
            .read
            .by_ref()
            .take(wanted)
            .read_to_end(&mut self.buffer);
        let read = read.map_err(|source| Error::Io {
            path: self.path.clone(),
            source,
        })?;
        self.at_end = (read as u64) < wanted;
        Ok(())
    }
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain")
            .field("path", &self.path)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
