//! One process at work on a run folder, perhaps beside others.
//!
//! A process is a *writer* with a number, a file of rows and a lock that it holds as long as it lives. Whoever chooses a window
//! holds the queue's lock, reads what all writers have done and claimed, and writes its own claim. A claim counts only while
//! its writer's lock is held, so that the windows of a dead process are free at once; nothing ever times out.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{File, TryLockError},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kld_core::Observer;

use super::{
    Contents, Payload, Run,
    frame::{Appender, Kind},
    sync_folder_of,
};
use crate::{
    Error, Result,
    deal::{Next, Store},
};

/// This process among those that work on a run.
pub struct Worker<'a> {
    run: &'a Run,
    /// The windows by visit, those of other parts left out.
    order: Vec<u32>,
    number: u32,
    /// Held as long as this process is the writer.
    _alive: File,
    files: Mutex<Files<'a>>,
    observer: &'a dyn Observer,
}

/// What the run's files hold, and the one that this process writes.
struct Files<'a> {
    contents: Contents<'a>,
    mine: Appender,
}

impl<'a> Worker<'a> {
    /// Joins the work on a run, as the first writer whose number is free: a new one, or one whose process is dead.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read or written.
    pub fn join(run: &'a Run, observer: &'a dyn Observer) -> Result<Self> {
        let _queue = lock(&run.queue())?;
        let (number, alive) = free_writer(run)?;
        let mut contents = run.contents()?;
        let path = run.rows_file(number);
        let end = contents.end_of(number);
        let (mut mine, torn) = Appender::open(&path, end).map_err(Error::io(&path))?;
        sync_folder_of(&path);
        if torn > 0 {
            observer.warning(&format!(
                "{}: the last {torn} bytes were not written to their end; what they were of is measured again",
                path.display()
            ));
        }
        let begin = mine.append(Kind::Begin, 0, &[]).map_err(Error::io(&path))?;
        contents.add(number, begin);
        Ok(Self {
            run,
            order: run.order(),
            number,
            _alive: alive,
            files: Mutex::new(Files { contents, mine }),
            observer,
        })
    }

    /// The windows that this process works on with others, in the order of visits.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    fn files(&self) -> MutexGuard<'_, Files<'a>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, files: &mut Files, kind: Kind, window: u32, payload: &[u8]) -> Result<()> {
        let path = self.run.rows_file(self.number);
        let frame = files.mine.append(kind, window, payload);
        files
            .contents
            .add(self.number, frame.map_err(Error::io(&path))?);
        Ok(())
    }

    /// The windows that living processes are at, this one included.
    fn claimed(&self, contents: &Contents) -> Result<BTreeSet<u32>> {
        let mut claimed = BTreeSet::new();
        for (number, claims) in contents.claims() {
            if number == self.number || (!claims.is_empty() && is_alive(self.run, number)?) {
                claimed.extend(claims);
            }
        }
        Ok(claimed)
    }
}

impl<P: Payload> Store<P, Error> for Worker<'_> {
    fn next(&self) -> Result<Next> {
        if self.observer.interrupted() {
            return Ok(Next::Nothing);
        }
        let mut files = self.files();
        let _queue = lock(&self.run.queue())?;
        files.contents.refresh()?;
        let claimed = self.claimed(&files.contents)?;
        let is_free = |window: &u32| !files.contents.has(*window) && !claimed.contains(window);
        if let Some(visit) = self.order.iter().position(is_free) {
            self.append(&mut files, Kind::Claim, self.order[visit], &[])?;
            return Ok(Next::Work(visit));
        }
        // A window that another process is at may become free, if that process dies.
        let mine = files.contents.claims_of(self.number);
        let is_open = |window: &u32| !files.contents.has(*window) && !mine.contains(window);
        Ok(if self.order.iter().any(is_open) {
            Next::Wait
        } else {
            Next::Nothing
        })
    }

    fn keep(&self, visit: usize, rows: &P) -> Result<()> {
        let payload = rows.encode();
        let mut files = self.files();
        self.append(&mut files, Kind::Rows, self.order[visit], &payload)?;
        files
            .mine
            .commit()
            .map_err(Error::io(&self.run.rows_file(self.number)))
    }

    fn elsewhere(&self, visit: usize) -> Result<Option<P>> {
        let window = self.order[visit];
        let mut files = self.files();
        if files.contents.claims_of(self.number).contains(&window) {
            return Ok(None);
        }
        if !files.contents.has(window) {
            files.contents.refresh()?;
        }
        files.contents.read(window)
    }
}

impl fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("run", &self.run.folder)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The first number that no living process has, and its lock. The queue's lock must be held.
fn free_writer(run: &Run) -> Result<(u32, File)> {
    let mut number = 1;
    loop {
        if let Some(lock) = try_lock(&run.lock_file(number))? {
            return Ok((number, lock));
        }
        number += 1;
    }
}

/// Does a process hold this writer's lock? The queue's lock must be held, or who asks could be taken for the writer.
fn is_alive(run: &Run, writer: u32) -> Result<bool> {
    Ok(try_lock(&run.lock_file(writer))?.is_none())
}

/// Opens a file and waits for its lock, which is held until the file is dropped or the process dies.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = lockable(path)?;
    file.lock().map_err(Error::io(path))?;
    Ok(file)
}

fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = lockable(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io(path)(error)),
    }
}

fn lockable(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    options.open(path).map_err(Error::io(path))
}
