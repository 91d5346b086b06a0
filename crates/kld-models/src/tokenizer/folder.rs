//! A tokenizer from a model's folder, in the layout of the Hugging Face hub.

use std::{fs, path::Path};

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer as Engine, pre_tokenizers::byte_level::ByteLevel};

use super::{Parts, Tokenizer, TokenizerError, checked, engine_error};
use crate::{Error, Result};

/// Files beyond this are not tokenizers; the largest known are some 40 MB.
const MAX_FILE_BYTES: u64 = 512 << 20;

impl Tokenizer {
    /// The tokenizer of a model's folder.
    ///
    /// Reads `tokenizer.json`, or `vocab.json` with `merges.txt`; the names of special tokens and the chat template from
    /// `tokenizer_config.json`, `special_tokens_map.json` and `chat_template.jinja`. Nothing in the folder is executed.
    ///
    /// # Errors
    ///
    /// If there is no tokenizer, or a file cannot be read or contradicts itself.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let settings = Settings::read(folder)?;
        let (engine, origin, kind) = match read(&folder.join("tokenizer.json"))? {
            Some(json) => {
                let origin = "tokenizer.json".to_owned();
                let (engine, kind) = checked::engine(&json, &origin)?;
                (engine, origin, kind)
            }
            None => from_vocabulary_and_merges(folder, &settings)?,
        };
        let chat_template = settings.chat_template(folder)?;
        let (bos, eos) = (settings.named("bos_token"), settings.named("eos_token"));
        Self::from_parts(Parts {
            engine,
            origin,
            kind,
            bos,
            eos,
            chat_template,
            padding_from: None,
        })
    }
}

impl Tokenizer {
    /// The tokenizer of a file in the form of `tokenizer.json`, whatever its name; nothing beside it is read.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is no tokenizer.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let json = read(path)?.ok_or_else(|| Error::Io {
            path: path.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let (engine, kind) = checked::engine(&json, &origin)?;
        Self::from_parts(Parts {
            engine,
            origin,
            kind,
            bos: None,
            eos: None,
            chat_template: None,
            padding_from: None,
        })
    }
}

/// `tokenizer_config.json` and, where it is silent, `special_tokens_map.json`.
struct Settings {
    config: Value,
    special: Value,
}

impl Settings {
    fn read(folder: &Path) -> Result<Self> {
        let config = read_json(&folder.join("tokenizer_config.json"))?;
        let special = read_json(&folder.join("special_tokens_map.json"))?;
        Ok(Self { config, special })
    }

    /// The token with a role; files give it as a string or as an object with its `content`.
    fn named(&self, role: &str) -> Option<String> {
        let text = |value: &Value| {
            value
                .as_str()
                .or_else(|| value["content"].as_str())
                .map(str::to_owned)
        };
        text(&self.config[role]).or_else(|| text(&self.special[role]))
    }

    /// The file of its own goes before the settings, and of several templates the one called `default` is taken.
    fn chat_template(&self, folder: &Path) -> Result<Option<String>> {
        if let Some(template) = read(&folder.join("chat_template.jinja"))? {
            return Ok(Some(template));
        }
        let named = |entry: &&Value| entry["name"] == "default";
        Ok(match &self.config["chat_template"] {
            Value::String(template) => Some(template.clone()),
            Value::Array(entries) => entries
                .iter()
                .find(named)
                .and_then(|entry| entry["template"].as_str())
                .map(str::to_owned),
            _ => None,
        })
    }

    fn class(&self) -> &str {
        let class = self.config["tokenizer_class"]
            .as_str()
            .unwrap_or("GPT2Tokenizer");
        class.strip_suffix("Fast").unwrap_or(class)
    }

    /// Tokens that `vocab.json` does not mark as special, or does not have.
    fn added_tokens(&self) -> Vec<AddedToken> {
        let mut listed: Vec<(u64, AddedToken)> = Vec::new();
        for (id, entry) in self.config["added_tokens_decoder"]
            .as_object()
            .into_iter()
            .flatten()
        {
            let special = entry["special"].as_bool().unwrap_or(false);
            if let (Ok(id), Some(content)) = (id.parse(), entry["content"].as_str()) {
                listed.push((id, AddedToken::from(content, special).normalized(false)));
            }
        }
        listed.sort_by_key(|(id, _)| *id);
        let roles = ["bos_token", "eos_token", "unk_token", "pad_token"]
            .into_iter()
            .filter_map(|role| self.named(role));
        let roles = roles.map(|content| AddedToken::from(content, true));
        listed
            .into_iter()
            .map(|(_, token)| token)
            .chain(roles)
            .collect()
    }
}

/// The two files of GPT-2 and of those who kept its format.
fn from_vocabulary_and_merges(
    folder: &Path,
    settings: &Settings,
) -> Result<(Engine, String, String)> {
    let (Some(vocabulary), Some(merges)) = (
        read(&folder.join("vocab.json"))?,
        read(&folder.join("merges.txt"))?,
    ) else {
        return Err(missing(folder).into());
    };
    let origin = "vocab.json and merges.txt";
    // Both become a `tokenizer.json`, so that one check serves all.
    let vocabulary: Value =
        serde_json::from_str(&vocabulary).map_err(|source| TokenizerError::Json {
            path: folder.join("vocab.json"),
            source,
        })?;
    let merges: Vec<&str> = merges
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("#version"))
        .collect();
    let json = serde_json::json!({"model": {"type": "BPE", "vocab": vocabulary, "merges": merges}});
    let (mut engine, kind) = checked::engine(&json.to_string(), origin)?;
    let failed = |error: tokenizers::Error| engine_error(origin, "loading", &error.to_string());
    match settings.class() {
        "GPT2Tokenizer" => engine.with_pre_tokenizer(Some(ByteLevel::new(false, false, true))),
        class => return Err(unknown_class(class).into()),
    };
    engine.with_decoder(Some(ByteLevel::default()));
    engine.add_tokens(settings.added_tokens()).map_err(failed)?;
    Ok((engine, origin.to_owned(), kind))
}

fn unknown_class(class: &str) -> TokenizerError {
    TokenizerError::Unknown {
        what: "tokenizer_class",
        name: class.to_owned(),
        known: vec!["GPT2Tokenizer"],
    }
}

fn missing(folder: &Path) -> TokenizerError {
    let hint = if folder.join("tokenizer.model").exists() {
        "; it has a SentencePiece tokenizer.model, which Transformers' AutoTokenizer.save_pretrained turns into tokenizer.json"
    } else {
        ""
    };
    TokenizerError::Missing {
        folder: folder.to_owned(),
        hint,
    }
}

/// The text of a file, or `None` if it does not exist.
fn read(path: &Path) -> Result<Option<String>> {
    let failed = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(found) if found.len() > MAX_FILE_BYTES => {
            let reason = format!("{} bytes; at most {MAX_FILE_BYTES} are read", found.len());
            Err(TokenizerError::broken(path.display().to_string(), reason).into())
        }
        Ok(_) => fs::read_to_string(path).map(Some).map_err(failed),
    }
}

fn read_json(path: &Path) -> Result<Value> {
    match read(path)? {
        None => Ok(Value::Null),
        Some(text) => serde_json::from_str(&text).map_err(|source| {
            TokenizerError::Json {
                path: path.to_owned(),
                source,
            }
            .into()
        }),
    }
}
