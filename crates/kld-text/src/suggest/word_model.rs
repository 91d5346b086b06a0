//! A model of the next word, made on the spot from text: n-grams of words and marks over a distribution of spellings.

use std::collections::HashMap;

use super::{
    Result,
    ngram::{NGram, START, Symbol},
    spelling::Spelling,
    vocabulary::Vocabulary,
    words::{FIRST_WORD, Token, each_token},
};

/// What [`Trainer`] makes. Every string has a probability above 0 as the next word, and all together have 1.
#[derive(Clone, Debug)]
pub struct WordModel {
    vocabulary: Vocabulary,
    ngram: NGram,
    spelling: Spelling,
    words: u64,
}

/// Reads text, document after document, until the model is made.
#[derive(Clone, Debug, Default)]
pub struct Trainer {
    words: Vec<Box<str>>,
    numbers: HashMap<Box<str>, Symbol>,
    stream: Vec<Symbol>,
    read: u64,
}

impl Trainer {
    /// Reads one document.
    pub fn read(&mut self, text: &str) {
        self.stream.push(START);
        each_token(text, |token| {
            let symbol = match token {
                Token::Mark(mark) => mark,
                Token::Word(word) => self.number(word),
            };
            self.stream.push(symbol);
        });
    }

    /// Words read so far.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.read
    }

    /// Makes the model, of n-grams up to `order`.
    ///
    /// # Errors
    ///
    /// If there was no word, or too much text for one model.
    ///
    /// # Panics
    ///
    /// If the order is 0 or above [`LONGEST`](super::ngram::LONGEST).
    pub fn finish(self, order: usize) -> Result<WordModel> {
        if self.words.is_empty() {
            return Err(super::Error::NoWords);
        }
        let spelling = Spelling::train(self.words.iter().map(|word| &**word))?;
        let marks = std::iter::repeat_n(0.0, FIRST_WORD as usize);
        let words = self.words.iter().map(|word| spelling.probability(word));
        let base: Vec<f64> = marks.chain(words).collect();
        let ngram = NGram::train(&self.stream, order, FIRST_WORD, &base)?;
        Ok(WordModel {
            vocabulary: Vocabulary::of(self.words),
            ngram,
            spelling,
            words: self.read,
        })
    }

    fn number(&mut self, word: &str) -> Symbol {
        self.read += 1;
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = FIRST_WORD + self.words.len() as Symbol;
        self.words.push(word.into());
        self.numbers.insert(word.into(), number);
        number
    }
}

impl WordModel {
    /// The words that the text had.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The n-grams.
    #[must_use]
    pub fn ngram(&self) -> &NGram {
        &self.ngram
    }

    /// How many words of text it was made from.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.words
    }

    /// G of a word: the probability of its spelling among all that could ever be written.
    #[must_use]
    pub fn spelling(&self, word: &str) -> f64 {
        self.spelling.probability(word)
    }
}
