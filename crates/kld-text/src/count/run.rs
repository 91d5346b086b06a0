//! From sources to a table: read on one thread, counted on several, merged in order.

use std::path::PathBuf;

use kld_core::{Observer, result::Counted};

use super::{
    batch::{Batch, Batches},
    in_order,
    parts::{of_block, of_document},
    table::CountTable,
    tally::Tally,
};
use crate::{
    Error, Result,
    read::{Piece, ReadOptions, names, no_text},
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
    let batches = Batches::of(sources, &options.read, observer)?;
    let work = |batch: Batch| CountedBatch::of(batch, options);
    in_order(batches, options.threads, work, |counted: CountedBatch| {
        table.absorb(&counted.table);
        table.header.documents = counted.documents;
        table.prune(options.max_vocabulary);
        Ok(())
    })?;
    table.settle();
    if table.vocabulary() == 0 {
        return Err(nothing(&table, sources, options.max_vocabulary));
    }
    Ok(table)
}

fn nothing(table: &CountTable, sources: &[PathBuf], limit: usize) -> Error {
    match table.pruned().terms {
        0 => no_text(sources),
        _ => Error::NothingKept {
            source_names: names(sources),
            limit,
        },
    }
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
    let part = |document| of_document(document as u64);
    let mut texts: Vec<_> = texts.into_iter().enumerate().collect();
    // Changing the part costs time.
    texts.sort_by_key(|(document, _)| part(*document));
    for (document, text) in texts {
        tally.terms.begin_document();
        let terms = tally.count(text, part(document), &options.cutter)?;
        let header = tally.header();
        header.documents += 1;
        header.bytes += text.len() as u64;
        header.empty_documents += u64::from(terms == 0);
    }
    Ok(tally.finish())
}

struct CountedBatch {
    table: CountTable,
    /// Documents of the body up to here.
    documents: u64,
}

impl CountedBatch {
    fn of(batch: Batch, options: &CountOptions) -> Result<Self> {
        let mut tally = Tally::new(options.counted());
        if let Some(context) = batch.context {
            tally
                .terms
                .warm_up(&context.read(&options.read)?.text, &options.cutter)?;
        }
        let documents = batch.pieces.last().map_or(0, |piece| piece.document + 1);
        for read in in_order_of_parts(batch.pieces, &options.read)? {
            if read.number == 0 {
                tally.terms.begin_document();
            }
            let terms = tally.count(&read.text, read.part, &options.cutter)?;
            let header = tally.header();
            header.bytes += read.text.len() as u64;
            header.replaced += read.replaced;
            header.empty_documents += u64::from(read.is_whole && terms == 0);
        }
        Ok(Self {
            table: tally.finish(),
            documents,
        })
    }
}

/// The text of a piece, and where it belongs.
struct Read {
    part: u8,
    number: u64,
    is_whole: bool,
    text: String,
    replaced: u64,
}

/// Reads pieces, and puts those of one part together, as changing the part costs time. What goes on with a document, and the blocks of the first
/// one, stay at the head, so that every document keeps its order.
fn in_order_of_parts(pieces: Vec<Piece>, options: &ReadOptions) -> Result<Vec<Read>> {
    let begins = |piece: &Piece| piece.document > 0 && piece.number == 0;
    let head = pieces.iter().position(begins).unwrap_or(pieces.len());
    let mut all = pieces
        .into_iter()
        .map(|piece| read(piece, options))
        .collect::<Result<Vec<_>>>()?;
    all[head..].sort_by_key(|read| read.part);
    Ok(all)
}

fn read(piece: Piece, options: &ReadOptions) -> Result<Read> {
    let part = match piece.document {
        0 => of_block(piece.number),
        document => of_document(document),
    };
    let (number, last) = (piece.number, piece.origin.last);
    let document = piece.read(options)?;
    Ok(Read {
        part,
        number,
        is_whole: number == 0 && last,
        text: document.text,
        replaced: document.replaced,
    })
}
