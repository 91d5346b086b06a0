//! The rows of a window as bytes: of fixed layout and exact, so that what is read back gives the same bits as what was measured.

use kld_core::{Place, Plan, RowOutcome, TokenRow, WindowRows};
use kld_kernels::{Likely, NAMED, Observed, RowPair};

/// What one window gives, as a run folder stores it.
pub trait Payload: Send + Sized {
    /// The verb whose runs hold it.
    const VERB: &'static str;

    /// Its bytes.
    fn encode(&self) -> Vec<u8>;

    /// What [`encode`](Payload::encode) wrote of this window of this plan; `None` where the bytes cannot be that.
    fn decode(bytes: &[u8], window: u32, plan: &Plan) -> Option<Self>;
}

/// Bytes of a scored position.
const RECORD: usize = 224;
/// The position has numbers; without it, its logits were no distribution.
const MEASURED: u32 = 1;
/// The observed token has likelihood and rank.
const OBSERVED: u32 = 2;

impl Payload for WindowRows {
    const VERB: &'static str = "compare";

    fn encode(&self) -> Vec<u8> {
        let rows = self.candidates.iter().flatten();
        let mut bytes = Vec::with_capacity(RECORD * rows.clone().count());
        rows.for_each(|row| write_row(row, &mut bytes));
        bytes
    }

    fn decode(bytes: &[u8], window: u32, plan: &Plan) -> Option<Self> {
        let text = plan.transcript.windows.get(window as usize)?;
        let rows = text.scored.len();
        if bytes.len() != rows * plan.candidates.len() * RECORD {
            return None;
        }
        let row = |(row, bytes): (u32, &[u8])| {
            let place = Place {
                fragment: text.fragment,
                window,
                row,
            };
            let observed = *text.tokens.get(row as usize + 1)?;
            Reader(bytes).row(place, observed)
        };
        let candidate = |bytes: &[u8]| {
            text.scored
                .clone()
                .zip(bytes.chunks_exact(RECORD))
                .map(row)
                .collect()
        };
        let candidates = if rows == 0 {
            vec![Vec::new(); plan.candidates.len()]
        } else {
            bytes
                .chunks_exact(rows * RECORD)
                .map(candidate)
                .collect::<Option<_>>()?
        };
        Some(Self { window, candidates })
    }
}

/// Where a position stands and which token came there is known from the plan; all else is written.
fn write_row(row: &RowOutcome, bytes: &mut Vec<u8>) {
    let Ok(row) = row else {
        bytes.resize(bytes.len() + RECORD, 0);
        return;
    };
    let pair = &row.pair;
    let observed = pair.observed.unwrap_or(Observed {
        nll_p: 0.0,
        nll_q: 0.0,
        rank_p: 0,
        rank_q: 0,
    });
    let flags = MEASURED | if pair.observed.is_some() { OBSERVED } else { 0 };
    let words = [
        flags,
        pair.top1_p,
        pair.top1_q,
        pair.topk_overlap,
        observed.rank_p,
        observed.rank_q,
    ];
    let numbers = [
        pair.kl,
        pair.reverse_kl,
        pair.js,
        pair.entropy_p,
        pair.entropy_q,
        pair.log_sum_exp_p,
        pair.log_sum_exp_q,
        pair.top1_prob_p,
        pair.top1_prob_q,
        observed.nll_p,
        observed.nll_q,
        row.nll_p,
        row.nll_q,
        row.padding_mass_p,
        row.padding_mass_q,
    ];
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    for likely in pair.likely_p.iter().chain(&pair.likely_q) {
        bytes.extend(likely.token.to_le_bytes());
        bytes.extend(likely.prob.to_le_bytes());
    }
}

/// Takes little-endian numbers from the front of some bytes; `None` where they are used up.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn row(mut self, place: Place, observed: u32) -> Option<RowOutcome> {
        let flags = self.u32()?;
        if flags & MEASURED == 0 {
            return Some(Err(place));
        }
        let [top1_p, top1_q, topk_overlap, rank_p, rank_q] = self.words()?;
        let [kl, reverse_kl, js, entropy_p, entropy_q] = self.numbers()?;
        let [log_sum_exp_p, log_sum_exp_q, top1_prob_p, top1_prob_q] = self.numbers()?;
        let [seen_p, seen_q, nll_p, nll_q] = self.numbers()?;
        let [padding_mass_p, padding_mass_q] = self.numbers()?;
        let seen = Observed {
            nll_p: seen_p,
            nll_q: seen_q,
            rank_p,
            rank_q,
        };
        let pair = RowPair {
            kl,
            reverse_kl,
            js,
            entropy_p,
            entropy_q,
            log_sum_exp_p,
            log_sum_exp_q,
            top1_p,
            top1_q,
            top1_prob_p,
            top1_prob_q,
            topk_overlap,
            likely_p: self.likely()?,
            likely_q: self.likely()?,
            observed: (flags & OBSERVED != 0).then_some(seen),
        };
        Some(Ok(TokenRow {
            place,
            observed,
            pair,
            nll_p,
            nll_q,
            padding_mass_p,
            padding_mass_q,
        }))
    }

    fn likely(&mut self) -> Option<[Likely; NAMED]> {
        let mut likely = [Likely::default(); NAMED];
        for entry in &mut likely {
            entry.token = self.u32()?;
            entry.prob = f32::from_bits(self.u32()?);
        }
        Some(likely)
    }

    fn words<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u32()?;
        }
        Some(words)
    }

    pub(crate) fn numbers<const N: usize>(&mut self) -> Option<[f64; N]> {
        let mut numbers = [0.0; N];
        for number in &mut numbers {
            *number = self.f64()?;
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use kld_core::{ModelCard, Transcript, result::ProtocolRecord, transcript::WindowText};
    use proptest::prelude::*;

    use super::*;

    /// A plan of one window of four tokens, rows 1 and 2 scored, for two candidates.
    fn plan() -> Plan {
        let card: ModelCard = serde_json::from_value(serde_json::json!({
            "name": "m", "sha256": "", "format": "gguf", "family": "", "weights": "", "compute": "", "parameters": 0,
            "bytes": 0, "vocabulary": 0, "context_length": 0,
        }))
        .unwrap();
        let protocol: ProtocolRecord = serde_json::from_value(serde_json::json!({
            "name": "kld", "context": 4, "scored": "second-half", "fragments": 1, "windows": 1, "tokens": 4,
            "token_stream_sha256": "", "windows_left_out": 0, "seed": null,
        }))
        .unwrap();
        let window = WindowText::new(5, 1..3, vec![10, 11, 12, 13], &[]);
        Plan {
            reference: card.clone(),
            candidates: vec![card.clone(), card],
            protocol,
            transcript: Transcript {
                windows: vec![window],
                ..Transcript::default()
            },
            order: vec![0],
            noise_floor: false,
            stop: None,
            warnings: Vec::new(),
        }
    }

    /// Any bits at all: NaN with its payload, −0, infinities.
    fn any_bits() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits)
    }

    fn likely() -> impl Strategy<Value = [Likely; NAMED]> {
        let one = (any::<u32>(), any::<u32>()).prop_map(|(token, prob)| Likely {
            token,
            prob: f32::from_bits(prob),
        });
        proptest::array::uniform5(one)
    }

    fn outcome() -> impl Strategy<Value = Option<(RowPair, [f64; 4])>> {
        let numbers = proptest::array::uniform15(any_bits());
        let words = proptest::array::uniform6(any::<u32>());
        let row = (numbers, words, likely(), likely(), any::<bool>()).prop_map(
            |(x, w, likely_p, likely_q, seen)| {
                let observed = Observed {
                    nll_p: x[9],
                    nll_q: x[10],
                    rank_p: w[3],
                    rank_q: w[4],
                };
                let pair = RowPair {
                    kl: x[0],
                    reverse_kl: x[1],
                    js: x[2],
                    entropy_p: x[3],
                    entropy_q: x[4],
                    log_sum_exp_p: x[5],
                    log_sum_exp_q: x[6],
                    top1_p: w[0],
                    top1_q: w[1],
                    top1_prob_p: x[7],
                    top1_prob_q: x[8],
                    topk_overlap: w[2],
                    likely_p,
                    likely_q,
                    observed: seen.then_some(observed),
                };
                (pair, [x[11], x[12], x[13], x[14]])
            },
        );
        proptest::option::of(row)
    }

    proptest! {
        #[test]
        fn rows_are_read_back_to_the_bit(rows in proptest::array::uniform4(outcome())) {
            let plan = plan();
            let mut rows = rows.into_iter();
            let mut candidate = || (1..3).zip(rows.by_ref()).map(|(row, outcome)| {
                let place = Place { fragment: 5, window: 0, row };
                let measured = |(pair, [nll_p, nll_q, padding_mass_p, padding_mass_q]): (_, [f64; 4])| TokenRow {
                    place, observed: 11 + row, pair, nll_p, nll_q, padding_mass_p, padding_mass_q,
                };
                outcome.map(measured).ok_or(place)
            }).collect();
            let rows = WindowRows { window: 0, candidates: vec![candidate(), candidate()] };
            let bytes = rows.encode();
            let back = WindowRows::decode(&bytes, 0, &plan).unwrap();
            // As text, because NaN is not equal to itself; the bytes hold its bits.
            prop_assert_eq!(format!("{back:?}"), format!("{rows:?}"));
            prop_assert_eq!(back.encode(), bytes);
        }
    }

    #[test]
    fn bytes_that_cannot_be_the_rows_of_a_window_are_none() {
        let plan = plan();
        for length in [0, 1, RECORD, 4 * RECORD - 1, 4 * RECORD + 1, 5 * RECORD] {
            assert_eq!(WindowRows::decode(&vec![0; length], 0, &plan), None);
        }
        assert_eq!(WindowRows::decode(&[0; 4 * RECORD], 1, &plan), None);
    }
}
