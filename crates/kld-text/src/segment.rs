//! Text into units: words, or characters.
//!
//! **Words** are what lies between Unicode's default word boundaries (UAX #29) and has a letter or digit, with dictionaries for Chinese, Japanese,
//! Thai, Lao, Khmer and Burmese, whose words no space divides. Punctuation and white space are no words; an apostrophe or full
//! stop between two letters and a comma or full stop between two digits belong to the word (`don't`, `3.14`); underscores at the ends, with which
//! plain text marks emphasis, are taken off (`_very_` is `very`).
//!
//! **Characters** are what a reader takes for one (extended grapheme clusters); white space, however much, is one `␣`.
//!
//! ```
//! use kld_text::segment::{Fold, Segmenter, Unit};
//! let mut words = Vec::new();
//! Segmenter::new(Unit::Words, Fold::default()).each("Don't stop: 世界和平!", |word| words.push(word.to_owned()));
//! assert_eq!(words, ["don't", "stop", "世界", "和平"]);
//! ```

mod ascii;
mod cutter;
mod span;

pub use cutter::{Cutter, Tokenize};
pub(crate) use span::Span;

use icu_casemap::CaseMapper;
use icu_segmenter::{
    GraphemeClusterSegmenter, GraphemeClusterSegmenterBorrowed, WordSegmenter,
    WordSegmenterBorrowed, options::WordBreakInvariantOptions,
};
use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unit {
    /// Words.
    #[default]
    Words,
    /// Characters as a reader sees them.
    Chars,
}

/// Which differences between units are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Upper and lower case are the same (Unicode's full case folding).
    pub case: bool,
    /// All numbers are the same and become `#`: words that have a digit and no letter.
    pub numbers: bool,
}

impl Default for Segmenter {
    fn default() -> Self {
        Self::new(Unit::default(), Fold::default())
    }
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            case: true,
            numbers: false,
        }
    }
}

/// What stands for every number where numbers are folded; no word is written so.
pub const NUMBER: &str = "#";

/// What stands for white space among characters.
pub const SPACE: &str = "␣";

/// Cuts text into units.
#[derive(Clone, Copy, Debug)]
pub struct Segmenter {
    unit: Unit,
    fold: Fold,
    words: WordSegmenterBorrowed<'static>,
    clusters: GraphemeClusterSegmenterBorrowed<'static>,
}

impl Segmenter {
    /// A segmenter for a kind of unit.
    #[must_use]
    pub fn new(unit: Unit, fold: Fold) -> Self {
        Self {
            unit,
            fold,
            words: WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()),
            clusters: GraphemeClusterSegmenter::new(),
        }
    }

    /// What text is cut into.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// What is passed over.
    #[must_use]
    pub fn fold(&self) -> Fold {
        self.fold
    }

    /// Calls `each` with every unit of a text, in order.
    pub fn each(&self, text: &str, mut each: impl FnMut(&str)) {
        self.each_span(text, |unit| each(&unit));
    }

    /// The same, with the units where they stand.
    pub(crate) fn each_span(&self, text: &str, mut each: impl FnMut(Span<'_>)) {
        match self.unit {
            Unit::Words => self.each_word(text, &mut each),
            Unit::Chars => self.each_char(text, &mut |unit: &str| each(unit.into())),
        }
    }

    /// One stretch after the other, so that what is folded stays in the nearest cache.
    fn each_word(&self, text: &str, each: &mut impl FnMut(Span<'_>)) {
        let (mut folded, mut rest) = (String::new(), text);
        while !rest.is_empty() {
            let (stretch, behind) = rest.split_at(end_of_stretch(rest));
            if self.fold.case {
                folded.clear();
                folded.push_str(stretch);
                folded.make_ascii_lowercase();
                self.each_word_of_stretch(&folded, each);
            } else {
                self.each_word_of_stretch(stretch, each);
            }
            rest = behind;
        }
    }

    /// What is ASCII is cut by the quick way, up to the white space around what is not: no boundary depends on what lies beyond a
    /// space.
    fn each_word_of_stretch(&self, text: &str, each: &mut impl FnMut(Span<'_>)) {
        let mut rest = text;
        while let Some(foreign) = first_not_ascii(rest) {
            let from = rest[..foreign].rfind(is_space).map_or(0, |at| at + 1);
            let to = rest[foreign..].find(is_space);
            let to = to.map_or(rest.len(), |at| foreign + at);
            self.each_ascii_word(&rest[..from], each);
            self.each_word_by_unicode(&rest[from..to], &mut |word: &str| each(word.into()));
            rest = &rest[to..];
        }
        self.each_ascii_word(rest, each);
    }

    fn each_ascii_word(&self, text: &str, each: &mut impl FnMut(Span<'_>)) {
        if self.fold.numbers {
            ascii::each_word(text, |word| {
                self.number_or(&word, &mut |word: &str| each(word.into()));
            });
        } else {
            ascii::each_word(text, each);
        }
    }

    fn each_word_by_unicode(&self, text: &str, each: &mut impl FnMut(&str)) {
        let mut from = 0;
        // The first boundary is the beginning of the text.
        for to in self.words.segment_str(text).skip(1) {
            // A mark that combines with a space stands for itself.
            let word = text[from..to].trim_matches(|c: char| c == '_' || c.is_whitespace());
            from = to;
            if word.contains(char::is_alphanumeric) {
                if self.fold.case {
                    self.number_or(&CaseMapper::new().fold_string(word), each);
                } else {
                    self.number_or(word, each);
                }
            }
        }
    }

    fn number_or(&self, word: &str, each: &mut impl FnMut(&str)) {
        if self.fold.numbers && is_number(word) {
            each(NUMBER);
        } else {
            each(word);
        }
    }

    fn each_char(&self, text: &str, each: &mut impl FnMut(&str)) {
        let (mut from, mut after_space) = (0, false);
        for to in self.clusters.segment_str(text).skip(1) {
            let cluster = &text[from..to];
            from = to;
            let space = cluster.chars().all(char::is_whitespace);
            match (space, self.fold.numbers && is_number(cluster)) {
                (true, _) if after_space => {}
                (true, _) => each(SPACE),
                (_, true) => each(NUMBER),
                _ if self.fold.case => each(&CaseMapper::new().fold_string(cluster)),
                _ => each(cluster),
            }
            after_space = space;
        }
    }
}

/// About so many bytes are folded at a time.
const STRETCH: usize = 4 << 10;

/// Where a text may be cut into a stretch and what stands behind it: at white space.
fn end_of_stretch(text: &str) -> usize {
    let Some(behind) = text.as_bytes().get(STRETCH..) else {
        return text.len();
    };
    let space = behind.iter().position(u8::is_ascii_whitespace);
    space.map_or(text.len(), |at| STRETCH + at)
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

fn first_not_ascii(text: &str) -> Option<usize> {
    if text.is_ascii() {
        return None;
    }
    text.bytes().position(|byte| !byte.is_ascii())
}

fn is_number(word: &str) -> bool {
    word.chars().any(char::is_numeric) && !word.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(unit: Unit, fold: Fold, text: &str) -> Vec<String> {
        let mut units = Vec::new();
        Segmenter::new(unit, fold).each(text, |unit| units.push(unit.to_owned()));
        units
    }

    const AS_WRITTEN: Fold = Fold {
        case: false,
        numbers: false,
    };

    fn words(text: &str) -> Vec<String> {
        units(Unit::Words, AS_WRITTEN, text)
    }

    /// The whole text by Unicode's rules, without any quick way.
    fn words_by_unicode(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        Segmenter::new(Unit::Words, AS_WRITTEN)
            .each_word_by_unicode(text, &mut |word: &str| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_of_many_scripts() {
        assert_eq!(
            words("Mr. O'Neil's 3.14, 1,000 -- _very_ e.g. ok"),
            ["Mr", "O'Neil's", "3.14", "1,000", "very", "e.g", "ok"]
        );
        assert_eq!(words("ภาษาไทยภาษา"), ["ภาษา", "ไทย", "ภาษา"]);
        assert_eq!(
            words("我们在北京大学学习"),
            ["我们", "在", "北京", "大学", "学习"]
        );
        assert_eq!(words("こんにちは世界"), ["こんにちは", "世界"]);
        assert_eq!(
            words("Hello世界, Привет мир!"),
            ["Hello", "世界", "Привет", "мир"]
        );
        assert_eq!(words("a \u{cd5}"), ["a", "\u{cd5}"]);
    }

    #[test]
    fn words_are_the_same_in_a_long_text() {
        let (some, long) = ("Don't 3.14, 世界 _a_ naïve -- ", "x".repeat(2 * STRETCH));
        let expected = ["don't", "3.14", "世界", "a", "naïve"].repeat(STRETCH / 20);
        for shift in 0..70 {
            let text = format!("{}{}{long}", " ".repeat(shift), some.repeat(STRETCH / 20));
            let words = units(Unit::Words, Fold::default(), &text);
            let (last, all_others) = words.split_last().unwrap();
            assert_eq!(all_others, expected);
            assert_eq!(*last, long);
        }
    }

    #[test]
    fn folding_is_by_choice() {
        let both = Fold {
            case: true,
            numbers: true,
        };
        assert_eq!(
            units(Unit::Words, both, "In 1817, Straße ΣΑΣ 4th ٣٤"),
            ["in", "#", "strasse", "σασ", "4th", "#"]
        );
        assert_eq!(words("In 1817"), ["In", "1817"]);
    }

    #[test]
    fn characters_are_those_that_a_reader_sees() {
        assert_eq!(
            units(Unit::Chars, Fold::default(), "E\u{301}a \n\n👩‍👩‍👧!"),
            ["e\u{301}", "a", "␣", "👩‍👩‍👧", "!"]
        );
    }

    proptest! {
        #[test]
        fn the_quick_way_gives_the_words_of_unicode(text in "[ -~\n\t]{0,200}|[ab1_.,;:'\" -]{0,150}|(([a-z]{1,12}|[0-9]{1,4}|_)[ .',_:;]){0,60}") {
            prop_assert_eq!(words(&text), words_by_unicode(&text));
        }

        #[test]
        fn no_boundary_depends_on_what_lies_beyond_a_space(text in "(\\PC|[a-z1'. \n\u{301}\u{200d}]|[ก-๙一-龠あ-ん]|[a-z]{1,9} ){0,60}") {
            prop_assert_eq!(words(&text), words_by_unicode(&text));
        }
    }
}
