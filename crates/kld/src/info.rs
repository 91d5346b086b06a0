//! `kld info X`

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use kld_models::{
    Recording,
    native::{LoadOptions, inspect},
};
use kld_report::{InfoTable, Json};

use crate::{exit::Outcome, models::Opener, output::Output, progress::Terminal};

/// What a model file or folder, or a recording, is: family, sizes, types, tokenizer, hash; without loading its weights
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The model: a Hugging Face folder, `org/name[@revision]`, a .gguf file, or a recording
    #[arg(value_name = "X")]
    model: String,

    /// List every tensor
    #[arg(long)]
    tensors: bool,

    /// Write it as JSON to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

pub(crate) fn run(args: &InfoArgs) -> anyhow::Result<Outcome> {
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let observer = Terminal::listening()?;
    let table = InfoTable {
        tensors: args.tensors,
    };
    let path = Path::new(&args.model);
    if Recording::is_one(path) {
        let recording = Recording::open(path, &LoadOptions::default())
            .with_context(|| format!("cannot read {}", args.model))?;
        match json {
            Some(json) => json.write(&Json, &recording.info())?,
            None => Output::Stdout.write(&table, &recording.info())?,
        }
        return Ok(Outcome::Fine);
    }
    let location = Opener::new(None, &observer).locate(&args.model)?;
    observer.finish();
    let mut info =
        inspect(&location.path).with_context(|| format!("cannot read {}", args.model))?;
    (info.model.name, info.model.revision) = (location.name, location.commit);
    match json {
        Some(json) => json.write(&Json, &info)?,
        None => Output::Stdout.write(&table, &info)?,
    }
    Ok(Outcome::Fine)
}
