//! Where what is learnt is kept while somebody writes.

use std::path::Path;

use kld_text::suggest::State;

/// Words that are learnt before the file is written again; it is also written at the end, and at once when something is forgotten.
const EVERY: u64 = 200;

/// A state's file, if there is to be one.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    path: Option<&'a Path>,
    unwritten: u64,
}

impl<'a> Kept<'a> {
    pub(super) fn at(path: Option<&'a Path>) -> Self {
        Self { path, unwritten: 0 }
    }

    /// Writes the state.
    pub(super) fn write(&mut self, state: &State) -> anyhow::Result<()> {
        self.unwritten = 0;
        match self.path {
            Some(path) => Ok(state.write(path)?),
            None => Ok(()),
        }
    }

    /// So many words more have been learnt.
    pub(super) fn learnt(&mut self, words: u64, state: &State) -> anyhow::Result<()> {
        self.unwritten += words;
        if self.unwritten < EVERY {
            return Ok(());
        }
        self.write(state)
    }
}
