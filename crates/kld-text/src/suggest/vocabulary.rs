//! Words by number, and by how they begin.

use std::collections::HashMap;

use super::{ngram::Symbol, words::FIRST_WORD};

/// The known words, each with a number from [`FIRST_WORD`] on.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    words: Vec<Box<str>>,
    /// The words in lower case.
    lower: Vec<Box<str>>,
    numbers: HashMap<Box<str>, Symbol>,
    /// All numbers in the order of their words in lower case: words that begin alike are neighbours.
    sorted: Vec<Symbol>,
}

impl Vocabulary {
    /// The vocabulary of these words, each given once.
    pub(super) fn of(words: Vec<Box<str>>) -> Self {
        let numbered = || words.iter().cloned().zip(FIRST_WORD..);
        let mut of = Self {
            lower: words
                .iter()
                .map(|word| word.to_lowercase().into())
                .collect(),
            numbers: numbered().collect(),
            sorted: numbered().map(|(_, number)| number).collect(),
            words,
        };
        let lower = &of.lower;
        of.sorted.sort_by_key(|number| &lower[index(*number)]);
        of
    }

    /// The word's number, a new one where it is not known yet.
    pub fn add(&mut self, word: &str) -> Symbol {
        if let Some(number) = self.number(word) {
            return number;
        }
        let number = self.symbols() as Symbol;
        let lower: Box<str> = word.to_lowercase().into();
        let at = self
            .sorted
            .partition_point(|known| self.lower[index(*known)] <= lower);
        self.sorted.insert(at, number);
        self.words.push(word.into());
        self.lower.push(lower);
        self.numbers.insert(word.into(), number);
        number
    }

    /// The word's number, if it is known.
    #[must_use]
    pub fn number(&self, word: &str) -> Option<Symbol> {
        self.numbers.get(word).copied()
    }

    /// The word with a number.
    ///
    /// # Panics
    ///
    /// If no word has it.
    #[must_use]
    pub fn word(&self, number: Symbol) -> &str {
        &self.words[index(number)]
    }

    /// How many words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// One more than the highest number in use.
    #[must_use]
    pub fn symbols(&self) -> usize {
        FIRST_WORD as usize + self.words.len()
    }

    /// The words that [begin](Self::begins) with `prefix`.
    pub fn starting_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = Symbol> + 'a {
        let lower = prefix.to_lowercase();
        let from = self
            .sorted
            .partition_point(|number| *self.lower[index(*number)] < *lower);
        self.sorted[from..]
            .iter()
            .copied()
            .take_while(move |number| self.lower[index(*number)].starts_with(&lower))
            .filter(move |number| self.begins(*number, prefix))
    }

    /// Whether a word begins with `prefix`: in lower case it stands for either case, one capital makes it stand for itself.
    #[must_use]
    pub fn begins(&self, number: Symbol, prefix: &str) -> bool {
        let as_written = prefix.chars().any(char::is_uppercase);
        let words = if as_written { &self.words } else { &self.lower };
        words[index(number)].starts_with(prefix)
    }
}

/// Where the word with a number lies.
fn index(number: Symbol) -> usize {
    (number - FIRST_WORD) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_their_beginnings_whenever_they_came() {
        let mut known = Vocabulary::of(vec!["and".into(), "Anne".into(), "the".into()]);
        let added = known.add("anger");
        assert_eq!((known.add("anger"), known.len()), (added, 4));
        let found = |prefix: &str| -> Vec<&str> {
            known
                .starting_with(prefix)
                .map(|number| known.word(number))
                .collect()
        };
        assert_eq!(found("an"), ["and", "anger", "Anne"]);
        assert_eq!(found("An"), ["Anne"]);
        assert_eq!(found("AN"), [""; 0]);
        assert_eq!(found(""), ["and", "anger", "Anne", "the"]);
        assert_eq!(found("x"), [""; 0]);
    }
}
