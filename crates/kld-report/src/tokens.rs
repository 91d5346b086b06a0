//! Every scored position of every candidate as Parquet: for whoever wants to ask questions of their own.
//!
//! One row per candidate and scored position, candidates in the order given and positions in the order of the text. The columns are those of
//! [`COLUMNS`]; docs/reports.md says what they mean. To add one, add a line there and here.

use std::{
    io::{self, Write},
    sync::Arc,
};

use kld_core::{Detailed, RowOutcome, TokenRow, Transcript, transcript::WindowText};
use parquet::{
    basic::{Compression, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use crate::Exporter;

/// Parquet, one row per candidate and scored position.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokens;

/// Name and version of the table, in its metadata.
const SCHEMA: &str = "kld.tokens/1";

/// About as many rows stand in one group: what a reader must hold at once.
const ROWS_PER_GROUP: usize = 1 << 16;

/// One row of the table.
struct Record<'a> {
    candidate: &'a str,
    transcript: &'a Transcript,
    window: &'a WindowText,
    /// The number of the window.
    number: u32,
    /// The row in the window.
    row: u32,
    outcome: &'a RowOutcome,
}

/// How a column is read off a record.
enum Column {
    Text(fn(&Record) -> Option<String>),
    Count(fn(&Record) -> Option<u32>),
    Real(fn(&Record) -> Option<f64>),
    Flag(fn(&Record) -> Option<bool>),
}

use Column::{Count, Flag, Real, Text};

/// The columns in order. Those that a position without distribution has no value for are optional.
const COLUMNS: &[(&str, Column)] = &[
    ("candidate", Text(|r| Some(r.candidate.to_owned()))),
    ("fragment", Text(|r| Some(r.fragment().to_owned()))),
    ("fragment_index", Count(|r| Some(r.window.fragment))),
    ("window", Count(|r| Some(r.number))),
    ("row", Count(|r| Some(r.row))),
    ("position", Count(|r| Some(r.row + 1))),
    ("token", Count(|r| r.window.tokens.get(r.token()).copied())),
    ("text", Text(|r| Some(r.text().to_owned()))),
    (
        "finite",
        Flag(|r| Some(r.measured().is_some_and(TokenRow::is_finite))),
    ),
    ("kl_nats", Real(|r| Some(r.measured()?.pair.kl))),
    (
        "reverse_kl_nats",
        Real(|r| Some(r.measured()?.pair.reverse_kl)),
    ),
    ("js_nats", Real(|r| Some(r.measured()?.pair.js))),
    ("nll_p_nats", Real(|r| Some(r.measured()?.nll_p))),
    ("nll_q_nats", Real(|r| Some(r.measured()?.nll_q))),
    (
        "entropy_p_nats",
        Real(|r| Some(r.measured()?.pair.entropy_p)),
    ),
    (
        "entropy_q_nats",
        Real(|r| Some(r.measured()?.pair.entropy_q)),
    ),
    (
        "rank_p",
        Count(|r| Some(r.measured()?.pair.observed?.rank_p)),
    ),
    (
        "rank_q",
        Count(|r| Some(r.measured()?.pair.observed?.rank_q)),
    ),
    ("top1_p", Count(|r| Some(r.measured()?.pair.top1_p))),
    ("top1_q", Count(|r| Some(r.measured()?.pair.top1_q))),
    (
        "top1_text_p",
        Text(|r| Some(r.shown(r.measured()?.pair.top1_p))),
    ),
    (
        "top1_text_q",
        Text(|r| Some(r.shown(r.measured()?.pair.top1_q))),
    ),
    (
        "top1_prob_p",
        Real(|r| Some(r.measured()?.pair.top1_prob_p)),
    ),
    (
        "top1_prob_q",
        Real(|r| Some(r.measured()?.pair.top1_prob_q)),
    ),
    (
        "top10_overlap",
        Count(|r| Some(r.measured()?.pair.topk_overlap)),
    ),
    (
        "padding_mass_p",
        Real(|r| Some(r.measured()?.padding_mass_p)),
    ),
    (
        "padding_mass_q",
        Real(|r| Some(r.measured()?.padding_mass_q)),
    ),
];

impl Record<'_> {
    fn measured(&self) -> Option<&TokenRow> {
        self.outcome.as_ref().ok()
    }

    /// The token in the window; row i predicts token i + 1.
    fn token(&self) -> usize {
        self.row as usize + 1
    }

    fn text(&self) -> &str {
        self.window.text(self.token()..self.token() + 1)
    }

    fn fragment(&self) -> &str {
        let name = self.transcript.fragments.get(self.window.fragment as usize);
        name.map_or("", String::as_str)
    }

    /// A token as tables show it.
    fn shown(&self, token: u32) -> String {
        self.transcript.token(token).to_owned()
    }
}

impl Exporter<Detailed<'_>> for Tokens {
    fn export(&self, result: &Detailed, out: &mut dyn Write) -> io::Result<()> {
        // The writer wants to be sent between threads, which `out` may not be.
        let bytes = file(result).map_err(io::Error::other)?;
        out.write_all(&bytes)
    }
}

fn file(result: &Detailed) -> Result<Vec<u8>, ParquetError> {
    let schema = Arc::new(parse_message_type(&message())?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties(result)?))?;
    let windows = result.in_order();
    for (index, candidate) in result.comparison.candidates.iter().enumerate() {
        let records = windows.iter().flat_map(|rows| {
            let window = &result.plan.transcript.windows[rows.window as usize];
            rows.candidates[index].iter().map(move |outcome| Record {
                candidate: &candidate.model.name,
                transcript: &result.plan.transcript,
                window,
                number: rows.window,
                row: outcome
                    .as_ref()
                    .map_or_else(|place| place.row, |row| row.place.row),
                outcome,
            })
        });
        let records: Vec<Record> = records.collect();
        for records in records.chunks(ROWS_PER_GROUP) {
            group(records, writer.next_row_group()?)?;
        }
    }
    writer.into_inner()
}

/// The schema as Parquet spells it.
fn message() -> String {
    let column = |(name, column): &(&str, Column)| match column {
        Text(_) => format!("optional binary {name} (STRING);"),
        Count(_) => format!("optional int32 {name} (INTEGER(32, false));"),
        Real(_) => format!("optional double {name};"),
        Flag(_) => format!("optional boolean {name};"),
    };
    let columns: Vec<String> = COLUMNS.iter().map(column).collect();
    format!("message kld_tokens {{ {} }}", columns.join(" "))
}

fn properties(result: &Detailed) -> Result<WriterProperties, ParquetError> {
    let comparison = result.comparison;
    let entry = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let facts = vec![
        entry("schema", SCHEMA),
        entry("kld.version", &comparison.run.version),
        entry("kld.reference", &comparison.reference.name),
        entry("kld.reference.sha256", &comparison.reference.sha256),
        entry("kld.protocol", &comparison.protocol.name),
        entry(
            "kld.token_stream_sha256",
            &comparison.protocol.token_stream_sha256,
        ),
    ];
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by(format!("kld {}", comparison.run.version))
        .set_key_value_metadata(Some(facts))
        .build())
}

fn group<W: Write + Send>(
    records: &[Record],
    mut group: SerializedRowGroupWriter<'_, W>,
) -> Result<(), ParquetError> {
    let mut columns = COLUMNS.iter();
    while let (Some(mut into), Some((_, column))) = (group.next_column()?, columns.next()) {
        write(records, column, into.untyped())?;
        into.close()?;
    }
    group.close().map(drop)
}

fn write(records: &[Record], column: &Column, into: &mut ColumnWriter) -> Result<(), ParquetError> {
    match (column, into) {
        (Text(read), ColumnWriter::ByteArrayColumnWriter(into)) => {
            let text = |r: &Record| Some(ByteArray::from(read(r)?.into_bytes()));
            let (values, levels) = present(records, text);
            into.write_batch(&values, Some(&levels), None)?;
        }
        (Count(read), ColumnWriter::Int32ColumnWriter(into)) => {
            // The column is unsigned, its storage is not.
            let (values, levels) = present(records, |r| Some(read(r)?.cast_signed()));
            into.write_batch(&values, Some(&levels), None)?;
        }
        (Real(read), ColumnWriter::DoubleColumnWriter(into)) => {
            let (values, levels) = present(records, read);
            into.write_batch(&values, Some(&levels), None)?;
        }
        (Flag(read), ColumnWriter::BoolColumnWriter(into)) => {
            let (values, levels) = present(records, read);
            into.write_batch(&values, Some(&levels), None)?;
        }
        _ => unreachable!("the schema is made of the same columns"),
    }
    Ok(())
}

/// The values that are there, and for every record whether it has one (1) or not (0).
fn present<T>(records: &[Record], read: impl Fn(&Record) -> Option<T>) -> (Vec<T>, Vec<i16>) {
    let mut values = Vec::with_capacity(records.len());
    let levels = records.iter().map(|record| {
        let value = read(record);
        let is_there = i16::from(value.is_some());
        values.extend(value);
        is_there
    });
    let levels = levels.collect();
    (values, levels)
}
