//! `kld demo [DIR]`: the main job on what the program brings along.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Parser};
use kld_core::estimate::Estimate;
use kld_core::result::{Candidate, Comparison};
use kld_eval::compare::Keep;
use kld_models::tensor_file;
use kld_report::{Glance, Html, file_name, format};

use crate::{
    args::WorkArgs,
    compare::{self, CompareArgs},
    exit::Outcome,
    output::{Output, say},
    progress::Terminal,
};

/// The whole thing in half a minute, without a download: two models and a text that the program brings along
///
/// Unpacks two small language models that `kld train` made - one trained on novels, a smaller one distilled from it - and a text that
/// neither has seen. Compares the first with what quantizing would make of it and with the second, writes a page that shows every token,
/// and says what to try next.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// The folder that models, text and page are written to; made if it is not there
    #[arg(value_name = "DIR", default_value = "kld-demo")]
    folder: PathBuf,

    #[command(flatten)]
    work: WorkArgs,
}

const EXAMPLES: &str = "\
Examples:
  kld demo                 # everything into the folder kld-demo
  kld demo /tmp/first-look

Where the models come from, to the command and the hash: assets/README.md";

/// A file of the folder `assets`, under its name there.
macro_rules! bundled {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../assets/", $name)))),*]
    };
}

/// What is unpacked: 9.8 MB. In the program rather than beside it, so that it is there wherever the program was installed.
const FILES: &[(&str, &[u8])] = bundled!(
    "austen/config.json",
    "austen/generation_config.json",
    "austen/model.safetensors",
    "austen/tokenizer.json",
    "austen/tokenizer_config.json",
    "austen-small/config.json",
    "austen-small/generation_config.json",
    "austen-small/model.safetensors",
    "austen-small/tokenizer.json",
    "austen-small/tokenizer_config.json",
    "persuasion.txt",
);

/// `kld compare` with its arguments, as on a command line.
#[derive(Debug, Parser)]
struct Compare {
    #[command(flatten)]
    args: CompareArgs,
}

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<Outcome> {
    let folder = args.folder.as_path();
    unpack(folder)?;
    let at = |name: &str| folder.join(name).display().to_string();
    let page = folder.join("page.html");
    say(&format!(
        "\
Unpacked into {}: two language models made by `kld train`, and a text that they have not seen.

  austen          trained on four novels by Jane Austen, after the King James Bible: the reference P
  austen-small    distilled from it
  persuasion.txt  the second half of her Persuasion

How far is the small one from P, and how far would quantizing take P from itself?
",
        folder.display()
    ))?;
    let line = [
        "compare",
        &at("austen"),
        &at("austen-small"),
        "--quantize",
        "q8_0,q5_k,q4_k,q3_k,q2_k",
        "--text",
        &at("persuasion.txt"),
        "--context",
        "256",
        "--max-windows",
        "96",
        "--seed",
        "1",
    ];
    let told = line.map(quoted).join(" ");
    say(&format!(
        "$ kld {told} --html {}\n",
        quoted(&at("page.html"))
    ))?;
    let job = Compare::try_parse_from(line)?.args;
    let observer = Terminal::listening()?;
    let output = Output::open(&page)?;
    let measured = compare::measure(&job, args.work.work()?, Keep::Rows, &observer)?;
    output.write(&Html, &measured.detailed())?;
    let result = &measured.comparison;
    Output::Stdout.write(&Glance::default(), result)?;
    if !result.run.complete {
        return Ok(Outcome::Interrupted);
    }
    for note in notes(result) {
        say(&format!("\n{note}"))?;
    }
    say(&next(folder, &page))?;
    Ok(Outcome::Fine)
}

/// Writes what is bundled; what is there already and the same is left alone.
fn unpack(folder: &Path) -> anyhow::Result<()> {
    for (name, bytes) in FILES {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(found) if found == *bytes => continue,
            Ok(_) => bail!(
                "{} is there and is not what this program would unpack: give another folder, `kld demo DIR`, or remove it",
                path.display()
            ),
            Err(_) => {}
        }
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        tensor_file::write_file(&path, bytes)?;
    }
    Ok(())
}

/// What the numbers say, in words.
fn notes(result: &Comparison) -> Vec<String> {
    let mut by_kl: Vec<&Candidate> = result.candidates.iter().collect();
    by_kl.sort_by(|a, b| a.kl.mean.value.total_cmp(&b.kl.mean.value));
    let mut notes = Vec::new();
    if let (Some(near), Some(far)) = (by_kl.first(), by_kl.last()) {
        notes.push(format!(
            "{} is {} nats per token from P and has another most likely token at {} of all positions;\n{} is {} nats away and has another at {}.",
            file_name(&near.model.name), kl(near), differing(near), file_name(&far.model.name), kl(far), differing(far),
        ));
    }
    let pairs = by_kl.iter().enumerate();
    let pairs = pairs.flat_map(|(at, near)| by_kl[at + 1..].iter().map(move |far| (near, far)));
    let missed =
        pairs.filter(|(near, far)| is_below(&far.perplexity.ratio, &near.perplexity.ratio));
    let widest = |(near, far): &(&&Candidate, &&Candidate)| far.kl.mean.value / near.kl.mean.value;
    if let Some((near, far)) = missed.max_by(|a, b| widest(a).total_cmp(&widest(b))) {
        notes.push(format!(
            "Perplexity alone would have misled you: it puts {} (×{}) nearer to P than {} (×{}), which is\n{} times as near by KL. Perplexity looks at the token that came, KL at all that could have come.",
            file_name(&far.model.name),
            format::plus_minus(&far.perplexity.ratio),
            file_name(&near.model.name),
            format::plus_minus(&near.perplexity.ratio),
            format::digits(far.kl.mean.value / near.kl.mean.value, 2),
        ));
    }
    notes
}

/// Whether one is below the other by more than their errors let expect. They stand on one text, so that of their difference is smaller yet.
fn is_below(low: &Estimate, high: &Estimate) -> bool {
    high.minus(low).low.is_some_and(|least| least > 0.0)
}

fn kl(candidate: &Candidate) -> String {
    format::plus_minus(&candidate.kl.mean)
}

fn differing(candidate: &Candidate) -> String {
    format::share(1.0 - candidate.top1_agreement.value)
}

/// What to try next.
fn next(folder: &Path, page: &Path) -> String {
    let at = |name: &str| quoted(&folder.join(name).display().to_string());
    let (big, small, text, run) = (
        at("austen"),
        at("austen-small"),
        at("persuasion.txt"),
        at("run"),
    );
    format!(
        "
Look at {} in a browser: every token of the text, coloured by KL. Then try

  kld explain {big} --tensors q3_k --text {text} --context 256 --max-windows 24
      which of its matrices must not be quantized
  kld suggest {big} --history {text} --prefix 'Anne was '
      what would be written next
  kld train {big} --student {small} --text {text} --context 256 --steps 30 --run {run}
      draw the small one nearer, by gradient descent on KL
  kld --help
      all the rest",
        page.display(),
    )
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-,=:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
