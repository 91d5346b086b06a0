//! Where the result of a comparison of texts goes.

use std::path::{Path, PathBuf};

use clap::Args;
use kld_report::Unit;

use crate::{args::refuse_overwriting, output::Outputs};

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
        let unit = if self.bits { Unit::Bits } else { Unit::Nats };
        Outputs::open(files[0], files[1], unit)
    }
}
