//! From a model's name to its files: folders, GGUF files, the local Hugging Face cache, download.
//!
//! A model is named by
//!
//! 1. a folder with `config.json` and safetensors,
//! 2. a `.gguf` file,
//! 3. `org/name` or `org/name@revision`, a repository of the Hugging Face hub,
//! 4. `org/name/file.gguf`, also with `@revision`, one file of such a repository.
//!
//! What exists on disk is tried first. A repository is looked up in the cache that Hugging Face's own programs use
//! (`models--org--name/refs/<revision>` names a commit, `snapshots/<commit>/` holds its files), and is downloaded into
//! it when it is not there and [`HubOptions::offline`] is not set. What is cached is used as it is: the hub is not asked whether a
//! branch has moved on. Only weights in safetensors or GGUF, settings and tokenizers are downloaded; never pickled weights, never
//! code. Names and revisions become paths, so whatever could leave the cache is refused.

mod cache;
mod client;
mod download;
mod error;
mod name;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use kld_core::observer::{Observer, Silent};

pub use self::error::HubError;
use self::{cache::Cache, name::RepositoryName};
use crate::Result;

/// Where a model's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The name as it was given.
    pub name: String,
    /// The folder, or the GGUF file.
    pub path: PathBuf,
    /// What is found there.
    pub format: Format,
    /// The commit of the repository, for models of the hub.
    pub commit: Option<String>,
}

/// The two forms of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A folder in the layout of Hugging Face Transformers.
    Folder,
    /// One GGUF file.
    Gguf,
}

/// Where to look for models that are not files here.
///
/// Libraries do not read the environment; the program fills this from `HF_HUB_CACHE` or `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`,
/// `HF_HUB_OFFLINE` and `HTTPS_PROXY`.
#[derive(Clone)]
pub struct HubOptions {
    /// The cache, usually `~/.cache/huggingface/hub`; without one only files and folders are found.
    pub cache: Option<PathBuf>,
    /// Where downloads come from: `https://huggingface.co` or a mirror.
    pub endpoint: String,
    /// The bearer token for repositories that are not public; it is sent to the endpoint alone.
    pub token: Option<String>,
    /// The proxy for downloads, as a URL.
    pub proxy: Option<String>,
    /// Whether to stay with what is cached.
    pub offline: bool,
}

impl Default for HubOptions {
    fn default() -> Self {
        let endpoint = "https://huggingface.co".to_owned();
        Self {
            cache: None,
            endpoint,
            token: None,
            proxy: None,
            offline: false,
        }
    }
}

impl fmt::Debug for HubOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HubOptions")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("proxy", &self.proxy)
            .field("offline", &self.offline)
            .finish()
    }
}

impl Location {
    /// Finds the files of a model, downloading them where that is needed and allowed.
    ///
    /// # Errors
    ///
    /// If nothing has that name, the name is not sound, the hub refuses, the network fails, or what arrives is not what was announced.
    /// The message says what to do. An interrupted download goes on where it stopped when the same name is resolved again.
    pub fn resolve(name: &str, options: &HubOptions) -> Result<Self> {
        Self::resolve_observed(name, options, &Silent)
    }

    /// [`resolve`](Self::resolve), telling how far downloads are (in MiB, as stage `download`) and stopping when asked to.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Self::resolve), and [`HubError::Interrupted`].
    pub fn resolve_observed(
        name: &str,
        options: &HubOptions,
        observer: &dyn Observer,
    ) -> Result<Self> {
        match Self::on_disk(name)? {
            Some(location) => Ok(location),
            None => Ok(Self::on_hub(name, options, observer)?),
        }
    }

    fn on_disk(name: &str) -> Result<Option<Self>> {
        let path = Path::new(name);
        let format = if path.is_dir() {
            Format::Folder
        } else if path.is_file() && is_gguf(name) {
            Format::Gguf
        } else if path.exists() {
            return Err(HubError::NotAModel {
                path: path.to_owned(),
            }
            .into());
        } else {
            return Ok(None);
        };
        Ok(Some(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            format,
            commit: None,
        }))
    }

    fn on_hub(name: &str, options: &HubOptions, observer: &dyn Observer) -> Result<Self, HubError> {
        let repository = RepositoryName::parse(name)?;
        let Some(folder) = &options.cache else {
            return Err(HubError::NotFound {
                name: name.to_owned(),
                hint: "no cache of the hub is known; set HF_HOME",
            });
        };
        let cache = Cache::new(folder, &repository);
        let (commit, path) = match cache.find(&repository)? {
            Some(found) => found,
            None if options.offline => {
                return Err(HubError::Offline {
                    name: name.to_owned(),
                    cache: folder.clone(),
                });
            }
            None => download::repository(&repository, &cache, options, observer)?,
        };
        let format = if path.is_dir() {
            Format::Folder
        } else {
            Format::Gguf
        };
        Ok(Self {
            name: name.to_owned(),
            path,
            format,
            commit: Some(commit),
        })
    }
}

fn is_gguf(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}
