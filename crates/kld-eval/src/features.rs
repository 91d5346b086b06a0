//! Features of documents: what a model has in mind at the end of each, its last hidden state at the last token.

use kld_core::{
    Observer,
    observer::{Pace, Progress},
};
use kld_models::{LogitSource, tokenizer::SpecialTokens};

use crate::{
    Error, Result,
    deal::{InMemory, deal},
};

/// Features of some documents.
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenStates {
    /// A row for each document, one after the other.
    pub values: Vec<f32>,
    /// Values of a row.
    pub width: usize,
    /// Documents of which only the first `context` tokens were read.
    pub shortened: usize,
}

/// The last hidden state of a model at the last of at most `context` tokens of each document; `None` where `observer` asked for a stop.
///
/// # Errors
///
/// If a document has no token, the model gives no hidden states, or it fails.
pub fn hidden_states(
    model: &dyn LogitSource,
    documents: &[&str],
    context: usize,
    threads: usize,
    observer: &dyn Observer,
) -> Result<Option<HiddenStates>> {
    let mut states = HiddenStates {
        values: Vec::new(),
        width: 0,
        shortened: 0,
    };
    let mut pace = Pace::default();
    let done = deal(
        documents.len(),
        threads,
        &InMemory::new(documents.len()),
        |index| last_state(model, documents[index], context),
        |index, (state, shortened)| {
            states.width = state.len();
            states.values.extend(state);
            states.shortened += usize::from(shortened);
            pace.tell(observer, false, || Progress {
                stage: "documents read",
                done: index + 1,
                total: documents.len(),
                estimate: String::new(),
            });
            !observer.interrupted()
        },
    )?;
    Ok((done == documents.len()).then_some(states))
}

/// The state after one document, and whether its end was not read.
fn last_state(model: &dyn LogitSource, text: &str, context: usize) -> Result<(Vec<f32>, bool)> {
    let tokenizer = model.tokenizer();
    let mut tokens = tokenizer.encode(text, SpecialTokens::None)?;
    if let Some(bos) = tokenizer.bos().filter(|_| tokenizer.adds_bos()) {
        tokens.insert(0, bos);
    }
    let shortened = tokens.len() > context;
    tokens.truncate(context);
    let window = model.forward(&tokens)?;
    let last = window.positions() - 1;
    let state = window
        .hidden(last..last + 1)
        .ok_or_else(|| Error::NoHiddenStates {
            model: model.card().name.clone(),
        })?;
    Ok((state.to_vec(), shortened))
}
