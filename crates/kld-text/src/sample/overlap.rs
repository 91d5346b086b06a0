//! What documents share with a training text.
//!
//! The n-grams of the documents are held, those of the training text only looked up among them, so that it can be of any size.

use foldhash::{HashMap, HashMapExt};
use kld_core::{Observer, result::Overlap};

use super::{
    SampleOptions,
    draw::Drawn,
    grams::{Grams, hash},
};
use crate::{
    Result,
    count::{Batch, Batches, CountOptions, Terms, in_order},
};

/// What a document shares with the training text.
pub(super) enum Shared {
    /// Less than is asked for, or nothing was.
    Little,
    /// It has fewer words than an n-gram.
    TooShort,
    /// So much that it is left out.
    Much(Overlap),
}

/// Measures every document.
pub(super) fn overlaps(
    drawn: &[Drawn],
    options: &SampleOptions,
    observer: &dyn Observer,
) -> Result<Vec<Shared>> {
    if options.exclude.is_empty() {
        return Ok(drawn.iter().map(|_| Shared::Little).collect());
    }
    let mut grams = Grams::new(&options.count.cutter, options.overlap_ngram);
    let mut seen: HashMap<u64, Option<String>> = HashMap::new();
    for drawn in drawn {
        grams.each(&drawn.document.text, |gram, _| {
            seen.entry(gram).or_insert(None);
        })?;
    }
    look_up(&mut seen, options, observer)?;
    drawn
        .iter()
        .map(|drawn| shared(drawn, &seen, &mut grams, options.overlap_share))
        .collect()
}

/// Goes through the training text, and notes for each n-gram the document where it stands first.
fn look_up(
    seen: &mut HashMap<u64, Option<String>>,
    options: &SampleOptions,
    observer: &dyn Observer,
) -> Result<()> {
    let mut count = CountOptions {
        ngram: options.overlap_ngram,
        ..options.count.clone()
    };
    count.read.by = None;
    let batches = Batches::of(&options.exclude, &count.read, observer)?;
    // The threads see which n-grams are asked for; what they find is noted here, in the order of the text.
    let asked: foldhash::HashSet<u64> = seen.keys().copied().collect();
    let work = |batch: Batch| found(batch, &asked, &count);
    in_order(batches, count.threads, work, |found: Vec<Found>| {
        for Found { document, grams } in found {
            for gram in grams {
                seen.entry(gram)
                    .or_default()
                    .get_or_insert_with(|| document.clone());
            }
        }
        Ok(())
    })
}

/// The n-grams that were asked for in one piece of the training text.
struct Found {
    document: String,
    grams: Vec<u64>,
}

fn found(
    batch: Batch,
    asked: &foldhash::HashSet<u64>,
    options: &CountOptions,
) -> Result<Vec<Found>> {
    let mut terms = Terms::new(&options.counted());
    if let Some(context) = batch.context {
        terms.warm_up(&context.read(&options.read)?.text, &options.cutter)?;
    }
    let piece = |piece: crate::read::Piece| {
        if piece.number == 0 {
            terms.begin_document();
        }
        let read = piece.read(&options.read)?;
        let mut grams = Vec::new();
        terms.each(&read.text, &options.cutter, |gram| {
            grams.extend(Some(hash(&gram)).filter(|gram| asked.contains(gram)));
        })?;
        Ok(Found {
            document: read.name,
            grams,
        })
    };
    batch.pieces.into_iter().map(piece).collect()
}

fn shared(
    drawn: &Drawn,
    seen: &HashMap<u64, Option<String>>,
    grams: &mut Grams,
    least: f64,
) -> Result<Shared> {
    let (text, name) = (&drawn.document.text, &drawn.document.name);
    let set = grams.set(text)?;
    if set.is_empty() {
        return Ok(Shared::TooShort);
    }
    let is_seen = |gram: &u64| seen.get(gram).is_some_and(Option::is_some);
    let share = set.iter().filter(|gram| is_seen(gram)).count() as f64 / set.len() as f64;
    if share < least || share == 0.0 {
        return Ok(Shared::Little);
    }
    let mut first: Option<(String, String)> = None;
    grams.each(text, |gram, words| {
        if let (None, Some(Some(document))) = (&first, seen.get(&gram)) {
            first = Some((words.to_owned(), document.clone()));
        }
    })?;
    let (example, seen_in) = first.unwrap_or_default();
    Ok(Shared::Much(Overlap {
        name: name.clone(),
        share,
        example,
        seen_in,
    }))
}
