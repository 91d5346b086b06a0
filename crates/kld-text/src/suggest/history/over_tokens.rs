//! The same over a model of tokens, which is slow: so many words of the history are asked about, and no more.

use std::collections::VecDeque;

use kld_core::Observer;
use rayon::prelude::*;

use super::{
    Context, Following, History, Judged, Place, SHOWN, Session, Steps, Token, fit::HeldBack,
};
use crate::{
    Result,
    suggest::{State, Suggestion, Words, expand::Expanded, state::Fitted},
};

/// Words that an expansion is asked for: as many as the widest hit rate needs.
const WANTED: usize = 5;

impl History<'_> {
    /// [`fit`](Self::fit) over a model of tokens, on the last `most` held-back words.
    ///
    /// # Errors
    ///
    /// If the model fails, or the observer has asked to stop.
    pub fn fit_over(
        &self,
        words: &Words<'_>,
        state: &State,
        most: usize,
        observer: &dyn Observer,
    ) -> Result<Option<Fitted>> {
        let Some(held_back) = HeldBack::last((self.learnt_words() / 2).min(most)) else {
            return Ok(None);
        };
        let mut base = self.base(words, held_back, observer)?.into_iter();
        let session = Session::over_tokens(state.clone());
        let next = |_: &Session<'_>, _: &Context, _: &str| base.next().unwrap_or(0.0);
        self.best(session, held_back, next, observer).map(Some)
    }

    /// What the model gives to the held-back words.
    fn base(
        &self,
        words: &Words<'_>,
        held_back: HeldBack,
        observer: &dyn Observer,
    ) -> Result<Vec<f64>> {
        let mut behind = self.learnt_words();
        let mut asked = Vec::new();
        for place in self.learnt() {
            if let Token::Word(word) = place.token {
                behind -= 1;
                asked.extend(held_back.has(behind).then_some((self.before(place), word)));
            }
        }
        let mut steps = Steps::new(observer, "words given to the model", asked.len());
        let mut base = Vec::with_capacity(asked.len());
        for asked in asked.chunks(at_once()) {
            let of_each = asked
                .par_iter()
                .map(|(before, word)| words.probability(before, word));
            for of_one in of_each.collect::<Vec<_>>() {
                base.push(of_one?);
                steps.step(String::new)?;
            }
        }
        Ok(base)
    }

    /// What stands before a word in its document.
    fn before(&self, place: &Place<'_>) -> &str {
        &self.documents[place.document as usize][..place.at]
    }

    /// What the model expects at some places, and what it gives to the words that stand there.
    fn ask(&self, words: &Words<'_>, places: &[&Place<'_>]) -> Vec<Result<(Expanded, f64)>> {
        let ask = |place: &&Place<'_>| {
            let before = self.before(place);
            let Token::Word(word) = place.token else {
                unreachable!("only words are asked about")
            };
            Ok((
                words.expand(before, "", WANTED, 1)?,
                words.probability(before, word)?,
            ))
        };
        places.par_iter().map(ask).collect()
    }

    /// [`judge`](Self::judge) over a model of tokens, on at most `most` words, spread evenly over the tail. Suggestions are those of one
    /// expansion for each word; as its letters are typed, they are those among them that begin so.
    ///
    /// # Errors
    ///
    /// If the model fails, or the observer has asked to stop.
    pub fn judge_over(
        &self,
        words: &Words<'_>,
        session: &mut Session<'_>,
        learning_at: Option<&str>,
        most: usize,
        observer: &dyn Observer,
    ) -> Result<Following> {
        let tail = self.tail().iter().filter(|place| place.is_word());
        let asked: Vec<&Place<'_>> = tail.step_by(self.every(most)).collect();
        let mut chunks = asked.chunks(at_once());
        let mut ahead = VecDeque::new();
        let judge = |_: &Place<'_>, session: &Session<'_>, context: &Context, word: &str| {
            if ahead.is_empty() {
                ahead.extend(self.ask(words, chunks.next().unwrap_or_default()));
            }
            let answer = ahead.pop_front();
            let (found, base) =
                answer.unwrap_or_else(|| unreachable!("each word was asked about"))?;
            let parts = session.parts_over(base, context, word);
            let with = session.mixture().probability(&parts);
            let suggested = session.suggest_over(&found, context, "");
            Ok([
                of_expanded(&found, word, base),
                of_suggested(&suggested, word, with),
            ])
        };
        self.follow(session, learning_at, most, observer, judge)
    }
}

/// Words that are given to the model at once, a few on each thread.
fn at_once() -> usize {
    2 * rayon::current_num_threads()
}

fn of_expanded(found: &Expanded, word: &str, probability: f64) -> Judged {
    let words: Vec<&str> = found.words.iter().map(|(word, _)| word.as_str()).collect();
    judged(&words, word, probability)
}

fn of_suggested(suggested: &[Suggestion], word: &str, probability: f64) -> Judged {
    let words: Vec<&str> = suggested.iter().map(|of| of.word.as_str()).collect();
    judged(&words, word, probability)
}

/// How a word was foreseen by a list, best first.
fn judged(list: &[&str], word: &str, probability: f64) -> Judged {
    let letters = word.chars().count();
    let place = list.iter().position(|of| *of == word);
    let typed = place.map(|place| {
        let is_shown = |prefix: &str| {
            list[..place]
                .iter()
                .filter(|of| of.starts_with(prefix))
                .count()
                < SHOWN
        };
        let ends = word.char_indices().map(|(at, _)| at).chain([word.len()]);
        ends.take_while(|end| !is_shown(&word[..*end])).count()
    });
    Judged {
        nll: -probability.ln(),
        better: place.unwrap_or(usize::MAX),
        keys: [typed.unwrap_or(letters) as f64 + 1.0, letters as f64 + 1.0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_typed_until_the_word_is_among_those_shown() {
        let list = ["the", "to", "a", "there", "then", "of"];
        let keys = |word: &str| judged(&list, word, 0.5).keys;
        assert_eq!(keys("a"), [1.0, 2.0]);
        // Behind three others; behind `the` and `to` after one letter.
        assert_eq!(keys("there"), [2.0, 6.0]);
        // Behind `the`, `to`, `there` after one letter, two of which go on with h.
        assert_eq!(keys("then"), [3.0, 5.0]);
        assert_eq!(keys("of"), [2.0, 3.0]);
        assert_eq!(keys("new"), [4.0, 4.0]);
        assert_eq!(judged(&list, "of", 0.5).hit(5), 0.0);
        assert_eq!(judged(&list, "then", 0.5).hit(5), 1.0);
    }
}
