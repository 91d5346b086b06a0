//! A history is learnt on top of a state: weights are fitted to its first part and judged on its tail.

use anyhow::{Context, bail};
use kld_core::{
    Observer,
    result::{Adaptation, Following},
};
use kld_text::{
    read::read_documents,
    suggest::{History, Session, State, privacy::Promise},
};
use rand::rngs::StdRng;

use super::{SuggestArgs, base::Base, clock, report};

/// Bytes of a history: some twelve million words, more than anybody writes.
const MOST_HISTORY: usize = 64_000_000;

/// A session that knows the history, and how it came to.
pub(super) struct Learnt<'m> {
    pub(super) session: Session<'m>,
    pub(super) adaptation: Option<Adaptation>,
    pub(super) following: Option<Following>,
    pub(super) warnings: Vec<String>,
}

/// Reads the history that the arguments name, if any, and learns it.
pub(super) fn learn<'m>(
    args: &SuggestArgs,
    base: Base<'m>,
    before: State,
    observer: &dyn Observer,
) -> anyhow::Result<Learnt<'m>> {
    if args.history.is_empty() {
        return Ok(without_history(base, before));
    }
    let documents = read_documents(&args.history, &args.reading(MOST_HISTORY), observer)
        .context("cannot read the history")?;
    let texts: Vec<&str> = documents
        .iter()
        .map(|document| document.text.as_str())
        .collect();
    let history = History::cut(&texts, args.tail);
    if history.learnt_words() + history.tail_words() == 0 {
        bail!("the history has no word");
    }
    let words_before = before.words();
    let promise = args.state.promise()?;
    let mut learnt = match promise {
        Some(_) if words_before > 0 => bail!(
            "the state already holds {words_before} words: what is learnt with --epsilon goes into one of its own\n    \
             hint: name another file with --state"
        ),
        None if before.private.is_some() => bail!(
            "the state was made with --epsilon: learning a history as it is would break its promise\n    \
             hint: name another file with --state"
        ),
        Some(promise) => in_private(base, &history, promise, observer)?,
        None => openly(base, &history, before, observer)?,
    };
    if let Some(adaptation) = &mut learnt.adaptation {
        adaptation.documents = documents.len();
        adaptation.words_before = words_before;
    }
    learnt.warnings.extend(report::few_words(&history));
    learnt.warnings.extend(report::replaced(&documents));
    Ok(learnt)
}

fn without_history(base: Base<'_>, before: State) -> Learnt<'_> {
    let is_adapted = before.words() > 0;
    let session = base.session(before);
    let adaptation = is_adapted.then(|| Adaptation {
        words_before: session.state().words(),
        fitted: session.state().fitted.is_some(),
        ..report::adaptation(&session)
    });
    Learnt {
        session,
        adaptation,
        following: None,
        warnings: Vec::new(),
    }
}

/// Learns all words, those of the tail as they are judged.
fn openly<'m>(
    base: Base<'m>,
    history: &History<'_>,
    before: State,
    observer: &dyn Observer,
) -> kld_text::Result<Learnt<'m>> {
    let now = clock::now();
    let fitted = base.fit(history, &before, observer)?;
    let is_fitted = fitted.is_some();
    let fitted = fitted.or_else(|| before.fitted.clone());
    let mut session = base.session(State { fitted, ..before });
    history.learn(&mut session, &now, observer)?;
    let has_tail = history.tail_words() > 0;
    let following = has_tail
        .then(|| base.judge(history, &mut session, Some(&now), observer))
        .transpose()?;
    Ok(Learnt {
        adaptation: Some(adaptation(&session, history, is_fitted)),
        session,
        following,
        warnings: report::not_fitted(history)
            .filter(|_| !is_fitted)
            .into_iter()
            .collect(),
    })
}

/// Publishes counts of the whole history; how well the like of them do is judged with others, made without the tail and given away.
///
/// Where the tail begins depends on how much was written, so a state without the tail could change by more than one passage when
/// the history does.
fn in_private<'m>(
    base: Base<'m>,
    history: &History<'_>,
    promise: Promise,
    observer: &dyn Observer,
) -> kld_text::Result<Learnt<'m>> {
    let now = clock::now();
    let mut random: StdRng = rand::make_rng();
    let has_tail = history.tail_words() > 0;
    let judged = has_tail.then(|| {
        let state = promise.release(history.learnt_documents(), &now, &mut random);
        base.judge(history, &mut base.session(state), None, observer)
    });
    let state = promise.release(history.all_documents(), &now, &mut random);
    let session = base.session(state);
    Ok(Learnt {
        adaptation: Some(adaptation(&session, history, false)),
        warnings: vec![report::published(&promise, session.state())],
        session,
        following: judged.transpose()?,
    })
}

fn adaptation(session: &Session<'_>, history: &History<'_>, fitted: bool) -> Adaptation {
    Adaptation {
        words: history.learnt_words(),
        tail_words: history.tail_words(),
        fitted,
        ..report::adaptation(session)
    }
}
