//! Words from a model of tokens: its distribution of the next token, summed up to a distribution of the next word.
//!
//! ```text
//! hypotheses ← { nothing, mass 1 }
//! until the wanted words are certain, or so many passes are spent:
//!     take the hypothesis of the greatest mass, ask the model for the token behind it, and for each token of probability p:
//!         the word goes on         → a new hypothesis of mass · p
//!         the word ends before it  → mass · p is the word's
//!         no word, or another one than was begun → left out
//! ```
//!
//! Which words are found is *exact* where the expansion ends by itself: a hypothesis can only lose mass as it goes on, so once as many
//! words as are wanted have more than any hypothesis left, no other word of one tokenization can overtake them. Where it ends because
//! its passes are spent, [`Expanded::open`] says how much is undecided; every probability is too low by that at most.
//!
//! A word is letters, digits, and apostrophes between them, begun where the text before it ends, behind the white space that stands
//! there; `P(word)` is its mass over that of all words, i.e. given that a word comes next. Ends are counted as T. Pimentel and C. Meister,
//! *How to compute the probability of a word*, 2024, do: the space that ends a word belongs to the token behind it, so that `a` is not
//! charged with what `an` is made of.

mod search;

use std::fmt;

use kld_core::sum::sum;

use self::search::Search;
use crate::{Error, Result};

/// A causal language model, as this crate needs it.
pub trait TokenModel: fmt::Debug + Sync {
    /// The tokens of a text, without any that the text does not contain.
    ///
    /// # Errors
    ///
    /// With what is wrong.
    fn encode(&self, text: &str) -> Result<Vec<u32>, String>;

    /// The token that stands before every text, if one does; before an empty text one has to.
    fn start(&self, empty: bool) -> Option<u32>;

    /// The bytes that each token writes; none for what is not text.
    fn pieces(&self) -> &[Vec<u8>];

    /// Probabilities of the token behind each of the last `last` tokens.
    ///
    /// # Errors
    ///
    /// With what is wrong.
    fn next(&self, tokens: &[u32], last: usize) -> Result<Vec<Vec<f64>>, String>;
}

/// How much work a suggestion may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Hypotheses that are expanded at most: passes of the model.
    pub passes: usize,
    /// Tokens before the cursor that the model sees at most.
    pub context: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            passes: 16,
            context: 64,
        }
    }
}

/// A model that gives words.
#[derive(Debug)]
pub struct Words<'m> {
    model: &'m dyn TokenModel,
    effort: Effort,
    shapes: Vec<Shape>,
}

/// Words that may come next, with what is not decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expanded {
    /// Words and their probabilities as the next word, most likely first.
    pub words: Vec<(String, f64)>,
    /// Probability of the hypotheses that were not expanded: words that are missing, or found by other tokens too.
    pub open: f64,
    /// Passes of the model.
    pub passes: usize,
}

/// What a token does to a word that it stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Goes on with it.
    Inside,
    /// Ends it.
    Ends,
    /// Depends on the word.
    Mixed,
}

/// A hypothesis, written out.
#[derive(Clone, Debug, Default)]
struct Written {
    tokens: Vec<u32>,
    bytes: Vec<u8>,
}

/// What stands before a word, and what it is to begin with.
#[derive(Clone, Debug)]
struct Cursor {
    tokens: Vec<u32>,
    /// How many tokens the text makes, seen or not.
    context: usize,
    /// Bytes of white space before the word.
    gap: usize,
    /// The gap, and what has been written of the word.
    required: Vec<u8>,
    /// What has been written stands for either case.
    any_case: bool,
}

/// What becomes of a word by a token.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It may go on.
    Open,
    /// It ended, after so many bytes behind the gap.
    Word(usize),
    /// It is none, or another one.
    Other,
}

impl<'m> Words<'m> {
    /// The words of a model.
    #[must_use]
    pub fn of(model: &'m dyn TokenModel, effort: Effort) -> Self {
        let shapes = model
            .pieces()
            .iter()
            .map(|piece| Shape::of(piece))
            .collect();
        Self {
            model,
            effort,
            shapes,
        }
    }

    /// The `wanted` most likely words behind a text that begin with `prefix`, and whatever else was found on the way. So many hypotheses are given to
    /// the model at once, each on a thread; what is found does not depend on it.
    ///
    /// # Errors
    ///
    /// If the model fails.
    pub fn expand(
        &self,
        before: &str,
        prefix: &str,
        wanted: usize,
        at_once: usize,
    ) -> Result<Expanded> {
        let cursor = self.cursor(before, prefix)?;
        let first = self.behind(&cursor, &Written::default())?;
        let any = self.any_word(&cursor, &first);
        let mut search = Search::new(self, &cursor, &first);
        while !search.is_decided(wanted) && search.passes() < self.effort.passes {
            if !search.go_on(at_once.min(self.effort.passes - search.passes()))? {
                break;
            }
        }
        Ok(search.end(any))
    }

    /// Probability of a word as the next one, by the tokens that the tokenizer makes of it. Other tokens that spell the same add
    /// to it in principle, and little in practice.
    ///
    /// # Errors
    ///
    /// If the model fails.
    pub fn probability(&self, before: &str, word: &str) -> Result<f64> {
        let cursor = self.cursor(before, word)?;
        let before = self.seen(before);
        let context = self.encode(context_of(before))?;
        let whole = self.encode(&format!("{before}{word}"))?;
        // Where the word changes how the text before it is cut, the tokens from there on are charged to the word.
        let same = context
            .iter()
            .zip(&whole)
            .take_while(|(a, b)| a == b)
            .count();
        let (context, spelling) = whole.split_at(same.min(whole.len().saturating_sub(1)));
        let tokens = [&self.started(context)?[..], spelling].concat();
        let rows = self.next(&tokens, spelling.len() + 1)?;
        let of_token = |(token, row): (&u32, &Vec<f64>)| row[*token as usize].ln();
        let spelt_so = sum(spelling.iter().zip(&rows).map(of_token)).exp();
        let next = if same < cursor.context {
            self.behind(&cursor, &Written::default())?
        } else {
            rows[0].clone()
        };
        Ok(spelt_so * self.ends(&rows[spelling.len()]) / self.any_word(&cursor, &next))
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.model.encode(text).map_err(Error::Model)
    }

    fn next(&self, tokens: &[u32], last: usize) -> Result<Vec<Vec<f64>>> {
        self.model.next(tokens, last).map_err(Error::Model)
    }

    /// The mass of all words behind a text.
    fn any_word(&self, cursor: &Cursor, next: &[f64]) -> f64 {
        let mut any = 0.0;
        let anything = Cursor {
            required: cursor.required[..cursor.gap].to_vec(),
            ..cursor.clone()
        };
        self.each_fate(&anything, &Written::default(), next, |_, p, fate, _| {
            any += if fate == Fate::Other { 0.0 } else { p };
        });
        any
    }

    /// The probability that a word ends, whatever it is.
    fn ends(&self, next: &[f64]) -> f64 {
        let pieces = self.model.pieces().iter().zip(&self.shapes);
        let end = pieces.zip(next).filter(|((piece, shape), _)| match shape {
            Shape::Inside => false,
            Shape::Ends => true,
            Shape::Mixed => end_of_word(&format!("a{}", String::from_utf8_lossy(piece))) == Some(1),
        });
        sum(end.map(|(_, p)| *p))
    }

    fn behind(&self, cursor: &Cursor, written: &Written) -> Result<Vec<f64>> {
        let tokens = [&cursor.tokens[..], &written.tokens].concat();
        let mut rows = self.next(&tokens, 1)?;
        rows.pop()
            .ok_or_else(|| Error::Model("the model gave no probabilities".to_owned()))
    }

    /// Calls `each` with every token that may stand behind what is written: its probability, what becomes of the word, and all bytes.
    fn each_fate(
        &self,
        cursor: &Cursor,
        written: &Written,
        next: &[f64],
        mut each: impl FnMut(u32, f64, Fate, &[u8]),
    ) {
        let begun =
            written.bytes.len() > cursor.gap && written.bytes.len() >= cursor.required.len();
        let is_inside = begun && ends_inside(&written.bytes);
        let mut bytes = written.bytes.clone();
        let pieces = self.model.pieces().iter().zip(&self.shapes);
        for ((token, (piece, shape)), p) in (0..).zip(pieces).zip(next) {
            bytes.truncate(written.bytes.len());
            let fate = match shape {
                Shape::Inside if is_inside => Fate::Open,
                Shape::Ends if is_inside => Fate::Word(written.bytes.len() - cursor.gap),
                _ => {
                    bytes.extend_from_slice(piece);
                    cursor.fate(&bytes, piece.is_empty())
                }
            };
            each(token, *p, fate, &bytes);
        }
    }

    /// The end of a text, somewhat more than its context can hold, so that long texts are not encoded for nothing.
    fn seen<'t>(&self, text: &'t str) -> &'t str {
        let from = text
            .len()
            .saturating_sub(self.effort.context * BYTES_PER_TOKEN);
        if from == 0 {
            return text;
        }
        let from = (from..text.len()).find(|at| text.is_char_boundary(*at));
        let end = &text[from.unwrap_or(text.len())..];
        // From a space on, so that the first word is cut as it was.
        &end[end.trim_end().find(' ').unwrap_or(0)..]
    }

    /// The last tokens of a context, behind the token that stands before every text.
    fn started(&self, tokens: &[u32]) -> Result<Vec<u32>> {
        let start = self.model.start(tokens.is_empty());
        let last = &tokens[tokens.len().saturating_sub(self.effort.context)..];
        let started: Vec<u32> = start.into_iter().chain(last.iter().copied()).collect();
        if started.is_empty() {
            return Err(Error::Model(
                "nothing stands before the word, and the model has no token for a beginning"
                    .to_owned(),
            ));
        }
        Ok(started)
    }

    fn cursor(&self, before: &str, prefix: &str) -> Result<Cursor> {
        let before = self.seen(before);
        let context = context_of(before);
        let tokens = self.encode(context)?;
        Ok(Cursor {
            tokens: self.started(&tokens)?,
            context: tokens.len(),
            gap: before.len() - context.len(),
            required: [&before.as_bytes()[context.len()..], prefix.as_bytes()].concat(),
            any_case: !prefix.chars().any(char::is_uppercase),
        })
    }
}

/// A text without the space at its end: one space belongs to the token behind it; other white space is tokens of its own.
fn context_of(before: &str) -> &str {
    let context = before.strip_suffix(' ').unwrap_or(before);
    let is_alone = context.is_empty() || context.ends_with(char::is_whitespace);
    if is_alone { before } else { context }
}

/// A text is cut to so many bytes for each token of context: few tokens are longer on average.
const BYTES_PER_TOKEN: usize = 8;

impl Shape {
    fn of(piece: &[u8]) -> Self {
        match std::str::from_utf8(piece) {
            Ok(text) if !text.is_empty() && text.chars().all(char::is_alphanumeric) => Self::Inside,
            Ok(text) if !text.starts_with(|c: char| c.is_alphanumeric() || joins(c)) => Self::Ends,
            _ => Self::Mixed,
        }
    }
}

impl Written {
    fn with(&self, token: u32, pieces: &[Vec<u8>]) -> Self {
        Self {
            tokens: [&self.tokens[..], &[token]].concat(),
            bytes: [&self.bytes[..], &pieces[token as usize]].concat(),
        }
    }
}

impl Cursor {
    /// What becomes of a word whose bytes, with the gap before it, are these; `by_nothing` where the last token wrote none.
    fn fate(&self, bytes: &[u8], by_nothing: bool) -> Fate {
        let common = bytes.len().min(self.required.len());
        if !self.agrees(&bytes[..common], &self.required[..common]) {
            return Fate::Other;
        }
        let word = bytes.get(self.gap..).unwrap_or_default();
        let word = match std::str::from_utf8(word) {
            Ok(word) => word,
            // The next token may bring the rest of a character.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&word[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => return Fate::Other,
        };
        let end = match end_of_word(word) {
            None if by_nothing => Some(word.trim_end_matches(joins).len()),
            end => end,
        };
        match end {
            None => Fate::Open,
            Some(0) => Fate::Other,
            Some(end) if self.gap + end < self.required.len() => Fate::Other,
            Some(end) => Fate::Word(end),
        }
    }

    fn agrees(&self, bytes: &[u8], required: &[u8]) -> bool {
        bytes == required || (self.any_case && bytes.eq_ignore_ascii_case(required))
    }
}

/// Whether an apostrophe, which belongs to a word between two letters.
fn joins(c: char) -> bool {
    matches!(c, '\'' | '’')
}

/// Where the word that a text begins with surely ends; `None` where it may go on.
fn end_of_word(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().peekable();
    let mut inside = false;
    while let Some((at, c)) = chars.next() {
        let next_is_inside = chars.peek().map(|(_, next)| next.is_alphanumeric());
        inside = match (c.is_alphanumeric(), joins(c) && inside, next_is_inside) {
            (true, ..) => true,
            (false, true, None) => return None,
            (false, true, Some(true)) => false,
            _ => return Some(at),
        };
    }
    None
}

/// Whether the last character is one of a word, so that what comes next can be told by itself.
fn ends_inside(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.ends_with(char::is_alphanumeric))
}

#[cfg(test)]
mod tests;
