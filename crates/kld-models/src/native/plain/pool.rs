//! Buffers that are used again: a forward pass asks for the same sizes over and over, and fresh memory costs time.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Vec<f32>>>,
}

/// A buffer that goes back to its pool when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    length: usize,
    pool: Arc<Pool>,
}

impl Pool {
    /// A buffer of `length` values, which are whatever the last user left: write before you read.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let values = self.fitting(length).unwrap_or_else(|| vec![0.0; length]);
        Buffer {
            values,
            length,
            pool: Arc::clone(self),
        }
    }

    /// The shortest idle buffer that is long enough.
    fn fitting(&self, length: usize) -> Option<Vec<f32>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let lengths = idle.iter().map(Vec::len).enumerate();
        let (index, _) = lengths
            .filter(|&(_, found)| found >= length)
            .min_by_key(|&(_, found)| found)?;
        Some(idle.swap_remove(index))
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.push(std::mem::take(&mut self.values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_given_out_again_and_the_shortest_that_fits() {
        let pool = Arc::new(Pool::default());
        let (long, short) = (pool.take(100), pool.take(10));
        let place = short.as_ptr();
        drop((long, short));
        let again = pool.take(7);
        assert_eq!((again.as_ptr(), again.len()), (place, 7));
        assert_eq!(pool.take(200).len(), 200);
    }
}
