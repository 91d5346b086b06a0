//! Files of frames: append-only, each frame with a checksum, so that what a crash left half-written is known for what it is.
//!
//! ```text
//! file   "KLDROWS" 0x01, then frames
//! frame  kind u32 · window u32 · length of the payload u32 · CRC-32 u32 · payload
//! ```
//!
//! All numbers are little-endian; the CRC-32 (ISO-HDLC) goes over the twelve bytes before it and the payload.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// The first bytes of a file of frames: its kind, and the version of its format.
pub(crate) const MAGIC: [u8; 8] = *b"KLDROWS\x01";

/// Bytes of a frame before its payload.
const HEAD: usize = 16;

/// A payload is never longer; a length beyond it is damage.
pub(crate) const MAX_PAYLOAD: usize = 1 << 30;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A process takes the file over: claims before it are void.
    Begin,
    /// The writer has begun to measure the window.
    Claim,
    /// The rows of the window.
    Rows,
}

impl Kind {
    fn code(self) -> u32 {
        match self {
            Kind::Begin => 1,
            Kind::Claim => 2,
            Kind::Rows => 3,
        }
    }

    fn of(code: u32) -> Option<Self> {
        [Kind::Begin, Kind::Claim, Kind::Rows]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// A whole frame that was found in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) window: u32,
    /// Where its payload begins in the file.
    pub(crate) offset: u64,
    /// Bytes of its payload.
    pub(crate) length: usize,
}

/// What a look into a file found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The whole frames, in the order of the file.
    pub(crate) frames: Vec<Frame>,
    /// Where they end; what stands beyond is being written, or was left half-written.
    pub(crate) end: u64,
}

/// The bytes of a frame.
pub(crate) fn encode(kind: Kind, window: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + payload.len());
    for word in [kind.code(), window, payload.len() as u32] {
        bytes.extend(word.to_le_bytes());
    }
    let checksum = checksum(&bytes, payload);
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// Finds the whole frames from `start` on; 0 is the beginning of the file. In a file that is still too short it finds none and
/// ends at 0; one that begins otherwise than it should is an error.
pub(crate) fn scan(path: &Path, start: u64) -> io::Result<Scan> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let nothing = Scan {
        frames: Vec::new(),
        end: start,
    };
    if size <= start {
        return Ok(nothing);
    }
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut end = start;
    if start == 0 {
        let mut magic = [0; MAGIC.len()];
        if read_whole(&mut reader, &mut magic)?.is_none() {
            return Ok(nothing);
        }
        if magic != MAGIC {
            let problem = "does not begin as a file of rows of this version of the format";
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        end = MAGIC.len() as u64;
    }
    let mut frames = Vec::new();
    while let Some(frame) = next(&mut reader, end, size)? {
        end = frame.offset + frame.length as u64;
        frames.push(frame);
    }
    Ok(Scan { frames, end })
}

/// The frame that begins at `at`, if all of it is there.
fn next(reader: &mut impl Read, at: u64, size: u64) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD];
    if read_whole(reader, &mut head)?.is_none() {
        return Ok(None);
    }
    let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|byte| head[4 * i + byte]));
    let (offset, length) = (at + HEAD as u64, word(2) as usize);
    let fits = length <= MAX_PAYLOAD && offset + length as u64 <= size;
    let (Some(kind), true) = (Kind::of(word(0)), fits) else {
        return Ok(None);
    };
    let mut payload = vec![0; length];
    let whole = read_whole(reader, &mut payload)?.is_some();
    Ok(
        (whole && checksum(&head[..12], &payload) == word(3)).then_some(Frame {
            kind,
            window: word(1),
            offset,
            length,
        }),
    )
}

/// Fills `bytes`; `None` where the file ends before.
fn read_whole(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<Option<()>> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The payload of a frame that [`scan`] found.
pub(crate) fn payload(path: &Path, frame: &Frame) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(frame.offset))?;
    let mut bytes = vec![0; frame.length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(head);
    hash.update(payload);
    hash.finalize()
}

/// The end of a file of frames that this process alone appends to.
#[derive(Debug)]
pub(crate) struct Appender {
    file: File,
    end: u64,
}

impl Appender {
    /// Opens a file, or makes it, and cuts off what stands beyond `end`, where its whole frames end. Returns how many bytes
    /// that were.
    pub(crate) fn open(path: &Path, end: u64) -> io::Result<(Self, u64)> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        let torn = file.metadata()?.len().saturating_sub(end);
        file.set_len(end)?;
        let mut end = end;
        if end == 0 {
            file.write_all(&MAGIC)?;
            end = MAGIC.len() as u64;
        }
        Ok((Self { file, end }, torn))
    }

    /// Appends a frame.
    ///
    /// A failure, such as a full disk, leaves the file as it was before, as far as the system lets it.
    pub(crate) fn append(&mut self, kind: Kind, window: u32, payload: &[u8]) -> io::Result<Frame> {
        if payload.len() > MAX_PAYLOAD {
            let problem = format!("the rows of window {window} take more than {MAX_PAYLOAD} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        let bytes = encode(kind, window, payload);
        let written = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(&bytes));
        if let Err(error) = written {
            // Not needed for what is read later, which knows a torn frame when it sees one.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        let offset = self.end + HEAD as u64;
        self.end += bytes.len() as u64;
        Ok(Frame {
            kind,
            window,
            offset,
            length: payload.len(),
        })
    }

    /// Waits until everything appended would survive a power cut.
    pub(crate) fn commit(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_frame_torn_at_any_byte_is_cut_and_what_stands_before_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.rows");
        let (mut file, _) = Appender::open(&path, 0).unwrap();
        file.append(Kind::Begin, 0, &[]).unwrap();
        file.append(Kind::Rows, 7, b"seven").unwrap();
        let before = scan(&path, 0).unwrap();
        file.append(Kind::Rows, 8, b"eight, and a little more")
            .unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let found = scan(&path, 0).unwrap();
            assert!(found.end as usize <= length && before.frames.starts_with(&found.frames[..]));
            if length >= before.end as usize {
                assert_eq!(found, before, "torn at {length}");
                let (mut file, torn) = Appender::open(&path, found.end).unwrap();
                assert_eq!(torn, length as u64 - before.end);
                file.append(Kind::Rows, 8, b"eight, and a little more")
                    .unwrap();
                assert_eq!(fs::read(&path).unwrap(), whole);
            }
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_frame_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.rows");
        let (mut file, _) = Appender::open(&path, 0).unwrap();
        file.append(Kind::Rows, 1, b"payload").unwrap();
        let good = fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bad).unwrap();
            match scan(&path, 0) {
                Ok(found) => assert_eq!(found.frames, [], "bit {bit}"),
                Err(error) => assert!(bit < 8 * MAGIC.len(), "bit {bit}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_appended_is_found_from_where_one_looked_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.rows");
        let (mut file, _) = Appender::open(&path, 0).unwrap();
        let first = file.append(Kind::Claim, 3, &[]).unwrap();
        let seen = scan(&path, 0).unwrap();
        assert_eq!(seen.frames, [first]);
        let second = file.append(Kind::Rows, 3, b"rows").unwrap();
        let more = scan(&path, seen.end).unwrap();
        assert_eq!(more.frames, [second]);
        assert_eq!(payload(&path, &second).unwrap(), b"rows");
    }
}
