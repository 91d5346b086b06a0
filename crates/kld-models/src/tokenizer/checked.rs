//! `tokenizer.json`, checked before the engine sees it.
//!
//! The engine trusts its file: a merge whose result is no token can make it panic, two tokens with one id make it lose one.
//! Files come from strangers, so what it trusts is checked here first, with a message that names the entry.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer as Engine;

use super::{MAX_VOCABULARY, TokenizerError, engine_error, guarded};
use crate::Result;

/// Builds the engine from the text of a `tokenizer.json` called `origin`.
pub(super) fn engine(json: &str, origin: &str) -> Result<(Engine, String)> {
    let file: File = serde_json::from_str(json)
        .map_err(|error| TokenizerError::broken(origin, error.to_string()))?;
    let checked = check_character_maps(&file.normalizer).and_then(|()| file.model.check());
    let kind = checked.map_err(|reason| TokenizerError::broken(origin, reason))?;
    let loaded = guarded(|| json.parse::<Engine>());
    let engine = loaded.map_err(|message| engine_error(origin, "loading", &message))?;
    Ok((engine, kind.to_owned()))
}

/// Merges as pairs must lead from tokens to a token; `prefix` is what continuing pieces start with.
pub(super) fn check_merges<'a>(
    vocabulary: &HashMap<String, u32>,
    merges: impl Iterator<Item = (&'a str, &'a str)>,
    prefix: &str,
) -> Result<(), String> {
    let mut merged = String::new();
    for (index, (left, right)) in merges.enumerate() {
        let rest = right.strip_prefix(prefix);
        let rest =
            rest.ok_or_else(|| format!("merge {index}: `{right}` does not start with `{prefix}`"))?;
        merged.clear();
        merged.push_str(left);
        merged.push_str(rest);
        if let Some(missing) = [left, right, &merged]
            .into_iter()
            .find(|token| !vocabulary.contains_key(*token))
        {
            return Err(format!(
                "merge {index}, `{left} {right}`, refers to `{missing}`, which is not in the vocabulary"
            ));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    normalizer: Value,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    #[serde(default)]
    merges: Merges,
    continuing_subword_prefix: Option<String>,
    dropout: Option<f32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vocabulary {
    Ids(HashMap<String, u32>),
    Scores(Vec<(String, f64)>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merges {
    Pairs(Vec<(String, String)>),
    Lines(Vec<String>),
}

impl Default for Merges {
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

impl Model {
    /// The kind of model, if what it says holds together.
    fn check(&self) -> Result<&str, String> {
        if let Some(dropout) = self.dropout.filter(|dropout| *dropout != 0.0) {
            return Err(format!(
                "it leaves out merges at random (dropout {dropout}), so no two runs would see the same tokens"
            ));
        }
        match &self.vocab {
            Vocabulary::Ids(ids) => {
                check_ids(ids)?;
                self.check_merges(ids)?;
            }
            Vocabulary::Scores(scores) => check_scores(scores)?,
        }
        Ok(self.kind.as_deref().unwrap_or("BPE"))
    }

    fn check_merges(&self, ids: &HashMap<String, u32>) -> Result<(), String> {
        let prefix = self
            .continuing_subword_prefix
            .as_deref()
            .unwrap_or_default();
        match &self.merges {
            Merges::Pairs(pairs) => check_merges(
                ids,
                pairs.iter().map(|(left, right)| (&**left, &**right)),
                prefix,
            ),
            Merges::Lines(lines) => {
                let lines = lines.iter().filter(|line| !line.starts_with("#version"));
                let pairs: Option<Vec<_>> = lines.map(|line| line.split_once(' ')).collect();
                let pairs = pairs.ok_or("a merge is not two tokens with a space between")?;
                check_merges(ids, pairs.into_iter(), prefix)
            }
        }
    }
}

/// SentencePiece's character maps begin with their own size, which the engine believes when it reserves memory.
fn check_character_maps(normalizer: &Value) -> Result<(), String> {
    let map = normalizer["precompiled_charsmap"].as_str();
    if let Some(map) =
        map.filter(|map| announced_bytes(map).is_none_or(|announced| announced > map.len()))
    {
        return Err(format!(
            "a character map of {} characters announces more than it has",
            map.len()
        ));
    }
    let steps = normalizer["normalizers"].as_array();
    steps
        .into_iter()
        .flatten()
        .try_for_each(check_character_maps)
}

/// The 32-bit number, lowest byte first, that base64 text begins with.
fn announced_bytes(base64: &str) -> Option<usize> {
    let digit = |symbol: u8| match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bits = 0_u64;
    for symbol in base64.as_bytes().get(..8)? {
        bits = bits << 6 | u64::from(digit(*symbol)?);
    }
    // Eight symbols are six bytes, of which the first four count.
    let [_, _, first, second, third, fourth, ..] = bits.to_be_bytes();
    usize::try_from(u32::from_le_bytes([first, second, third, fourth])).ok()
}

fn check_ids(ids: &HashMap<String, u32>) -> Result<(), String> {
    let mut owner: HashMap<u32, &str> = HashMap::with_capacity(ids.len());
    for (token, &id) in ids {
        if id >= MAX_VOCABULARY {
            return Err(format!(
                "`{token}` has id {id}; at most {} are believed",
                MAX_VOCABULARY - 1
            ));
        }
        if let Some(other) = owner.insert(id, token) {
            return Err(format!(
                "`{}` and `{}` both have id {id}",
                other.min(token),
                other.max(token)
            ));
        }
    }
    Ok(())
}

fn check_scores(scores: &[(String, f64)]) -> Result<(), String> {
    if scores.len() > MAX_VOCABULARY as usize {
        return Err(format!(
            "{} tokens; at most {MAX_VOCABULARY} are believed",
            scores.len()
        ));
    }
    match scores.iter().find(|(_, score)| !score.is_finite()) {
        Some((token, score)) => Err(format!(
            "`{token}` has the score {score}, which is not finite"
        )),
        None => Ok(()),
    }
}
