//! The model that suggests where there is no history.

use std::path::PathBuf;

use anyhow::Context;
use kld_text::{
    read::{ReadOptions, documents},
    suggest::{Trainer, WordModel},
};

/// A model of n-grams, made from `TEXT[,TEXT…]`.
pub(super) fn from_text(names: &str, order: usize, options: &ReadOptions) -> anyhow::Result<WordModel> {
    let whole = PathBuf::from(names);
    let sources = match whole.exists() {
        // A comma may be part of the only name.
        true => vec![whole],
        false => names.split(',').map(PathBuf::from).collect(),
    };
    let about = || format!("cannot make an n-gram model of {names}");
    let mut trainer = Trainer::default();
    for document in documents(&sources, options).with_context(about)? {
        trainer.read(&document.with_context(about)?.text);
    }
    trainer.finish(order).with_context(about)
}
