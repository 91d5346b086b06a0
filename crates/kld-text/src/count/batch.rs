//! Bodies in batches of pieces, each for one thread.

use std::path::PathBuf;

use kld_core::Observer;

use crate::{
    Result,
    read::{Piece, Pieces, ReadOptions},
};

/// Bytes of text that one thread counts at a time.
const BATCH_BYTES: usize = 8 << 20;

/// Records that one thread counts at a time, however short.
const BATCH_PIECES: usize = 1 << 16;

/// Pieces that one thread takes together.
pub(crate) struct Batch {
    /// What stands before, if the first piece goes on with a document.
    pub(crate) context: Option<Piece>,
    pub(crate) pieces: Vec<Piece>,
}

/// The pieces of a body in batches, always the same ones.
pub(crate) struct Batches<'o> {
    pieces: Pieces<'o>,
    /// The last piece of the batch before.
    pending: Option<Piece>,
}

impl<'o> Batches<'o> {
    pub(crate) fn of(
        sources: &[PathBuf],
        options: &ReadOptions,
        observer: &'o dyn Observer,
    ) -> Result<Self> {
        Ok(Self {
            pieces: Pieces::of(sources, options, observer)?,
            pending: None,
        })
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Batch {
            context: self.pending.take().filter(|piece| !piece.origin.last),
            pieces: Vec::new(),
        };
        let mut size = 0;
        while size < BATCH_BYTES && batch.pieces.len() < BATCH_PIECES {
            match self.pieces.next() {
                Some(Ok(piece)) => {
                    size += piece.size();
                    batch.pieces.push(piece);
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        self.pending = batch.pieces.last().cloned();
        (!batch.pieces.is_empty()).then_some(Ok(batch))
    }
}
