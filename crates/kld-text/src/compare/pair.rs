//! Two tables side by side: every term of either, with its counts in both.

use kld_core::{
    count::Counts,
    result::{PartKind, Parts},
};

use crate::{
    Error, Result,
    count::{CountTable, PARTS, Term},
};

/// Two bodies over the terms of both, in the order of the terms' bytes.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub(super) terms: Vec<&'a str>,
    pub(super) p: Side,
    pub(super) q: Side,
}

/// One body over the terms of both.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) counts: Counts,
    /// Where the counts of each term begin in `by_part`, and where the last ones end.
    bounds: Vec<usize>,
    by_part: Vec<(u8, u64)>,
    /// The parts that have terms, in order; none where only totals are known.
    parts: Vec<u8>,
    kind: PartKind,
}

impl<'a> Pair<'a> {
    pub(super) fn join(reference: &'a CountTable, candidate: &'a CountTable) -> Result<Self> {
        let (mut p, mut q) = (reference.terms().peekable(), candidate.terms().peekable());
        let (mut here, mut there) = (Columns::default(), Columns::default());
        let mut terms = Vec::new();
        loop {
            let term = match (p.peek(), q.peek()) {
                (Some(p), Some(q)) => p.term.min(q.term),
                (Some(only), None) | (None, Some(only)) => only.term,
                (None, None) => break,
            };
            here.push(p.next_if(|next| next.term == term));
            there.push(q.next_if(|next| next.term == term));
            terms.push(term);
        }
        Ok(Self {
            terms,
            p: here.side(reference, "A")?,
            q: there.side(candidate, "B")?,
        })
    }
}

#[derive(Default)]
struct Columns {
    counts: Vec<u64>,
    ends: Vec<usize>,
    by_part: Vec<(u8, u64)>,
}

impl Columns {
    fn push(&mut self, term: Option<Term>) {
        self.counts.push(term.map_or(0, |term| term.count()));
        if let Some(term) = term {
            self.by_part.extend(term.parts());
        }
        self.ends.push(self.by_part.len());
    }

    fn side(self, table: &CountTable, side: &'static str) -> Result<Side> {
        let mut has = [false; 256];
        for (part, _) in &self.by_part {
            has[usize::from(*part)] = true;
        }
        let parts = if table.has_parts() {
            (0..=u8::MAX)
                .filter(|part| has[usize::from(*part)])
                .collect()
        } else {
            Vec::new()
        };
        Ok(Side {
            counts: Counts::new(self.counts).map_err(|source| Error::Core { side, source })?,
            bounds: std::iter::once(0).chain(self.ends).collect(),
            by_part: self.by_part,
            parts,
            kind: kind(table),
        })
    }
}

fn kind(table: &CountTable) -> PartKind {
    match table.documents() {
        _ if !table.has_parts() => PartKind::Unknown,
        ..=1 => PartKind::Block,
        documents if documents <= PARTS as u64 => PartKind::Document,
        _ => PartKind::Group,
    }
}

impl Side {
    /// What it is redrawn by.
    pub(super) fn parts(&self) -> Parts {
        Parts {
            kind: self.kind,
            number: self.parts.len(),
        }
    }

    /// The parts that have terms.
    pub(super) fn part_ids(&self) -> &[u8] {
        &self.parts
    }

    /// The counts of a body that has every part as often as its weight says.
    pub(super) fn weighted(&self, weights: &[u64; 256]) -> Option<Counts> {
        let counts = self.bounds.windows(2).map(|bounds| {
            let by_part = &self.by_part[bounds[0]..bounds[1]];
            by_part
                .iter()
                .map(|(part, count)| weights[usize::from(*part)] * count)
                .sum()
        });
        Counts::new(counts.collect()).ok()
    }
}
