//! Writing a recording: the opening at once, then window after window, each durable before the next.

use std::fmt::Display;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::blob::{Tensor, header};
use super::frame::{self, Kind, verify};
use super::manifest::{HeadNote, Manifest, Plan, payload};
use super::rows::{KeptRows, Sizes};
use super::{parts, tensor_type};
use crate::native::store::map;
use crate::source::OutputHead;
use crate::{Error, Result};

/// Whether a recording of hidden states has the output head in itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadPlace {
    /// It has, in the precision of the model file: the recording needs nothing else.
    #[default]
    Stored,
    /// It names the model file and its hash: smaller, and useless without that file.
    Referenced,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    /// Locked against other processes as long as it is open.
    file: File,
    /// Of each window.
    sizes: Vec<Sizes>,
    done: usize,
}

/// The output head, where hidden states are kept.
type Head<'a> = Option<(OutputHead<'a>, HeadPlace)>;

impl Recorder {
    /// Begins a recording at `path`, where there must be no file. One appears there once the opening is whole.
    ///
    /// # Errors
    ///
    /// If there is a file already, or it cannot be written.
    pub fn create(path: &Path, plan: &Plan, head: &Head) -> Result<Self> {
        if path.exists() {
            return Err(Error::recording(
                path,
                "there is a file already",
                "choose another name, or go on with that recording by --resume",
            ));
        }
        let io = |e| Error::io(path, e);
        let part = beside(path)?;
        // Not cut before it is locked: another process may be writing it.
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part);
        let file = options.map_err(io)?;
        lock(path, &file)?;
        file.set_len(0).map_err(io)?;
        let noted = head.as_ref().map(note).transpose()?;
        let sizes = sizes(plan, noted.as_ref());
        let manifest = payload(plan, noted)?;
        write_opening(&file, &manifest, head.as_ref()).map_err(io)?;
        fs::rename(&part, path).map_err(io)?;
        sync_folder(path);
        Ok(Self {
            path: path.to_owned(),
            file,
            sizes,
            done: 0,
        })
    }

    /// Goes on with a recording of the same model, text and settings, behind its last whole window.
    ///
    /// # Errors
    ///
    /// If the file is no recording, was made of something else, is damaged, or another process is writing it.
    pub fn resume(path: &Path, plan: &Plan, head: &Head) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let mut file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        lock(path, &file)?;
        let noted = head.as_ref().map(note).transpose()?;
        let (done, end) = {
            let bytes = map(path)?;
            let found = frame::read(path, &bytes)?;
            let (opening, _, frames) = parts(path, &bytes, &found.frames)?;
            check_same(path, &opening.manifest, plan, noted.as_ref())?;
            frames
                .iter()
                .try_for_each(|frame| verify(path, &bytes, frame))?;
            (frames.len(), found.end as u64)
        };
        file.set_len(end).map_err(io)?;
        file.seek(SeekFrom::Start(end)).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            sizes: sizes(plan, noted.as_ref()),
            done,
        })
    }

    /// Number of windows that the file has.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Adds the rows of the next window and makes them durable.
    ///
    /// # Errors
    ///
    /// If the file cannot be written: the recording ends with the window before.
    ///
    /// # Panics
    ///
    /// If all windows are there already.
    pub fn append(&mut self, rows: &KeptRows) -> Result<()> {
        let payload = rows.payload(self.done, self.sizes[self.done]);
        let mut out = BufWriter::new(&self.file);
        let written = frame::write(&mut out, Kind::Window, &[&payload]).and_then(|()| out.flush());
        let durable = written.and_then(|()| self.file.sync_data());
        durable.map_err(|e| Error::io(&self.path, e))?;
        self.done += 1;
        Ok(())
    }
}

fn write_opening(
    file: &File,
    manifest: &[u8],
    head: Option<&(OutputHead, HeadPlace)>,
) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    out.write_all(&frame::file_head())?;
    frame::write(&mut out, Kind::Manifest, &[manifest])?;
    if let Some((head, HeadPlace::Stored)) = head {
        let (dtype, width) = match tensor_type(head.dtype) {
            Dtype::U8 => ("U8", head.bytes.len() / head.columns),
            _ => (head.dtype.name(), head.width),
        };
        let tensor = Tensor {
            name: "head.weight",
            dtype,
            shape: vec![head.columns, width],
            bytes: head.bytes,
        };
        let header = header(("type", head.dtype.name()), &[tensor]);
        frame::write(&mut out, Kind::Head, &[&header, head.bytes])?;
    }
    out.flush()?;
    file.sync_all()
}

fn note((head, place): &(OutputHead, HeadPlace)) -> Result<HeadNote> {
    let file = match place {
        HeadPlace::Stored => None,
        HeadPlace::Referenced => {
            let file = head.path.canonicalize();
            Some(file.map_err(|e| Error::io(head.path, e))?)
        }
    };
    Ok(HeadNote {
        dtype: head.dtype.name().to_owned(),
        width: head.width,
        file,
        transform: head.transform,
    })
}

fn sizes(plan: &Plan, head: Option<&HeadNote>) -> Vec<Sizes> {
    let of = |window: &crate::Window| Sizes {
        rows: window.scored.len(),
        columns: plan.columns,
        width: head.map_or(0, |head| head.width),
    };
    plan.script.windows.iter().map(of).collect()
}

/// Refuses to go on with a recording of something else.
fn check_same(path: &Path, old: &Manifest, plan: &Plan, head: Option<&HeadNote>) -> Result<()> {
    let place = |head: Option<&HeadNote>| match head {
        None => "none",
        Some(HeadNote { file: None, .. }) => "stored",
        Some(_) => "referenced",
    };
    let (protocol, new) = (&old.protocol, &plan.script.protocol);
    let pairs: [(&str, &dyn Display, &dyn Display); 9] = [
        ("kld", &old.kld, &plan.kld),
        ("weights", &old.model.sha256, &plan.model.sha256),
        (
            "settings",
            &old.model.config_sha256,
            &plan.model.config_sha256,
        ),
        ("rows kept as", &old.keep, &plan.keep),
        ("the head", &place(old.head.as_ref()), &place(head)),
        ("protocol", &protocol.name, &new.name),
        ("context", &protocol.context, &new.context),
        ("scored positions", &protocol.scored, &new.scored),
        (
            "token stream",
            &protocol.token_stream_sha256,
            &new.token_stream_sha256,
        ),
    ];
    for (what, old, new) in pairs {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            return Err(Error::recording(
                path,
                format!("it was begun with {what} {old}, this run has {new}"),
                "repeat the command that began it, or record to another file",
            ));
        }
    }
    Ok(())
}

fn lock(path: &Path, file: &File) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::recording(
            path,
            "another process is recording to it",
            "wait for that process, or record to another file",
        )),
        Err(TryLockError::Error(error)) => Err(Error::io(path, error)),
    }
}

/// Where the opening is written before it takes its name.
fn beside(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::recording(
            path,
            "that is no name of a file",
            "name the file to record to",
        ));
    };
    Ok(path.with_file_name(format!(".{}.part", name.to_string_lossy())))
}

/// Makes a file's name durable, where the system can.
fn sync_folder(path: &Path) {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // A folder that cannot be synced costs safety at a power failure, and nothing else.
    let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
}
