//! Arguments about reading bodies of text and cutting them into units, for all tasks of `kld text`.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use kld_models::{Tokenizer, tokenizer::SpecialTokens};
use kld_text::{
    count::CountOptions,
    read::ReadOptions,
    segment::{Cutter, Fold, Segmenter, Tokenize, Unit},
};

use crate::{
    args::{positive, threads},
    models::Opener,
    progress::Terminal,
};

/// How bodies of text are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// Field of a record that holds its text; records without it may hold chat `messages`
    #[arg(long, default_value = "text", value_name = "NAME")]
    pub(crate) field: String,

    /// Go on where a text is not UTF-8: what is not is replaced by U+FFFD, and counted
    #[arg(long)]
    pub(crate) lossy: bool,
}

impl ReadArgs {
    pub(crate) fn options(&self) -> ReadOptions {
        ReadOptions {
            field: self.field.clone(),
            lossy: self.lossy,
            ..ReadOptions::default()
        }
    }
}

/// What is counted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Counting")]
pub(crate) struct UnitArgs {
    /// What is counted: words (by Unicode's rules, with dictionaries for Chinese, Japanese and Thai) or characters
    #[arg(long, value_enum, default_value_t = UnitName::Words)]
    pub(crate) unit: UnitName,

    /// Count the tokens of this tokenizer instead: a tokenizer.json, or a model (folder, `org/name`, .gguf)
    #[arg(long, value_name = "FILE|MODEL", conflicts_with_all = ["unit", "fold"])]
    pub(crate) tokenizer: Option<String>,

    /// Differences that are passed over: case (The = the), numbers (every number is #), none
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "case",
        value_name = "LIST"
    )]
    pub(crate) fold: Vec<FoldName>,

    /// Count runs of N units instead of single ones
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = positive)]
    pub(crate) ngram: usize,

    /// Threads that count; change no number [default: one per core]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) threads: Option<usize>,

    /// Keep at most so many different terms in memory (and 32 bytes for each of them): beyond it the rarest are left out, and the output says how many
    #[arg(long, default_value_t = 1 << 22, value_name = "N", value_parser = positive)]
    pub(crate) max_vocabulary: usize,
}

/// Names of units on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnitName {
    Words,
    Chars,
}

/// Names of what is folded on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FoldName {
    Case,
    Numbers,
    None,
}

impl UnitArgs {
    /// How a body is counted.
    pub(crate) fn count_options(
        &self,
        read: &ReadArgs,
        observer: &Terminal,
    ) -> anyhow::Result<CountOptions> {
        Ok(CountOptions {
            read: read.options(),
            cutter: self.cutter(observer)?,
            ngram: self.ngram,
            max_vocabulary: self.max_vocabulary,
            threads: self.threads(),
        })
    }

    /// How many threads work.
    pub(crate) fn threads(&self) -> usize {
        threads(self.threads)
    }

    fn cutter(&self, observer: &Terminal) -> anyhow::Result<Cutter> {
        let Some(name) = &self.tokenizer else {
            return Ok(Cutter::Segmenter(self.segmenter()));
        };
        let tokenizer = Opener::new(None, observer).tokenizer(name)?;
        let name = format!("{name} ({} tokens)", tokenizer.len());
        Ok(Cutter::Tokenizer(Arc::new(Tokens { name, tokenizer })))
    }

    pub(crate) fn segmenter(&self) -> Segmenter {
        let unit = match self.unit {
            UnitName::Words => Unit::Words,
            UnitName::Chars => Unit::Chars,
        };
        let has = |name| self.fold.contains(&name);
        Segmenter::new(
            unit,
            Fold {
                case: has(FoldName::Case),
                numbers: has(FoldName::Numbers),
            },
        )
    }
}

/// The tokens of a model's tokenizer.
#[derive(Debug)]
struct Tokens {
    name: String,
    tokenizer: Tokenizer,
}

impl Tokenize for Tokens {
    fn name(&self) -> &str {
        &self.name
    }

    fn tokens(&self, text: &str, each: &mut dyn FnMut(&str)) -> Result<(), String> {
        let ids = self.tokenizer.encode(text, SpecialTokens::None);
        for id in ids.map_err(|error| error.to_string())? {
            each(&self.tokenizer.token_text(id));
        }
        Ok(())
    }
}
