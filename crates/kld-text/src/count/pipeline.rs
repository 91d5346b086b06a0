//! Work for several threads whose results are taken up in order, so that nothing depends on how many there are.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

/// Does `work` on every job on `threads` threads, and hands each result to `sink` on this thread, in the order of the jobs.
///
/// No more than two jobs for each thread are under way, so memory is bounded by the size of a job.
///
/// # Errors
///
/// The first failure in the order of the jobs; results before it were handed on.
pub(crate) fn in_order<J: Send, T: Send, E: Send>(
    mut jobs: impl Iterator<Item = Result<J, E>>,
    threads: usize,
    work: impl Fn(J) -> Result<T, E> + Sync,
    mut sink: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.max(1);
    let (send_job, receive_job) = mpsc::channel::<(usize, J)>();
    let receive_job = Mutex::new(receive_job);
    let (send_result, results) = mpsc::channel::<(usize, Result<T, E>)>();
    thread::scope(|scope| {
        // Owned here, so that leaving this closure ends the queue, and with it the threads.
        let send_job = send_job;
        for _ in 0..threads {
            let (send_result, receive_job, work) = (send_result.clone(), &receive_job, &work);
            scope.spawn(move || {
                loop {
                    let job = receive_job
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .recv();
                    let Ok((number, job)) = job else { break };
                    if send_result.send((number, work(job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send_result);
        let (mut begun, mut done) = (0, 0);
        let (mut waiting, mut at_end) = (BTreeMap::new(), false);
        loop {
            while !at_end && begun - done < 2 * threads {
                match jobs.next() {
                    Some(Ok(job)) => {
                        // The threads live as long as this end of the queue.
                        let _ = send_job.send((begun, job));
                    }
                    Some(Err(error)) => {
                        waiting.insert(begun, Err(error));
                        at_end = true;
                    }
                    None => {
                        at_end = true;
                        break;
                    }
                }
                begun += 1;
            }
            while let Some(result) = waiting.remove(&done) {
                sink(result?)?;
                done += 1;
            }
            if at_end && begun == done {
                return Ok(());
            }
            if begun - done >= 2 * threads || at_end {
                match results.recv() {
                    Ok((number, result)) => drop(waiting.insert(number, result)),
                    // Every thread has ended, which without a failure none does.
                    Err(_) => return Ok(()),
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let work = |i: u64| {
                thread::sleep(Duration::from_micros((i * 7919) % 13 * 50));
                Ok::<_, ()>(i * i)
            };
            let done = in_order((0..50).map(Ok), threads, work, |square| {
                seen.push(square);
                Ok(())
            });
            assert_eq!(done, Ok(()));
            assert_eq!(seen, (0..50).map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_failure_is_told_and_what_came_before_it_is_kept() {
        for failing in [Err("a job"), Ok(5)] {
            let mut seen = 0;
            let jobs = (0..5).map(Ok).chain([failing]).chain((6..1000).map(Ok));
            let work = |i| if i == 5 { Err("the work") } else { Ok(i) };
            let failed = in_order(jobs, 3, work, |_| {
                seen += 1;
                Ok(())
            });
            assert_eq!(
                (failed, seen),
                (failing.map_or_else(Err, |_| Err("the work")), 5)
            );
        }
    }
}
