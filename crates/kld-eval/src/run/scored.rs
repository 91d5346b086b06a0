//! What a window of a score gave, as bytes: of one form only, and exact, so that what is read back gives the same bits as what was
//! measured, and equal windows are equal bytes.

use std::collections::HashMap;

use kld_core::Plan;

use super::payload::{Payload, Reader};
use crate::{
    frequency::Frequencies,
    score::{Sums, WindowScore, columns},
};

impl Payload for WindowScore {
    const VERB: &'static str = "score";

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024 + 8 * self.frequencies.expected.len());
        write_sums(&self.sums, &mut bytes);
        for expected in &self.frequencies.expected {
            bytes.extend(expected.to_le_bytes());
        }
        for counts in self.frequencies.tables() {
            write_counts(counts, &mut bytes);
        }
        bytes
    }

    fn decode(bytes: &[u8], window: u32, plan: &Plan) -> Option<Self> {
        let text = plan.transcript.windows.get(window as usize)?;
        let mut reader = Reader(bytes);
        let sums = reader.sums()?;
        if sums.positions.checked_add(sums.not_finite)? != text.scored.len() as u64 {
            return None;
        }
        let mut frequencies = Frequencies::new(columns(plan));
        frequencies.positions = sums.positions;
        for expected in &mut frequencies.expected {
            *expected = reader.f64()?;
        }
        let columns = frequencies.expected.len();
        for counts in frequencies.tables_mut() {
            *counts = reader.counts(columns, sums.positions)?;
        }
        reader.0.is_empty().then_some(Self {
            window,
            sums,
            frequencies,
        })
    }
}

fn write_sums(sums: &Sums, bytes: &mut Vec<u8>) {
    for count in [sums.positions, sums.not_finite, sums.bytes, sums.hits] {
        bytes.extend(count.to_le_bytes());
    }
    for sum in [
        sums.nll,
        sums.nll_of_text,
        sums.padding_mass,
        sums.entropy,
        sums.confidence,
    ] {
        bytes.extend(sum.to_le_bytes());
    }
    for (positions, hits, confidence) in sums.bins {
        bytes.extend(positions.to_le_bytes());
        bytes.extend(hits.to_le_bytes());
        bytes.extend(confidence.to_le_bytes());
    }
}

/// How often each token came, by token.
fn write_counts(counts: &HashMap<u32, u64>, bytes: &mut Vec<u8>) {
    let mut counts: Vec<(u32, u64)> = counts.iter().map(|(t, n)| (*t, *n)).collect();
    counts.sort_unstable();
    bytes.extend((counts.len() as u32).to_le_bytes());
    for (token, count) in counts {
        bytes.extend(token.to_le_bytes());
        bytes.extend(count.to_le_bytes());
    }
}

impl Reader<'_> {
    fn sums(&mut self) -> Option<Sums> {
        let mut sums = Sums {
            positions: self.u64()?,
            not_finite: self.u64()?,
            bytes: self.u64()?,
            hits: self.u64()?,
            ..Sums::default()
        };
        let numbers = self.numbers()?;
        [
            sums.nll,
            sums.nll_of_text,
            sums.padding_mass,
            sums.entropy,
            sums.confidence,
        ] = numbers;
        for bin in &mut sums.bins {
            *bin = (self.u64()?, self.u64()?, self.f64()?);
        }
        Some(sums)
    }

    /// A table that counts each of `positions` once: tokens below `columns`, in their order.
    fn counts(&mut self, columns: usize, positions: u64) -> Option<HashMap<u32, u64>> {
        let mut counts = HashMap::new();
        let (mut counted, mut least) = (0_u64, 0);
        for _ in 0..self.u32()? {
            let (token, count) = (self.u32()?, self.u64()?);
            if token < least || token as usize >= columns {
                return None;
            }
            least = token + 1;
            counted = counted.checked_add(count)?;
            counts.insert(token, count);
        }
        (counted == positions).then_some(counts)
    }
}
