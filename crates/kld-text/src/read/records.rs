//! Records, one in each line.

use std::{
    fmt,
    io::{BufRead, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::piece::{Content, Origin};
use crate::{Error, Result};

/// A file of records that is being read.
pub(super) struct Records {
    path: PathBuf,
    name: Arc<str>,
    read: Box<dyn BufRead + Send>,
    line: u64,
}

/// A record larger than this is taken for something else; it would have to be held in memory as a whole.
const LARGEST_RECORD: u64 = 256 << 20;

impl Records {
    pub(super) fn new(path: &Path, read: Box<dyn BufRead + Send>) -> Self {
        Self {
            path: path.to_owned(),
            name: path.display().to_string().into(),
            read,
            line: 0,
        }
    }

    /// The next line that is not blank.
    pub(super) fn next(&mut self) -> Result<Option<(Origin, Content)>> {
        loop {
            let mut bytes = Vec::new();
            let read = self
                .read
                .by_ref()
                .take(LARGEST_RECORD + 1)
                .read_until(b'\n', &mut bytes);
            let read = read.map_err(|source| Error::Io {
                path: self.path.clone(),
                source,
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            let origin = Origin::new(&self.name, Some(self.line), 0, true);
            if read as u64 > LARGEST_RECORD {
                let problem = format!(
                    "a record of more than {} MiB in one line",
                    LARGEST_RECORD >> 20
                );
                return Err(Error::BadRecord {
                    name: origin.name(),
                    problem,
                });
            }
            if self.line == 1 && bytes.starts_with("\u{feff}".as_bytes()) {
                bytes.drain(..3);
            }
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some((origin, Content::Record(bytes))));
            }
        }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("path", &self.path)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}
