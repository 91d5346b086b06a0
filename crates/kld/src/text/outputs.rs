//! Where the result of a comparison of texts goes.

use std::path::{Path, PathBuf};

use clap::Args;
use kld_report::{Exporter, Html, Json, Terminal as Table, Unit};
use serde::Serialize;

use crate::{args::refuse_overwriting, output::Output};

/// What is written, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,

    /// Write a page with charts to a file: self-contained, works offline
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Show divergences in bits instead of nats
    #[arg(long)]
    bits: bool,
}

impl OutputArgs {
    /// Opens what was asked for, before the work begins.
    pub(super) fn open(&self, inputs: &[&Path]) -> anyhow::Result<Outputs> {
        let files = [self.json.as_ref(), self.html.as_ref()];
        refuse_overwriting(&files, inputs)?;
        let open = |path: Option<&PathBuf>| path.map(|path| Output::open(path)).transpose();
        Ok(Outputs {
            json: open(self.json.as_ref())?,
            html: open(self.html.as_ref())?,
            unit: if self.bits { Unit::Bits } else { Unit::Nats },
        })
    }
}

/// Open files.
pub(super) struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
    unit: Unit,
}

impl Outputs {
    /// Writes a result to all of them, and its table to stdout unless the JSON goes there.
    pub(super) fn write<R: Serialize>(self, result: &R) -> anyhow::Result<()>
    where
        Table: Exporter<R>,
        Html: Exporter<R>,
    {
        let stdout_is_taken = [&self.json, &self.html]
            .into_iter()
            .flatten()
            .any(Output::is_stdout);
        if let Some(html) = self.html {
            html.write(&Html, result)?;
        }
        if let Some(json) = self.json {
            json.write(&Json, result)?;
        }
        if !stdout_is_taken {
            Output::Stdout.write(&Table { unit: self.unit }, result)?;
        }
        Ok(())
    }
}
