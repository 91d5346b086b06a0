//! Work shared by threads whose results do not depend on how many they are.

use std::thread;

use kld_kernels::Kernel;

use crate::Result;

/// How the work is done; changes no number.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Worker threads; each computes one window at a time.
    pub threads: usize,
    /// The kernel to use.
    pub kernel: Kernel,
}

/// `work(0)` to `work(count − 1)`, in order; of several failures the first in that order.
pub(crate) fn in_parallel<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let threads = threads.clamp(1, count.max(1));
    let share = |thread: usize| -> Vec<Result<T>> {
        let mine = (thread..count).step_by(threads);
        mine.map(&work).collect()
    };
    let share = &share;
    let mut shares: Vec<_> = thread::scope(|scope| {
        let begin = |thread| scope.spawn(move || share(thread));
        let handles: Vec<_> = (0..threads).map(begin).collect();
        let end = |handle: thread::ScopedJoinHandle<'_, Vec<Result<T>>>| match handle.join() {
            Ok(results) => results.into_iter(),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        handles.into_iter().map(end).collect()
    });
    let results = (0..count).filter_map(|index| shares[index % threads].next());
    results.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn results_and_the_first_failure_come_in_order() {
        for threads in [1, 2, 3, 50] {
            let squares = in_parallel(20, threads, |i| Ok(i * i)).unwrap();
            assert_eq!(squares, (0..20).map(|i| i * i).collect::<Vec<_>>());
            let fail = |i: usize| match i {
                0..7 => Ok(()),
                _ => Err(Error::TooLittleText {
                    what: i.to_string(),
                }),
            };
            let failed = in_parallel(20, threads, fail).unwrap_err();
            assert_eq!(failed.to_string(), "7");
        }
        assert!(in_parallel(0, 3, Ok).unwrap().is_empty());
    }
}
