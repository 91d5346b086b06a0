//! Tables in files.
//!
//! `.kldcounts` holds everything, so that tables can be merged and compared later as if the texts were at hand:
//!
//! ```text
//! kldcounts 1\n
//! {"counted":…,"documents":…,…,"terms":N,"total":T}\n      one line of JSON
//! N times, in the order of the terms' bytes:
//!   length of the term · the term · number of parts · (part, one byte · count) for each, parts ascending
//! end\n
//! ```
//!
//! Lengths and counts are LEB128: seven bits a byte, the lowest first, the highest bit set in all but the last. A reader MUST refuse a file whose terms or parts
//! are not in order, whose counts do not add up to `total`, or that does not end with `end`. `.json` holds the totals alone, `.csv` only terms and totals.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::table::{CountTable, Header};
use crate::{Error, Result};

const MAGIC: &str = "kldcounts 1\n";
const END: &[u8] = b"end\n";

/// No text has a longer line of JSON at the head of its table.
const LONGEST_HEADER: u64 = 1 << 16;

/// No term is longer.
const LONGEST_TERM: u64 = 1 << 24;

/// No body has more terms.
const LARGEST_TOTAL: u64 = 1 << 48;

/// The schema of a table in JSON.
const SCHEMA: &str = "kld.counts/1";

/// What kind of file a table is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Everything.
    Full,
    /// The totals, and what is counted.
    Json,
    /// Terms and totals.
    Csv,
}

impl TableFormat {
    /// The format that a file's ending asks for.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "kldcounts" => Some(Self::Full),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct FullHeader {
    #[serde(flatten)]
    header: Header,
    terms: u64,
    total: u64,
}

#[derive(Serialize, Deserialize)]
struct Totals {
    schema: String,
    #[serde(flatten)]
    header: Header,
    terms: BTreeMap<String, u64>,
}

/// Is a file named as a table that can be read?
#[must_use]
pub fn is_table(path: &Path) -> bool {
    matches!(
        TableFormat::of(path),
        Some(TableFormat::Full | TableFormat::Json)
    )
}

/// Writes a table.
///
/// # Errors
///
/// If `out` fails.
pub fn write_table(table: &CountTable, format: TableFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        TableFormat::Full => write_full(table, out),
        TableFormat::Json => {
            let terms = table
                .terms()
                .map(|term| (term.term.to_owned(), term.count()))
                .collect();
            let header = Header {
                has_parts: false,
                ..table.header.clone()
            };
            serde_json::to_writer_pretty(
                &mut *out,
                &Totals {
                    schema: SCHEMA.to_owned(),
                    header,
                    terms,
                },
            )?;
            writeln!(out)
        }
        TableFormat::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["term", "count"])?;
            for term in table.terms() {
                csv.write_record([term.term, &term.count().to_string()])?;
            }
            csv.flush()
        }
    }
}

fn write_full(table: &CountTable, out: &mut dyn Write) -> io::Result<()> {
    let header = FullHeader {
        header: table.header.clone(),
        terms: table.vocabulary() as u64,
        total: table.total(),
    };
    writeln!(out, "{MAGIC}{}", serde_json::to_string(&header)?)?;
    for term in table.terms() {
        write_number(out, term.term.len() as u64)?;
        out.write_all(term.term.as_bytes())?;
        write_number(out, term.parts().count() as u64)?;
        for (part, count) in term.parts() {
            out.write_all(&[part])?;
            write_number(out, count)?;
        }
    }
    out.write_all(END)
}

fn write_number(out: &mut dyn Write, mut number: u64) -> io::Result<()> {
    while number >= 0x80 {
        out.write_all(&[number as u8 | 0x80])?;
        number >>= 7;
    }
    out.write_all(&[number as u8])
}

/// Reads a table that [`write_table`] wrote, in full or as JSON.
///
/// # Errors
///
/// If the file cannot be read, or is not a table from beginning to end.
pub fn read_table(path: &Path) -> Result<CountTable> {
    let broken = |problem: String| Error::BadTable {
        path: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut read = BufReader::with_capacity(1 << 18, file);
    match TableFormat::of(path) {
        Some(TableFormat::Json) => read_totals(read).map_err(broken),
        _ => read_full(&mut read).map_err(broken),
    }
}

fn read_totals(read: impl Read) -> Result<CountTable, String> {
    let totals: Totals =
        serde_json::from_reader(read).map_err(|error| format!("not {SCHEMA}: {error}"))?;
    if totals.schema != SCHEMA {
        return Err(format!(
            "its schema is {:?}, expected {SCHEMA:?}",
            totals.schema
        ));
    }
    let mut table = CountTable::new(totals.header.counted.clone());
    table.header = Header {
        has_parts: false,
        ..totals.header
    };
    let mut total = 0_u64;
    for (term, count) in &totals.terms {
        total = total.saturating_add(*count);
        if *count == 0 || total > LARGEST_TOTAL {
            return Err(format!("{term:?} has a count of {count}"));
        }
        table.add(term, 0, *count);
    }
    Ok(table)
}

fn read_full(read: &mut impl BufRead) -> Result<CountTable, String> {
    let header = read_header(read)?;
    let mut table = CountTable::new(header.header.counted.clone());
    table.header = header.header;
    let (mut before, mut total) = (String::new(), 0_u64);
    for number in 0..header.terms {
        let term = read_term(read)?;
        if number > 0 && term <= before {
            return Err(format!(
                "term {number} is {term:?}, which does not come after {before:?}"
            ));
        }
        for (part, count) in read_parts(read, &term)? {
            total = total.saturating_add(count);
            if total > header.total || (part >= 128 && table.header.documents > 1) {
                return Err(format!("the counts of {term:?} do not fit the rest"));
            }
            table.add(&term, part, count);
        }
        before = term;
    }
    let mut end = [0; END.len()];
    read.read_exact(&mut end).map_err(cut_short)?;
    if end != END || total != header.total || read.read(&mut [0]).map_err(cut_short)? != 0 {
        return Err("it does not end where its header says".to_owned());
    }
    Ok(table)
}

fn read_header(read: &mut impl BufRead) -> Result<FullHeader, String> {
    let mut magic = [0; MAGIC.len()];
    read.read_exact(&mut magic).map_err(cut_short)?;
    if magic != MAGIC.as_bytes() {
        return Err("expected a table of counts that `kld text count` wrote".to_owned());
    }
    let mut line = Vec::new();
    read.take(LONGEST_HEADER)
        .read_until(b'\n', &mut line)
        .map_err(cut_short)?;
    let header: FullHeader =
        serde_json::from_slice(&line).map_err(|error| format!("its header is broken: {error}"))?;
    if header.total > LARGEST_TOTAL || header.terms > header.total {
        return Err(format!(
            "its header has {} terms and a total of {}",
            header.terms, header.total
        ));
    }
    Ok(header)
}

fn read_term(read: &mut impl BufRead) -> Result<String, String> {
    let length = read_number(read)?;
    if length > LONGEST_TERM {
        return Err(format!("it has a term of {length} bytes"));
    }
    let mut term = Vec::new();
    read.take(length)
        .read_to_end(&mut term)
        .map_err(cut_short)?;
    if (term.len() as u64) < length {
        return Err(CUT_SHORT.to_owned());
    }
    String::from_utf8(term).map_err(|_| "it has a term that is not UTF-8".to_owned())
}

fn read_parts(read: &mut impl BufRead, term: &str) -> Result<Vec<(u8, u64)>, String> {
    let number = read_number(read)?;
    if !(1..=256).contains(&number) {
        return Err(format!("{term:?} has {number} parts"));
    }
    let mut parts: Vec<(u8, u64)> = Vec::new();
    for _ in 0..number {
        let part = read_byte(read)?;
        let count = read_number(read)?;
        if count == 0 || parts.last().is_some_and(|(before, _)| *before >= part) {
            return Err(format!("the parts of {term:?} are not in order"));
        }
        parts.push((part, count));
    }
    Ok(parts)
}

fn read_byte(read: &mut impl BufRead) -> Result<u8, String> {
    let mut byte = [0];
    read.read_exact(&mut byte).map_err(cut_short)?;
    Ok(byte[0])
}

fn read_number(read: &mut impl BufRead) -> Result<u64, String> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let byte = read_byte(read)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("it has a number beyond 2^63".to_owned())
}

const CUT_SHORT: &str = "it is cut short";

#[expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` takes"
)]
fn cut_short(error: io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        CUT_SHORT.to_owned()
    } else {
        error.to_string()
    }
}
