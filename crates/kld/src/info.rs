//! `kld info X`

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;
use kld_core::ModelCard;
use kld_models::{
    native::{Inspection, inspect},
    tokenizer::Description,
};
use kld_report::{
    Exporter, Json,
    format::{bytes, count},
};
use serde::Serialize;

use crate::{
    exit::Outcome,
    models::{Opener, tokenizer},
    output::Output,
    progress::Terminal,
};

/// What a model file or folder is: family, sizes, types, tokenizer, hash; without loading its weights
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The model: a Hugging Face folder, `org/name[@revision]`, or a .gguf file
    #[arg(value_name = "X")]
    model: String,

    /// List every tensor
    #[arg(long)]
    tensors: bool,

    /// Write it as JSON to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

/// What is known of a model; schema `kld.info/1`.
#[derive(Debug, Serialize)]
struct Info {
    schema: &'static str,
    model: ModelCard,
    layers: usize,
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    mlp: usize,
    tied_head: bool,
    sliding_window: Option<usize>,
    tokenizer: Description,
    tensors: Vec<TensorInfo>,
}

#[derive(Debug, Serialize)]
struct TensorInfo {
    name: String,
    shape: Vec<usize>,
    #[serde(rename = "type")]
    dtype: &'static str,
    bytes: usize,
}

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<Outcome> {
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let observer = Terminal::listening()?;
    let location = Opener::new(None, &observer).locate(&args.model)?;
    observer.finish();
    let inspection =
        inspect(&location.path).with_context(|| format!("cannot read {}", args.model))?;
    let info = Info::new(inspection, tokenizer(&location)?.describe());
    match json {
        Some(json) => json.write(&Json, &info)?,
        None => Output::Stdout.write(
            &Table {
                tensors: args.tensors,
            },
            &info,
        )?,
    }
    Ok(Outcome::Fine)
}

impl Info {
    fn new(found: Inspection, tokenizer: Description) -> Self {
        let tensor = |t: kld_models::native::Tensor| TensorInfo {
            name: t.name,
            shape: t.shape,
            dtype: t.dtype,
            bytes: t.bytes,
        };
        Self {
            schema: "kld.info/1",
            layers: found.layers,
            hidden: found.hidden,
            heads: found.heads,
            kv_heads: found.kv_heads,
            head_width: found.head_width,
            mlp: found.mlp,
            tied_head: found.is_tied,
            sliding_window: found.window,
            tokenizer,
            tensors: found.tensors.into_iter().map(tensor).collect(),
            model: found.card,
        }
    }

    /// Bytes and number of tensors per stored type.
    fn types(&self) -> BTreeMap<&str, (u64, u64)> {
        let mut types: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for tensor in &self.tensors {
            let (number, size) = types.entry(tensor.dtype).or_default();
            *number += 1;
            *size += tensor.bytes as u64;
        }
        types
    }
}

/// An [`Info`] as text.
struct Table {
    tensors: bool,
}

impl Exporter<Info> for Table {
    fn export(&self, info: &Info, out: &mut dyn Write) -> std::io::Result<()> {
        let card = &info.model;
        let window = info
            .sliding_window
            .map(|w| format!(", sliding window of {}", count(w as u64)))
            .unwrap_or_default();
        let head = if info.tied_head {
            "tied to the embedding"
        } else {
            "of its own"
        };
        writeln!(out, "{}", card.name)?;
        writeln!(
            out,
            "    format      {}, {}, sha256 {}",
            card.format,
            bytes(card.bytes),
            card.sha256
        )?;
        writeln!(
            out,
            "    family      {}, {} parameters",
            card.family,
            count(card.parameters)
        )?;
        writeln!(
            out,
            "    shape       {} layers of {}, {} heads of {} ({} for keys and values), MLP of {}{window}",
            info.layers, info.hidden, info.heads, info.head_width, info.kv_heads, info.mlp
        )?;
        writeln!(
            out,
            "    context     {} tokens",
            count(card.context_length as u64)
        )?;
        writeln!(
            out,
            "    head        {} columns, {head}",
            count(card.vocabulary as u64)
        )?;
        let types: Vec<String> = info
            .types()
            .iter()
            .map(|(t, (n, size))| format!("{t} ({n} tensors, {})", bytes(*size)))
            .collect();
        writeln!(out, "    stored as   {}", types.join(", "))?;
        let t = &info.tokenizer;
        let special = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".to_owned());
        let added = if t.adds_bos {
            ", put before every text"
        } else {
            ""
        };
        writeln!(
            out,
            "    tokenizer   {} from {}, {} tokens, {} of them special",
            t.kind,
            t.origin,
            count(t.tokens as u64),
            t.special_tokens
        )?;
        writeln!(
            out,
            "                BOS {}{added}; EOS {}; chat template: {}",
            special(&t.bos),
            special(&t.eos),
            if t.has_chat_template { "yes" } else { "no" }
        )?;
        if self.tensors {
            for t in &info.tensors {
                let shape: Vec<String> = t.shape.iter().map(ToString::to_string).collect();
                writeln!(
                    out,
                    "    {:<44} {:<6} {:>16} {:>10}",
                    t.name,
                    t.dtype,
                    shape.join("×"),
                    bytes(t.bytes as u64)
                )?;
            }
        }
        Ok(())
    }
}
