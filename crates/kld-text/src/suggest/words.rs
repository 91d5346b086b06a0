//! Running text as a keyboard sees it: words, which are predicted, and marks, which are given.
//!
//! A **word** is a word-like segment of Unicode's word boundaries (see [`crate::segment`]), as it is written: `Anne` and `anne` are
//! two words. What stands between two words is at most one **mark**: an empty line (the start of a passage, [`START`]); else the
//! first sign that ends a sentence; else the first other sign. A hyphen is a mark, so that `well-bred` is two words; the
//! apostrophe in `don't` belongs to the word. Marks are context like words, but are never suggested and never scored:
//! every probability is that of a word *given that a word comes next*.

use crate::segment::{Fold, Segmenter, Unit};

use super::ngram::{START, Symbol};

/// The first number that stands for a word; those below are marks.
pub const FIRST_WORD: Symbol = 16;

/// How [`START`] is written.
pub const START_NAME: &str = "¶";

/// A word that nobody knows, as context of the next one; no text has it as a mark.
pub const UNKNOWN: Symbol = FIRST_WORD - 1;

/// The marks: how each is written in files of learned state, and the signs it stands for. The first one starts a passage; the
/// last one stands for all other signs.
const MARKS: [(&str, &str); 13] = [
    (START_NAME, ""),
    (".", ".…。．।"),
    ("?", "?？؟"),
    ("!", "!！"),
    (",", ",，、،"),
    (";", ";；"),
    (":", ":："),
    ("-", "-‐‑"),
    ("—", "–—―"),
    ("\"", "\"“”„«»「」『』'‘’"),
    ("(", "([{（【"),
    (")", ")]}）】"),
    ("·", ""),
];

/// Marks 1 to 3 end a sentence.
const SENTENCE_ENDS: std::ops::RangeInclusive<Symbol> = 1..=3;

const OTHER: Symbol = MARKS.len() as Symbol - 1;

/// A piece of running text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A word, as written.
    Word(&'a str),
    /// A mark, by its number.
    Mark(Symbol),
}

/// Calls `each` with the words and marks of a text in their order. An empty line before the first word is no mark.
pub fn each_token<'a>(text: &'a str, mut each: impl FnMut(Token<'a>)) {
    each_token_at(text, |_, token| each(token));
}

/// The same with the place of each: where the word begins, or what the mark stands for.
pub fn each_token_at<'a>(text: &'a str, mut each: impl FnMut(usize, Token<'a>)) {
    let fold = Fold {
        case: false,
        numbers: false,
    };
    let mut from = 0;
    Segmenter::new(Unit::Words, fold).each(text, |word| {
        // Words come in their order and as written, so each is found where the one before it ended.
        let Some(gap) = text[from..].find(word) else {
            return;
        };
        let between = &text[from..from + gap];
        if let Some(mark) = mark(between).filter(|mark| from > 0 || *mark != START) {
            each(from, Token::Mark(mark));
        }
        let start = from + gap;
        from = start + word.len();
        each(start, Token::Word(&text[start..from]));
    });
    if let Some(mark) = mark(&text[from..]) {
        each(from, Token::Mark(mark));
    }
}

/// The text before a cursor: what is finished, and the beginning of the word that is being written (empty between words).
#[must_use]
pub fn at_cursor(text: &str) -> (&str, &str) {
    let mut last = None;
    each_token(text, |token| last = Some(token));
    match last {
        // Signs that are no mark, such as the underscores around emphasis, may still stand behind the word.
        Some(Token::Word(word)) if text.ends_with(word) => text.split_at(text.len() - word.len()),
        _ => (text, ""),
    }
}

/// A mark as it is written in files of learned state.
#[must_use]
pub fn mark_name(mark: Symbol) -> &'static str {
    MARKS.get(mark as usize).map_or("·", |(name, _)| name)
}

/// The mark that is written so.
#[must_use]
pub fn mark_named(name: &str) -> Option<Symbol> {
    MARKS
        .iter()
        .position(|(known, _)| *known == name)
        .map(|at| at as Symbol)
}

/// The mark that stands for what is between two words.
fn mark(between: &str) -> Option<Symbol> {
    if starts_passage(between) {
        return Some(START);
    }
    let mut marks = between.chars().filter_map(sign);
    let first = marks.clone().next();
    marks.find(|mark| SENTENCE_ENDS.contains(mark)).or(first)
}

fn starts_passage(between: &str) -> bool {
    // Behind the last line's end there is the next word, before the first one's the word before.
    let lines = between.rsplit_once('\n').map_or("", |(lines, _)| lines);
    lines.split('\n').skip(1).any(|line| line.trim().is_empty())
}

fn sign(c: char) -> Option<Symbol> {
    if c.is_whitespace() || c.is_alphanumeric() || c == '_' {
        return None;
    }
    let known = MARKS.iter().position(|(_, signs)| signs.contains(c));
    Some(known.map_or(OTHER, |at| at as Symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        each_token(text, |token| {
            out.push(match token {
                Token::Word(word) => word.to_owned(),
                Token::Mark(mark) => format!("<{}>", mark_name(mark)),
            });
        });
        out.join(" ")
    }

    #[test]
    fn between_two_words_stands_at_most_one_mark() {
        assert_eq!(
            written("\n\nMr. Elliot, _don't_ go -- \"well-bred.\"\r\n \r\n(I 'go'...)"),
            "Mr <.> Elliot <,> don't go <-> well <-> bred <¶> I <\"> go <.>"
        );
        assert_eq!(
            written("我们在北京。你呢？ €5"),
            "我们 在 北京 <.> 你 呢 <?> 5"
        );
        assert_eq!(written("a € b"), "a <·> b");
        assert_eq!(written(" ... "), "<.>");
    }

    #[test]
    fn at_the_cursor_a_word_may_be_half_written() {
        assert_eq!(at_cursor("I am half ag"), ("I am half ", "ag"));
        assert_eq!(at_cursor("I am half "), ("I am half ", ""));
        assert_eq!(at_cursor("half agony, half"), ("half agony, ", "half"));
        assert_eq!(at_cursor("half agony,"), ("half agony,", ""));
        assert_eq!(at_cursor("don't"), ("", "don't"));
        assert_eq!(at_cursor(""), ("", ""));
        assert_eq!(at_cursor("我们在北"), ("我们在", "北"));
    }

    #[test]
    fn marks_are_read_as_they_are_written() {
        for mark in 0..=OTHER {
            assert_eq!(mark_named(mark_name(mark)), Some(mark));
        }
        assert_eq!(mark_named("word"), None);
        const { assert!(OTHER < UNKNOWN) };
    }
}
