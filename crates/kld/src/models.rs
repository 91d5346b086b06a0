//! From what the user calls a model to a model: environment, hub cache, tokenizer, memory.

use std::{env, fs, path::PathBuf};

use anyhow::Context;
use kld_models::{
    LogitSource, Tokenizer,
    gguf::Metadata,
    hub::{Format, HubOptions, Location},
    native::{LoadOptions, NativeModel},
};

use crate::progress::Terminal;

/// The part of the memory that weights may take; the rest is for activations, rows of logits and everybody else.
const SHARE_FOR_WEIGHTS: f64 = 0.85;

/// Opens models one after the other within one limit of memory.
pub(crate) struct Opener<'a> {
    hub: HubOptions,
    memory: Option<u64>,
    observer: &'a Terminal,
}

impl<'a> Opener<'a> {
    /// `memory` is the user's limit in bytes; without one it is what the machine has free.
    pub(crate) fn new(memory: Option<u64>, observer: &'a Terminal) -> Self {
        let memory = memory
            .or_else(available_memory)
            .map(|bytes| (bytes as f64 * SHARE_FOR_WEIGHTS) as u64);
        Self {
            hub: hub_options(),
            memory,
            observer,
        }
    }

    /// Finds a model's files, downloading them where that is needed and possible.
    pub(crate) fn locate(&self, name: &str) -> anyhow::Result<Location> {
        Location::resolve_observed(name, &self.hub, self.observer)
            .with_context(|| format!("cannot find model {name}"))
    }

    /// Opens a model.
    pub(crate) fn open(&mut self, name: &str) -> anyhow::Result<NativeModel> {
        let location = self.locate(name)?;
        let options = LoadOptions {
            memory_limit_bytes: self.memory,
            ..LoadOptions::default()
        };
        let tokenizer = tokenizer(&location)?;
        let model = match location.format {
            Format::Folder => NativeModel::open_folder(&location.path, tokenizer, &options),
            Format::Gguf => NativeModel::open_gguf(&location.path, tokenizer, &options),
        }
        .with_context(|| format!("cannot open model {name}"))?;
        if let Some(memory) = &mut self.memory {
            *memory = memory.saturating_sub(model.card().parameters.saturating_mul(4));
        }
        Ok(model)
    }
}

/// The tokenizer that lies beside a model's weights, or in its file.
pub(crate) fn tokenizer(location: &Location) -> anyhow::Result<Tokenizer> {
    let tokenizer = match location.format {
        Format::Folder => Tokenizer::from_folder(&location.path),
        Format::Gguf => {
            Metadata::read(&location.path).and_then(|metadata| Tokenizer::from_gguf(&metadata))
        }
    };
    tokenizer.with_context(|| format!("cannot read the tokenizer of {}", location.name))
}

/// The environment that Hugging Face's own tools heed.
fn hub_options() -> HubOptions {
    let folder = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = || {
        folder("XDG_CACHE_HOME")
            .or_else(|| Some(folder("HOME")?.join(".cache")))
            .map(|c| c.join("huggingface"))
    };
    let cache =
        folder("HF_HUB_CACHE").or_else(|| Some(folder("HF_HOME").or_else(home)?.join("hub")));
    let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let defaults = HubOptions::default();
    HubOptions {
        cache,
        endpoint: text("HF_ENDPOINT").unwrap_or(defaults.endpoint),
        token: text("HF_TOKEN"),
        proxy: text("HTTPS_PROXY").or_else(|| text("https_proxy")),
        offline: text("HF_HUB_OFFLINE")
            .is_some_and(|v| !["0", "false", "no", "off"].contains(&v.to_lowercase().as_str())),
    }
}

/// Memory that can be had without swapping; known on Linux only.
fn available_memory() -> Option<u64> {
    let report = fs::read_to_string("/proc/meminfo").ok()?;
    let line = report
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
