//! Parquet files: a column of text, and one beside it, row by row.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use parquet::{
    basic::Type,
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::ParquetError,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::Field,
    schema::types::ColumnDescPtr,
};

use super::{
    ReadOptions,
    piece::{Content, Origin},
};
use crate::{Error, Result};

/// A Parquet file that is being read.
pub(super) struct Columns {
    path: PathBuf,
    name: Arc<str>,
    file: SerializedFileReader<File>,
    text: usize,
    by: Option<usize>,
    /// Row groups begun.
    groups: usize,
    open: Option<Group>,
    rows: vec::IntoIter<Row>,
    row: u64,
}

/// The columns of a group of rows.
struct Group {
    text: ColumnReader,
    by: Option<ColumnReader>,
}

struct Row {
    text: Option<Vec<u8>>,
    by: Option<String>,
}

/// Rows that are decoded at once.
const ROWS: usize = 256;

impl Columns {
    /// Bytes of the file in groups of rows that were begun, whatever columns they are of.
    pub(super) fn taken(&self) -> u64 {
        let groups = self.file.metadata().row_groups().iter().take(self.groups);
        groups.map(|group| group.compressed_size() as u64).sum()
    }

    pub(super) fn new(path: &Path, file: File, options: &ReadOptions) -> Result<Self> {
        let broken = |problem: String| Error::BadRecord {
            name: path.display().to_string(),
            problem,
        };
        let file = SerializedFileReader::new(file)
            .map_err(|error| broken(format!("no Parquet file: {error}")))?;
        let (text, by) = {
            let columns = file.metadata().file_metadata().schema_descr().columns();
            let text = column(columns, &options.field, is_text).map_err(broken)?;
            let by = options.by.as_ref();
            let by = by.map(|by| column(columns, by, is_flat)).transpose();
            (text, by.map_err(broken)?)
        };
        Ok(Self {
            path: path.to_owned(),
            name: path.display().to_string().into(),
            file,
            text,
            by,
            groups: 0,
            open: None,
            rows: Vec::new().into_iter(),
            row: 0,
        })
    }

    /// The next row.
    pub(super) fn next(&mut self) -> Result<Option<(Origin, Content)>> {
        let row = match self.rows.next() {
            Some(row) => row,
            None => match self.decode() {
                Ok(rows) => {
                    self.rows = rows.into_iter();
                    match self.rows.next() {
                        Some(row) => row,
                        None => return Ok(None),
                    }
                }
                Err(error) => {
                    return Err(Error::BadRecord {
                        name: format!("{} after row {}", self.path.display(), self.row),
                        problem: error.to_string(),
                    });
                }
            },
        };
        self.row += 1;
        let origin = Origin::new(&self.name, Some(self.row), 0, true);
        match row.text {
            Some(text) => Ok(Some((origin, Content::Value { text, by: row.by }))),
            None => Err(Error::BadRecord {
                name: origin.name(),
                problem: "its text is null".to_owned(),
            }),
        }
    }

    /// The next rows; none at the end.
    fn decode(&mut self) -> Result<Vec<Row>, ParquetError> {
        loop {
            let columns = self.file.metadata().file_metadata().schema_descr_ptr();
            if let Some(group) = &mut self.open {
                let texts = texts(&mut group.text, &columns.column(self.text))?;
                let by = match (&mut group.by, self.by) {
                    (Some(by), Some(column)) => shown(by, &columns.column(column))?,
                    _ => vec![None; texts.len()],
                };
                if by.len() != texts.len() {
                    return Err(ParquetError::General(
                        "its columns differ in length".to_owned(),
                    ));
                }
                if !texts.is_empty() {
                    let rows = texts.into_iter().zip(by);
                    return Ok(rows.map(|(text, by)| Row { text, by }).collect());
                }
                self.open = None;
            }
            if self.groups == self.file.num_row_groups() {
                return Ok(Vec::new());
            }
            let group = self.file.get_row_group(self.groups)?;
            self.groups += 1;
            self.open = Some(Group {
                text: group.get_column_reader(self.text)?,
                by: self.by.map(|by| group.get_column_reader(by)).transpose()?,
            });
        }
    }
}

/// The place of a column.
fn column(
    columns: &[ColumnDescPtr],
    name: &str,
    fits: fn(&ColumnDescPtr) -> bool,
) -> Result<usize, String> {
    let found = columns
        .iter()
        .position(|column| column.path().string() == name && fits(column));
    found.ok_or_else(|| {
        let others = columns.iter().filter(|column| fits(column));
        let others: Vec<_> = others
            .map(|column| format!("{:?}", column.path().string()))
            .collect();
        format!(
            "has no column {name:?} that fits; those that do are {} (choose one with --field)",
            others.join(", ")
        )
    })
}

fn is_flat(column: &ColumnDescPtr) -> bool {
    column.max_rep_level() == 0
}

fn is_text(column: &ColumnDescPtr) -> bool {
    is_flat(column) && column.physical_type() == Type::BYTE_ARRAY
}

fn texts(
    reader: &mut ColumnReader,
    column: &ColumnDescPtr,
) -> Result<Vec<Option<Vec<u8>>>, ParquetError> {
    match reader {
        ColumnReader::ByteArrayColumnReader(reader) => {
            values(reader, column, |value| value.data().to_vec())
        }
        // The column was chosen for its type.
        _ => Err(ParquetError::General(
            "its schema contradicts its columns".to_owned(),
        )),
    }
}

/// Values as people read them: dates as dates.
fn shown(
    reader: &mut ColumnReader,
    column: &ColumnDescPtr,
) -> Result<Vec<Option<String>>, ParquetError> {
    let field = |field: Field| field.to_string();
    let shown = match reader {
        ColumnReader::BoolColumnReader(reader) => values(reader, column, ToString::to_string),
        ColumnReader::Int32ColumnReader(reader) => values(reader, column, |value| {
            field(Field::convert_int32(column, *value))
        }),
        ColumnReader::Int64ColumnReader(reader) => values(reader, column, |value| {
            field(Field::convert_int64(column, *value))
        }),
        ColumnReader::FloatColumnReader(reader) => values(reader, column, ToString::to_string),
        ColumnReader::DoubleColumnReader(reader) => values(reader, column, ToString::to_string),
        ColumnReader::ByteArrayColumnReader(reader) => values(reader, column, |value| {
            String::from_utf8_lossy(value.data()).into_owned()
        }),
        _ => Err(ParquetError::General(format!(
            "a column of {} cannot be grouped by",
            column.physical_type()
        ))),
    }?;
    let shown = shown
        .into_iter()
        .map(|value| value.or_else(|| Some("null".to_owned())));
    Ok(shown.collect())
}

/// The next values of a flat column, `None` for nulls.
fn values<T: DataType, V>(
    reader: &mut ColumnReaderImpl<T>,
    column: &ColumnDescPtr,
    of: impl Fn(&T::T) -> V,
) -> Result<Vec<Option<V>>, ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    reader.read_records(ROWS, Some(&mut levels), None, &mut values)?;
    let deepest = column.max_def_level();
    if deepest == 0 {
        return Ok(values.iter().map(|value| Some(of(value))).collect());
    }
    let mut values = values.iter();
    let present = |level: i16| (level == deepest).then(|| values.next().map(&of)).flatten();
    Ok(levels.into_iter().map(present).collect())
}

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Columns")
            .field("path", &self.path)
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}
