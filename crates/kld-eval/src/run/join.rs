//! Runs of different candidates against the same reference on the same text, as if all had been measured at once.

use kld_core::{Plan, Transcript, WindowRows};

use super::{Contents, Run, header};
use crate::{
    Error, Result,
    compare::{Keep, Kept, Measured, Sink},
};

/// One result of several runs: their candidates one after the other, on the windows that all of them have measured. So candidates that were
/// measured apart are ranked by paired differences like those of one run. The runs may have visited the windows in different orders
/// and stopped at different ones; the result has no stopping rule.
///
/// # Errors
///
/// If there are no runs, they are not comparisons with the same reference on the same text, or files are damaged.
pub fn join(runs: &[Run], keep: Keep) -> Result<Measured> {
    let [first, others @ ..] = runs else {
        return Err(Error::NothingToJoin);
    };
    if others.is_empty() {
        return first.measured(keep);
    }
    for other in others {
        if let Some(difference) = difference(first, other) {
            return Err(Error::NotOneRun {
                first: first.folder.clone(),
                other: other.folder.clone(),
                difference,
            });
        }
    }
    let contents = runs.iter().map(Run::contents).collect::<Result<Vec<_>>>()?;
    let plan = plan(runs);
    let mut kept = Kept::new(&plan, keep);
    let mut windows_done = 0;
    for window in &plan.order {
        if let Some(rows) = rows(&contents, *window)? {
            kept.take(rows);
            windows_done += 1;
        }
    }
    Ok(kept.conclude(plan, first.record(windows_done)))
}

/// What two runs have to have in common beside the candidates.
fn difference(first: &Run, other: &Run) -> Option<String> {
    let mut headers = [&first.header, &other.header].map(Clone::clone);
    headers.iter_mut().for_each(|header| header.part = None);
    let plans = [first, other].map(|run| Plan {
        candidates: Vec::new(),
        transcript: Transcript::default(),
        order: Vec::new(),
        ..run.plan.clone()
    });
    header::first_difference((&headers[0], &plans[0]), (&headers[1], &plans[1]))
}

/// All candidates, and the windows in the order of the text.
fn plan(runs: &[Run]) -> Plan {
    let mut plan = runs[0].plan.clone();
    let candidates = runs.iter().flat_map(|run| run.plan.candidates.iter());
    plan.candidates = candidates.cloned().collect();
    plan.order.sort_unstable();
    plan.stop = None;
    plan
}

/// The rows of all candidates in a window that all runs have measured.
fn rows(contents: &[Contents], window: u32) -> Result<Option<WindowRows>> {
    let mut candidates = Vec::new();
    for run in contents {
        match run.read::<WindowRows>(window)? {
            Some(rows) => candidates.extend(rows.candidates),
            None => return Ok(None),
        }
    }
    Ok(Some(WindowRows { window, candidates }))
}
