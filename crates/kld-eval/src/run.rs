//! Run folders: what a run has measured, written as it goes, so that nothing is lost when it ends early.
//!
//! ```text
//! DIR/plan.json         what is measured with what (Header); written once
//! DIR/transcript.json   the text, window by window; written once, before the plan
//! DIR/rows/N.rows       what writer N measured: a frame per window, appended and flushed (docs/runs.md)
//! DIR/work/N.lock       held by the process that is writer N, as long as it lives
//! DIR/work/queue.lock   held for the moment in which a process chooses its next window
//! DIR/result.json       the last result that was told; made of the others, never read
//! ```
//!
//! The rows are the truth: every result is made from plan and rows by `conclude`, so a run that was killed ten times and one
//! that was not give the same bits.

mod contents;
mod frame;
mod header;
mod join;
mod merge;
mod payload;
mod scored;
mod worker;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use kld_core::{
    Plan, WindowRows,
    result::{Comparison, RunRecord, Score},
};

pub use contents::Contents;
pub use header::{Header, Part};
pub use join::join;
pub use merge::merge;
pub use payload::Payload;
pub use worker::Worker;

use crate::{
    Error, Result,
    compare::{Keep, Kept, Measured, Sink},
    score::{Tally, WindowScore},
};

/// A run folder.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
    /// What the run is, beside the plan.
    pub header: Header,
    /// What is compared with what, on which windows.
    pub plan: Plan,
}

impl Run {
    /// Opens a run folder.
    ///
    /// # Errors
    ///
    /// If it is none, or one of another format, or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let (header, plan) = header::read(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            header,
            plan,
        })
    }

    /// Makes a run folder, or opens the one that is there, which must be of the same run: then the work in it can go on.
    ///
    /// # Errors
    ///
    /// If the folder holds something else or another run, or cannot be written.
    pub fn open_or_create(folder: &Path, header: &Header, plan: &Plan) -> Result<Self> {
        for name in ["work", "rows"] {
            fs::create_dir_all(folder.join(name)).map_err(Error::io(folder))?;
        }
        // Of several processes that come at once, one makes the plan.
        let _only_one = worker::lock(&queue(folder))?;
        if !is_run(folder) {
            header::write(folder, header, plan)?;
        }
        let mut run = Self::open(folder)?;
        if let Some(difference) = header::first_difference((&run.header, &run.plan), (header, plan))
        {
            return Err(Error::RunDiffers {
                folder: folder.to_owned(),
                difference,
            });
        }
        // Where to stop is no part of what was measured: whoever wants to know the mean better goes on in the same order.
        if run.plan.stop != plan.stop {
            run.plan.stop = plan.stop;
            header::write(folder, header, &run.plan)?;
        }
        Ok(run)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The windows that this run is to measure, in the order in which it visits them: all, or those of its part.
    #[must_use]
    pub fn order(&self) -> Vec<u32> {
        let visits = self.plan.order.iter().copied().enumerate();
        let mine = visits.filter(|(visit, _)| self.header.part.is_none_or(|part| part.has(*visit)));
        mine.map(|(_, window)| window).collect()
    }

    /// What has been measured by now.
    ///
    /// # Errors
    ///
    /// If the files cannot be read.
    pub fn contents(&self) -> Result<Contents<'_>> {
        let mut contents = Contents::new(self);
        contents.refresh()?;
        Ok(contents)
    }

    /// The result of a comparison, of the windows that are there: in the order of visits, up to the first that is missing, or the one
    /// with which the plan's rule to stop is met.
    ///
    /// # Errors
    ///
    /// If the folder is of another verb or its files are damaged.
    pub fn comparison(&self) -> Result<Comparison> {
        Ok(self.measured(Keep::Summaries)?.comparison)
    }

    /// The result of a score, of the windows that are there: in the order of the text, up to the first that is missing.
    ///
    /// # Errors
    ///
    /// If the folder is of another verb or its files are damaged.
    pub fn score(&self) -> Result<Score> {
        let mut tally = Tally::new(&self.plan);
        let mut windows_done = 0;
        for window in self.contents()?.in_order::<WindowScore>()? {
            tally.add(&window?);
            windows_done += 1;
        }
        Ok(tally.conclude(self.record(windows_done)))
    }

    /// Is there nothing left to measure? All windows are there, or those with which the plan's rule to stop is met.
    ///
    /// # Errors
    ///
    /// If the files cannot be read.
    pub fn is_complete(&self) -> Result<bool> {
        Ok(self.contents()?.is_complete()
            || (self.plan.stop.is_some() && self.comparison()?.run.complete))
    }

    /// The result with the plan and, where they are to be kept, the rows.
    ///
    /// # Errors
    ///
    /// Those of [`comparison`](Self::comparison).
    pub fn measured(&self, keep: Keep) -> Result<Measured> {
        let mut kept = Kept::new(&self.plan, keep);
        let (mut windows_done, mut enough) = (0, false);
        for rows in self.contents()?.in_order::<WindowRows>()? {
            kept.take(rows?);
            windows_done += 1;
            enough = self.plan.is_enough(kept.summaries());
            if enough {
                break;
            }
        }
        let mut record = self.record(windows_done);
        record.complete |= enough;
        Ok(kept.conclude(self.plan.clone(), record))
    }

    /// How the run went, as far as the folder tells: not how many threads there were and how long they took.
    fn record(&self, windows_done: usize) -> RunRecord {
        RunRecord {
            version: self.header.version.clone(),
            metrics: self.header.metrics,
            isa: self.header.isa.clone(),
            threads: 0,
            elapsed_s: 0.0,
            windows_done,
            complete: windows_done == self.plan.order.len(),
        }
    }

    fn queue(&self) -> PathBuf {
        queue(&self.folder)
    }

    fn lock_file(&self, writer: u32) -> PathBuf {
        self.folder.join("work").join(format!("{writer}.lock"))
    }

    fn rows_file(&self, writer: u32) -> PathBuf {
        self.folder.join("rows").join(format!("{writer}.rows"))
    }
}

/// Is this a folder with a run in it?
#[must_use]
pub fn is_run(folder: &Path) -> bool {
    folder.join(header::FILE).exists()
}

/// Has the folder anything in it that a run beginning there would have to live with?
#[must_use]
pub fn is_taken(folder: &Path) -> bool {
    let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut e| e.next().is_none());
    // What a run leaves that was killed before it had a plan is no obstacle.
    let is_left = |entry: &fs::DirEntry| match entry.file_name().to_str() {
        Some("work") => true,
        Some("rows") => is_empty(&entry.path()),
        Some(name) => name.starts_with("transcript.") || name == "plan.part",
        None => false,
    };
    let foreign = |entry: io::Result<fs::DirEntry>| entry.is_ok_and(|entry| !is_left(&entry));
    fs::read_dir(folder).is_ok_and(|mut entries| entries.any(foreign)) || folder.is_file()
}

/// The lock of whoever chooses a window, or makes the plan.
fn queue(folder: &Path) -> PathBuf {
    folder.join("work").join("queue.lock")
}

/// Writes a file beside its final name, flushes and renames it, so that it is there whole or not at all, also after a power cut.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = path.with_extension("part");
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written
        .and_then(|()| fs::rename(&draft, path))
        .map_err(Error::io(path))?;
    sync_folder_of(path);
    Ok(())
}

/// Makes the name of a file durable, where the system can.
fn sync_folder_of(path: &Path) {
    if let Some(folder) = path.parent() {
        // A folder that cannot be synced costs safety at a power cut, and nothing else.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}
