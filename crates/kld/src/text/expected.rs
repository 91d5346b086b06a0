//! `kld text A --expected MODEL`

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use kld_core::result::TextExpectation;
use kld_eval::{Cut, Fragment, Protocol, Scored, score::score, text::Content};
use kld_text::read::{ReadOptions, read_documents};

use crate::{
    args::{WorkArgs, positive},
    exit::Outcome,
    models::Opener,
    output::Outputs,
    progress::Terminal,
};

/// What a language model expects, in place of B.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ExpectedArgs {
    /// In place of B: what this language model expects over the text. P is how often each of its tokens stands in A
    #[arg(
        long,
        value_name = "MODEL",
        conflicts_with_all = ["candidate", "unit", "fold", "ngram", "tokenizer", "smooth", "documents", "window", "by"]
    )]
    pub(crate) expected: Option<String>,

    /// Tokens that the model sees at a time
    #[arg(long, default_value_t = 512, value_name = "TOKENS", value_parser = positive)]
    context: usize,
}

/// Runs the model over the text.
pub(super) fn run(
    model: &str,
    args: &ExpectedArgs,
    reference: &PathBuf,
    read: &ReadOptions,
    threads: Option<usize>,
    outputs: Outputs,
) -> anyhow::Result<Outcome> {
    let observer = Terminal::listening()?;
    let documents = read_documents(std::slice::from_ref(reference), read, &observer)?;
    let fragments: Vec<Fragment> = documents
        .into_iter()
        .map(|document| Fragment {
            name: document.name,
            content: Content::Text(document.text),
        })
        .collect();
    let opened = Opener::new(None, &observer).open_model(model)?;
    let cut = Cut {
        protocol: Protocol::Kld,
        context: args.context,
        scored: Scored::All,
        max_windows: None,
        seed: None,
    };
    let work = WorkArgs {
        threads,
        memory: None,
    };
    let scored = score(&opened, &fragments, &cut, work.work()?, &observer);
    observer.finish();
    let result = TextExpectation::of_score(&reference.display().to_string(), scored?);
    let complete = result.run.complete;
    ensure!(
        result.positions > 0 || !complete,
        "{}: no token of it could be scored",
        reference.display()
    );
    outputs.write(&result)?;
    Ok(if complete {
        Outcome::Fine
    } else {
        Outcome::Interrupted
    })
}
