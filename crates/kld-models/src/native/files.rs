//! From a path to the files of a model, its configuration and its tensors.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::family::Names;
use super::store::Store;
use super::weights::Plan;
use super::{gguf_config, json_config};
use crate::gguf::Header;
use crate::{Error, Result};

/// The files of a model, opened and understood, with no tensor read yet.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) format: &'static str,
    pub(crate) store: Store,
    pub(crate) plan: Plan,
}

/// Opens a GGUF file.
pub(crate) fn open_gguf(path: &Path) -> Result<Opened> {
    let header = Header::read(path)?;
    let store = Store::gguf(path, &header)?;
    let config = match gguf_config::read(&header.metadata, &store) {
        // A model of an unknown kind need not be requantized: this is the better reason where both apply.
        Err(unsupported @ Error::Unsupported { .. }) => return Err(unsupported),
        config => {
            store.check_readable()?;
            config?
        }
    };
    let names = Names::of_gguf(&config.family);
    checked(Opened {
        format: "gguf",
        store,
        plan: Plan { config, names },
    })
}

/// Opens a Hugging Face folder.
pub(crate) fn open_folder(folder: &Path) -> Result<Opened> {
    let config = json_config::read(&folder.join("config.json"))?;
    let store = Store::safetensors(&weight_files(folder)?)?;
    let names = Names::of_folder(&config.family, |name| store.find(name).is_some());
    checked(Opened {
        format: "safetensors",
        store,
        plan: Plan { config, names },
    })
}

fn checked(opened: Opened) -> Result<Opened> {
    opened.store.check_readable()?;
    opened.plan.check(&opened.store)?;
    Ok(opened)
}

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const MAX_INDEX_BYTES: u64 = 1 << 28;

/// The safetensors files of a folder, in the order of their names.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join(WHOLE).is_file() {
        return Ok(vec![folder.join(WHOLE)]);
    }
    if folder.join(INDEX).is_file() {
        return indexed(folder);
    }
    let pickled = [
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "model.pt",
    ];
    match pickled
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
    {
        Some(path) => Err(Error::unsupported(
            &path,
            "PyTorch's pickled weights can run code when they are opened, so they are not read",
            "convert the model to safetensors: in Python, `AutoModelForCausalLM.from_pretrained(…).save_pretrained(…)`",
        )),
        None => Err(Error::malformed(
            folder,
            format!("neither {WHOLE} nor {INDEX} is in this folder"),
        )),
    }
}

/// The files that an index lists, which must be beside it.
fn indexed(folder: &Path) -> Result<Vec<PathBuf>> {
    let path = folder.join(INDEX);
    let mut text = String::new();
    let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
    file.take(MAX_INDEX_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| Error::io(&path, e))?;
    let index: Value = serde_json::from_str(&text)
        .map_err(|e| Error::malformed(&path, format!("not JSON: {e}")))?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| Error::malformed(&path, "'weight_map' is missing"))?;
    let names: Option<BTreeSet<&str>> = map.values().map(Value::as_str).collect();
    let names = names.filter(|names| !names.is_empty() && names.iter().all(|name| is_plain(name)));
    let names = names.ok_or_else(|| {
        Error::malformed(
            &path,
            "'weight_map' should give names of files in this folder",
        )
    })?;
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    )
}
