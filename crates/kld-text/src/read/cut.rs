//! Where a text may be cut so that neither words nor characters change.

/// The last good place at or before `limit` to cut `bytes`, which are more than `limit`; never 0.
///
/// Good is, first, between white space and what is none (a line's end if one is near), as no word or character goes across; then, in
/// scripts that write without spaces, behind a full stop or comma; and where there is neither, between two characters. Words cut by the
/// last are as many as the pieces of a text without any punctuation.
pub(super) fn cut(bytes: &[u8], limit: usize) -> usize {
    let last = |from: usize, good: fn(&[u8], usize) -> bool| {
        (from..=limit).rev().find(|&at| good(bytes, at))
    };
    last(limit / 2, after_line)
        .or_else(|| last(1, after_space))
        .or_else(|| last(3, after_wide_stop))
        .or_else(|| last(1, between_chars))
        // Not UTF-8 at all: reading the piece will say so.
        .unwrap_or(limit)
}

fn after_line(bytes: &[u8], at: usize) -> bool {
    bytes[at - 1] == b'\n'
        && !bytes[at].is_ascii_whitespace()
        && !bytes[at..].starts_with("\u{3000}".as_bytes())
}

/// A mark that combines with a space would not be ASCII.
fn after_space(bytes: &[u8], at: usize) -> bool {
    (bytes[at - 1].is_ascii_whitespace() && bytes[at].is_ascii_graphic()) || after_line(bytes, at)
}

fn after_wide_stop(bytes: &[u8], at: usize) -> bool {
    ["。", "、", "，", "！", "？"]
        .iter()
        .any(|stop| bytes[..at].ends_with(stop.as_bytes()))
        && between_chars(bytes, at)
}

fn between_chars(bytes: &[u8], at: usize) -> bool {
    // Bytes 10xxxxxx go on with a character.
    bytes[at] & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_no_word_is_torn() {
        let cut_of = |text: &str, limit| text[..cut(text.as_bytes(), limit)].to_owned();
        assert_eq!(cut_of("one two\nthree four five", 15), "one two\n");
        assert_eq!(cut_of("one two three", 9), "one two ");
        assert_eq!(cut_of("我们在北京。我们在", 20), "我们在北京。");
        assert_eq!(cut_of("我们在北京", 8), "我们");
        assert_eq!(cut_of("abcdef", 3), "abc");
        assert_eq!(cut(&[0x80; 9], 4), 4);
    }
}
