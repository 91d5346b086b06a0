//! How likely a string of characters is as a word: what stands under the n-grams of words, so that every word that
//! could ever be written has a probability above 0, and all of them together have 1.
//!
//! An [`NGram`] of characters, learnt from the *different* words of a text (a word that is new resembles the rare ones, not `the`),
//! with an end of word. Under it, characters that no word has share evenly what is left: there are 1 112 064 scalar values.

use std::collections::HashMap;

use super::{
    Result,
    ngram::{NGram, START, Symbol},
};

const END: Symbol = 1;
const FIRST_CHARACTER: Symbol = 2;

/// Every Unicode scalar value, and the end of a word.
const CHARACTERS: f64 = 1_112_064.0 + 1.0;

/// The order of the n-grams of characters.
const ORDER: usize = 5;

/// A distribution over all words there could be.
#[derive(Clone, Debug)]
pub struct Spelling {
    characters: HashMap<char, Symbol>,
    ngram: NGram,
}

impl Spelling {
    /// Learns from words, each once.
    ///
    /// # Errors
    ///
    /// If there are too many of them for one model.
    pub fn train<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut characters = HashMap::new();
        let mut stream = Vec::new();
        for word in words {
            stream.push(START);
            for character in word.chars() {
                let next = FIRST_CHARACTER + characters.len() as Symbol;
                stream.push(*characters.entry(character).or_insert(next));
            }
            stream.push(END);
        }
        let mut base = vec![1.0 / CHARACTERS; characters.len() + FIRST_CHARACTER as usize];
        base[START as usize] = 0.0;
        let ngram = NGram::train(&stream, ORDER, END, &base)?;
        Ok(Self { characters, ngram })
    }

    /// The probability of one word among all.
    #[must_use]
    pub fn probability(&self, word: &str) -> f64 {
        let unknown = self.ngram.symbols() as Symbol;
        let letters = word
            .chars()
            .map(|c| self.characters.get(&c).copied().unwrap_or(unknown));
        let mut history = vec![START];
        let mut probability = 1.0;
        for symbol in letters.chain([END]) {
            probability *= self.ngram.probability(&history, symbol, 1.0 / CHARACTERS);
            history.push(symbol);
        }
        probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_spellings_are_more_probable_and_all_are_possible() {
        let words = ["walking", "talking", "walked", "talked", "walker", "king"];
        let spelling = Spelling::train(words).unwrap();
        let p = |word| spelling.probability(word);
        assert!(
            p("walking") > 1e-4 && p("talker") > 1e-4,
            "{} {}",
            p("walking"),
            p("talker")
        );
        assert!(p("gnik") > 0.0 && p("gnik") < 1e-9, "{}", p("gnik"));
        assert!(p("世界") > 0.0 && p("") > 0.0);
    }

    #[test]
    fn all_words_together_have_a_probability_of_one() {
        let spelling = Spelling::train(["a", "aa", "aaaa"]).unwrap();
        // Words of `a` and letters that no word has, of which there are so many and each is as likely as the other.
        let others = 1_112_063.0;
        let mut total = 0.0;
        let mut words = vec![(String::new(), 1.0)];
        for _ in 0..15 {
            total += words
                .iter()
                .map(|(word, n)| n * spelling.probability(word))
                .sum::<f64>();
            let longer = |(word, n): &(String, f64)| {
                [(format!("{word}a"), *n), (format!("{word}b"), n * others)]
            };
            words = words.iter().flat_map(longer).collect();
        }
        assert!(total > 0.99 && total < 1.0, "{total}");
    }
}
