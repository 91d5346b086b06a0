//! A model that has learnt, as a Hugging Face folder.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::DifferentiableModel;
use crate::tensor_file::{self, Float, whole, write_file};
use crate::{Error, LogitSource, Result};

/// What a tokenizer's folder may have that is copied as it is.
const TOKENIZER_FILES: [&str; 8] = [
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];

impl DifferentiableModel {
    /// Writes `config.json`, `generation_config.json`, `model.safetensors` and the tokenizer's files; those of `tokenizer_folder` are
    /// copied, without one they are made. Each weight is rounded to the nearest that `float` can hold. Each file is there whole or not at
    /// all, the weights last.
    ///
    /// # Errors
    ///
    /// If the model came from a GGUF file, whose names and settings are others, a weight is beyond the range of `float`, or a file cannot be read or
    /// written.
    pub fn save(&self, folder: &Path, tokenizer_folder: Option<&Path>, float: Float) -> Result<()> {
        let Some(settings) = self.settings() else {
            return Err(Error::unsupported(
                Path::new(&self.card().name),
                "a model from a GGUF file cannot be written as a Hugging Face folder",
                "begin with the Hugging Face folder of the model",
            ));
        };
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        match tokenizer_folder {
            Some(from) => copy_tokenizer(from, folder)?,
            None => self.write_tokenizer(folder)?,
        }
        let generation = folder.join("generation_config.json");
        if !generation.exists() {
            write_json(&generation, &generation_config(settings))?;
        }
        let mut settings = settings.clone();
        settings.remove("torch_dtype");
        settings.insert("dtype".to_owned(), json!(float.name()));
        write_json(&folder.join("config.json"), &settings.into())?;
        self.write_weights(&folder.join("model.safetensors"), float)
    }

    fn write_weights(&self, path: &Path, float: Float) -> Result<()> {
        let (weights, shapes) = (self.weights(), self.shapes());
        let is_beyond = |x: &f32| x.is_finite() && x.abs() > half::f16::MAX.to_f32();
        let beyond = weights
            .iter()
            .find(|(_, values)| values.iter().any(is_beyond));
        if let Some((name, _)) = beyond.filter(|_| float == Float::F16) {
            let what = format!("weight '{name}' has values beyond the range of float16");
            return Err(Error::unsupported(path, what, "write it as bf16 or f32"));
        }
        let tensors = weights
            .iter()
            .map(|(name, values)| (name.as_str(), shapes[name].clone(), &values[..]));
        tensor_file::write_as(path, float, tensors, ("format", "pt".to_owned()))
    }

    fn write_tokenizer(&self, folder: &Path) -> Result<()> {
        let tokenizer = self.tokenizer();
        let (text, _) = tokenizer.to_portable()?;
        write_file(&folder.join("tokenizer.json"), &text)?;
        let token = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
        let settings = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": token(tokenizer.bos()),
            "eos_token": token(tokenizer.eos()),
        });
        write_json(&folder.join("tokenizer_config.json"), &settings)
    }
}

fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    for name in TOKENIZER_FILES {
        let source = from.join(name);
        if source.is_file() {
            let bytes = fs::read(&source).map_err(|e| Error::io(&source, e))?;
            whole(&to.join(name), |draft| {
                fs::write(draft, &bytes).map_err(|e| Error::io(draft, e))
            })?;
        }
    }
    Ok(())
}

/// With which tokens a generated text begins and ends.
fn generation_config(settings: &Map<String, Value>) -> Value {
    let keys = ["bos_token_id", "eos_token_id", "pad_token_id"].into_iter();
    let known = keys.filter_map(|key| Some((key.to_owned(), settings.get(key)?.clone())));
    Value::Object(known.filter(|(_, value)| !value.is_null()).collect())
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_file(path, format!("{value:#}\n"))
}
