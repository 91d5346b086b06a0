//! What has been measured in a run folder, by whom, and what is being measured.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{
    Payload, Run,
    frame::{self, Frame, Kind},
};
use crate::{Error, Result};

/// An index of the rows in a run folder, brought up to date where asked.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    run: &'a Run,
    windows: BTreeMap<u32, (u32, Frame)>,
    writers: BTreeMap<u32, Writer>,
}

/// What a writer's file tells.
#[derive(Clone, Debug, Default)]
struct Writer {
    /// Where its whole frames end.
    end: u64,
    /// Windows that were begun and are not done; they mean something only as long as the writer lives.
    claims: BTreeSet<u32>,
}

impl<'a> Contents<'a> {
    pub(crate) fn new(run: &'a Run) -> Self {
        Self {
            run,
            windows: BTreeMap::new(),
            writers: BTreeMap::new(),
        }
    }

    /// Looks for what has come since.
    ///
    /// # Errors
    ///
    /// If the files cannot be read.
    pub fn refresh(&mut self) -> Result<()> {
        for writer in self.files()? {
            self.refresh_writer(writer)?;
        }
        Ok(())
    }

    /// The number of windows measured.
    #[must_use]
    pub fn windows_done(&self) -> usize {
        self.windows.len()
    }

    /// Has this window been measured?
    #[must_use]
    pub fn has(&self, window: u32) -> bool {
        self.windows.contains_key(&window)
    }

    /// Is everything measured that the run was to measure?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.run.order().iter().all(|window| self.has(*window))
    }

    /// What a window gave; `None` where it is not measured yet.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or does not hold what the plan says.
    pub fn read<P: Payload>(&self, window: u32) -> Result<Option<P>> {
        let Some(bytes) = self.payload(window)? else {
            return Ok(None);
        };
        let rows = P::decode(&bytes, window, &self.run.plan);
        rows.map(Some).ok_or_else(|| {
            let path = self.run.rows_file(self.windows[&window].0);
            Error::bad_run(&path, format!("window {window} is not what the plan says"))
        })
    }

    /// What the windows gave, in the order in which the plan visits them, up to the first that is not measured yet; of a run of
    /// one part, those of that part.
    ///
    /// # Errors
    ///
    /// If the run is of another verb. Each item is an error if the files are damaged.
    pub fn in_order<P: Payload>(&self) -> Result<impl Iterator<Item = Result<P>>> {
        if self.run.header.verb != P::VERB {
            return Err(Error::OtherVerb {
                folder: self.run.folder.clone(),
                expected: P::VERB,
                found: self.run.header.verb.clone(),
            });
        }
        let done = |window: &u32| self.has(*window);
        let windows = self.run.order().into_iter().take_while(done);
        Ok(windows.filter_map(|window| self.read(window).transpose()))
    }

    /// The bytes of what a window gave.
    pub(crate) fn payload(&self, window: u32) -> Result<Option<Vec<u8>>> {
        let Some((writer, frame)) = self.windows.get(&window) else {
            return Ok(None);
        };
        let path = self.run.rows_file(*writer);
        let bytes = frame::payload(&path, frame).map_err(Error::io(&path))?;
        Ok(Some(bytes))
    }

    /// The windows that are measured, in the order of the text.
    pub(crate) fn windows(&self) -> impl Iterator<Item = u32> {
        self.windows.keys().copied()
    }

    /// The run that it is of.
    pub(crate) fn run(&self) -> &'a Run {
        self.run
    }

    /// Where the whole frames of a writer end.
    pub(crate) fn end_of(&self, writer: u32) -> u64 {
        self.writers.get(&writer).map_or(0, |of| of.end)
    }

    /// The windows that a writer has begun and not done.
    pub(crate) fn claims_of(&self, writer: u32) -> &BTreeSet<u32> {
        const NONE: &BTreeSet<u32> = &BTreeSet::new();
        self.writers.get(&writer).map_or(NONE, |of| &of.claims)
    }

    /// The windows that each writer has begun and not done.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (u32, &BTreeSet<u32>)> {
        self.writers
            .iter()
            .map(|(number, of)| (*number, &of.claims))
    }

    /// Looks for what has come since from one writer.
    fn refresh_writer(&mut self, writer: u32) -> Result<()> {
        let path = self.run.rows_file(writer);
        let start = self.writers.entry(writer).or_default().end;
        let found = frame::scan(&path, start).map_err(Error::io(&path))?;
        for frame in found.frames {
            self.add(writer, frame);
        }
        self.writers.entry(writer).or_default().end = found.end;
        Ok(())
    }

    /// Adds a frame that stands at the end of what is known of a writer.
    pub(crate) fn add(&mut self, writer: u32, frame: Frame) {
        let of = self.writers.entry(writer).or_default();
        of.end = frame.offset + frame.length as u64;
        match frame.kind {
            Kind::Begin => of.claims.clear(),
            Kind::Claim => {
                of.claims.insert(frame.window);
            }
            Kind::Rows => {
                of.claims.remove(&frame.window);
                self.windows.entry(frame.window).or_insert((writer, frame));
            }
        }
    }

    /// The numbers of the writers that have a file.
    fn files(&self) -> Result<Vec<u32>> {
        let folder = self.run.folder.join("rows");
        let entries = fs::read_dir(&folder).map_err(Error::io(&folder))?;
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io(&folder))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".rows"));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}
