//! A body once more, as the numbers of its terms.

use std::path::PathBuf;

use kld_core::Observer;

use super::known::Known;
use crate::{
    Result,
    count::{Batch, Batches, CountOptions, Terms, in_order},
};

/// The terms of a document that end in one piece of it.
pub(super) struct Stretch {
    /// The document's name.
    pub(super) name: String,
    /// The value of the field asked for.
    pub(super) by: Option<String>,
    pub(super) terms: Vec<u32>,
    /// Is it the end of the document?
    pub(super) last: bool,
}

/// Hands on the terms of all documents in order; terms that were left out of the tables are passed over.
pub(super) fn walk(
    sources: &[PathBuf],
    options: &CountOptions,
    known: &Known,
    observer: &dyn Observer,
    mut sink: impl FnMut(Stretch) -> Result<()>,
) -> Result<()> {
    let batches = Batches::of(sources, &options.read, observer)?;
    let work = |batch: Batch| stretches(batch, options, known);
    in_order(batches, options.threads, work, |stretches: Vec<Stretch>| {
        stretches.into_iter().try_for_each(&mut sink)
    })
}

fn stretches(batch: Batch, options: &CountOptions, known: &Known) -> Result<Vec<Stretch>> {
    let mut cut = Terms::new(&options.counted());
    if let Some(context) = batch.context {
        cut.warm_up(&context.read(&options.read)?.text, &options.cutter)?;
    }
    let stretch = |piece: crate::read::Piece| {
        if piece.number == 0 {
            cut.begin_document();
        }
        let last = piece.origin.last;
        let read = piece.read(&options.read)?;
        let mut terms = Vec::new();
        cut.each(&read.text, &options.cutter, |term| {
            terms.extend(known.number(&term));
        })?;
        Ok(Stretch {
            name: read.name,
            by: read.by,
            terms,
            last,
        })
    };
    batch.pieces.into_iter().map(stretch).collect()
}
