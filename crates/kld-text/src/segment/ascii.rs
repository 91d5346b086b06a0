//! The word boundaries of ASCII text, the same as by Unicode's rules and many times faster.
//!
//! Of UAX #29 remain: letters, digits and underscores hold together; `'`, `.` and `:` between two letters, and `'`, `.`, `,` and `;` between two digits,
//! belong to the word; everything else is a boundary.
//!
//! Text is taken in blocks of 64 bytes. What each byte is becomes a bit of a mask, eight bytes at a time by plain arithmetic, and a word begins or ends
//! where neighbouring bits differ: the only branch that the processor cannot foresee is the end of a block.

use super::Span;

/// Bytes of a block: a mask has a bit for each.
const BLOCK: usize = u64::BITS as usize;

/// Calls `each` with every word of a text that is ASCII throughout.
pub(super) fn each_word(text: &str, mut each: impl FnMut(Span<'_>)) {
    let bytes = text.as_bytes();
    let mut begun = None;
    each_boundary(bytes, |at| match begun.take() {
        None => begun = Some(at),
        Some(mut from) => {
            let mut to = at;
            if bytes[from] == b'_' || bytes[to - 1] == b'_' {
                let rest = text[from..to].trim_start_matches('_');
                from = to - rest.len();
                to = from + rest.trim_end_matches('_').len();
            }
            if from < to {
                each(Span::new(text, from..to));
            }
        }
    });
}

/// Calls `each` with the beginning and the end of every word, in turn.
#[inline]
fn each_boundary(bytes: &[u8], mut each: impl FnMut(usize)) {
    // The highest bits of the block before, as the lowest ones.
    let (mut core_before, mut word_before) = (0, 0);
    // A block that begins at the end of the text ends its last word.
    for begin in (0..=bytes.len()).step_by(BLOCK) {
        let (core, mark) = masks(block(&bytes[begin..]));
        let core_behind = bytes.get(begin + BLOCK).is_some_and(|&byte| is_core(byte));
        let mut between = mark
            & ((core << 1) | core_before)
            & ((core >> 1) | (u64::from(core_behind) << (BLOCK - 1)));
        let mut word = core;
        while between != 0 {
            let at = begin + between.trailing_zeros() as usize;
            if joins(bytes[at - 1], bytes[at], bytes[at + 1]) {
                word |= lowest(between);
            }
            between ^= lowest(between);
        }
        let mut boundaries = word ^ ((word << 1) | word_before);
        while boundaries != 0 {
            each(begin + boundaries.trailing_zeros() as usize);
            boundaries ^= lowest(boundaries);
        }
        core_before = core >> (BLOCK - 1);
        word_before = word >> (BLOCK - 1);
    }
}

fn lowest(mask: u64) -> u64 {
    mask & mask.wrapping_neg()
}

/// The first bytes of a text, with zeros behind its end.
#[inline]
fn block(bytes: &[u8]) -> [u8; BLOCK] {
    bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; BLOCK];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    })
}

/// Which bytes of a block are part of a word by themselves, and which may be so between two of these; some of the latter join nothing.
#[inline]
fn masks(block: [u8; BLOCK]) -> (u64, u64) {
    let (mut core, mut mark) = (0, 0);
    for (i, eight) in block.as_chunks().0.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let lower = eight | (EACH * 0x20);
        let is_core =
            within(lower, b'a', b'z') | within(eight, b'0', b'9') | within(eight, b'_', b'_');
        let is_mark = within(eight, b'\'', b'.') | within(eight, b':', b';');
        core |= gathered(is_core) << (8 * i);
        mark |= gathered(is_mark) << (8 * i);
    }
    (core, mark)
}

/// A one in each of eight bytes.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each of eight bytes says whether it lies in a range, and the others nothing; all are ASCII, so no sum reaches the next byte.
#[inline]
fn within(eight: u64, first: u8, last: u8) -> u64 {
    let reached = eight.wrapping_add(EACH * u64::from(0x80 - first));
    let passed = eight.wrapping_add(EACH * u64::from(0x7f - last));
    reached & !passed
}

/// The highest bits of eight bytes side by side: each product puts one of them into the highest byte, and no two meet.
#[inline]
fn gathered(eight: u64) -> u64 {
    let bits = (eight >> 7) & EACH;
    bits.wrapping_mul(0x0102_0408_1020_4080) >> 56
}

fn is_core(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Does what stands between two bytes make one word of them?
fn joins(before: u8, between: u8, after: u8) -> bool {
    match between {
        b'\'' | b'.' => {
            (before.is_ascii_alphabetic() && after.is_ascii_alphabetic())
                || (before.is_ascii_digit() && after.is_ascii_digit())
        }
        b':' => before.is_ascii_alphabetic() && after.is_ascii_alphabetic(),
        b',' | b';' => before.is_ascii_digit() && after.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_block_is_told_by_its_place() {
        for byte in 0..128_u8 {
            for at in 0..BLOCK {
                let mut block = [b' '; BLOCK];
                block[at] = byte;
                let (core, mark) = masks(block);
                assert_eq!(core, u64::from(is_core(byte)) << at, "{byte} at {at}");
                let may_join = joins(b'a', byte, b'a') || joins(b'0', byte, b'0');
                assert!(!may_join || mark == 1 << at, "{byte} at {at}");
            }
        }
    }
}
