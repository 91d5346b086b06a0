//! Which files there are, and what kind each of them is.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
pub(super) struct Reader {
    kind: ReaderKind,
    /// Bytes that were taken from the file, where it is read from one end to the other.
    taken: Arc<AtomicU64>,
}

#[derive(Debug)]
enum ReaderKind {
    Plain(Plain),
    Records(Records),
    Columns(Box<Columns>),
}

/// A stream that counts what is taken from it.
struct Metered<R> {
    read: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(buffer)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
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
    /// Its bytes as they lie on the disk; `None` for standard input.
    pub(super) fn size(&self) -> Option<u64> {
        match self.kind {
            Kind::Stdin => None,
            // What is wrong with it is told when it is opened.
            _ => Some(fs::metadata(&self.path).map_or(0, |file| file.len())),
        }
    }

    pub(super) fn open(self, options: &ReadOptions) -> Result<Reader> {
        let Self { path, kind } = self;
        let taken = Arc::<AtomicU64>::default();
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        let open = || File::open(&path).map_err(io);
        let stream = |compressed: bool| -> Result<Box<dyn Read + Send>> {
            let metered = Metered {
                read: open()?,
                taken: Arc::clone(&taken),
            };
            Ok(if compressed {
                Box::new(Decoder::new(metered).map_err(io)?)
            } else {
                Box::new(metered)
            })
        };
        let plain = |read| ReaderKind::Plain(Plain::new(&path, read, options.piece_bytes));
        let kind = match kind {
            Kind::Stdin => plain(Box::new(Metered {
                read: io::stdin(),
                taken: Arc::clone(&taken),
            })),
            Kind::Plain { compressed } => plain(stream(compressed)?),
            Kind::Records { compressed } => {
                let read = BufReader::with_capacity(BUFFER, stream(compressed)?);
                ReaderKind::Records(Records::new(&path, Box::new(read)))
            }
            Kind::Columns => ReaderKind::Columns(Box::new(Columns::new(&path, open()?, options)?)),
        };
        Ok(Reader { kind, taken })
    }
}

impl Reader {
    /// The next piece of the file, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<(Origin, Content)>> {
        match &mut self.kind {
            ReaderKind::Plain(plain) => plain.next(),
            ReaderKind::Records(records) => records.next(),
            ReaderKind::Columns(columns) => columns.next(),
        }
    }

    /// Bytes of the file that were needed so far.
    pub(super) fn taken(&self) -> u64 {
        match &self.kind {
            ReaderKind::Columns(columns) => columns.taken(),
            _ => self.taken.load(Ordering::Relaxed),
        }
    }
}
