//! Several run folders of the same run, from several machines perhaps, as one.

use std::{collections::BTreeSet, path::Path};

use super::{
    Contents, Run,
    frame::{Appender, Kind},
    header, is_taken, sync_folder_of,
};
use crate::{Error, Result};

/// Makes a run folder with all windows that `runs` have measured: what one machine would have written that measured them all.
///
/// Each run may have measured any windows, its part or some of it; where two have the same window, they must have measured the
/// same.
///
/// # Errors
///
/// If there are no runs, they are not of the same run, `folder` has something in it, or files cannot be read or written.
pub fn merge(runs: &[Run], folder: &Path) -> Result<Run> {
    let Some((first, others)) = runs.split_first() else {
        return Err(Error::bad_run(folder, "nothing to merge".to_owned()));
    };
    let mut header = first.header.clone();
    header.part = None;
    for other in others {
        let mut theirs = other.header.clone();
        theirs.part = None;
        let mine = (&header, &first.plan);
        if let Some(difference) = header::first_difference(mine, (&theirs, &other.plan)) {
            return Err(Error::NotOneRun {
                first: first.folder.clone(),
                other: other.folder.clone(),
                difference,
            });
        }
    }
    if is_taken(folder) {
        return Err(Error::bad_run(folder, "is not empty".to_owned()));
    }
    let contents = runs.iter().map(Run::contents).collect::<Result<Vec<_>>>()?;
    let merged = Run::open_or_create(folder, &header, &first.plan)?;
    write_rows(&contents, &merged)?;
    Ok(merged)
}

fn write_rows(runs: &[Contents], merged: &Run) -> Result<()> {
    let path = merged.rows_file(1);
    let (mut file, _) = Appender::open(&path, 0).map_err(Error::io(&path))?;
    let windows: BTreeSet<u32> = runs.iter().flat_map(Contents::windows).collect();
    for window in windows {
        if let Some(rows) = agreed(runs, window)? {
            file.append(Kind::Rows, window, &rows)
                .map_err(Error::io(&path))?;
        }
    }
    file.commit().map_err(Error::io(&path))?;
    sync_folder_of(&path);
    Ok(())
}

/// What a window gave, in all runs that have it.
fn agreed(runs: &[Contents], window: u32) -> Result<Option<Vec<u8>>> {
    let mut agreed: Option<(&Contents, Vec<u8>)> = None;
    for run in runs {
        let Some(rows) = run.payload(window)? else {
            continue;
        };
        match &agreed {
            Some((first, other)) if *other != rows => {
                return Err(Error::NotOneRun {
                    first: first.run().folder.clone(),
                    other: run.run().folder.clone(),
                    difference: format!("the rows that they measured for window {window}"),
                });
            }
            Some(_) => {}
            None => agreed = Some((run, rows)),
        }
    }
    Ok(agreed.map(|(_, rows)| rows))
}
