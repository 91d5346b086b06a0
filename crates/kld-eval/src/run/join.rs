//! Runs of different candidates against the same reference on the same text, as if all had been measured at once.

use kld_core::{Plan, Transcript, WindowRows};

use super::{Contents, Header, Run, header};
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
        if let Some(rows) = rows(runs, &contents, *window)? {
            kept.take(rows);
            windows_done += 1;
        }
    }
    Ok(kept.conclude(plan, first.record(windows_done)))
}

/// What two runs have to have in common beside the candidates.
fn difference(first: &Run, other: &Run) -> Option<String> {
    let headers = [first, other].map(|run| Header {
        part: None,
        ..run.header.clone()
    });
    let plans = [first, other].map(|run| Plan {
        candidates: Vec::new(),
        noise_floor: false,
        transcript: Transcript::default(),
        order: Vec::new(),
        ..run.plan.clone()
    });
    header::first_difference((&headers[0], &plans[0]), (&headers[1], &plans[1]))
}

/// All candidates, the first noise floor that was measured, and the windows in the order of the text.
fn plan(runs: &[Run]) -> Plan {
    let mut plan = runs[0].plan.clone();
    let cards = runs.iter().map(|run| run.plan.candidates.as_slice());
    plan.candidates = joined(runs, cards);
    plan.noise_floor = runs.iter().any(|run| run.plan.noise_floor);
    plan.order.sort_unstable();
    plan.stop = None;
    plan
}

/// The rows of all candidates in a window that all runs have measured.
fn rows(runs: &[Run], contents: &[Contents], window: u32) -> Result<Option<WindowRows>> {
    let read = |contents: &Contents| contents.read::<WindowRows>(window).transpose();
    let of_runs: Vec<WindowRows> = contents.iter().map_while(read).collect::<Result<_>>()?;
    if of_runs.len() < runs.len() {
        return Ok(None);
    }
    let of_runs = of_runs.iter().map(|rows| rows.candidates.as_slice());
    Ok(Some(WindowRows {
        window,
        candidates: joined(runs, of_runs),
    }))
}

/// Of what there is one of for each candidate of each run: those of all candidates proper, then that of the first noise floor.
fn joined<'a, T: Clone + 'a>(runs: &[Run], of: impl Iterator<Item = &'a [T]>) -> Vec<T> {
    let (mut all, mut first_floor) = (Vec::new(), None);
    for (run, of) in runs.iter().zip(of) {
        let (candidates, floor) = run.plan.without_floor(of);
        all.extend_from_slice(candidates);
        first_floor = first_floor.or(floor);
    }
    all.extend(first_floor.cloned());
    all
}
