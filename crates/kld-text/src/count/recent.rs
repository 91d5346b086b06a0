//! Counts of the terms that came last.

use foldhash::fast::FixedState;

use super::vocabulary::hash_packed;
use crate::segment::Span;

/// Short terms and how often they came since they are here: each has one place, and takes it from the one that had it.
///
/// A few thousand words make nine tenths of a text, and stay here, close to the processor: no count of theirs is looked for.
pub(super) struct Recent {
    places: Box<[Place]>,
    hasher: FixedState,
}

/// 192 kB, which stay in the second cache.
const PLACES: usize = 1 << PLACES_BITS;
const PLACES_BITS: u32 = 13;

/// A term and its count.
#[derive(Clone, Copy)]
struct Place {
    /// See [`Span::packed`].
    packed: [u64; 2],
    number: u32,
    count: u32,
}

/// No term has these bytes.
const NONE: Place = Place {
    packed: [u64::MAX; 2],
    number: 0,
    count: 0,
};

impl Default for Recent {
    fn default() -> Self {
        Self {
            places: vec![NONE; PLACES].into(),
            hasher: FixedState::default(),
        }
    }
}

impl Recent {
    /// Counts a term if it is here.
    #[inline]
    pub(super) fn count(&mut self, term: Span<'_>) -> bool {
        let Some(packed) = term.packed() else {
            return false;
        };
        let place = &mut self.places[place(&self.hasher, packed)];
        let is_here = place.packed == packed;
        if is_here {
            place.count += 1;
        }
        is_here
    }

    /// Puts a term here that has come once; returns the number and the count that are to be kept elsewhere: of the term that had the
    /// place, or of this one if it is long.
    pub(super) fn put(&mut self, term: Span<'_>, number: u32) -> (u32, u32) {
        let count = 1;
        let Some(packed) = term.packed() else {
            return (number, count);
        };
        let new = Place {
            packed,
            number,
            count,
        };
        let old = std::mem::replace(&mut self.places[place(&self.hasher, packed)], new);
        (old.number, old.count)
    }

    /// Hands on every number with its count, which is 0 afterwards.
    pub(super) fn drain(&mut self, mut each: impl FnMut(u32, u32)) {
        for place in &mut self.places {
            each(place.number, std::mem::take(&mut place.count));
        }
    }
}

#[inline]
fn place(hasher: &FixedState, packed: [u64; 2]) -> usize {
    (hash_packed(hasher, packed) >> (u64::BITS - PLACES_BITS)) as usize
}
