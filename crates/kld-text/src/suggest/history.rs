//! A history in two parts: what suggestions are fitted to, and the tail on which they are judged.

use kld_core::{
    Observer,
    estimate::{Cluster, Estimate, Window},
    observer::{Pace, Progress},
    result::{Following, Measure},
};

mod fit;
mod over_tokens;

pub use fit::FEWEST_TO_FIT;

use super::{
    ngram::Symbol,
    session::{Context, Session},
    vocabulary::Vocabulary,
    words::{FIRST_WORD, Token, each_token_at},
};
use crate::{Error, Result};

/// Suggestions that are shown at once when keystrokes are counted.
pub const SHOWN: usize = 3;

/// Words of the tail in one cluster: neighbours share a subject, so their errors are not independent.
const WINDOW: usize = 100;

/// A history, cut by words into what is learnt from and the tail.
#[derive(Clone, Debug)]
pub struct History<'a> {
    documents: Vec<&'a str>,
    tokens: Vec<Place<'a>>,
    /// Where the tail begins.
    tail_at: usize,
}

/// A word or mark where it stands.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    document: u32,
    /// Where it begins in the document.
    at: usize,
    token: Token<'a>,
}

impl Place<'_> {
    fn is_word(&self) -> bool {
        matches!(self.token, Token::Word(_))
    }
}

impl<'a> History<'a> {
    /// Cuts the documents of a history, oldest first, so that the tail has this share of all words.
    #[must_use]
    pub fn cut(documents: &[&'a str], tail: f64) -> Self {
        let mut tokens = Vec::new();
        for (number, document) in (0..).zip(documents) {
            each_token_at(document, |at, token| {
                tokens.push(Place {
                    document: number,
                    at,
                    token,
                });
            });
        }
        let kept = words(&tokens) - (words(&tokens) as f64 * tail).round() as usize;
        let mut words = tokens
            .iter()
            .enumerate()
            .filter(|(_, place)| place.is_word());
        let first_of_tail = words.nth(kept);
        let tail_at = first_of_tail.map_or(tokens.len(), |(at, _)| at);
        Self {
            documents: documents.to_vec(),
            tokens,
            tail_at,
        }
    }

    fn learnt(&self) -> &[Place<'a>] {
        &self.tokens[..self.tail_at]
    }

    fn tail(&self) -> &[Place<'a>] {
        &self.tokens[self.tail_at..]
    }

    /// Words to learn from.
    #[must_use]
    pub fn learnt_words(&self) -> usize {
        words(self.learnt())
    }

    /// Words of the tail.
    #[must_use]
    pub fn tail_words(&self) -> usize {
        words(self.tail())
    }

    /// The documents to learn from, as words and marks.
    pub fn learnt_documents(&self) -> impl Iterator<Item = impl Iterator<Item = Token<'a>>> {
        documents(self.learnt())
    }

    /// All documents, the tail included.
    pub fn all_documents(&self) -> impl Iterator<Item = impl Iterator<Item = Token<'a>>> {
        documents(&self.tokens)
    }

    /// Learns what is to be learnt, at a time such as `2026-11-25T20:15:00Z`.
    ///
    /// # Errors
    ///
    /// If the observer has asked to stop.
    pub fn learn(
        &self,
        session: &mut Session<'_>,
        time: &str,
        observer: &dyn Observer,
    ) -> Result<()> {
        let mut steps = Steps::new(observer, "words learnt", self.learnt_words());
        each_word(self.learnt(), |_, context, word| {
            session.learn(context, word, time);
            steps.step(String::new)
        })
    }

    /// Goes through the tail word by word, predicts each without the history and with it, and, given a time, learns it then. Predicted are
    /// at most `most` words, spread evenly: each takes the distribution over the whole vocabulary, twice.
    ///
    /// # Errors
    ///
    /// If the observer has asked to stop.
    pub fn judge(
        &self,
        session: &mut Session<'_>,
        learning_at: Option<&str>,
        most: usize,
        observer: &dyn Observer,
    ) -> Result<Following> {
        let (mut base, mut mixed) = (Vec::new(), Vec::new());
        let judge = |_: &Place<'_>, session: &Session<'_>, context: &Context, word: &str| {
            session.distributions(context, &mut base, &mut mixed);
            let parts = session.parts(context, word);
            let of = |probability: f64, all: &[f64]| {
                Judged::of(session.vocabulary(), all, word, probability)
            };
            let with = session.mixture().probability(&parts);
            Ok([of(parts[0], &base), of(with, &mixed)])
        };
        self.follow(session, learning_at, most, observer, judge)
    }

    /// The same with any way to judge a word, without the history and with it.
    fn follow(
        &self,
        session: &mut Session<'_>,
        learning_at: Option<&str>,
        most: usize,
        observer: &dyn Observer,
        mut judge: impl FnMut(&Place<'_>, &Session<'_>, &Context, &str) -> Result<[Judged; 2]>,
    ) -> Result<Following> {
        let every = self.every(most);
        let mut judged = Vec::with_capacity(self.tail_words().div_ceil(every));
        let mut steps = Steps::new(observer, "words judged", judged.capacity());
        let mut at = 0;
        each_word(self.tail(), |place, context, word| {
            if at % every == 0 {
                judged.push((place.document, judge(place, session, context, word)?));
                steps.step(|| so_far(&judged))?;
            }
            at += 1;
            match learning_at {
                Some(time) => session.learn(context, word, time),
                None => session.pass_over(context, word),
            }
            Ok(())
        })?;
        Ok(following(&judged, (WINDOW / every).max(1)))
    }

    /// From one judged word of the tail to the next, so that there are at most `most`.
    fn every(&self, most: usize) -> usize {
        self.tail_words().div_ceil(most.max(1)).max(1)
    }
}

fn words(tokens: &[Place<'_>]) -> usize {
    tokens.iter().filter(|place| place.is_word()).count()
}

fn documents<'a>(tokens: &[Place<'a>]) -> impl Iterator<Item = impl Iterator<Item = Token<'a>>> {
    let of_one = tokens.chunk_by(|a, b| a.document == b.document);
    of_one.map(|document| document.iter().map(|place| place.token))
}

/// Words gone through, of which an observer is told, and who may ask to stop.
struct Steps<'o> {
    observer: &'o dyn Observer,
    pace: Pace,
    stage: &'static str,
    done: usize,
    total: usize,
}

impl<'o> Steps<'o> {
    fn new(observer: &'o dyn Observer, stage: &'static str, total: usize) -> Self {
        Self {
            observer,
            pace: Pace::default(),
            stage,
            done: 0,
            total,
        }
    }

    fn step(&mut self, estimate: impl FnOnce() -> String) -> Result<()> {
        if self.observer.interrupted() {
            return Err(Error::Interrupted);
        }
        self.done += 1;
        let last = self.done == self.total;
        self.pace.tell(self.observer, last, || Progress {
            stage: self.stage,
            done: self.done,
            total: self.total,
            estimate: estimate(),
        });
        Ok(())
    }
}

/// The estimate while words are judged.
fn so_far(judged: &[(u32, [Judged; 2])]) -> String {
    let mean =
        |of: usize| judged.iter().map(|(_, both)| both[of].nll).sum::<f64>() / judged.len() as f64;
    format!(
        "KL {:.3} nats per word, {:.3} without the history",
        mean(1),
        mean(0)
    )
}

/// Calls `each` with the place of every word, its context and the word; it has to go on with the context.
fn each_word(
    places: &[Place<'_>],
    mut each: impl FnMut(&Place<'_>, &mut Context, &str) -> Result<()>,
) -> Result<()> {
    let (mut context, mut in_document) = (Context::default(), 0);
    for place in places {
        if place.document != in_document {
            (context, in_document) = (Context::default(), place.document);
        }
        match place.token {
            Token::Word(word) => each(place, &mut context, word)?,
            Token::Mark(mark) => context.push(mark),
        }
    }
    Ok(())
}

/// How one word was predicted.
#[derive(Clone, Copy, Debug)]
struct Judged {
    nll: f64,
    /// Words that were more likely; of a word that is not known, all.
    better: usize,
    /// Keystrokes that the word takes with suggestions, and without.
    keys: [f64; 2],
}

impl Judged {
    fn of(vocabulary: &Vocabulary, probabilities: &[f64], word: &str, probability: f64) -> Self {
        let letters = word.chars().count();
        let (better, with) = match vocabulary.number(word) {
            Some(number) => keystrokes(vocabulary, probabilities, number),
            None => (usize::MAX, letters + 1),
        };
        Self {
            nll: -probability.ln(),
            better,
            keys: [with as f64, (letters + 1) as f64],
        }
    }

    fn hit(&self, k: usize) -> f64 {
        f64::from(u8::from(self.better < k))
    }
}

/// How many words are more likely than this one, and how many keys its writer presses: letters until it is among the [`SHOWN`]
/// most likely words that begin so, and one to take it, which also makes the space behind it.
fn keystrokes(vocabulary: &Vocabulary, probabilities: &[f64], number: Symbol) -> (usize, usize) {
    let own = probabilities[number as usize];
    let is_better = |other: &Symbol| {
        let p = probabilities[*other as usize];
        p > own || (p == own && *other < number)
    };
    let mut rivals: Vec<Symbol> = (FIRST_WORD..vocabulary.symbols() as Symbol)
        .filter(is_better)
        .collect();
    let better = rivals.len();
    let word = vocabulary.word(number);
    let mut typed = 0;
    for (end, letter) in word.char_indices() {
        if rivals.len() < SHOWN {
            break;
        }
        typed += 1;
        let prefix = &word[..end + letter.len_utf8()];
        rivals.retain(|rival| vocabulary.begins(*rival, prefix));
    }
    (better, typed + 1)
}

/// What the judged words, each without the history and with it, come to; so many neighbours are one cluster.
fn following(judged: &[(u32, [Judged; 2])], window: usize) -> Following {
    let measure = |value: &dyn Fn(&Judged) -> f64, weight: &dyn Fn(&Judged) -> f64| {
        let estimate = |of: &dyn Fn(&[Judged; 2]) -> f64| over_windows(judged, window, of, weight);
        Measure {
            before: estimate(&|[before, _]| value(before)),
            after: estimate(&|[_, after]| value(after)),
            change: estimate(&|[before, after]| value(after) - value(before)),
        }
    };
    let hits = |k: usize| measure(&move |of: &Judged| of.hit(k), &|_| 1.0);
    Following {
        kl: measure(&|of| of.nll, &|_| 1.0),
        top1: hits(1),
        top3: hits(3),
        top5: hits(5),
        keystrokes_saved: measure(&|of| of.keys[1] - of.keys[0], &|of| of.keys[1]),
    }
}

/// Σ values / Σ weights, with an error that is clustered by document, or by runs of `window` words of the only one.
fn over_windows(
    judged: &[(u32, [Judged; 2])],
    window: usize,
    value: &dyn Fn(&[Judged; 2]) -> f64,
    weight: &dyn Fn(&Judged) -> f64,
) -> Estimate {
    let windows: Vec<Window> = judged
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|document| document.chunks(window))
        .map(|of| Window {
            fragment: of[0].0,
            cluster: Cluster {
                weight: of.iter().map(|(_, [before, _])| weight(before)).sum(),
                sum: of.iter().map(|(_, both)| value(both)).sum(),
            },
        })
        .collect();
    Estimate::over_windows(&windows)
}
