//! Text to token ids and back.
//!
//! A [`Tokenizer`] comes from a model's folder ([`Tokenizer::from_folder`]) or from the metadata of a GGUF file
//! ([`Tokenizer::from_gguf`]); both become the same engine, so that both cut a text alike.
//!
//! Two questions are asked of whoever encodes, because tools answer them differently and a wrong answer shifts
//! every position (known bugs 11 and 12):
//!
//! - *Are tokens added* that the text does not contain, such as a beginning-of-sequence token? [`SpecialTokens`].
//! - *Is text that spells a special token that token?* [`Tokenizer::encode`] says no: a web page about `<|endoftext|>` does
//!   not end the sequence. That is what llama.cpp does with a text to be scored. [`Tokenizer::encode_marked_up`] says yes,
//!   as a rendered chat needs it and as Transformers does by default.

mod checked;
mod chunk;
mod compare;
mod error;
mod folder;
mod gguf;
mod piece;
pub(crate) mod portable;
mod scores;
mod split;
mod train;

use std::{
    collections::HashSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::OnceLock,
};

use rayon::prelude::*;
use tokenizers::{Encoding, Token, Tokenizer as Engine};

use self::chunk::Cuts;
use self::piece::{PieceStyle, byte_level_alphabet, readable};
pub use self::{compare::VocabularyDifference, error::TokenizerError};
use crate::{Result, chat::ChatTemplate};

/// The highest token id, plus one, that is believed; real vocabularies have a few hundred thousand.
pub const MAX_VOCABULARY: u32 = 1 << 22;

/// Longer texts are encoded in chunks where that makes no difference.
const CHUNK_BYTES: usize = 1 << 16;

/// The tokenizer of a model; can be used from several threads at once.
#[derive(Clone)]
pub struct Tokenizer {
    /// Takes text that spells a special token for text.
    engine: Engine,
    /// The same, but takes it for the token; made when first needed.
    marked_up: OnceLock<Engine>,
    origin: String,
    kind: String,
    style: PieceStyle,
    /// By id, as stored; `None` where no token has the id.
    tokens: Vec<Option<Box<str>>>,
    special: HashSet<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    /// What the tokenizer's settings put before and after a text.
    around: (Vec<u32>, Vec<u32>),
    cuts: Cuts,
    chat_template: Option<String>,
}

/// Whether tokens are added that the text does not contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Those that the tokenizer's own settings add, usually a beginning-of-sequence token or nothing.
    AsTokenizerSays,
    /// None: the ids of the text alone.
    None,
}

/// What a tokenizer is, for people and for `kld info`.
pub use kld_core::result::TokenizerCard as Description;

/// What the two ways of loading find out, before the rest follows from the engine.
struct Parts {
    engine: Engine,
    origin: String,
    kind: String,
    bos: Option<String>,
    eos: Option<String>,
    chat_template: Option<String>,
    /// Ids from here on are padding of the head.
    padding_from: Option<u32>,
}

impl Tokenizer {
    /// Token ids of a text in which everything is text, special tokens' names included.
    ///
    /// # Errors
    ///
    /// If the engine fails, which a hostile `tokenizer.json` can bring about.
    pub fn encode(&self, text: &str, add: SpecialTokens) -> Result<Vec<u32>> {
        self.encode_with(&self.engine, text, add)
    }

    /// Token ids of a text in which a special token's name stands for the token, such as a rendered chat.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_marked_up(&self, text: &str, add: SpecialTokens) -> Result<Vec<u32>> {
        let engine = self.marked_up.get_or_init(|| {
            let mut engine = self.engine.clone();
            engine.set_encode_special_tokens(false);
            engine
        });
        self.encode_with(engine, text, add)
    }

    /// The text of token ids, special tokens by their names; bytes that are not UTF-8 become U+FFFD, ids without a token nothing.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let decoded = guarded(|| self.engine.decode(ids, false));
        decoded.unwrap_or_else(|_| {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| self.spelled_bytes(*id)).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }

    /// The text of each token, so that joined they are the text of all: special tokens by their names, a character that
    /// several tokens spell with the last of them, bytes that are not UTF-8 as U+FFFD.
    #[must_use]
    pub fn pieces(&self, ids: &[u32]) -> Vec<String> {
        let mut pending = Vec::new();
        let mut pieces: Vec<String> = ids
            .iter()
            .map(|&id| {
                pending.extend(self.spelled_bytes(id));
                whole_characters(&mut pending)
            })
            .collect();
        if let Some(last) = pieces.last_mut() {
            last.push_str(&String::from_utf8_lossy(&pending));
        }
        pieces
    }

    /// A token as the vocabulary stores it, `Ġthe` for instance.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(usize::try_from(id).ok()?)?.as_deref()
    }

    /// A token for tables: its text, `␣` for a space at either end, control characters and bytes that are not UTF-8 escaped.
    #[must_use]
    pub fn token_text(&self, id: u32) -> String {
        match self.token(id) {
            Some(_) => readable(&self.spelled_bytes(id)),
            None => format!("<no token {id}>"),
        }
    }

    /// The bytes of text that a token stands for; none for special tokens and ids without a token.
    ///
    /// SentencePiece tokenizers invent a space before the first word, and its first token has that byte too: bits per byte of
    /// whole texts are better divided by the text's own length.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        if self.is_special(id) {
            Vec::new()
        } else {
            self.spelled_bytes(id)
        }
    }

    /// Whether a token is markup, not text: a beginning of sequence, a chat role, padding.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The beginning-of-sequence token.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether [`SpecialTokens::AsTokenizerSays`] puts a beginning-of-sequence token first.
    #[must_use]
    pub fn adds_bos(&self) -> bool {
        self.bos.is_some() && self.around.0.first().copied() == self.bos
    }

    /// Number of ids up to the last token; columns of a model's head beyond it are padding.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The chat template that came with the tokenizer, compiled.
    ///
    /// # Errors
    ///
    /// If the template is not valid.
    pub fn chat_template(&self) -> Result<Option<ChatTemplate>> {
        let name = |id: Option<u32>| id.and_then(|id| self.token(id)).map(str::to_owned);
        let template = self.chat_template.as_deref();
        template
            .map(|source| ChatTemplate::new(source, name(self.bos), name(self.eos)))
            .transpose()
    }

    /// What this tokenizer is.
    #[must_use]
    pub fn describe(&self) -> Description {
        let name = |id: Option<u32>| id.and_then(|id| self.token(id)).map(str::to_owned);
        Description {
            kind: self.kind.clone(),
            origin: self.origin.clone(),
            tokens: self.len(),
            special_tokens: self.special.len(),
            bos: name(self.bos),
            eos: name(self.eos),
            adds_bos: self.adds_bos(),
            unspelled_bytes: self.unspelled_bytes(),
            has_chat_template: self.chat_template.is_some(),
        }
    }

    fn from_parts(parts: Parts) -> Result<Self> {
        let Parts {
            mut engine,
            origin,
            kind,
            bos,
            eos,
            chat_template,
            padding_from,
        } = parts;
        engine.set_encode_special_tokens(true);
        // A file may ask for truncation and padding, which are wishes of whoever saved it, not of the text.
        engine.with_padding(None);
        engine
            .with_truncation(None)
            .map_err(|error| engine_error(&origin, "loading", &error.to_string()))?;
        let tokens = tokens_by_id(&engine, padding_from, &origin)?;
        let added = engine.get_added_tokens_decoder();
        let special = added
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(id, _)| *id)
            .collect();
        let style = PieceStyle::of(&engine);
        let around = around(&engine, &origin)?;
        let named = |name: Option<String>| name.and_then(|token| engine.token_to_id(&token));
        let eos = named(eos);
        // A lone token that is put before every text is the beginning of a sequence, whether the settings name it or not.
        let lone = || {
            around
                .0
                .first()
                .copied()
                .filter(|_| around.0.len() == 1 && around.1.is_empty())
        };
        Ok(Self {
            bos: named(bos).or_else(lone),
            eos,
            style,
            kind: format!("{kind}, {}", style.name()),
            origin,
            cuts: Cuts::of(&engine),
            engine,
            marked_up: OnceLock::new(),
            tokens,
            special,
            around,
            chat_template,
        })
    }

    fn encode_with(&self, engine: &Engine, text: &str, add: SpecialTokens) -> Result<Vec<u32>> {
        self.encode_in_chunks(engine, text, add, CHUNK_BYTES)
    }

    fn encode_in_chunks(
        &self,
        engine: &Engine,
        text: &str,
        add: SpecialTokens,
        size: usize,
    ) -> Result<Vec<u32>> {
        let chunks = self.cuts.chunks(text, size);
        let chunks: Vec<Vec<u32>> = match chunks.as_slice() {
            [whole] => vec![self.encode_chunk(engine, whole)?],
            chunks => chunks
                .par_iter()
                .map(|chunk| self.encode_chunk(engine, chunk))
                .collect::<Result<_>>()?,
        };
        Ok(match add {
            SpecialTokens::None => chunks.concat(),
            SpecialTokens::AsTokenizerSays => {
                [&self.around.0[..], &chunks.concat(), &self.around.1].concat()
            }
        })
    }

    fn encode_chunk(&self, engine: &Engine, text: &str) -> Result<Vec<u32>> {
        let encoding = guarded(|| engine.encode_fast(text, false));
        let encoding =
            encoding.map_err(|message| engine_error(&self.origin, "encoding", &message))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn spelled_bytes(&self, id: u32) -> Vec<u8> {
        self.token(id)
            .map(|piece| self.style.bytes(piece))
            .unwrap_or_default()
    }

    fn unspelled_bytes(&self) -> usize {
        let spelled = |character: &char| {
            self.engine
                .token_to_id(character.encode_utf8(&mut [0; 4]))
                .is_some()
        };
        match self.style {
            PieceStyle::ByteLevel => byte_level_alphabet()
                .filter(|character| !spelled(character))
                .count(),
            _ => 0,
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Tokenizer")
            .field(&self.describe())
            .finish()
    }
}

/// Takes the text out of `bytes`, all but the beginning of a character at their end.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                bytes.clear();
                return text;
            }
            Err(error) => {
                let valid = error.valid_up_to();
                text.push_str(&String::from_utf8_lossy(&bytes[..valid]));
                let Some(wrong) = error.error_len() else {
                    bytes.drain(..valid);
                    return text;
                };
                text.push(char::REPLACEMENT_CHARACTER);
                bytes.drain(..valid + wrong);
            }
        }
    }
}

/// What the engine puts before and after a text, seen on a text of one token that does not exist.
fn around(engine: &Engine, origin: &str) -> Result<(Vec<u32>, Vec<u32>)> {
    let text = Encoding::from_tokens(vec![Token::new(u32::MAX, String::new(), (0, 0))], 0);
    let processed = guarded(|| engine.post_process(text, None, true));
    let processed = processed.map_err(|message| engine_error(origin, "loading", &message))?;
    let mut sides = processed
        .get_ids()
        .split(|id| *id == u32::MAX)
        .map(<[u32]>::to_vec);
    match (sides.next(), sides.next(), sides.next()) {
        (Some(before), Some(after), None) => Ok((before, after)),
        _ => Err(TokenizerError::broken(
            origin,
            "its template does not contain the text exactly once",
        )
        .into()),
    }
}

fn tokens_by_id(
    engine: &Engine,
    padding_from: Option<u32>,
    origin: &str,
) -> Result<Vec<Option<Box<str>>>> {
    let vocabulary = engine.get_vocab(true);
    let real = |id: &u32| padding_from.is_none_or(|first| *id < first);
    let end = vocabulary
        .values()
        .copied()
        .filter(real)
        .max()
        .map_or(0, |last| u64::from(last) + 1);
    if end > u64::from(MAX_VOCABULARY) {
        let reason = format!(
            "a token has id {}; at most {} are believed",
            end - 1,
            MAX_VOCABULARY - 1
        );
        return Err(TokenizerError::broken(origin, reason).into());
    }
    let mut tokens = vec![None; usize::try_from(end).unwrap_or_default()];
    for (token, id) in vocabulary {
        if let Some(slot) = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id)) {
            *slot = Some(token.into_boxed_str());
        }
    }
    Ok(tokens)
}

/// Runs the engine, which was not written for hostile files: a panic in it becomes a message.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the tokenizer's settings break their own rules".to_owned()),
    }
}

fn engine_error(origin: &str, doing: &'static str, message: &str) -> TokenizerError {
    TokenizerError::Engine {
        origin: origin.to_owned(),
        doing,
        message: message.to_owned(),
    }
}
