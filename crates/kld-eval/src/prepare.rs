//! Text to windows for the models at hand: chat templates, tokenizers that must agree, vocabularies that must be one.

use kld_models::{LogitSource, Tokenizer, tokenizer::SpecialTokens};

use crate::{
    Error, Result,
    text::{Content, Fragment},
    window::{Cut, Protocol, Windows},
};

/// Text made ready for scoring.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Names of the fragments by number.
    pub fragment_names: Vec<String>,
    /// What is fed and scored.
    pub windows: Windows,
}

impl Prepared {
    /// Tokenizes fragments with the reference's tokenizer and cuts them into windows.
    ///
    /// # Errors
    ///
    /// If the window does not suit the model, a conversation meets a model without chat template, the tokenizer fails, or
    /// there is nothing to score.
    pub fn new(fragments: &[Fragment], reference: &dyn LogitSource, cut: &Cut) -> Result<Self> {
        check_context(reference, cut)?;
        let tokenizer = reference.tokenizer();
        let texts = rendered(fragments, reference)?;
        let (fragment_names, texts) = match cut.protocol {
            Protocol::Kld => (fragments.iter().map(|f| f.name.clone()).collect(), texts),
            Protocol::LlamaCpp => joined(fragments, texts),
        };
        let tokens = texts
            .iter()
            .map(|text| text.encode(tokenizer))
            .collect::<Result<Vec<_>>>()?;
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let windows = Windows::cut(&tokens, bos, cut);
        if windows.positions() == 0 {
            return Err(nothing_to_score(&tokens, cut));
        }
        Ok(Self {
            fragment_names,
            windows,
        })
    }

    /// What the user should know of how the text was prepared.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let short = self.windows.fragments_unscored;
        let warning = format!(
            "{short} of {} fragments are too short to have a scored position",
            self.fragment_names.len()
        );
        (short > 0).then_some(warning).into_iter().collect()
    }
}

/// Makes sure that row i, column j means the same to both models, on this text.
///
/// # Errors
///
/// If only one tokenizer adds BOS, the vocabularies differ in size or order, the text is cut differently, or the windows are
/// too long for the candidate.
pub fn check_pair(
    fragments: &[Fragment],
    reference: &dyn LogitSource,
    candidate: &dyn LogitSource,
    cut: &Cut,
) -> Result<()> {
    check_context(candidate, cut)?;
    let (p, q) = (reference.tokenizer(), candidate.tokenizer());
    // The text first: where it is cut differently, that is what the user wants to see.
    for (text, fragment) in rendered(fragments, reference)?.iter().zip(fragments) {
        let (ours, theirs) = (text.encode(p)?, text.encode(q)?);
        if ours != theirs {
            return Err(disagreement(fragment, &ours, &theirs, p, candidate));
        }
    }
    check_bos(reference, candidate)?;
    if let Some(difference) = p.first_difference(q) {
        let candidate_name = candidate.card().name.clone();
        return Err(Error::VocabularyDiffers {
            candidate_name,
            difference: difference.to_string(),
        });
    }
    Ok(())
}

/// The columns that are compared: the tokens that exist. What a head has beyond them is padding.
#[must_use]
pub fn compared_columns(reference: &dyn LogitSource, candidate: &dyn LogitSource) -> usize {
    reference
        .tokenizer()
        .len()
        .min(reference.vocabulary())
        .min(candidate.vocabulary())
}

/// A fragment's text, and whether names of special tokens in it are meant as such.
struct Text {
    text: String,
    marked_up: bool,
}

impl Text {
    fn encode(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        let add = SpecialTokens::None;
        let ids = if self.marked_up {
            tokenizer.encode_marked_up(&self.text, add)
        } else {
            tokenizer.encode(&self.text, add)
        };
        Ok(ids?)
    }
}

fn rendered(fragments: &[Fragment], reference: &dyn LogitSource) -> Result<Vec<Text>> {
    let needs_template = fragments
        .iter()
        .any(|f| matches!(f.content, Content::Chat(_)));
    let template = if needs_template {
        reference.tokenizer().chat_template()?
    } else {
        None
    };
    let bos = reference
        .tokenizer()
        .bos()
        .filter(|_| reference.tokenizer().adds_bos());
    let bos = bos.map(|id| reference.tokenizer().token_text(id));
    fragments
        .iter()
        .map(|fragment| match (&fragment.content, &template) {
            (Content::Text(text), _) => Ok(Text {
                text: text.clone(),
                marked_up: false,
            }),
            (Content::Chat(messages), Some(template)) => {
                let mut text = template.render(messages, false)?;
                // Templates write the BOS themselves; the windows bring their own.
                if let Some(rest) = bos.as_ref().and_then(|bos| text.strip_prefix(bos.as_str())) {
                    text = rest.to_owned();
                }
                Ok(Text {
                    text,
                    marked_up: true,
                })
            }
            (Content::Chat(_), None) => Err(Error::NoChatTemplate {
                fragment: fragment.name.clone(),
                model: reference.card().name.clone(),
            }),
        })
        .collect()
}

/// llama.cpp knows one stream only: all fragments, one behind the other.
fn joined(fragments: &[Fragment], texts: Vec<Text>) -> (Vec<String>, Vec<Text>) {
    let name = match fragments {
        [only] => only.name.clone(),
        several => format!("{} and {} more", several[0].name, several.len() - 1),
    };
    let marked_up = texts.iter().any(|text| text.marked_up);
    let text = texts.into_iter().map(|text| text.text).collect();
    (vec![name], vec![Text { text, marked_up }])
}

fn check_context(model: &dyn LogitSource, cut: &Cut) -> Result<()> {
    let card = model.card();
    if cut.context < 4 {
        return Err(Error::ContextTooShort {
            context: cut.context,
        });
    }
    if cut.context > card.context_length {
        let (model, limit) = (card.name.clone(), card.context_length);
        return Err(Error::ContextTooLong {
            context: cut.context,
            model,
            limit,
        });
    }
    Ok(())
}

fn check_bos(reference: &dyn LogitSource, candidate: &dyn LogitSource) -> Result<()> {
    let bos = |model: &dyn LogitSource| {
        model
            .tokenizer()
            .bos()
            .filter(|_| model.tokenizer().adds_bos())
    };
    let (with, without) = match (bos(reference), bos(candidate)) {
        (Some(_), None) => (reference, candidate),
        (None, Some(_)) => (candidate, reference),
        _ => return Ok(()),
    };
    Err(Error::BosOnOneSide {
        bos: bos(with)
            .map(|id| with.tokenizer().token_text(id))
            .unwrap_or_default(),
        with: with.card().name.clone(),
        without: without.card().name.clone(),
    })
}

fn disagreement(
    fragment: &Fragment,
    ours: &[u32],
    theirs: &[u32],
    p: &Tokenizer,
    candidate: &dyn LogitSource,
) -> Error {
    let index = ours
        .iter()
        .zip(theirs)
        .position(|(a, b)| a != b)
        .unwrap_or(ours.len().min(theirs.len()));
    let show = |ids: &[u32], tokenizer: &Tokenizer| match ids.get(index) {
        Some(id) => format!("{id} {:?}", tokenizer.token_text(*id)),
        None => "missing".to_owned(),
    };
    Error::TokenizersDisagree {
        fragment: fragment.name.clone(),
        index,
        reference: show(ours, p),
        candidate: show(theirs, candidate.tokenizer()),
        candidate_name: candidate.card().name.clone(),
    }
}

fn nothing_to_score(tokens: &[Vec<u32>], cut: &Cut) -> Error {
    Error::NothingToScore {
        tokens: tokens.iter().map(Vec::len).sum(),
        fragments: tokens.len(),
        protocol: cut.protocol.name(),
        needed: match cut.protocol {
            Protocol::Kld => "a fragment of at least two tokens".to_owned(),
            Protocol::LlamaCpp => format!(
                "at least one window of {} tokens (see --context)",
                cut.context
            ),
        },
    }
}
