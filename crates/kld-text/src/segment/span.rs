//! A unit where it stands.

use std::ops::{Deref, Range};

/// A stretch of a text that knows what stands behind it: its bytes can be taken as a number without a branch on how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    text: &'a str,
    from: usize,
    to: usize,
}

impl<'a> Span<'a> {
    pub(crate) fn new(text: &'a str, range: Range<usize>) -> Self {
        let Range { start, end } = range;
        debug_assert!(text.get(start..end).is_some(), "{start}..{end} of {text:?}");
        Self {
            text,
            from: start,
            to: end,
        }
    }

    pub(crate) fn text(self) -> &'a str {
        &self.text[self.from..self.to]
    }

    /// The bytes of a span of at most 15 as two numbers, the first byte lowest and in the highest how many there are: no two spans have the same.
    #[inline]
    pub(crate) fn packed(self) -> Option<[u64; 2]> {
        const BYTES: usize = 16;
        let length = self.to - self.from;
        if length >= BYTES {
            return None;
        }
        let behind = &self.text.as_bytes()[self.from..];
        let bytes = behind.first_chunk().copied().unwrap_or_else(|| {
            let mut padded = [0; BYTES];
            padded[..behind.len()].copy_from_slice(behind);
            padded
        });
        let mask = u128::MAX.unbounded_shr(u128::BITS - 8 * length as u32);
        let bytes = u128::from_le_bytes(bytes) & mask;
        let packed = bytes | ((length as u128) << (u128::BITS - 8));
        Some([packed as u64, (packed >> u64::BITS) as u64])
    }
}

impl<'a> From<&'a str> for Span<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text, 0..text.len())
    }
}

impl Deref for Span<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_spans_are_numbers_whatever_stands_behind_them() {
        for behind in ["", "p", "pqrstuvwxyz 0123456789"] {
            let text = format!("abcdefghijklmno{behind}");
            for (from, to) in (0..16).flat_map(|from| (from..16).map(move |to| (from, to))) {
                let mut expected = [0; 16];
                expected[..to - from].copy_from_slice(&text.as_bytes()[from..to]);
                expected[15] = (to - from) as u8;
                let expected = u128::from_le_bytes(expected);
                assert_eq!(
                    Span::new(&text, from..to).packed(),
                    Some([expected as u64, (expected >> 64) as u64])
                );
            }
        }
        assert_eq!(Span::from("abcdefghijklmnop").packed(), None);
    }
}
