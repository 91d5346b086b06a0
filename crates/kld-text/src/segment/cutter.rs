//! What cuts text into the units that are counted: Unicode's rules, or the tokenizer of a language model.

use std::{fmt, sync::Arc};

use kld_core::result::{Counted, CountedUnit};

use super::{Segmenter, Span, Unit};
use crate::{Error, Result};

/// A tokenizer, as this crate needs it: kept apart, so that no model is needed for words.
pub trait Tokenize: fmt::Debug + Send + Sync {
    /// What tells it from other tokenizers, such as the name of its file.
    fn name(&self) -> &str;

    /// Calls `each` with every token of a text, in a form that people can read.
    ///
    /// # Errors
    ///
    /// With what is wrong.
    fn tokens(&self, text: &str, each: &mut dyn FnMut(&str)) -> Result<(), String>;
}

/// Cuts text into the units that are counted.
#[derive(Clone, Debug)]
pub enum Cutter {
    /// Into words or characters.
    Segmenter(Segmenter),
    /// Into tokens, which are as the tokenizer makes them: nothing is folded.
    Tokenizer(Arc<dyn Tokenize>),
}

impl Default for Cutter {
    fn default() -> Self {
        Self::Segmenter(Segmenter::default())
    }
}

impl Cutter {
    /// Calls `each` with every unit of a text, in order.
    ///
    /// # Errors
    ///
    /// If the tokenizer fails; words and characters never do.
    pub fn each(&self, text: &str, mut each: impl FnMut(&str)) -> Result<()> {
        self.each_span(text, |unit| each(&unit))
    }

    /// The same, with the units where they stand.
    pub(crate) fn each_span(&self, text: &str, mut each: impl FnMut(Span<'_>)) -> Result<()> {
        match self {
            Self::Segmenter(segmenter) => segmenter.each_span(text, each),
            Self::Tokenizer(tokenizer) => tokenizer
                .tokens(text, &mut |token| each(token.into()))
                .map_err(Error::Tokenizer)?,
        }
        Ok(())
    }

    /// What is counted where so many units in a row make a term.
    #[must_use]
    pub fn counted(&self, ngram: usize) -> Counted {
        match self {
            Self::Segmenter(segmenter) => Counted {
                unit: match segmenter.unit() {
                    Unit::Words => CountedUnit::Words,
                    Unit::Chars => CountedUnit::Chars,
                },
                fold_case: segmenter.fold().case,
                fold_numbers: segmenter.fold().numbers,
                ngram,
                tokenizer: None,
            },
            Self::Tokenizer(tokenizer) => Counted {
                unit: CountedUnit::Tokens,
                fold_case: false,
                fold_numbers: false,
                ngram,
                tokenizer: Some(tokenizer.name().to_owned()),
            },
        }
    }
}
