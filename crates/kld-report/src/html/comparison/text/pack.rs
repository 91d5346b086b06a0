//! What both models expected at every position, in few bytes: little-endian, in base64.
//!
//! ```text
//! reference  per position: the token that came, expected
//! candidate  per position: KL, expected
//! expected   nll of the token that came · its rank · number of likely tokens · for each: token, nll
//! ```
//!
//! Tokens, ranks and numbers are LEB128, tokens being indices into the page's vocabulary, most frequent first. An nll is a u16 in
//! thousandths of a nat, a KL the u16 `40000 + 1000·ln KL`: both keep 0.05 % of a probability or a KL, of which three digits are
//! shown. 0 stands for a KL of exactly 0, and 65535 for what is not finite.

use std::{cmp::Reverse, collections::BTreeMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use kld_core::{
    Transcript,
    excerpt::{Excerpt, Stretch},
    row::{Likely, TokenRow},
};
use serde::Serialize;

/// Less likely tokens are not worth their bytes.
const LEAST_PROB: f32 = 1e-3;

/// Stands for what is not finite.
const NOT_FINITE: u16 = u16::MAX;

/// The packed positions of all stretches, one behind the other.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Packed {
    reference: String,
    candidates: Vec<String>,
}

impl Packed {
    pub(super) fn new(excerpt: &Excerpt, transcript: &Transcript, vocabulary: &Vocabulary) -> Self {
        let mut reference = Writer::new(vocabulary);
        for stretch in &excerpt.stretches {
            for (position, token) in observed(stretch, transcript).enumerate() {
                reference.token(token);
                let row = row_of_any(stretch, excerpt.candidates, position);
                reference.side(row, Side::Reference);
            }
        }
        let candidate = |index| {
            let mut writer = Writer::new(vocabulary);
            let stretches = excerpt.stretches.iter();
            for outcome in stretches.flat_map(|stretch| stretch.candidate(index)) {
                let row = outcome.as_ref().ok();
                writer.u16(row.map_or(NOT_FINITE, kl));
                writer.side(row, Side::Candidate);
            }
            writer.base64()
        };
        Self {
            candidates: (0..excerpt.candidates).map(candidate).collect(),
            reference: reference.base64(),
        }
    }
}

/// The tokens that the text has at the scored positions.
fn observed<'a>(stretch: &Stretch, transcript: &'a Transcript) -> impl Iterator<Item = u32> + 'a {
    let window = &transcript.windows[stretch.rows.window as usize];
    let first = window.scored.start as usize + stretch.range.start + 1;
    window.tokens[first..first + stretch.positions()]
        .iter()
        .copied()
}

/// What was measured at a position of any candidate: the reference is the same in all.
fn row_of_any<'a>(
    stretch: &Stretch<'a>,
    candidates: usize,
    position: usize,
) -> Option<&'a TokenRow> {
    (0..candidates).find_map(|index| stretch.candidate(index)[position].as_ref().ok())
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Reference,
    Candidate,
}

impl Side {
    fn likely(self, row: &TokenRow) -> impl Iterator<Item = &Likely> {
        let all = match self {
            Side::Reference => &row.pair.likely_p,
            Side::Candidate => &row.pair.likely_q,
        };
        all.iter().filter(|likely| likely.prob >= LEAST_PROB)
    }

    /// nll and rank of the token that came.
    fn observed(self, row: &TokenRow) -> (f64, u32) {
        let rank = row.pair.observed.map_or((0, 0), |o| (o.rank_p, o.rank_q));
        match self {
            Side::Reference => (row.nll_p, rank.0),
            Side::Candidate => (row.nll_q, rank.1),
        }
    }
}

/// The tokens that a page names, most frequent first: those have the shortest numbers.
#[derive(Debug)]
pub(super) struct Vocabulary {
    tokens: Vec<u32>,
    indices: BTreeMap<u32, usize>,
}

impl Vocabulary {
    pub(super) fn of(excerpt: &Excerpt, transcript: &Transcript) -> Self {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        let mut add = |token| *counts.entry(token).or_default() += 1;
        for stretch in &excerpt.stretches {
            observed(stretch, transcript).for_each(&mut add);
            let rows = |index| stretch.candidate(index).iter().flatten();
            for row in (0..excerpt.candidates).flat_map(rows) {
                let likely = Side::Reference
                    .likely(row)
                    .chain(Side::Candidate.likely(row));
                likely.for_each(|likely| add(likely.token));
            }
        }
        let mut tokens: Vec<u32> = counts.keys().copied().collect();
        tokens.sort_by_key(|token| Reverse(counts[token]));
        let indices = tokens.iter().enumerate().map(|(i, token)| (*token, i));
        Self {
            indices: indices.collect(),
            tokens,
        }
    }

    /// How the tokens are shown.
    pub(super) fn texts<'a>(&self, transcript: &'a Transcript) -> Vec<&'a str> {
        let text = |token: &u32| transcript.token(*token);
        self.tokens.iter().map(text).collect()
    }
}

struct Writer<'a> {
    vocabulary: &'a Vocabulary,
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(vocabulary: &'a Vocabulary) -> Self {
        Self {
            vocabulary,
            bytes: Vec::new(),
        }
    }

    /// What one model expected; nothing where nothing was measured.
    fn side(&mut self, row: Option<&TokenRow>, side: Side) {
        let (nll, rank) = row.map_or((f64::INFINITY, 0), |row| side.observed(row));
        self.u16(thousandths(nll));
        self.number(rank as usize);
        self.number(row.map_or(0, |row| side.likely(row).count()));
        for likely in row.into_iter().flat_map(|row| side.likely(row)) {
            self.token(likely.token);
            self.u16(thousandths(-f64::from(likely.prob).ln()));
        }
    }

    fn token(&mut self, token: u32) {
        self.number(self.vocabulary.indices[&token]);
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn number(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn base64(&self) -> String {
        BASE64_STANDARD.encode(&self.bytes)
    }
}

fn thousandths(nats: f64) -> u16 {
    if nats.is_finite() {
        (1000.0 * nats)
            .round()
            .clamp(0.0, f64::from(NOT_FINITE - 1)) as u16
    } else {
        NOT_FINITE
    }
}

fn kl(row: &TokenRow) -> u16 {
    match row.pair.kl {
        _ if !row.is_finite() => NOT_FINITE,
        0.0 => 0,
        kl => (40_000.0 + 1000.0 * kl.ln())
            .round()
            .clamp(1.0, f64::from(NOT_FINITE - 1)) as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_packed_as_the_page_reads_them() {
        let vocabulary = Vocabulary {
            tokens: Vec::new(),
            indices: BTreeMap::new(),
        };
        let mut writer = Writer::new(&vocabulary);
        writer.number(300);
        writer.u16(thousandths(0.25));
        assert_eq!(writer.bytes, [0xac, 0x02, 250, 0]);
        assert_eq!(thousandths(f64::INFINITY), 65535);
        assert_eq!(thousandths(1e9), 65534);
    }
}
