//! TensorBoard's event files: scalars read and written.
//!
//! A file is a row of records: the length of the data (u64), a check of the length, the data, a check of the data; little-endian. A check is
//! the CRC-32C of the bytes, turned right by 15 bits and increased by 0xa282ead8 (u32). The data of each is a message `Event` of
//! TensorFlow's `event.proto`: 1 wall time (double), 2 step, 3 version, 5 summary, 7 session; a summary has values (1), each with a tag (1) and either
//! a simple value (2, float), as PyTorch and tensorboardX write it, or a tensor of one number (8), as TensorFlow 2 does; a session has a status (1).

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use kld_core::series::Point;

use crate::{
    Error, Result,
    json::Gathered,
    protobuf::{Field, Fields, put},
};

/// The longest record that is believed; images and graphs are far smaller, and are skipped.
const LONGEST: u64 = 1 << 28;
/// Files begun in the same second.
const MOST: u32 = 999;
/// What the first event of every file says.
const VERSION: &[u8] = b"brain.Event:2";

/// The status of a session that begins.
const START: u64 = 1;

/// Adds the scalars of a file to those of the files before it in its folder. Where a session begins, what was told from its step on counts no
/// more: the trainer went on from a checkpoint before. A record that breaks off at the end is still being written.
pub(crate) fn read_into(path: &Path, gathered: &mut Gathered) -> Result<()> {
    let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut at = 0_u64;
    loop {
        let data = match record(&mut file) {
            Ok(Some(data)) => data,
            Ok(None) => return Ok(()),
            Err(Damage::Io(error)) => return Err(Error::io(path)(error)),
            Err(Damage::Bad(problem)) => {
                return Err(Error::bad(
                    path,
                    format!("the record at byte {at}: {problem}"),
                ));
            }
        };
        if at == 0 && !is_first(&data) {
            let problem = "the first record is not that of an event file";
            return Err(Error::bad(path, problem));
        }
        let broken = |problem| Error::bad(path, format!("the event at byte {at}: {problem}"));
        let event = Event::read(&data).map_err(broken)?;
        if event.begins_session {
            for points in gathered.values_mut() {
                points.retain(|point| point.step < event.step);
            }
        }
        for (tag, value) in event.scalars {
            let point = Point::bare(event.step, value);
            gathered.entry(tag).or_default().push(point);
        }
        at += data.len() as u64 + 16;
    }
}

enum Damage {
    Io(io::Error),
    Bad(String),
}

/// The data of the next record; `None` where there is no whole one any more.
fn record(file: &mut impl Read) -> Result<Option<Vec<u8>>, Damage> {
    let mut head = [0; 12];
    if !fill(file, &mut head)? {
        return Ok(None);
    }
    let (length, check) = head.split_at(8);
    if check != masked(length) {
        return Err(Damage::Bad(
            "the check of its length does not fit: no event file, or damaged".to_owned(),
        ));
    }
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    if length > LONGEST {
        return Err(Damage::Bad(format!("it says that it has {length} bytes")));
    }
    let mut data = Vec::new();
    let read = file.take(length).read_to_end(&mut data);
    let mut check = [0; 4];
    if (read.map_err(Damage::Io)? as u64) < length || !fill(file, &mut check)? {
        return Ok(None);
    }
    if check != masked(&data) {
        return Err(Damage::Bad(
            "the check of its data does not fit: the file is damaged".to_owned(),
        ));
    }
    Ok(Some(data))
}

/// Fills a buffer; false where the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Result<bool, Damage> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Damage::Io(error)),
    }
}

fn is_first(event: &[u8]) -> bool {
    let mut fields = Fields::of(event);
    while let Ok(Some((number, field))) = fields.next_field() {
        if let (3, Field::Bytes(version)) = (number, field) {
            return version.starts_with(b"brain.Event:");
        }
    }
    false
}

/// What is used of an event.
struct Event {
    step: f64,
    begins_session: bool,
    scalars: Vec<(String, f64)>,
}

impl Event {
    fn read(data: &[u8]) -> Result<Self, &'static str> {
        let (mut step, mut summary, mut session) = (0_i64, None, None);
        let mut fields = Fields::of(data);
        while let Some((number, field)) = fields.next_field()? {
            match (number, field) {
                (2, Field::Whole(value)) => step = value.cast_signed(),
                (5, Field::Bytes(bytes)) => summary = Some(bytes),
                (7, Field::Bytes(bytes)) => session = Some(bytes),
                _ => {}
            }
        }
        let mut scalars = Vec::new();
        let mut fields = Fields::of(summary.unwrap_or_default());
        while let Some((number, field)) = fields.next_field()? {
            if let (1, Field::Bytes(value)) = (number, field) {
                scalars.extend(scalar(value)?);
            }
        }
        let mut begins_session = false;
        let mut fields = Fields::of(session.unwrap_or_default());
        while let Some((number, field)) = fields.next_field()? {
            if let (1, Field::Whole(status)) = (number, field) {
                begins_session = status == START;
            }
        }
        Ok(Self {
            step: step as f64,
            begins_session,
            scalars,
        })
    }
}

/// The tag and number of a summary's value; `None` of images, texts and histograms.
fn scalar(value: &[u8]) -> Result<Option<(String, f64)>, &'static str> {
    let (mut tag, mut number) = (String::new(), None);
    let mut fields = Fields::of(value);
    while let Some((field_number, field)) = fields.next_field()? {
        match (field_number, field) {
            (1, Field::Bytes(name)) => tag = String::from_utf8_lossy(name).into_owned(),
            (2, Field::Four(bytes)) => number = Some(f64::from(f32::from_le_bytes(bytes))),
            (8, Field::Bytes(tensor)) => number = tensor_number(tensor)?,
            _ => {}
        }
    }
    Ok(number.map(|number| (tag, number)))
}

/// The number of a tensor that has one: 1 type (1 float, 2 double), 4 content, 5 floats, 6 doubles.
fn tensor_number(tensor: &[u8]) -> Result<Option<f64>, &'static str> {
    let (mut kind, mut bytes) = (0, None);
    let mut fields = Fields::of(tensor);
    while let Some((number, field)) = fields.next_field()? {
        match (number, field) {
            (1, Field::Whole(value)) => kind = value,
            (4..=6, Field::Bytes(value)) if !value.is_empty() => bytes = Some(value.to_vec()),
            (5, Field::Four(value)) => bytes = Some(value.to_vec()),
            (6, Field::Eight(value)) => bytes = Some(value.to_vec()),
            _ => {}
        }
    }
    let bytes = bytes.unwrap_or_default();
    Ok(match kind {
        1 => bytes.try_into().ok().map(f32::from_le_bytes).map(f64::from),
        2 => bytes.try_into().ok().map(f64::from_le_bytes),
        _ => None,
    })
}

/// An event file that is written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file in a folder, with the time (seconds since 1970) in its name, by which TensorBoard orders the files of a run. What the
    /// files before it told from the step `from` on counts no more: it will be told again.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn create(folder: &Path, wall_time_s: f64, from: u64) -> Result<Self> {
        let mut number = 0;
        let (path, file) = loop {
            let name = format!("events.out.tfevents.{wall_time_s:010.0}.kld.{number:03}");
            let path = folder.join(name);
            let file = OpenOptions::new().append(true).create_new(true).open(&path);
            match file {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < MOST => {
                    number += 1;
                }
                file => break (path.clone(), file.map_err(Error::io(&path))?),
            }
        };
        let mut events = Self { path, file };
        events.event(wall_time_s, &[(3, Field::Bytes(VERSION))])?;
        let mut session = Vec::new();
        put(&mut session, 1, Field::Whole(START));
        let fields = [(2, Field::Whole(from)), (7, Field::Bytes(&session))];
        events.event(wall_time_s, &fields)?;
        Ok(events)
    }

    /// Writes the values of tags after a step; TensorBoard keeps values as 32-bit floats.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn scalars(&mut self, step: u64, wall_time_s: f64, values: &[(&str, f64)]) -> Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut told = Vec::new();
            put(&mut told, 1, Field::Bytes(tag.as_bytes()));
            put(&mut told, 2, Field::Four((*value as f32).to_le_bytes()));
            put(&mut summary, 1, Field::Bytes(&told));
        }
        let fields = [(2, Field::Whole(step)), (5, Field::Bytes(&summary))];
        self.event(wall_time_s, &fields)
    }

    fn event(&mut self, wall_time_s: f64, fields: &[(u64, Field)]) -> Result<()> {
        let mut event = Vec::new();
        put(&mut event, 1, Field::Eight(wall_time_s.to_le_bytes()));
        for (number, field) in fields {
            put(&mut event, *number, *field);
        }
        let length = (event.len() as u64).to_le_bytes();
        let record = [&length[..], &masked(&length), &event, &masked(&event)].concat();
        // A record is written at once, so that whoever reads meanwhile finds it whole.
        self.file.write_all(&record).map_err(Error::io(&self.path))
    }
}

/// The check of some bytes as it stands in the file.
fn masked(bytes: &[u8]) -> [u8; 4] {
    let turned = crc32c(bytes).rotate_right(15);
    turned.wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78).
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut value, mut bit) = (byte as u32, 0);
            while bit < 8 {
                let carry = value & 1;
                value = (value >> 1) ^ (carry * 0x82f6_3b78);
                bit += 1;
            }
            table[byte] = value;
            byte += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_castagnolis() {
        // The check value of CRC-32C, RFC 3720 appendix B.4 and every catalogue.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }
}
