//! The table of tokens reads back as what was written: all rows, and from them the same summary.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::collections::BTreeMap;

use kld_core::{
    Detailed, ModelCard, Place, Plan, RowOutcome, Summary, TokenRow, Transcript, WindowRows,
    result::{Candidate, Comparison, ProtocolRecord, RunRecord},
    row::{Observed, RowPair},
    transcript::WindowText,
};
use kld_report::{Exporter, Tokens};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use proptest::prelude::*;

/// What is drawn of one position; `None` is one without a distribution.
type Drawn = Option<(f64, f64, u32, bool)>;

fn card(name: &str) -> ModelCard {
    serde_json::from_value(serde_json::json!({
        "name": name, "sha256": "00", "format": "gguf", "family": "llama", "weights": "F32",
        "compute": "f32", "parameters": 1, "bytes": 4, "vocabulary": 4, "context_length": 8,
    }))
    .unwrap()
}

fn outcome(place: Place, drawn: Drawn) -> RowOutcome {
    let (kl, nll, token, agree) = drawn.ok_or(place)?;
    Ok(TokenRow {
        place,
        observed: token,
        nll_p: nll,
        nll_q: nll + kl,
        padding_mass_p: kl / 100.0,
        padding_mass_q: 0.0,
        pair: RowPair {
            kl,
            reverse_kl: if agree { kl * 1.1 } else { f64::INFINITY },
            js: kl / 8.0,
            entropy_p: 2.5,
            entropy_q: 2.5 + kl,
            top1_p: token,
            top1_q: if agree { token } else { (token + 1) % 4 },
            top1_prob_p: 0.5,
            top1_prob_q: 0.25,
            topk_overlap: token,
            observed: Some(Observed {
                nll_p: nll,
                nll_q: nll + kl,
                rank_p: 1,
                rank_q: 2,
            }),
            ..RowPair::default()
        },
    })
}

/// Windows of four scored positions for two candidates.
fn windows(drawn: &[Drawn]) -> Vec<WindowRows> {
    let window = |(number, drawn): (usize, &[Drawn])| {
        let rows = |shift: f64| {
            let one = |(row, drawn): (usize, &Drawn)| {
                let place = Place {
                    fragment: number as u32 / 2,
                    window: number as u32,
                    row: row as u32 + 1,
                };
                outcome(
                    place,
                    drawn.map(|(kl, nll, token, agree)| (kl + shift, nll, token, agree)),
                )
            };
            drawn.iter().enumerate().map(one).collect()
        };
        WindowRows {
            window: number as u32,
            candidates: vec![rows(0.0), rows(0.01)],
        }
    };
    drawn.chunks(4).enumerate().map(window).collect()
}

fn plan(windows: &[WindowRows]) -> Plan {
    let pieces = ["<s>", "Anne", " \"|,\n", "é", "\u{1f600}", ""].map(str::to_owned);
    let text = |rows: &WindowRows| {
        let scored = rows.candidates[0].len() as u32;
        WindowText::new(
            rows.window / 2,
            1..1 + scored,
            vec![3, 0, 1, 2, 3, 1],
            &pieces,
        )
    };
    Plan {
        reference: card("p"),
        candidates: vec![card("q"), card("r|\"\n")],
        noise_floor: false,
        protocol: ProtocolRecord {
            name: "kld".into(),
            context: 6,
            scored: "all".into(),
            fragments: 1,
            windows: windows.len(),
            tokens: 6 * windows.len(),
            token_stream_sha256: "ff".into(),
            windows_left_out: 0,
            seed: None,
        },
        transcript: Transcript {
            fragments: (0..=windows.len() / 2)
                .map(|i| format!("fragment {i}"))
                .collect(),
            windows: windows.iter().map(text).collect(),
            vocabulary: ["a", "b", "␣c", "d"].map(str::to_owned).to_vec(),
        },
        order: (0..windows.len() as u32).collect(),
        stop: None,
        warnings: Vec::new(),
    }
}

fn summary(rows: &[WindowRows], candidate: usize) -> Summary {
    let mut summary = Summary::default();
    for window in rows {
        window.candidates[candidate]
            .iter()
            .for_each(|outcome| summary.push_outcome(outcome));
    }
    summary
}

/// What is told of a summary, as text: equal bits give equal text.
fn told(plan: &Plan, rows: &[WindowRows]) -> Vec<String> {
    let candidate = |(index, card): (usize, &ModelCard)| {
        let names = &plan.transcript.fragments;
        let result =
            Candidate::from_summary(card.clone(), &summary(rows, index), names, Vec::new());
        serde_json::to_string(&result).unwrap()
    };
    plan.candidates.iter().enumerate().map(candidate).collect()
}

fn comparison(plan: &Plan, rows: &[WindowRows]) -> Comparison {
    let names = &plan.transcript.fragments;
    let candidate = |(index, card): (usize, &ModelCard)| {
        Candidate::from_summary(card.clone(), &summary(rows, index), names, Vec::new())
    };
    Comparison {
        schema: Comparison::SCHEMA.into(),
        reference: plan.reference.clone(),
        protocol: plan.protocol.clone(),
        candidates: plan.candidates.iter().enumerate().map(candidate).collect(),
        ranking: None,
        pick: None,
        sequential: None,
        noise_floor: None,
        run: RunRecord {
            version: "0".into(),
            metrics: 1,
            isa: "scalar".into(),
            threads: 1,
            elapsed_s: 0.0,
            windows_done: rows.len(),
            complete: true,
        },
    }
}

/// The table's rows by column.
fn table(result: &Detailed) -> Vec<BTreeMap<String, Field>> {
    let mut bytes = Vec::new();
    Tokens.export(result, &mut bytes).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let columns = |row: Row| row.into_columns().into_iter().collect();
    reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| columns(row.unwrap()))
        .collect()
}

/// The position that a row of the table tells of.
fn read(row: &BTreeMap<String, Field>) -> RowOutcome {
    let count = |name: &str| match &row[name] {
        Field::UInt(value) => *value,
        other => panic!("{name} is {other}"),
    };
    let real = |name: &str| match &row[name] {
        Field::Double(value) => *value,
        other => panic!("{name} is {other}"),
    };
    let place = Place {
        fragment: count("fragment_index"),
        window: count("window"),
        row: count("row"),
    };
    if row["kl_nats"] == Field::Null {
        return Err(place);
    }
    Ok(TokenRow {
        place,
        observed: count("token"),
        nll_p: real("nll_p_nats"),
        nll_q: real("nll_q_nats"),
        padding_mass_p: real("padding_mass_p"),
        padding_mass_q: real("padding_mass_q"),
        pair: RowPair {
            kl: real("kl_nats"),
            reverse_kl: real("reverse_kl_nats"),
            js: real("js_nats"),
            entropy_p: real("entropy_p_nats"),
            entropy_q: real("entropy_q_nats"),
            top1_p: count("top1_p"),
            top1_q: count("top1_q"),
            top1_prob_p: real("top1_prob_p"),
            top1_prob_q: real("top1_prob_q"),
            topk_overlap: count("top10_overlap"),
            ..RowPair::default()
        },
    })
}

#[test]
fn a_row_says_what_stands_there() {
    let rows = windows(&[Some((0.5, 1.0, 2, false)), None]);
    let plan = plan(&rows);
    let comparison = comparison(&plan, &rows);
    let detailed = Detailed {
        comparison: &comparison,
        plan: &plan,
        rows: &rows,
    };
    let table = table(&detailed);
    assert_eq!(table.len(), 4);
    let text = |row: usize, name: &str| match &table[row][name] {
        Field::Str(text) => text.clone(),
        other => panic!("{name} is {other}"),
    };
    assert_eq!(text(0, "candidate"), "q");
    assert_eq!(text(2, "candidate"), "r|\"\n");
    assert_eq!(
        (text(0, "text"), text(1, "text")),
        (" \"|,\n".into(), "é".into())
    );
    assert_eq!(
        (text(0, "top1_text_p"), text(0, "top1_text_q")),
        ("␣c".into(), "d".into())
    );
    assert_eq!(table[0]["position"], Field::UInt(2));
    assert_eq!(table[0]["reverse_kl_nats"], Field::Double(f64::INFINITY));
    assert_eq!(
        (&table[0]["finite"], &table[1]["finite"]),
        (&Field::Bool(true), &Field::Bool(false))
    );
    assert_eq!(
        (&table[1]["kl_nats"], &table[1]["top1_text_p"]),
        (&Field::Null, &Field::Null)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_table_reads_back_to_the_same_summary(
        drawn in prop::collection::vec(
            prop::option::weighted(0.95, (0.0_f64..2.0, 0.0_f64..9.0, 0_u32..4, any::<bool>())),
            1..60,
        ),
    ) {
        let rows = windows(&drawn);
        let plan = plan(&rows);
        let comparison = comparison(&plan, &rows);
        let detailed = Detailed { comparison: &comparison, plan: &plan, rows: &rows };
        let mut back: BTreeMap<u32, WindowRows> = BTreeMap::new();
        for row in table(&detailed) {
            let outcome = read(&row);
            let window = outcome.as_ref().map_or_else(|place| *place, |row| row.place).window;
            let candidate = usize::from(row["candidate"] != Field::Str("q".into()));
            let entry = back.entry(window).or_insert_with(|| WindowRows {
                window,
                candidates: vec![Vec::new(), Vec::new()],
            });
            entry.candidates[candidate].push(outcome);
        }
        let back: Vec<WindowRows> = back.into_values().collect();
        prop_assert_eq!(told(&plan, &back), told(&plan, &rows));
    }
}
