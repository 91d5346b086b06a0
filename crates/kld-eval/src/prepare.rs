//! Text to windows for the models at hand: chat templates, tokenizers that must agree, vocabularies that must be one.

use std::collections::HashSet;

use kld_core::{
    result::ProtocolRecord,
    transcript::{Transcript, WindowText},
};
use kld_models::{LogitSource, Script, ScriptText, Tokenizer, tokenizer::SpecialTokens};

use crate::{
    Error, Result,
    text::{Content, Fragment},
    window::{Cut, Protocol, Scored, Window, Windows, choose},
};

/// The text as the reference's tokenizer cuts it, by fragment, without special tokens of its own.
#[derive(Debug)]
pub struct Tokenized {
    names: Vec<String>,
    texts: Vec<Text>,
    tokens: Vec<Vec<u32>>,
}

/// Text made ready for scoring.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Names of the fragments by number.
    pub fragment_names: Vec<String>,
    /// What is fed and scored.
    pub windows: Windows,
}

impl Tokenized {
    /// Renders chats by the reference's template and tokenizes all fragments.
    ///
    /// # Errors
    ///
    /// If the window does not suit the model, a conversation meets a model without chat template, or the tokenizer fails.
    pub fn new(fragments: &[Fragment], reference: &dyn LogitSource, cut: &Cut) -> Result<Self> {
        check_context(reference, cut.context)?;
        let names: Vec<String> = fragments.iter().map(|f| f.name.clone()).collect();
        let texts = rendered(fragments, reference)?;
        let (names, texts) = match cut.protocol {
            // llama.cpp knows one stream only. Chats stay apart until they are tokens, because only they are marked up.
            Protocol::LlamaCpp if texts.iter().all(|text| !text.marked_up) => {
                joined(&names, &texts)
            }
            _ => (names, texts),
        };
        let tokens = texts
            .iter()
            .map(|text| text.encode(reference.tokenizer()))
            .collect::<Result<_>>()?;
        Ok(Self {
            names,
            texts,
            tokens,
        })
    }

    /// The text of a recording, tokenized anew, so that other tokenizers can be held against it.
    ///
    /// # Errors
    ///
    /// If the tokenizer fails.
    pub fn of_script(script: &Script, reference: &dyn LogitSource) -> Result<Self> {
        let text = |text: &ScriptText| Text {
            text: text.text.clone(),
            marked_up: text.marked_up,
        };
        let texts: Vec<Text> = script.texts.iter().map(text).collect();
        Ok(Self {
            names: script.texts.iter().map(|t| t.name.clone()).collect(),
            tokens: texts
                .iter()
                .map(|text| text.encode(reference.tokenizer()))
                .collect::<Result<_>>()?,
            texts,
        })
    }

    /// The tokens of each fragment.
    #[must_use]
    pub fn tokens(&self) -> &[Vec<u32>] {
        &self.tokens
    }

    /// Makes sure that row i, column j means the same to both models, on this text.
    ///
    /// # Errors
    ///
    /// If the text is cut differently, the tokenizers do not put the same BOS before it, the vocabularies differ in size or
    /// order, or the windows are too long for the candidate.
    pub fn check_pair(
        &self,
        reference: &dyn LogitSource,
        candidate: &dyn LogitSource,
        context: usize,
    ) -> Result<()> {
        check_context(candidate, context)?;
        let (p, q) = (reference.tokenizer(), candidate.tokenizer());
        // A candidate made of the reference shares its tokenizer: there is nothing to compare.
        if std::ptr::eq(p, q) {
            return Ok(());
        }
        // The text first: where it is cut differently, that is what the user wants to see.
        for ((name, text), ours) in self.names.iter().zip(&self.texts).zip(&self.tokens) {
            let theirs = text.encode(q)?;
            if *ours != theirs {
                return Err(disagreement(name, ours, &theirs, p, candidate));
            }
        }
        check_bos(reference, candidate)?;
        match p.first_difference(q) {
            Some(difference) => Err(Error::VocabularyDiffers {
                candidate_name: candidate.card().name.clone(),
                difference: difference.to_string(),
            }),
            None => Ok(()),
        }
    }
}

impl Prepared {
    /// Cuts tokens into windows.
    ///
    /// # Errors
    ///
    /// If there is nothing to score.
    pub fn new(tokenized: &Tokenized, reference: &dyn LogitSource, cut: &Cut) -> Result<Self> {
        let (mut names, mut tokens) = (tokenized.names.clone(), tokenized.tokens.clone());
        if cut.protocol == Protocol::LlamaCpp {
            tokens = vec![tokens.concat()];
            names = vec![joint_name(&names)];
        }
        let windows = Windows::cut(&tokens, added_bos(reference.tokenizer()), cut);
        if windows.positions() == 0 {
            return Err(nothing_to_score(&tokens, cut));
        }
        Ok(Self {
            fragment_names: names,
            windows,
        })
    }

    /// The windows of a recording, as far as it has them; at most so many, chosen as those of a text are.
    #[must_use]
    pub fn replay(script: &Script, max_windows: Option<usize>, seed: Option<u64>) -> Self {
        let mut windows = script.windows[..script.recorded].to_vec();
        let missing = script.windows.len() - windows.len();
        let left_out = missing + choose(&mut windows, max_windows, seed);
        let names: Vec<String> = script.texts.iter().map(|t| t.name.clone()).collect();
        Self {
            // A file that knows tokens only is one stream.
            fragment_names: if names.is_empty() {
                vec!["recorded tokens".to_owned()]
            } else {
                names
            },
            windows: Windows {
                windows,
                fragments_unscored: 0,
                left_out,
            },
        }
    }

    /// The texts and windows, for a recording.
    #[must_use]
    pub fn script(&self, tokenized: &Tokenized, protocol: ProtocolRecord) -> Script {
        let text = |(name, text): (&String, &Text)| ScriptText {
            name: name.clone(),
            text: text.text.clone(),
            marked_up: text.marked_up,
        };
        Script {
            protocol,
            texts: tokenized
                .names
                .iter()
                .zip(&tokenized.texts)
                .map(text)
                .collect(),
            windows: self.windows.windows.clone(),
            recorded: 0,
        }
    }

    /// The windows as text.
    #[must_use]
    pub fn transcript(&self, tokenizer: &Tokenizer) -> Transcript {
        let window = |window: &Window| {
            let scored = window.scored.start as u32..window.scored.end as u32;
            let pieces = tokenizer.pieces(&window.input);
            WindowText::new(window.fragment, scored, window.input.clone(), &pieces)
        };
        Transcript {
            fragments: self.fragment_names.clone(),
            windows: self.windows.windows.iter().map(window).collect(),
            vocabulary: (0..tokenizer.len() as u32)
                .map(|id| tokenizer.token_text(id))
                .collect(),
        }
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

/// The BOS token, where the tokenizer puts it before a text.
fn added_bos(tokenizer: &Tokenizer) -> Option<u32> {
    tokenizer.bos().filter(|_| tokenizer.adds_bos())
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
#[derive(Debug)]
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
    let bos = added_bos(reference.tokenizer()).and_then(|id| reference.tokenizer().token(id));
    fragments
        .iter()
        .map(|fragment| match (&fragment.content, &template) {
            (Content::Text(text), _) => Ok(Text {
                text: text.clone(),
                marked_up: false,
            }),
            (Content::Chat(messages), _) if messages.is_empty() => Ok(Text {
                text: String::new(),
                marked_up: false,
            }),
            (Content::Chat(messages), Some(template)) => {
                let mut text = template.render(messages, false)?;
                // Templates write the BOS themselves; the windows bring their own.
                if let Some(rest) = bos.and_then(|bos| text.strip_prefix(bos)) {
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

/// All fragments, one behind the other.
fn joined(names: &[String], texts: &[Text]) -> (Vec<String>, Vec<Text>) {
    let text = texts.iter().map(|text| text.text.as_str()).collect();
    (
        vec![joint_name(names)],
        vec![Text {
            text,
            marked_up: false,
        }],
    )
}

fn joint_name(names: &[String]) -> String {
    match names {
        [first, others @ ..] if !others.is_empty() => format!("{first} and {} more", others.len()),
        names => names.concat(),
    }
}

fn check_context(model: &dyn LogitSource, context: usize) -> Result<()> {
    let card = model.card();
    if context < 4 {
        return Err(Error::ContextTooShort { context });
    }
    if context > card.context_length {
        return Err(Error::ContextTooLong {
            context,
            model: card.name.clone(),
            limit: card.context_length,
        });
    }
    Ok(())
}

/// The windows of a text for one model, and how they were cut; without any text, those of a recording.
///
/// # Errors
///
/// If the text does not suit the model, or there is nothing to score.
pub fn prepare_one(
    model: &dyn LogitSource,
    fragments: &[Fragment],
    cut: &Cut,
) -> Result<(Prepared, ProtocolRecord)> {
    if fragments.is_empty() {
        let script = model.script().ok_or(Error::NothingRecorded)?;
        let prepared = Prepared::replay(script, cut.max_windows, cut.seed);
        let protocol = prepared.windows.record_as(&script.protocol);
        return Ok((prepared, protocol));
    }
    let prepared = Prepared::new(&Tokenized::new(fragments, model, cut)?, model, cut)?;
    check_recorded(model, &prepared.windows.windows)?;
    let protocol = prepared.windows.record(cut);
    Ok((prepared, protocol))
}

/// Makes sure that a source that replays has all of these windows.
///
/// # Errors
///
/// If it was recorded on another token stream, or cut otherwise.
pub fn check_recorded(source: &dyn LogitSource, windows: &[Window]) -> Result<()> {
    let Some(script) = source.script() else {
        return Ok(());
    };
    let known: HashSet<&Window> = script.windows[..script.recorded].iter().collect();
    match windows.iter().position(|window| !known.contains(window)) {
        None => Ok(()),
        Some(index) => Err(Error::RecordingDiffers {
            recording: source.card().name.clone(),
            index,
            windows: script.recorded,
            context: script.protocol.context,
            scored: script.protocol.scored.clone(),
            protocol: script.protocol.name.clone(),
        }),
    }
}

fn check_bos(reference: &dyn LogitSource, candidate: &dyn LogitSource) -> Result<()> {
    let told = |model: &dyn LogitSource| match added_bos(model.tokenizer()) {
        Some(id) => format!("{id} {:?}", model.tokenizer().token_text(id)),
        None => "nothing".to_owned(),
    };
    if added_bos(reference.tokenizer()) == added_bos(candidate.tokenizer()) {
        return Ok(());
    }
    Err(Error::BosDiffers {
        reference: told(reference),
        candidate: told(candidate),
        candidate_name: candidate.card().name.clone(),
    })
}

fn disagreement(
    fragment: &str,
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
        fragment: fragment.to_owned(),
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
            Protocol::Kld if cut.scored == Scored::All => {
                "a fragment of at least 2 tokens, BOS counted".to_owned()
            }
            Protocol::Kld => {
                "a fragment of at least 3 tokens, BOS counted (2 with --score all)".to_owned()
            }
            Protocol::LlamaCpp => format!(
                "at least one window of {} tokens (see --context)",
                cut.context
            ),
        },
    }
}
