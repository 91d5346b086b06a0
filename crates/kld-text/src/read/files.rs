//! Which files there are, and what kind each of them is.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use zstd::stream::read::Decoder;

use super::{
    ReadOptions,
    columns::Columns,
    piece::{Content, Origin},
    plain::Plain,
    records::Records,
};
use crate::{Error, Result};

/// One file, or standard input.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    kind: Kind,
}

/// How a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stdin,
    Plain { compressed: bool },
    Records { compressed: bool },
    Columns,
}

/// An open file.
#[derive(Debug)]
pub(super) enum Reader {
    Plain(Plain),
    Records(Records),
    Columns(Box<Columns>),
}

/// Bytes read at once.
const BUFFER: usize = 1 << 18;

/// The files that are named, in folders and by themselves.
pub(super) fn sources(named: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in named {
        if path.as_os_str() == "-" {
            sources.push(Source {
                path: "standard input".into(),
                kind: Kind::Stdin,
            });
        } else if path.is_dir() {
            let before = sources.len();
            list(path, &mut sources)?;
            if sources.len() == before {
                return Err(Error::NoText {
                    source_names: path.display().to_string(),
                });
            }
        } else if let Some(kind) = Kind::of(path) {
            sources.push(Source {
                path: path.clone(),
                kind,
            });
        } else if let Err(source) = fs::metadata(path) {
            return Err(Error::Io {
                path: path.clone(),
                source,
            });
        } else {
            return Err(Error::UnknownTextKind { path: path.clone() });
        }
    }
    Ok(sources)
}

/// The text files of a folder and its subfolders, in the order of their paths; hidden ones are passed over.
fn list(folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    let io = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    let mut entries = fs::read_dir(folder)
        .map_err(io)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(io)?;
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it could lead round in a circle.
        if entry.file_type().map_err(io)?.is_dir() {
            list(&path, sources)?;
        } else if let Some(kind) = Kind::of(&path) {
            sources.push(Source { path, kind });
        }
    }
    Ok(())
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (name, compressed) = match name.strip_suffix(".zst") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if ends(&[".txt", ".md"]) {
            Some(Self::Plain { compressed })
        } else if ends(&[".jsonl", ".ndjson"]) {
            Some(Self::Records { compressed })
        } else if ends(&[".parquet"]) && !compressed {
            Some(Self::Columns)
        } else {
            None
        }
    }
}

impl Source {
    pub(super) fn open(self, options: &ReadOptions) -> Result<Reader> {
        let Self { path, kind } = self;
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        let open = || File::open(&path).map_err(io);
        let stream = |compressed: bool| -> Result<Box<dyn Read + Send>> {
            Ok(if compressed {
                Box::new(Decoder::new(open()?).map_err(io)?)
            } else {
                Box::new(open()?)
            })
        };
        let plain = |read| Reader::Plain(Plain::new(&path, read, options.piece_bytes));
        Ok(match kind {
            Kind::Stdin => plain(Box::new(io::stdin())),
            Kind::Plain { compressed } => plain(stream(compressed)?),
            Kind::Records { compressed } => {
                let read = BufReader::with_capacity(BUFFER, stream(compressed)?);
                Reader::Records(Records::new(&path, Box::new(read)))
            }
            Kind::Columns => Reader::Columns(Box::new(Columns::new(&path, open()?, options)?)),
        })
    }
}

impl Reader {
    /// The next piece of the file, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<(Origin, Content)>> {
        match self {
            Self::Plain(plain) => plain.next(),
            Self::Records(records) => records.next(),
            Self::Columns(columns) => columns.next(),
        }
    }
}
