//! The word boundaries of ASCII text, the same as by Unicode's rules and many times faster.
//!
//! Of UAX #29 remain: letters, digits and underscores hold together; `'`, `.` and `:` between two letters, and `'`, `.`, `,` and `;` between two digits,
//! belong to the word; everything else is a boundary.

/// Part of a word by itself: a letter, a digit or an underscore.
const CORE: u8 = 1;
const LETTER: u8 = 2;
const DIGIT: u8 = 4;
/// Joins two letters.
const MID_LETTER: u8 = 8;
/// Joins two digits.
const MID_NUMBER: u8 = 16;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => CORE | LETTER,
            b'0'..=b'9' => CORE | DIGIT,
            b'_' => CORE,
            b'\'' | b'.' => MID_LETTER | MID_NUMBER,
            b':' => MID_LETTER,
            b',' | b';' => MID_NUMBER,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Calls `each` with every word of a text that is ASCII throughout.
pub(super) fn each_word(text: &str, mut each: impl FnMut(&str)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if class(bytes[at]) & CORE == 0 {
            at += 1;
            continue;
        }
        let from = at;
        let mut to = end_of_core(bytes, from);
        while let Some(&[before, middle, after]) = bytes.get(to - 1..to + 2)
            && class(middle) & (MID_LETTER | MID_NUMBER) != 0
            && joins(class(before), class(middle), class(after))
        {
            to = end_of_core(bytes, to + 1);
        }
        at = to;
        let mut word = &text[from..to];
        if bytes[from] == b'_' || bytes[to - 1] == b'_' {
            word = word.trim_matches('_');
        }
        if !word.is_empty() {
            each(word);
        }
    }
}

fn end_of_core(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && class(bytes[at]) & CORE != 0 {
        at += 1;
    }
    at
}

fn joins(before: u8, between: u8, after: u8) -> bool {
    (between & MID_LETTER != 0 && before & after & LETTER != 0)
        || (between & MID_NUMBER != 0 && before & after & DIGIT != 0)
}
