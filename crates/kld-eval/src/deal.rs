//! Deals numbered work to threads and hands the results on in order, so that what is made of them does not depend on the
//! number of threads.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// Does `work(0)` to `work(count − 1)` on `threads` threads and calls `sink` with each result, in order, on this thread.
///
/// After a `sink` that returns false, or a failure, no new work is begun; what is under way is waited for. Returns how many
/// results were handed on: less than `count` only after a stop.
///
/// # Errors
///
/// The failure with the lowest number among those that came; results before it were handed on.
pub fn deal<T: Send, E: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T, E> + Sync,
    mut sink: impl FnMut(usize, T) -> bool,
) -> Result<usize, E> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Bounded, so that threads cannot run far ahead of a slow sink.
        let (sender, results) = mpsc::sync_channel(threads);
        for _ in 0..threads.clamp(1, count.max(1)) {
            let sender = sender.clone();
            let (next, stop, work) = (&next, &stop, &work);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || sender.send((index, work(index))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut handed_on = 0;
        for (index, result) in results {
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&handed_on) {
                let go_on = sink(handed_on, result?);
                handed_on += 1;
                if !go_on {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
        Ok(handed_on)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 8, 100] {
            let mut seen = Vec::new();
            let work = |i: usize| {
                thread::sleep(Duration::from_micros(((i * 7919) % 13) as u64 * 50));
                Ok::<_, ()>(i * i)
            };
            let done = deal(50, threads, work, |i, square| {
                seen.push((i, square));
                true
            });
            assert_eq!(done, Ok(50));
            assert_eq!(seen, (0..50).map(|i| (i, i * i)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_failure_stops_the_work_and_keeps_what_came_before_it() {
        let mut seen = 0;
        let failed = deal(
            1000,
            2,
            |i| if i == 5 { Err(i) } else { Ok(()) },
            |_, ()| {
                seen += 1;
                true
            },
        );
        assert_eq!((failed, seen), (Err(5), 5));
    }

    #[test]
    fn a_stop_is_heeded_and_loses_nothing_that_was_begun() {
        let mut last = None;
        let done = deal(10_000, 2, Ok::<_, ()>, |i, _| {
            last = Some(i);
            i < 3
        });
        let done = done.unwrap();
        assert!(
            last == done.checked_sub(1) && (4..10_000).contains(&done),
            "{done}"
        );
    }

    #[test]
    fn no_work_is_no_trouble() {
        assert_eq!(deal(0, 4, Ok::<_, ()>, |_, _| true), Ok(0));
    }
}
