//! Deals numbered work to threads and hands the results on in order, so that what is made of them does not depend on the
//! number of threads, nor on who did the work.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// How long is waited before asking again whether somebody else has got on.
const PAUSE: Duration = Duration::from_millis(20);

/// What a thread is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The work of this number.
    Work(usize),
    /// Wait: what is left is being done elsewhere, and will be free if it is not done there.
    Wait,
    /// There is nothing more to begin.
    Nothing,
}

/// Says what is to be done, keeps what was, and knows what is done elsewhere.
pub trait Store<T, E>: Sync {
    /// Chooses the next piece of work for a thread.
    ///
    /// # Errors
    ///
    /// If that cannot be known.
    fn next(&self) -> Result<Next, E>;

    /// Keeps a result before it is handed on.
    ///
    /// # Errors
    ///
    /// If it cannot be kept.
    fn keep(&self, index: usize, result: &T) -> Result<(), E>;

    /// The result of work that was not done by a thread of this run, if it is there by now.
    ///
    /// # Errors
    ///
    /// If it is there and cannot be read.
    fn elsewhere(&self, index: usize) -> Result<Option<T>, E>;
}

/// Work from 0 to `count` − 1, all of it to be done here, and nothing kept.
#[derive(Debug)]
pub struct InMemory {
    next: AtomicUsize,
    count: usize,
}

impl InMemory {
    /// So many pieces of work.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            count,
        }
    }
}

impl<T, E> Store<T, E> for InMemory {
    fn next(&self) -> Result<Next, E> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(if index < self.count {
            Next::Work(index)
        } else {
            Next::Nothing
        })
    }

    fn keep(&self, _index: usize, _result: &T) -> Result<(), E> {
        Ok(())
    }

    fn elsewhere(&self, _index: usize) -> Result<Option<T>, E> {
        Ok(None)
    }
}

/// Does `work(0)` to `work(count − 1)` on `threads` threads, as far as `store` does not have them, and calls `sink` with each
/// result, in order, on this thread.
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
    store: &dyn Store<T, E>,
    work: impl Fn(usize) -> Result<T, E> + Sync,
    mut sink: impl FnMut(usize, T) -> bool,
) -> Result<usize, E> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Bounded, so that threads cannot run far ahead of a slow sink.
        let (sender, results) = mpsc::sync_channel(threads);
        for _ in 0..threads.clamp(1, count.max(1)) {
            let sender = sender.clone();
            let (stop, work) = (&stop, &work);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let done = match store.next() {
                        Ok(Next::Work(index)) => (index, do_and_keep(index, store, work)),
                        Ok(Next::Wait) => {
                            thread::sleep(PAUSE);
                            continue;
                        }
                        Ok(Next::Nothing) => break,
                        // Of no number: it counts behind all that have one.
                        Err(error) => (count, Err(error)),
                    };
                    if sender.send(done).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let handed_on = hand_on(count, store, &results, &stop, &mut sink);
        stop.store(true, Ordering::Relaxed);
        handed_on
    })
}

fn do_and_keep<T, E>(
    index: usize,
    store: &dyn Store<T, E>,
    work: impl Fn(usize) -> Result<T, E>,
) -> Result<T, E> {
    let result = work(index)?;
    store.keep(index, &result)?;
    Ok(result)
}

/// Hands on what the threads send and what comes from elsewhere, until nothing more will come.
fn hand_on<T, E>(
    count: usize,
    store: &dyn Store<T, E>,
    results: &Receiver<(usize, Result<T, E>)>,
    stop: &AtomicBool,
    sink: &mut dyn FnMut(usize, T) -> bool,
) -> Result<usize, E> {
    let mut waiting = BTreeMap::new();
    let (mut handed_on, mut at_work) = (0, true);
    loop {
        while handed_on < count {
            let result = match waiting.remove(&handed_on) {
                Some(result) => result?,
                None if stop.load(Ordering::Relaxed) => break,
                None => match store.elsewhere(handed_on)? {
                    Some(result) => result,
                    None => break,
                },
            };
            if !sink(handed_on, result) {
                stop.store(true, Ordering::Relaxed);
            }
            handed_on += 1;
        }
        if !at_work {
            // What is left stands behind a gap, because of a stop or a failure.
            let failed = waiting.into_values().find_map(Result::err);
            return failed.map_or(Ok(handed_on), Err);
        }
        match results.recv_timeout(PAUSE) {
            Ok((index, result)) => {
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                if index >= handed_on {
                    waiting.insert(index, result);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => at_work = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 8, 100] {
            let mut seen = Vec::new();
            let work = |i: usize| {
                thread::sleep(Duration::from_micros(((i * 7919) % 13) as u64 * 50));
                Ok::<_, ()>(i * i)
            };
            let done = deal(50, threads, &InMemory::new(50), work, |i, square| {
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
            &InMemory::new(1000),
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
        let done = deal(10_000, 2, &InMemory::new(10_000), Ok::<_, ()>, |i, _| {
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
        assert_eq!(
            deal(0, 4, &InMemory::new(0), Ok::<_, ()>, |_, _| true),
            Ok(0)
        );
    }

    /// Every third piece was done before, every fifth is being done by somebody who dies at the second look.
    #[derive(Default)]
    struct Shared {
        begun: Mutex<Vec<usize>>,
        looks: Mutex<BTreeMap<usize, usize>>,
    }

    impl Store<usize, ()> for Shared {
        fn next(&self) -> Result<Next, ()> {
            let mut begun = self.begun.lock().unwrap();
            let mut looks = self.looks.lock().unwrap();
            let mut others = false;
            for index in (0..30).filter(|i| i % 3 > 0) {
                if begun.contains(&index) {
                    continue;
                }
                let looks = looks.entry(index).or_default();
                *looks += 1;
                if index % 5 == 0 && *looks <= 2 {
                    others = true;
                    continue;
                }
                begun.push(index);
                return Ok(Next::Work(index));
            }
            Ok(if others { Next::Wait } else { Next::Nothing })
        }

        fn keep(&self, _: usize, _: &usize) -> Result<(), ()> {
            Ok(())
        }

        fn elsewhere(&self, index: usize) -> Result<Option<usize>, ()> {
            Ok(index.is_multiple_of(3).then_some(index))
        }
    }

    #[test]
    fn what_others_did_is_taken_and_what_they_left_is_done() {
        for threads in [1, 3] {
            let mut seen = Vec::new();
            let work = |index| {
                assert_ne!(index % 3, 0, "done twice");
                Ok(index)
            };
            let done = deal(30, threads, &Shared::default(), work, |_, index| {
                seen.push(index);
                true
            });
            assert_eq!(done, Ok(30));
            assert_eq!(seen, (0..30).collect::<Vec<_>>());
        }
    }
}
