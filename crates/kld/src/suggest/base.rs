//! The model that suggests where there is no history, and how it is asked.

use std::path::PathBuf;

use anyhow::Context;
use kld_core::{Observer, result::Following};
use kld_text::{
    read::{ReadOptions, documents},
    suggest::{
        History, Session, State, Suggestion, Trainer, WordModel, Words, state::Fitted,
        words::at_cursor,
    },
};

use crate::args::threads;

/// Bytes of text for an n-gram model, which takes some ten times as much: 297 MB for 32 MB were measured.
pub(super) const MOST_TEXT: usize = 256_000_000;

/// Words that are judged with an n-gram model, unless told: each takes two distributions over the vocabulary, and 20,000 some 11 of the 28
/// CPU-seconds of a history of 16 MB.
pub(super) const JUDGED_OF_NGRAMS: usize = 20_000;

/// Words that are judged with a model of tokens, unless told.
pub(super) const JUDGED_OF_TOKENS: usize = 100;

/// A model of n-grams, made from `TEXT[,TEXT…]`.
pub(super) fn from_text(
    names: &str,
    order: usize,
    options: &ReadOptions,
    observer: &dyn Observer,
) -> anyhow::Result<WordModel> {
    let whole = PathBuf::from(names);
    // A comma may be part of the only name.
    let sources = if whole.exists() {
        vec![whole]
    } else {
        names.split(',').map(PathBuf::from).collect()
    };
    let about = || format!("cannot make an n-gram model of {names}");
    let mut trainer = Trainer::default();
    for document in documents(&sources, options, observer).with_context(about)? {
        trainer.read(&document.with_context(about)?.text);
    }
    trainer.finish(order).with_context(about)
}

/// What is mixed with the history.
#[derive(Clone, Copy, Debug)]
pub(super) enum Base<'m> {
    /// Knows words; so many of a history's tail are judged.
    NGrams(&'m WordModel, usize),
    /// Spells them; so many words of a history are asked about.
    Tokens(&'m Words<'m>, usize),
}

impl<'m> Base<'m> {
    pub(super) fn session(self, state: State) -> Session<'m> {
        match self {
            Self::NGrams(model, _) => Session::new(model, state),
            Self::Tokens(..) => Session::over_tokens(state),
        }
    }

    pub(super) fn fit(
        self,
        history: &History<'_>,
        state: &State,
        observer: &dyn Observer,
    ) -> kld_text::Result<Option<Fitted>> {
        match self {
            Self::NGrams(model, _) => history.fit(model, state, observer),
            Self::Tokens(words, most) => history.fit_over(words, state, most, observer),
        }
    }

    pub(super) fn judge(
        self,
        history: &History<'_>,
        session: &mut Session<'_>,
        learning_at: Option<&str>,
        observer: &dyn Observer,
    ) -> kld_text::Result<Following> {
        match self {
            Self::NGrams(_, most) => history.judge(session, learning_at, most, observer),
            Self::Tokens(words, most) => {
                history.judge_over(words, session, learning_at, most, observer)
            }
        }
    }

    /// The best words behind a text, and what remains undecided.
    pub(super) fn suggest(
        self,
        session: &Session<'_>,
        text: &str,
        top: usize,
    ) -> anyhow::Result<(Vec<Suggestion>, Option<f64>)> {
        let Self::Tokens(words, _) = self else {
            return Ok((session.suggest(text, top), None));
        };
        let (before, prefix) = at_cursor(text);
        let found = words.expand(before, prefix, top, threads(None))?;
        let mut best = session.suggest_over(&found, &session.context(before), prefix);
        best.truncate(top);
        Ok((best, Some(found.open)))
    }
}
