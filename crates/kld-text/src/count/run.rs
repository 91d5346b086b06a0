//! From sources to a table: read on one thread, counted on several, merged in order.

use std::path::PathBuf;

use kld_core::{Observer, result::Counted};

use super::{
    in_order,
    parts::{of_block, of_document},
    table::CountTable,
    tally::Tally,
};
use crate::{
    Error, Result,
    read::{Piece, Pieces, ReadOptions, no_text},
    segment::Cutter,
};

/// How a body is counted.
#[derive(Clone, Debug)]
pub struct CountOptions {
    /// How files are read.
    pub read: ReadOptions,
    /// How text is cut into units.
    pub cutter: Cutter,
    /// How many units in a row make a term, from 1.
    pub ngram: usize,
    /// Above so many terms the rarest are left out.
    pub max_vocabulary: usize,
    /// Threads that count; changes no result.
    pub threads: usize,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self {
            read: ReadOptions::default(),
            cutter: Cutter::default(),
            ngram: 1,
            max_vocabulary: 1 << 22,
            threads: 1,
        }
    }
}

impl CountOptions {
    /// What is counted.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.cutter.counted(self.ngram)
    }
}

/// Bytes of text that one thread counts at a time.
const BATCH_BYTES: usize = 4 << 20;

/// Records that one thread counts at a time, however short.
const BATCH_PIECES: usize = 1 << 16;

/// Counts the terms of files, folders and `-` (standard input).
///
/// # Errors
///
/// If a source cannot be read or holds no term at all, and where the observer has asked to stop.
pub fn count(
    sources: &[PathBuf],
    options: &CountOptions,
    observer: &dyn Observer,
) -> Result<CountTable> {
    let mut table = CountTable::new(options.counted());
    let batches = Batches {
        pieces: Pieces::of(sources, &options.read)?,
        pending: None,
    };
    let work = |batch: Batch| batch.count(options);
    in_order(batches, options.threads, work, |counted: CountedBatch| {
        if observer.interrupted() {
            return Err(Error::Interrupted);
        }
        table.absorb(&counted.table);
        table.header.documents = counted.documents;
        table.prune(options.max_vocabulary);
        Ok(())
    })?;
    table.settle();
    if table.vocabulary() == 0 {
        return Err(no_text(sources));
    }
    Ok(table)
}

/// Counts the terms of texts that are in memory; each is a document.
///
/// # Errors
///
/// If the tokenizer fails.
pub fn count_texts<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    options: &CountOptions,
) -> Result<CountTable> {
    let mut tally = Tally::new(options.counted());
    for (document, text) in texts.into_iter().enumerate() {
        tally.begin_document();
        let terms = tally.count(text, of_document(document as u64), &options.cutter)?;
        let header = &mut tally.table.header;
        header.documents += 1;
        header.bytes += text.len() as u64;
        header.empty_documents += u64::from(terms == 0);
    }
    Ok(tally.table)
}

/// Pieces that one thread counts together.
struct Batch {
    /// What stands before, if the first piece goes on with a document.
    context: Option<Piece>,
    pieces: Vec<Piece>,
}

struct CountedBatch {
    table: CountTable,
    /// Documents of the body up to here.
    documents: u64,
}

/// The pieces of a body in batches, always the same ones.
struct Batches {
    pieces: Pieces,
    /// The last piece of the batch before.
    pending: Option<Piece>,
}

impl Iterator for Batches {
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

impl Batch {
    fn count(self, options: &CountOptions) -> Result<CountedBatch> {
        let mut tally = Tally::new(options.counted());
        if let Some(context) = self.context {
            tally.warm_up(&context.read(&options.read)?.text, &options.cutter)?;
        }
        let documents = self.pieces.last().map_or(0, |piece| piece.document + 1);
        for piece in self.pieces {
            let part = if piece.document == 0 {
                of_block(piece.number)
            } else {
                of_document(piece.document)
            };
            let is_whole = piece.number == 0 && piece.origin.last;
            if piece.number == 0 {
                tally.begin_document();
            }
            let read = piece.read(&options.read)?;
            let terms = tally.count(&read.text, part, &options.cutter)?;
            let header = &mut tally.table.header;
            header.bytes += read.text.len() as u64;
            header.replaced += read.replaced;
            header.empty_documents += u64::from(is_whole && terms == 0);
        }
        Ok(CountedBatch {
            table: tally.table,
            documents,
        })
    }
}
