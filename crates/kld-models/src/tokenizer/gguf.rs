//! A tokenizer from the metadata of a GGUF file.
//!
//! GGUF keeps tokens, their kinds and either merges (`gpt2`: byte-level BPE) or scores (`llama`: SentencePiece's BPE); how
//! text is cut and normalised follows from names. From these the same engine is built that `tokenizer.json` describes.

use std::collections::HashMap;

use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, Tokenizer as Engine,
    decoders::{
        byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as Decoders, strip::Strip,
    },
    models::bpe::{BPE, BpeBuilder, Vocab},
    normalizers::{Prepend, Replace, Sequence as Normalizers},
    pre_tokenizers::byte_level::ByteLevel,
    processors::template::{SpecialToken, Template, TemplateProcessing},
};

use super::{
    MAX_VOCABULARY, Parts, Tokenizer, TokenizerError, checked::check_merges, engine_error, guarded,
    scores::merges_from_scores, split::SplitRule,
};
use crate::{Result, gguf::Metadata};

const ORIGIN: &str = "GGUF metadata";
const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const KINDS: &str = "tokenizer.ggml.token_type";

type Ids = HashMap<String, u32>;
type Merges = Vec<(String, String)>;

impl Tokenizer {
    /// The tokenizer that a GGUF file describes in its metadata.
    ///
    /// Text is cut as the tokenizer was trained to, which is what Transformers does too. Where llama.cpp differs - it leaves out
    /// Unicode composition for Qwen - texts in Unicode's form NFC, as nearly all are, give the same tokens there.
    ///
    /// # Errors
    ///
    /// If the kind of tokenizer or the way it cuts text is not known, or the metadata contradict themselves.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self> {
        let model = metadata.str("tokenizer.ggml.model")?.unwrap_or_default();
        let vocabulary = Vocabulary::read(metadata, model)?;
        match model {
            "gpt2" => vocabulary.byte_level(metadata),
            "llama" => vocabulary.sentencepiece(metadata),
            _ => {
                let known = vec!["gpt2", "llama"];
                Err(TokenizerError::Unknown {
                    what: "tokenizer.ggml.model",
                    name: model.to_owned(),
                    known,
                }
                .into())
            }
        }
    }
}

/// What a token is, by `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    /// Markup: matched in marked-up text only.
    Special,
    /// Matched in any text before anything else.
    UserDefined,
    /// Not for text: spells a byte, or nothing.
    Other,
}

/// Tokens with what the file says of each.
struct Vocabulary<'a> {
    model: &'a str,
    tokens: &'a [String],
    kinds: Vec<Kind>,
    ids: Ids,
    bos: Option<u32>,
    eos: Option<u32>,
    unknown: Option<u32>,
    padding_from: Option<u32>,
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Metadata, model: &'a str) -> Result<Self> {
        let tokens = metadata
            .strings(TOKENS)?
            .ok_or_else(|| missing(TOKENS, model))?;
        if tokens.len() > MAX_VOCABULARY as usize {
            return Err(broken(format!(
                "{} tokens; at most {MAX_VOCABULARY} are believed",
                tokens.len()
            )));
        }
        let codes = same_length(metadata.integers(KINDS)?, KINDS, tokens)?;
        let kinds = codes
            .as_ref()
            .map_or_else(|| vec![Kind::Normal; tokens.len()], |codes| kinds(codes));
        let special = |role: &str| -> Result<Option<u32>> {
            let id = metadata.u32(&format!("tokenizer.ggml.{role}_token_id"))?;
            // Some files name an id that does not exist where they mean none.
            Ok(id.filter(|id| (*id as usize) < tokens.len()))
        };
        let (bos, eos, unknown) = (special("bos")?, special("eos")?, special("unknown")?);
        let padding_from = codes.and_then(|codes| padding(tokens, &codes));
        Ok(Self {
            model,
            tokens,
            kinds,
            ids: ids(tokens)?,
            bos,
            eos,
            unknown,
            padding_from,
        })
    }

    fn byte_level(self, metadata: &Metadata) -> Result<Tokenizer> {
        let pre = metadata.str("tokenizer.ggml.pre")?;
        let rule = SplitRule::named(pre).ok_or_else(|| TokenizerError::Unknown {
            what: "tokenizer.ggml.pre",
            name: pre.unwrap_or_default().to_owned(),
            known: SplitRule::known(),
        })?;
        let lines = metadata
            .strings(MERGES)?
            .ok_or_else(|| missing(MERGES, self.model))?;
        let merges = self.read_merges(lines)?;
        let mut engine = build(|| {
            let model = self.merging(merges);
            let mut engine = Engine::new(model.ignore_merges(rule.whole_words_first).build()?);
            engine.with_normalizer(rule.normalizer())?;
            engine.with_pre_tokenizer(Some(rule.pre_tokenizer()?));
            engine.with_decoder(Some(ByteLevel::default()));
            Ok(engine)
        })?;
        self.add_special(&mut engine, metadata, rule.adds_bos)?;
        let origin = format!("GGUF, gpt2, {}", pre.unwrap_or("default"));
        self.finish(engine, origin, "BPE", metadata)
    }

    fn sentencepiece(self, metadata: &Metadata) -> Result<Tokenizer> {
        let scores = metadata
            .numbers(SCORES)?
            .ok_or_else(|| missing(SCORES, self.model))?;
        let scores = same_length(Some(scores), SCORES, self.tokens)?.unwrap_or_default();
        if let Some(position) = scores.iter().position(|score| !score.is_finite()) {
            return Err(broken(format!(
                "the score of token {position} is {}",
                scores[position]
            )));
        }
        let from_text = |id: usize| matches!(self.kinds[id], Kind::Normal | Kind::UserDefined);
        let merges =
            merges_from_scores(self.tokens, &scores, &self.ids, from_text).map_err(broken)?;
        let prefix = metadata
            .bool("tokenizer.ggml.add_space_prefix")?
            .unwrap_or(true);
        let mut engine = build(|| {
            let mut model = self.merging(merges).byte_fallback(true).fuse_unk(true);
            if let Some(unknown) = self.unknown {
                model = model.unk_token(self.tokens[unknown as usize].clone());
            }
            let mut engine = Engine::new(model.build()?);
            engine.with_normalizer(Some(spaces_to_marks(prefix)?))?;
            engine.with_decoder(Some(marks_to_spaces(prefix)?));
            Ok(engine)
        })?;
        self.add_special(&mut engine, metadata, true)?;
        self.finish(engine, "GGUF, llama".to_owned(), "BPE by scores", metadata)
    }

    fn merging(&self, merges: Merges) -> BpeBuilder {
        let ids: Vocab = self
            .ids
            .iter()
            .map(|(token, id)| (token.clone(), *id))
            .collect();
        BPE::builder().vocab_and_merges(ids, merges)
    }

    fn read_merges(&self, lines: &[String]) -> Result<Merges> {
        let mut merges = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            // The separator is the first space that is not the token itself.
            let first = line.chars().next().map_or(0, char::len_utf8);
            let pair = line[first..]
                .split_once(' ')
                .map(|(rest, right)| (&line[..first + rest.len()], right));
            let (left, right) =
                pair.ok_or_else(|| broken(format!("merge {index}, `{line}`, is not two tokens")))?;
            merges.push((left.to_owned(), right.to_owned()));
        }
        check_merges(
            &self.ids,
            merges.iter().map(|(left, right)| (&**left, &**right)),
            "",
        )
        .map_err(broken)?;
        Ok(merges)
    }

    /// Special and user-defined tokens, and what stands before and after a text.
    fn add_special(&self, engine: &mut Engine, metadata: &Metadata, adds_bos: bool) -> Result<()> {
        let roles = [self.bos, self.eos];
        let added =
            (0_u32..)
                .zip(self.tokens)
                .zip(&self.kinds)
                .filter_map(|((id, token), kind)| {
                    let special = *kind == Kind::Special || roles.contains(&Some(id));
                    (special || *kind == Kind::UserDefined)
                        .then(|| AddedToken::from(token.as_str(), special).normalized(false))
                });
        let added: Vec<AddedToken> = added.collect();
        let bos = self.bos.filter(|_| adds_bos);
        let bos = if metadata
            .bool("tokenizer.ggml.add_bos_token")?
            .unwrap_or(bos.is_some())
        {
            self.bos
        } else {
            None
        };
        let eos = if metadata
            .bool("tokenizer.ggml.add_eos_token")?
            .unwrap_or(false)
        {
            self.eos
        } else {
            None
        };
        build(|| {
            engine.add_tokens(added)?;
            engine.with_post_processor(self.around(bos, eos)?);
            Ok(())
        })
    }

    fn around(
        &self,
        bos: Option<u32>,
        eos: Option<u32>,
    ) -> tokenizers::Result<Option<TemplateProcessing>> {
        let mut pieces = vec!["$A"];
        let mut special = Vec::new();
        for (role, id, place) in [
            ("bos", bos, 0),
            ("eos", eos, usize::from(bos.is_some()) + 1),
        ] {
            if let Some(id) = id {
                pieces.insert(place, role);
                special.push(SpecialToken::new(
                    role.to_owned(),
                    vec![id],
                    vec![self.tokens[id as usize].clone()],
                )?);
            }
        }
        if special.is_empty() {
            return Ok(None);
        }
        let template = TemplateProcessing::builder()
            .single(Template::try_from(pieces)?)
            .special_tokens(special)
            .build();
        Ok(Some(template.map_err(|error| error.to_string())?))
    }

    fn finish(
        self,
        engine: Engine,
        origin: String,
        kind: &str,
        metadata: &Metadata,
    ) -> Result<Tokenizer> {
        let name = |id: Option<u32>| id.map(|id| self.tokens[id as usize].clone());
        Tokenizer::from_parts(Parts {
            engine,
            origin,
            kind: kind.to_owned(),
            bos: name(self.bos),
            eos: name(self.eos),
            chat_template: metadata.str("tokenizer.chat_template")?.map(str::to_owned),
            padding_from: self.padding_from,
        })
    }
}

fn kinds(codes: &[i64]) -> Vec<Kind> {
    let kind = |code: &i64| match code {
        1 => Kind::Normal,
        2 | 3 => Kind::Special,
        4 => Kind::UserDefined,
        _ => Kind::Other,
    };
    codes.iter().map(kind).collect()
}

/// Where the made-up names begin that converters give to the columns of a padded head: unused tokens `[PAD<id>]`.
fn padding(tokens: &[String], codes: &[i64]) -> Option<u32> {
    const UNUSED: i64 = 5;
    let made_up = |id: usize| codes[id] == UNUSED && tokens[id] == format!("[PAD{id}]");
    let real = (0..tokens.len())
        .rev()
        .take_while(|id| made_up(*id))
        .count();
    u32::try_from(tokens.len() - real).ok().filter(|_| real > 0)
}

/// Ids by token; an empty name stands for no token.
fn ids(tokens: &[String]) -> Result<Ids> {
    let mut ids = Ids::with_capacity(tokens.len());
    for (id, token) in (0_u32..).zip(tokens).filter(|(_, token)| !token.is_empty()) {
        if let Some(first) = ids.insert(token.clone(), id) {
            return Err(broken(format!(
                "token `{token}` has two ids, {first} and {id}"
            )));
        }
    }
    Ok(ids)
}

fn same_length<T>(values: Option<Vec<T>>, key: &str, tokens: &[String]) -> Result<Option<Vec<T>>> {
    match values {
        Some(values) if values.len() != tokens.len() => Err(broken(format!(
            "{} tokens, but {key} has {} entries",
            tokens.len(),
            values.len()
        ))),
        values => Ok(values),
    }
}

/// SentencePiece writes `▁` for a space and, for most models, puts one before the first word.
pub(super) fn spaces_to_marks(prefix: bool) -> tokenizers::Result<NormalizerWrapper> {
    let mut steps = vec![NormalizerWrapper::Replace(Replace::new(" ", "▁")?)];
    if prefix {
        steps.insert(0, NormalizerWrapper::Prepend(Prepend::new("▁".to_owned())));
    }
    Ok(NormalizerWrapper::Sequence(Normalizers::new(steps)))
}

fn marks_to_spaces(prefix: bool) -> tokenizers::Result<DecoderWrapper> {
    let mut steps = vec![
        DecoderWrapper::Replace(Replace::new("▁", " ")?),
        DecoderWrapper::ByteFallback(ByteFallback::new()),
        DecoderWrapper::Fuse(Fuse::new()),
    ];
    if prefix {
        steps.push(DecoderWrapper::Strip(Strip::new(' ', 1, 0)));
    }
    Ok(DecoderWrapper::Sequence(Decoders::new(steps)))
}

fn build<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    Ok(guarded(work).map_err(|message| engine_error(ORIGIN, "loading", &message))?)
}

fn broken(reason: String) -> crate::Error {
    TokenizerError::broken(ORIGIN, reason).into()
}

fn missing(key: &'static str, model: &str) -> crate::Error {
    TokenizerError::MissingKey {
        key,
        model: model.to_owned(),
    }
    .into()
}
