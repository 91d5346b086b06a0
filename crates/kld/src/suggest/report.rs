//! From what was learnt to the result.

use kld_core::result::{Adaptation, BaseModel, NextWord, NextWords, Suggest};
use kld_text::{
    read::Document,
    suggest::{
        History, Session, State, Suggestion, WordModel, history::FEWEST_TO_FIT, privacy::Promise,
        words::at_cursor,
    },
};

use super::{SuggestArgs, base::Base, learn::Learnt};

/// Words of a tail below which its figures say little.
const FEW_WORDS: usize = 500;

pub(super) fn result(
    args: &SuggestArgs,
    name: &str,
    base: Base<'_>,
    learnt: &Learnt<'_>,
) -> anyhow::Result<Suggest> {
    let next = |text: &String| next(base, &learnt.session, text, args.top);
    Ok(Suggest {
        schema: Suggest::SCHEMA.to_owned(),
        base: base_model(args, name, base),
        adaptation: learnt.adaptation.clone(),
        following: learnt.following.clone(),
        next: args.prefix.as_ref().map(next).transpose()?,
        warnings: learnt.warnings.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

fn base_model(args: &SuggestArgs, name: &str, base: Base<'_>) -> BaseModel {
    let (kind, model) = match base {
        Base::NGrams(model, _) => (
            format!("modified Kneser-Ney, order {}", args.order),
            Some(model),
        ),
        Base::Tokens(..) => {
            let passes = args.effort.passes;
            (
                format!("words of its tokens, {passes} passes at most"),
                None,
            )
        }
    };
    BaseModel {
        name: name.to_owned(),
        kind,
        words: model.map(WordModel::words),
        vocabulary: model.map(|model| model.vocabulary().len()),
    }
}

/// The suggestions behind a text.
pub(super) fn next(
    base: Base<'_>,
    session: &Session<'_>,
    text: &str,
    top: usize,
) -> anyhow::Result<NextWords> {
    let word = |of: Suggestion| NextWord {
        word: of.word,
        probability: of.probability,
        base: of.base,
        given_prefix: of.given_prefix,
    };
    let (words, undecided) = base.suggest(session, text, top)?;
    Ok(NextWords {
        text: text.to_owned(),
        prefix: at_cursor(text).1.to_owned(),
        words: words.into_iter().map(word).collect(),
        undecided,
    })
}

/// How a session mixes base and history; what the history was is for the caller to say.
pub(super) fn adaptation(session: &Session<'_>) -> Adaptation {
    Adaptation {
        documents: 0,
        words: 0,
        tail_words: 0,
        words_before: 0,
        fitted: false,
        half_life: session.half_life(),
        weights: session.mixture().all().to_vec(),
    }
}

/// What a promise of privacy leaves of a history.
pub(super) fn published(promise: &Promise, state: &State) -> String {
    let published: usize = state.spans.iter().map(|span| span.counts.len()).sum();
    format!(
        "with ε = {} and δ = {} only n-grams that about {} passages count are kept: {published}; the figures on the tail are of the \
         history itself and under no promise",
        promise.epsilon,
        promise.delta,
        promise.threshold()
    )
}

/// Why no weights were fitted.
pub(super) fn not_fitted(history: &History<'_>) -> Option<String> {
    let words = history.learnt_words();
    (words / 2 < FEWEST_TO_FIT).then(|| {
        format!("half of the {words} words to learn from are fewer than {FEWEST_TO_FIT}: no weights were fitted to them")
    })
}

/// What a short tail is worth.
pub(super) fn few_words(history: &History<'_>) -> Option<String> {
    let words = history.tail_words();
    (0 < words && words < FEW_WORDS)
        .then(|| format!("the tail has {words} words: its figures say little below {FEW_WORDS}"))
}

/// What was not UTF-8 in documents that were read nevertheless.
pub(super) fn replaced(documents: &[Document]) -> Option<String> {
    let replaced: u64 = documents.iter().map(|document| document.replaced).sum();
    (replaced > 0).then(|| {
        format!("{replaced} places of the history were not UTF-8 and are replaced by U+FFFD")
    })
}
