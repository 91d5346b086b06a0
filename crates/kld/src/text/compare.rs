//! `kld text A B`

use std::{
    io::{Write as _, stdout},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use kld_text::read::read_documents;

use super::read::{ReadArgs, UnitArgs};
use crate::exit::Outcome;

/// Two bodies of text.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The reference: a file (.txt and .md are one document, .jsonl has one in each record), a folder, or - for standard input
    #[arg(value_name = "A", required = true)]
    reference: Option<PathBuf>,

    /// What is compared with it
    #[arg(value_name = "B", required = true)]
    candidate: Option<PathBuf>,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    unit: UnitArgs,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  kld text austen.txt melville.txt
  kld text human/ machine.jsonl --field completion

Exit codes: 0 fine · 2 wrong input, file or usage";

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    let sides = [&args.reference, &args.candidate].map(|side| side.clone().unwrap_or_default());
    ensure!(
        sides.iter().any(|side| side.as_os_str() != "-"),
        "only one of A and B can be `-`"
    );
    let segmenter = args.unit.segmenter();
    for (name, side) in ["A", "B"].into_iter().zip(sides) {
        let documents = read_documents(&[side], &args.read.options()).context(name)?;
        let mut units = 0_usize;
        for document in &documents {
            segmenter.each(&document.text, |_| units += 1);
        }
        writeln!(
            stdout(),
            "{name}: {} documents, {units} units",
            documents.len()
        )?;
    }
    Ok(Outcome::Fine)
}
