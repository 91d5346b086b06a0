//! The counts of one term in the parts of a body.

use smallvec::SmallVec;

/// Parts of a body, by which it is redrawn.
pub const PARTS: usize = 128;

/// The part of a document.
#[must_use]
pub(crate) fn of_document(document: u64) -> u8 {
    (document % PARTS as u64) as u8
}

/// The part of a block of the first document; only needed where that is the only one.
#[must_use]
pub(crate) fn of_block(block: u64) -> u8 {
    FIRST_BLOCK + (block % PARTS as u64) as u8
}

/// Parts from here on are blocks of the first document.
const FIRST_BLOCK: u8 = 128;

/// The largest count that fits beside its part in a word.
const LARGEST: u64 = (1 << 56) - 1;

/// Counts by part, in the order of parts. Each is one word, the part in its highest byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartCounts(SmallVec<[u64; 2]>);

impl PartCounts {
    pub(crate) fn add(&mut self, part: u8, count: u64) {
        // A body would need 7·10¹⁶ words for more.
        debug_assert!(count <= LARGEST, "a count of {count}");
        let packed = u64::from(part) << 56;
        match self.0.last_mut() {
            Some(last) if unpacked(*last).0 == part => return *last += count,
            Some(last) if unpacked(*last).0 > part => {}
            _ => return self.0.push(packed + count),
        }
        match self.0.binary_search_by_key(&part, |&word| unpacked(word).0) {
            Ok(at) => self.0[at] += count,
            Err(at) => self.0.insert(at, packed + count),
        }
    }

    /// Adds all counts of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        let begin = other.0.first().map_or(0, |&word| unpacked(word).0);
        let mut at = self.0.partition_point(|&word| unpacked(word).0 < begin);
        for &word in &other.0 {
            let (part, count) = unpacked(word);
            while self.0.get(at).is_some_and(|&here| unpacked(here).0 < part) {
                at += 1;
            }
            match self.0.get_mut(at) {
                Some(here) if unpacked(*here).0 == part => *here += count,
                _ => self.0.insert(at, word),
            }
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (u8, u64)> + '_ {
        self.0.iter().map(|&word| unpacked(word))
    }

    pub(crate) fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }

    /// Counts the blocks of the first document as what they are when there are others: one part.
    pub(crate) fn forget_blocks(&mut self) {
        if self.iter().any(|(part, _)| part >= FIRST_BLOCK) {
            *self = self.moved(0);
        }
    }

    /// The same counts in a body where so many documents stand before.
    pub(crate) fn moved(&self, before: u64) -> Self {
        let mut moved = Self::default();
        for (part, count) in self.iter() {
            let document = if part >= FIRST_BLOCK {
                0
            } else {
                u64::from(part)
            };
            moved.add(of_document(document + before % PARTS as u64), count);
        }
        moved
    }
}

fn unpacked(word: u64) -> (u8, u64) {
    ((word >> 56) as u8, word & LARGEST)
}
