//! What a model file or folder is, without reading its tensors into memory.
//!
//! Whoever asks about a model that cannot be run wants to know what it is and why not; so what keeps it from running is
//! part of the answer here, and only files that cannot be read at all are errors.

use std::path::Path;

use kld_core::result::{INFO_SCHEMA, Info, InfoModel, TensorCard};

use super::config::Sketch;
use super::store::{Store, Stored};
use super::{files, gguf_config, identity, json_config};
use crate::gguf::Header;
use crate::{Result, Tokenizer};

/// Looks at a GGUF file or a Hugging Face folder; reads its files once, for their hash.
///
/// # Errors
///
/// If a file cannot be read or is not sound. That the model is of a kind that this program cannot run, or has no usable
/// tokenizer, is none: it is the [`reason`](Info::reason).
pub fn inspect(path: &Path) -> Result<Info> {
    let (format, tokenizer, opened) = if path.is_dir() {
        let tokenizer = Tokenizer::from_folder(path);
        ("safetensors", tokenizer, files::open_folder(path))
    } else {
        let metadata = Header::read(path)?.metadata;
        let tokenizer = Tokenizer::from_gguf(&metadata);
        ("gguf", tokenizer, files::open_gguf(path))
    };
    let (store, sketch, parameters, refused) = match opened {
        Ok(opened) => {
            let (sketch, parameters) = (opened.plan.config.sketch(), opened.plan.parameters());
            (opened.store, sketch, parameters, None)
        }
        Err(refused) => {
            let (store, sketch) = unopened(path)?;
            let values = store.iter().map(|(_, stored)| stored.values() as u64).sum();
            (store, sketch, values, Some(refused))
        }
    };
    let compute = refused.is_none().then(|| super::F32_COMPUTE.to_owned());
    let reasons = [refused.as_ref(), tokenizer.as_ref().err()];
    let reasons: Vec<String> = reasons.iter().flatten().map(ToString::to_string).collect();
    let sha256 = identity::hash(&store);
    Ok(Info {
        schema: INFO_SCHEMA.to_owned(),
        runnable: reasons.is_empty(),
        reason: (!reasons.is_empty()).then(|| reasons.join("\n")),
        model: InfoModel {
            name: path.display().to_string(),
            revision: None,
            config_sha256: identity::config_hash(path, &sha256)?,
            sha256,
            format: format.to_owned(),
            family: sketch.family,
            weights: identity::shares(&store),
            compute,
            parameters,
            bytes: store.files().map(|(_, bytes)| bytes.len() as u64).sum(),
            vocabulary: sketch.vocabulary,
            context_length: sketch.context_length,
        },
        shape: sketch.shape,
        tokenizer: tokenizer.ok().map(|tokenizer| tokenizer.describe()),
        tensors: store.iter().map(tensor).collect(),
    })
}

/// The tensors of a model that cannot be run, and what its settings say of it.
fn unopened(path: &Path) -> Result<(Store, Sketch)> {
    if path.is_dir() {
        let store = Store::safetensors(&files::weight_files(path)?)?;
        return Ok((store, json_config::sketch(&path.join("config.json"))?));
    }
    let header = Header::read(path)?;
    let store = Store::gguf(path, &header)?;
    let sketch = gguf_config::sketch(&header.metadata, &store);
    Ok((store, sketch))
}

fn tensor((name, stored): (&str, &Stored)) -> TensorCard {
    TensorCard {
        name: name.to_owned(),
        shape: stored.shape.clone(),
        dtype: stored.dtype.name().to_owned(),
        bytes: stored.size(),
    }
}
