//! Frames: what a recording is made of on disk.
//!
//! ```text
//! file  = magic (8 bytes) · version u32 · 0 u32 · frame …
//! frame = kind u32 · flags u32 · length u64 · SHA-256 (32 bytes) · payload (length bytes) · zeros up to a multiple of 8
//! ```
//!
//! Everything is little-endian, and payloads begin at multiples of 8, so that quantized blocks can be read where they lie. The hash covers the sixteen bytes before it and the payload, so that neither can change
//! unseen. Frames are only ever appended, each made durable before the next is begun: what an interruption can leave is
//! a torn last frame, which is no part of the recording.

use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The first bytes of every recording; the line end shows a transfer that took the file for text.
pub const MAGIC: [u8; 8] = *b"KLDREC\r\n";
/// The version of the format that is written and read.
pub const VERSION: u32 = 1;

/// Bytes before the first frame.
pub(super) const FILE_HEAD: usize = 16;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEAD: usize = 48;

/// Frames begin at multiples of it.
const ALIGNMENT: usize = 8;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who was recorded on what: the first frame.
    Manifest = 1,
    /// The output head: the second frame of a recording of hidden states, unless it is kept by reference.
    Head = 2,
    /// The rows of one window, in the order of the windows.
    Window = 3,
}

/// A frame that lies whole in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) payload: Range<usize>,
}

impl Frame {
    /// Where the next frame begins; the file may end before, if it was cut within the zeros.
    pub(super) fn end(&self) -> usize {
        self.payload.end.next_multiple_of(ALIGNMENT)
    }
}

/// The frames of a file, and where the last whole one ends.
#[derive(Debug)]
pub(super) struct Frames {
    pub(super) frames: Vec<Frame>,
    pub(super) end: usize,
}

/// The bytes before the first frame.
pub(super) fn file_head() -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head
}

/// Writes a frame whose payload is given in parts.
pub(super) fn write(out: &mut impl Write, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
    let length: u64 = parts.iter().map(|part| part.len() as u64).sum();
    let opening = opening(kind, length);
    let mut hash = Sha256::new_with_prefix(opening);
    for part in parts {
        hash.update(part);
    }
    out.write_all(&opening)?;
    out.write_all(&hash.finalize())?;
    for part in parts {
        out.write_all(part)?;
    }
    let zeros = length.next_multiple_of(ALIGNMENT as u64) - length;
    out.write_all(&[0; ALIGNMENT][..zeros as usize])
}

/// Finds the whole frames of a file. A last frame that is torn is left out; whatever else is wrong is an error.
///
/// Only the last frame's hash is looked at here: [`verify`] the others before they are used.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Frames> {
    check_file_head(path, bytes)?;
    let mut found = Frames {
        frames: Vec::new(),
        end: FILE_HEAD,
    };
    while let Some(frame) = next(path, bytes, found.end)? {
        found.end = frame.end();
        found.frames.push(frame);
    }
    if let Some(last) = found.frames.last()
        && !is_sound(bytes, last)
    {
        found.end = last.start;
        found.frames.pop();
    }
    Ok(found)
}

/// Refuses a frame whose bytes are not those that were written.
pub(super) fn verify(path: &Path, bytes: &[u8], frame: &Frame) -> Result<()> {
    if is_sound(bytes, frame) {
        return Ok(());
    }
    Err(Error::malformed(
        path,
        format!(
            "the {:?} frame at byte {} does not have the checksum it says: the file is damaged",
            frame.kind, frame.start
        )
        .to_lowercase(),
    ))
}

fn check_file_head(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.get(..8) != Some(&MAGIC) {
        return Err(Error::malformed(
            path,
            "not a recording of kld: it does not begin with KLDREC",
        ));
    }
    match (word(bytes, 8), word(bytes, 12)) {
        (Some(VERSION), Some(0)) => Ok(()),
        (Some(VERSION), Some(_)) => Err(Error::malformed(
            path,
            "the bytes behind the version are not zero: the file is damaged",
        )),
        (Some(version), Some(_)) => Err(Error::unsupported(
            path,
            format!(
                "a recording in version {version} of the format; this program reads version {VERSION}"
            ),
            "use the program that made it, or record again",
        )),
        _ => Err(Error::malformed(
            path,
            "the file ends within its first 16 bytes",
        )),
    }
}

/// The frame that begins at `start`; `None` at the end of the file and where a frame is cut off.
fn next(path: &Path, bytes: &[u8], start: usize) -> Result<Option<Frame>> {
    let Some(head) = bytes.get(start..).filter(|rest| rest.len() >= FRAME_HEAD) else {
        return Ok(None);
    };
    let (kind, flags) = (word(head, 0), word(head, 4));
    let length = head[8..].first_chunk().copied().map(u64::from_le_bytes);
    let payload = start + FRAME_HEAD;
    let end = length.and_then(|length| payload.checked_add(usize::try_from(length).ok()?));
    let Some(end) = end.filter(|&end| end <= bytes.len()) else {
        return Ok(None);
    };
    let kind = match (kind, flags) {
        (Some(1), Some(0)) => Kind::Manifest,
        (Some(2), Some(0)) => Kind::Head,
        (Some(3), Some(0)) => Kind::Window,
        // A file that was made longer before its bytes arrived.
        (Some(0), Some(0)) => return Ok(None),
        (kind, flags) => {
            let what = format!(
                "the frame at byte {start} is of kind {} with flags {}, which this version of the format does not have",
                kind.unwrap_or_default(),
                flags.unwrap_or_default()
            );
            return Err(Error::malformed(path, what));
        }
    };
    let frame = Frame {
        kind,
        start,
        payload: payload..end,
    };
    let zeros = &bytes[end..frame.end().min(bytes.len())];
    if zeros.iter().any(|byte| *byte != 0) {
        let what = format!("the frame at byte {start} is followed by something else than zeros");
        return Err(Error::malformed(path, what));
    }
    Ok(Some(frame))
}

fn is_sound(bytes: &[u8], frame: &Frame) -> bool {
    let payload = &bytes[frame.payload.clone()];
    let mut hash = Sha256::new_with_prefix(opening(frame.kind, payload.len() as u64));
    hash.update(payload);
    hash.finalize()[..] == bytes[frame.start + 16..frame.payload.start]
}

fn opening(kind: Kind, length: u64) -> [u8; 16] {
    let mut opening = [0; 16];
    opening[..4].copy_from_slice(&(kind as u32).to_le_bytes());
    opening[8..].copy_from_slice(&length.to_le_bytes());
    opening
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_le_bytes)
}
