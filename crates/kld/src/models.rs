//! From what the user calls a model to a model: environment, hub cache, tokenizer, memory.

mod memory;

use std::{
    env,
    ffi::OsString,
    fs,
    ops::Deref,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use kld_models::{
    LogitSource, Recording, Tokenizer,
    gguf::{BlockType, Metadata},
    hub::{Format, HubOptions, Location},
    llama_cpp::LogProbFile,
    native::{LoadOptions, NativeModel, Selection},
};

use crate::progress::Terminal;

/// The part of the free memory that weights may take; the rest is for activations, rows of logits and everybody else.
const SHARE_FOR_WEIGHTS: f64 = 0.85;

/// Opens models one after the other within one limit of memory.
pub(crate) struct Opener<'a> {
    hub: HubOptions,
    memory: Option<u64>,
    observer: &'a Terminal,
}

impl<'a> Opener<'a> {
    /// `memory` is the user's limit in bytes, taken at its word; without one it is a share of what is free.
    pub(crate) fn new(memory: Option<u64>, observer: &'a Terminal) -> Self {
        let share = |free: u64| (free as f64 * SHARE_FOR_WEIGHTS) as u64;
        let memory = memory.or_else(|| memory::free().map(share));
        Self {
            hub: hub_options(|name| env::var_os(name)),
            memory,
            observer,
        }
    }

    /// Bytes left for the weights of further models.
    pub(crate) fn memory_left(&self) -> Option<u64> {
        self.memory
    }

    /// Finds a model's files, downloading them where that is needed and possible.
    pub(crate) fn locate(&self, name: &str) -> anyhow::Result<Location> {
        Location::resolve_observed(name, &self.hub, self.observer)
            .with_context(|| format!("cannot find model {name}"))
    }

    /// The tokenizer of a model, or one in a file in the form of `tokenizer.json`.
    pub(crate) fn tokenizer(&self, name: &str) -> anyhow::Result<Tokenizer> {
        let path = Path::new(name);
        if path.is_file() && path.extension().is_some_and(|ending| ending == "json") {
            return Tokenizer::from_file(path)
                .with_context(|| format!("cannot read the tokenizer {name}"));
        }
        tokenizer(&self.locate(name)?)
    }

    /// Opens whatever gives logits: a model, or a recording of one.
    pub(crate) fn open(&mut self, name: &str) -> anyhow::Result<Source> {
        let path = Path::new(name);
        if Recording::is_one(path) {
            let recording = Recording::open(path, &self.options(name, None))
                .with_context(|| format!("cannot open recording {name}"))?;
            self.account(recording.resident_bytes());
            return Ok(Source::Recording(Box::new(recording)));
        }
        if LogProbFile::is_one(path) {
            bail!(
                "{name} is llama.cpp's file of log-probs, which knows no tokenizer: give it as the reference P, beside a model whose \
                 tokenizer it is read with"
            );
        }
        Ok(Source::Model(Box::new(self.open_model(name)?)))
    }

    /// Opens a reference and candidates, in the order in which they are named, save that a reference without tokenizer takes that of
    /// a candidate.
    pub(crate) fn open_all(
        &mut self,
        reference: &str,
        candidates: &[String],
    ) -> anyhow::Result<(Source, Vec<Source>)> {
        let path = Path::new(reference);
        if !LogProbFile::is_one(path) {
            return Ok((
                self.open(reference)?,
                candidates
                    .iter()
                    .map(|q| self.open(q))
                    .collect::<anyhow::Result<_>>()?,
            ));
        }
        let candidates: Vec<Source> = candidates
            .iter()
            .map(|q| self.open(q))
            .collect::<anyhow::Result<_>>()?;
        let lender = candidates
            .first()
            .context("no candidate whose tokenizer could be used")?;
        let tokenizer = lender.tokenizer().clone();
        let file = LogProbFile::open(path, tokenizer, Some(reference))
            .with_context(|| format!("cannot open {reference}"))?;
        Ok((Source::LogProbs(Box::new(file)), candidates))
    }

    /// Opens a model that is run.
    pub(crate) fn open_model(&mut self, name: &str) -> anyhow::Result<NativeModel> {
        let location = self.locate(name)?;
        let tokenizer = tokenizer(&location)?;
        self.open_located(name, &location, tokenizer)
    }

    /// Opens a checkpoint: a model that may lie there without its tokenizer, and then has the lender's.
    pub(crate) fn open_checkpoint(
        &mut self,
        name: &str,
        lender: &Tokenizer,
    ) -> anyhow::Result<NativeModel> {
        let location = self.locate(name)?;
        let has = |file: &str| location.path.join(file).exists();
        let has_none = location.format == Format::Folder
            && !["tokenizer.json", "vocab.json", "tokenizer.model"]
                .iter()
                .any(|f| has(f));
        let tokenizer = if has_none {
            lender.clone()
        } else {
            tokenizer(&location)?
        };
        self.open_located(name, &location, tokenizer)
    }

    fn open_located(
        &mut self,
        name: &str,
        location: &Location,
        tokenizer: Tokenizer,
    ) -> anyhow::Result<NativeModel> {
        let options = self.options(name, location.commit.clone());
        let model = match location.format {
            Format::Folder => NativeModel::open_folder(&location.path, tokenizer, &options),
            Format::Gguf => NativeModel::open_gguf(&location.path, tokenizer, &options),
        }
        .with_context(|| format!("cannot open model {name}"))?;
        self.account(model.resident_bytes());
        Ok(model)
    }

    /// Makes a candidate of a model by quantizing the selected matrices.
    pub(crate) fn quantized(
        &mut self,
        model: &NativeModel,
        dtype: BlockType,
        selection: &Selection,
    ) -> kld_models::Result<NativeModel> {
        let blocks = model.quantized(dtype, selection, self.observer)?;
        let only = match selection.patterns() {
            [] => String::new(),
            patterns => format!(" only {}", patterns.join(" ")),
        };
        let dtype = dtype.name().to_lowercase();
        let name = format!("{} → {dtype}{only}", model.card().name);
        let made = model.with(&name, &blocks, self.memory)?;
        self.account(made.resident_bytes());
        Ok(made)
    }

    fn options(&self, name: &str, revision: Option<String>) -> LoadOptions {
        LoadOptions {
            memory_limit_bytes: self.memory,
            name: Some(name.to_owned()),
            revision,
        }
    }

    /// Takes what is held from the memory that is left.
    fn account(&mut self, bytes: u64) {
        if let Some(memory) = &mut self.memory {
            *memory = memory.saturating_sub(bytes);
        }
    }
}

/// Somebody who gives logits, by what it is.
#[derive(Debug)]
pub(crate) enum Source {
    Model(Box<NativeModel>),
    Recording(Box<Recording>),
    LogProbs(Box<LogProbFile>),
}

impl Source {
    /// The model, for what only a model that is run can do.
    pub(crate) fn model(&self, flag: &str) -> anyhow::Result<&NativeModel> {
        match self {
            Source::Model(model) => Ok(model),
            _ => bail!(
                "{flag} runs P in another way, but {} is not run, only its rows are read: give the model itself as P",
                self.card().name
            ),
        }
    }
}

impl Deref for Source {
    type Target = dyn LogitSource;

    fn deref(&self) -> &Self::Target {
        match self {
            Source::Model(model) => &**model,
            Source::Recording(recording) => &**recording,
            Source::LogProbs(file) => &**file,
        }
    }
}

/// The tokenizer that lies beside a model's weights, or in its file.
fn tokenizer(location: &Location) -> anyhow::Result<Tokenizer> {
    let tokenizer = match location.format {
        Format::Folder => Tokenizer::from_folder(&location.path),
        Format::Gguf => {
            Metadata::read(&location.path).and_then(|metadata| Tokenizer::from_gguf(&metadata))
        }
    };
    tokenizer.with_context(|| format!("cannot read the tokenizer of {}", location.name))
}

/// The environment that Hugging Face's own tools heed, and the token that their login leaves in a file.
fn hub_options(variable: impl Fn(&str) -> Option<OsString>) -> HubOptions {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    let home = folder("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
    let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
    let logged_in = || {
        let file = folder("HF_TOKEN_PATH").or_else(|| in_home("token"))?;
        let token = fs::read_to_string(file).ok()?;
        Some(token.trim().to_owned()).filter(|token| !token.is_empty())
    };
    let defaults = HubOptions::default();
    HubOptions {
        cache: folder("HF_HUB_CACHE").or_else(|| in_home("hub")),
        endpoint: text("HF_ENDPOINT").unwrap_or(defaults.endpoint),
        token: text("HF_TOKEN").or_else(logged_in),
        proxy: text("HTTPS_PROXY").or_else(|| text("https_proxy")),
        offline: text("HF_HUB_OFFLINE")
            .is_some_and(|v| !["0", "false", "no", "off"].contains(&v.to_lowercase().as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_a_login_is_found_where_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let (home, elsewhere) = (folder.path(), folder.path().join("elsewhere"));
        fs::write(home.join("token"), "hf_home\n").unwrap();
        fs::write(&elsewhere, "hf_elsewhere").unwrap();
        let token = |set: &[(&str, &str)]| {
            let own = |name: &str| set.iter().find(|(key, _)| *key == name);
            hub_options(|name| match name {
                "HF_HOME" => Some(home.into()),
                _ => own(name).map(|(_, value)| value.into()),
            })
            .token
        };
        let elsewhere = elsewhere.to_str().unwrap();
        assert_eq!(token(&[]).unwrap(), "hf_home");
        assert_eq!(
            token(&[("HF_TOKEN_PATH", elsewhere)]).unwrap(),
            "hf_elsewhere"
        );
        assert_eq!(token(&[("HF_TOKEN", "hf_set")]).unwrap(), "hf_set");
        assert_eq!(token(&[("HF_TOKEN_PATH", "no such file")]), None);
    }
}
