//! The same over a model of tokens, which is slow: so many words of the history are asked about, and no more.

use super::{
    Context, Following, History, Judged, SHOWN, Session, WINDOW, each_word, fit::HeldBack,
    following,
};
use crate::suggest::{State, Suggestion, Words, expand::Expanded, state::Fitted};

/// Words that an expansion is asked for: as many as the widest hit rate needs.
const WANTED: usize = 5;

impl History<'_> {
    /// [`fit`](Self::fit) over a model of tokens, on the last `most` held-back words.
    ///
    /// # Errors
    ///
    /// If the model fails.
    pub fn fit_over(
        &self,
        words: &Words<'_>,
        state: &State,
        most: usize,
    ) -> Result<Option<Fitted>, String> {
        let Some(held_back) = HeldBack::last((self.learnt_words() / 2).min(most)) else {
            return Ok(None);
        };
        let mut base = self.base(words, held_back)?.into_iter();
        let session = Session::over_tokens(state.clone());
        let next = |_: &Session<'_>, _: &Context, _: &str| base.next().unwrap_or(0.0);
        Ok(Some(self.best(session, held_back, next)))
    }

    /// What the model gives to the held-back words.
    fn base(&self, words: &Words<'_>, held_back: HeldBack) -> Result<Vec<f64>, String> {
        let (mut base, mut behind) = (Ok(Vec::new()), self.learnt_words());
        each_word(self.learnt(), |place, _, word| {
            behind -= 1;
            if held_back.has(behind)
                && let Ok(all) = &mut base
            {
                let before = &self.documents[place.document as usize][..place.at];
                match words.probability(before, word) {
                    Ok(p) => all.push(p),
                    Err(problem) => base = Err(problem),
                }
            }
        });
        base
    }

    /// [`judge`](Self::judge) over a model of tokens, on at most `most` words, spread evenly over the tail. Suggestions are those of one
    /// expansion for each word; as its letters are typed, they are those among them that begin so.
    ///
    /// # Errors
    ///
    /// If the model fails.
    pub fn judge_over(
        &self,
        words: &Words<'_>,
        session: &mut Session<'_>,
        learning_at: Option<&str>,
        most: usize,
    ) -> Result<Following, String> {
        let every = self.every(most);
        let (mut judged, mut at, mut problem) = (Vec::new(), 0, None);
        each_word(self.tail(), |place, context, word| {
            if at % every == 0 && problem.is_none() {
                let before = &self.documents[place.document as usize][..place.at];
                let both = words.expand(before, "", WANTED).and_then(|found| {
                    let base = words.probability(before, word)?;
                    let mixed = session
                        .mixture()
                        .probability(&session.parts_over(base, context, word));
                    let suggested = session.suggest_over(&found, context, "");
                    Ok([
                        of_expanded(&found, word, base),
                        of_suggested(&suggested, word, mixed),
                    ])
                });
                match both {
                    Ok(both) => judged.push((place.document, both)),
                    Err(error) => problem = Some(error),
                }
            }
            at += 1;
            match learning_at {
                Some(time) => session.learn(context, word, time),
                None => session.pass_over(context, word),
            }
        });
        match problem {
            Some(problem) => Err(problem),
            None => Ok(following(&judged, (WINDOW / every).max(1))),
        }
    }
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
