//! The fragments of a body, one by one, against another body: which of its documents are far from it, and when does it drift?
//!
//! A fragment is a document, a window of so many terms in a row, or all documents with the same value of a field. For each there is D(fragment‖A) after
//! Zhang and Grabchak, and its *excess* over what as many terms drawn from A have on average (`floor`), because short samples look farther than
//! they are.
//!
//! **Test.** Documents differ in more than chance, so an excess is judged by those of A's own fragments, each against the rest of A: with *N* of
//! them, k of which have an excess at least as large, p = (1 + k)/(1 + N), which is exact where the fragment might as well be one of A's. As many
//! tests are made, p is adjusted after Benjamini and Hochberg, and what stays at or below 0.05 stands out.
//!
//! A's own fragments are its documents, where documents are looked at and A has at least [`ENOUGH_DOCUMENTS`]; else windows of as many terms as B's
//! fragments have (their median).
//!
//! Both bodies are read a second time; in memory are their vocabularies, one batch of text, and some numbers for each fragment.
//!
//! V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a Random World* (2005), on p; Y. Benjamini, Y. Hochberg, "Controlling the false
//! discovery rate" (1995); S. Bates et al., "Testing for outliers with conformal p-values" (2023), on both together.

mod assemble;
pub(crate) mod floor;
mod judge;
mod known;
mod walk;

use std::path::PathBuf;

use kld_core::{
    Observer,
    result::{FragmentKind, TextFragments},
};

use self::{
    assemble::{Assembly, Whole},
    floor::Floor,
    judge::Judge,
    known::{Known, Role},
};
use crate::{
    Result,
    count::{CountOptions, CountTable},
};

/// A's documents are its own fragments where it has so many: fewer could not make p as small as 0.05.
pub const ENOUGH_DOCUMENTS: u64 = 20;

/// Fragments of one kind that are kept, at most; more values of a field are taken for a mistake.
pub const MOST_GROUPS: usize = 100_000;

/// A body as counts, and where its text is.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Its counts.
    pub table: &'a CountTable,
    /// Its text; empty where only the counts are at hand.
    pub sources: &'a [PathBuf],
}

/// Looks at the fragments of a candidate, the reference coming first.
///
/// Documents are listed up to `listed`, windows and groups all.
///
/// # Errors
///
/// If a source cannot be read, lacks the field of groups or has far too many values of it, and where the observer has asked to stop.
pub fn fragments(
    reference: Body,
    candidate: Body,
    kind: &FragmentKind,
    listed: usize,
    options: &CountOptions,
    observer: &dyn Observer,
) -> Result<TextFragments> {
    let known = Known::new(reference.table, candidate.table);
    let floor = Floor::new(reference.table);
    let cut = |body: Body, kind: &FragmentKind, sink: &mut dyn FnMut(Whole)| {
        let mut options = options.clone();
        options.read.by = match kind {
            FragmentKind::Groups { by } => Some(by.clone()),
            _ => None,
        };
        let mut assembly = Assembly::new(kind);
        walk::walk(body.sources, &options, &known, observer, |stretch| {
            assembly.take(stretch, sink)
        })?;
        Ok::<_, crate::Error>(assembly.finish(sink))
    };
    let mut judge = Judge::new(kind, listed);
    let left = cut(candidate, kind, &mut |whole| {
        judge.take(whole.judged(&known, &floor, Role::Candidate));
    })?;
    let mut own = Vec::new();
    let own_kind = own_kind(kind, reference.table, judge.median_terms());
    if !reference.sources.is_empty() {
        cut(reference, &own_kind, &mut |whole| {
            own.push(whole.judged(&known, &floor, Role::Reference).excess);
        })?;
    }
    // A whole body that is one fragment has no rest to be compared with.
    own.retain(|excess| excess.is_finite());
    Ok(judge.result(left, own_kind, own))
}

/// How the reference is cut.
fn own_kind(kind: &FragmentKind, reference: &CountTable, median_terms: u64) -> FragmentKind {
    match kind {
        FragmentKind::Documents if reference.documents() >= ENOUGH_DOCUMENTS => {
            FragmentKind::Documents
        }
        FragmentKind::Windows { terms } => FragmentKind::Windows { terms: *terms },
        _ => FragmentKind::Windows {
            terms: median_terms,
        },
    }
}
