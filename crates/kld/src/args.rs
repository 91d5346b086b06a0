//! Arguments that several verbs share, and what they turn into.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    thread,
};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use kld_eval::{Cut, Fragment, Protocol, Scored, Work, read_fragments};
use kld_kernels::{Isa, Kernel};
use kld_models::{LogitSource, Script};

/// Which text, and how it is cut.
#[derive(Debug, Args)]
#[command(next_help_heading = "Text")]
pub(crate) struct TextArgs {
    /// Text to evaluate on: files, folders, or - for standard input. A .txt or .md file is one fragment, a .jsonl record is one. A
    /// recording brings its own
    #[arg(long, num_args = 1.., value_name = "PATH")]
    pub(crate) text: Vec<PathBuf>,

    /// Field of a .jsonl record that holds its text; records without it may hold chat `messages`
    #[arg(long, default_value = "text", value_name = "NAME")]
    pub(crate) field: String,

    /// Tokens per window [default: 512]
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context: Option<usize>,

    /// How text is cut: `kld` keeps fragments apart and scores no token twice; `llama.cpp` cuts and scores exactly as its
    /// --kl-divergence does, so that numbers can be put side by side [default: kld]
    #[arg(long, value_enum)]
    pub(crate) protocol: Option<ProtocolName>,

    /// At most so many windows: the first ones, or with --seed a random choice
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) max_windows: Option<usize>,

    /// Choose the windows of --max-windows at random; the same seed chooses the same windows
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

impl TextArgs {
    /// The text's fragments; none where none is named.
    pub(crate) fn fragments(&self) -> anyhow::Result<Vec<Fragment>> {
        if self.text.is_empty() {
            return Ok(Vec::new());
        }
        read_fragments(&self.text, &self.field).context("cannot read the text")
    }

    /// The recording among the models that brings the text, where none is named; how that was cut is not to be said again.
    pub(crate) fn recorded<'a>(
        &self,
        mut sources: impl Iterator<Item = &'a dyn LogitSource>,
        scored: Option<ScoredName>,
    ) -> anyhow::Result<Option<&'a Script>> {
        if !self.text.is_empty() {
            return Ok(None);
        }
        let Some(script) = sources.find_map(|source| source.script()) else {
            bail!(
                "no text: name it with --text (only a recording among the models would bring its own)"
            );
        };
        let asked = [
            ("--context", self.context.map(|c| c.to_string())),
            ("--protocol", self.protocol.as_ref().and_then(value_name)),
            ("--score", scored.as_ref().and_then(value_name)),
        ];
        let cut = &script.protocol;
        let was = [&cut.context.to_string(), &cut.name, &cut.scored];
        for ((flag, asked), was) in asked.into_iter().zip(was) {
            if let Some(asked) = asked.filter(|asked| asked != was) {
                bail!(
                    "the recording was cut with {flag} {was}, not {asked}: leave {flag} away, or record again"
                );
            }
        }
        Ok(Some(script))
    }

    /// How the text is cut; `usual` is what the verb scores unless told otherwise.
    pub(crate) fn cut(&self, scored: Option<ScoredName>, usual: ScoredName) -> anyhow::Result<Cut> {
        ensure!(
            self.seed.is_none() || self.max_windows.is_some(),
            "--seed chooses among windows: say of how many with --max-windows"
        );
        self.seeded_cut(scored, usual)
    }

    /// The same where a seed has a use without `--max-windows`.
    pub(crate) fn seeded_cut(
        &self,
        scored: Option<ScoredName>,
        usual: ScoredName,
    ) -> anyhow::Result<Cut> {
        let (protocol, usual) = match self.protocol.unwrap_or(ProtocolName::Kld) {
            ProtocolName::Kld => (Protocol::Kld, usual),
            ProtocolName::LlamaCpp => (Protocol::LlamaCpp, ScoredName::SecondHalf),
        };
        let scored = match (protocol, scored.unwrap_or(usual)) {
            (Protocol::LlamaCpp, ScoredName::All) => {
                bail!("--protocol llama.cpp scores the second half: leave --score all away")
            }
            (_, ScoredName::All) => Scored::All,
            (_, ScoredName::SecondHalf) => Scored::SecondHalf,
        };
        Ok(Cut {
            protocol,
            context: self.context.unwrap_or(512),
            scored,
            max_windows: self.max_windows,
            seed: self.seed,
        })
    }
}

/// Names of protocols on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProtocolName {
    Kld,
    #[value(name = "llama.cpp")]
    LlamaCpp,
}

/// Names of what is scored on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScoredName {
    /// Positions with at least half a window of context before them
    SecondHalf,
    /// Every position that predicts a token
    All,
}

/// How the work is done; changes no number.
#[derive(Debug, Args)]
#[command(next_help_heading = "Work")]
pub(crate) struct WorkArgs {
    /// Worker threads, each computing one window at a time [default: one per core]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) threads: Option<usize>,

    /// Memory for the weights, e.g. 8GB; models that do not fit as f32 are dequantized layer by layer [default: what is free]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
}

impl WorkArgs {
    pub(crate) fn work(&self) -> anyhow::Result<Work> {
        Ok(Work {
            threads: threads(self.threads),
            kernel: kernel()?,
        })
    }
}

/// The threads asked for, or one for each core.
pub(crate) fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
}

/// The kernel for this machine, or the one that `KLD_ISA` names.
pub(crate) fn kernel() -> anyhow::Result<Kernel> {
    let Some(name) = std::env::var("KLD_ISA")
        .ok()
        .filter(|name| !name.is_empty())
    else {
        return Ok(Kernel::detect());
    };
    let isa: Isa = name.parse().context("KLD_ISA")?;
    match Kernel::with_isa(isa) {
        Some(kernel) => Ok(kernel),
        None => bail!(
            "KLD_ISA={name}: this machine does not have it; it has {}",
            available()
        ),
    }
}

fn available() -> String {
    Isa::available()
        .iter()
        .map(|isa| isa.name())
        .collect::<Vec<_>>()
        .join(", ")
}

/// A number of bytes, as people write it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a size such as 8GB, 1.5GiB or 900MB, found {text:?}");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kb" => 1e3,
            "kib" => 1024.0,
            "m" | "mb" => 1e6,
            "mib" => 1_048_576.0,
            "g" | "gb" => 1e9,
            "gib" => 1_073_741_824.0,
            _ => return Err(expected()),
        };
        let number: f64 = digits.trim().parse().map_err(|_| expected())?;
        if number.is_finite() && number >= 0.0 {
            Ok(Self((number * factor) as u64))
        } else {
            Err(expected())
        }
    }
}

/// Refuses outputs that would replace an input or each other, before any work is done.
pub(crate) fn refuse_overwriting(
    outputs: &[Option<&PathBuf>],
    inputs: &[&Path],
) -> anyhow::Result<()> {
    let files: Vec<&PathBuf> = outputs.iter().copied().flatten().collect();
    for (index, output) in files.iter().enumerate() {
        ensure!(
            !files[..index].contains(output),
            "two outputs go to {}: give each its own",
            output.display()
        );
        // What does not exist yet cannot be an input.
        let Ok(target) = output.canonicalize() else {
            continue;
        };
        let is_input = inputs
            .iter()
            .any(|input| input.canonicalize().is_ok_and(|input| input == target));
        ensure!(
            !is_input,
            "{} is an input: writing the result there would destroy it",
            output.display()
        );
    }
    Ok(())
}

/// The name that a value has on the command line.
fn value_name<V: ValueEnum>(value: &V) -> Option<String> {
    Some(value.to_possible_value()?.get_name().to_owned())
}

pub(crate) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let sizes = ["8GB", "1.5GiB", "900mb", "12"].map(|s| s.parse::<Size>().unwrap().0);
        assert_eq!(sizes, [8_000_000_000, 1_610_612_736, 900_000_000, 12]);
        for bad in ["", "GB", "-1GB", "1XB", "NaN"] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }
}
