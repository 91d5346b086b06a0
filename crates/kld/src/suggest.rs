//! `kld suggest MODEL --history FILE…`

mod base;
mod clock;
mod demo;
mod kept;
mod learn;
mod manage;
mod report;
mod serve;
mod tokens;

use std::path::{Path, PathBuf};

use clap::Args;
use kld_report::Unit;
use kld_text::{
    read::ReadOptions,
    suggest::{Effort, State, Words, privacy::Promise},
};

use self::{base::Base, kept::Kept, tokens::Tokens};
use crate::{
    args::{Size, positive, refuse_overwriting},
    exit::Outcome,
    models::Opener,
    output::Outputs,
    progress::Terminal,
};

/// What somebody will write next: suggestions that follow a history, and how well they do
///
/// The model's distribution of the next word is mixed with counts of what was written lately. How much each weighs is what
/// minimises KL(history ‖ suggestions) on a held-back part of the history; on its tail, which no weight has seen, the KL, the hit
/// rates and the keystrokes saved are measured without the history and with it. Nothing leaves this machine.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct SuggestArgs {
    /// The model: ngram:TEXT[,TEXT…], made on the spot from files or folders; or a Hugging Face folder, `org/name[@revision]`, or a
    /// .gguf file
    #[arg(required_unless_present_any = ["inspect", "export", "forget"], conflicts_with_all = ["inspect", "export", "forget"])]
    model: Option<String>,

    /// What was written before, oldest first: .txt, .md, .jsonl (a record is a document), folders, or - for standard input
    #[arg(long, num_args = 1.., value_name = "PATH")]
    history: Vec<PathBuf>,

    /// The text before the cursor: the next word is suggested, or the rest of the one that it ends in
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,

    /// How many words are suggested
    #[arg(long, default_value_t = 5, value_name = "N")]
    top: usize,

    /// Share of the history that is held out to measure how well suggestions follow it
    #[arg(long, default_value_t = 0.2, value_name = "SHARE", value_parser = share)]
    tail: f64,

    /// At most so many words of that share are judged, spread evenly; to as many a language model's weights are fitted [default: 20000 for
    /// ngram: models, 100 for language models, which are slow]
    #[arg(long, value_name = "N", value_parser = positive)]
    judged: Option<usize>,

    /// The longest n-grams of an ngram: model
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    order: u8,

    /// Field of a .jsonl record that holds its text; records without it may hold chat `messages`
    #[arg(long, default_value = "text", value_name = "NAME")]
    field: String,

    /// Go on where a text is not UTF-8: what is not is replaced by U+FFFD, and counted
    #[arg(long)]
    lossy: bool,

    #[command(flatten)]
    effort: EffortArgs,

    #[command(flatten)]
    interactive: InteractiveArgs,

    #[command(flatten)]
    state: StateArgs,

    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output", conflicts_with_all = ["serve", "demo", "inspect", "export", "forget"])]
    json: Option<PathBuf>,

    /// Write the result as a page to a file: self-contained, works offline
    #[arg(long, value_name = "FILE|-", help_heading = "Output", conflicts_with_all = ["serve", "demo", "inspect", "export", "forget"])]
    html: Option<PathBuf>,

    /// Show the divergence in bits instead of nats
    #[arg(long, help_heading = "Output")]
    bits: bool,
}

/// How much work a language model is given: it spells words from tokens, one pass for each beginning that is gone on with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Language models")]
struct EffortArgs {
    /// Beginnings of words that are gone on with, the most likely first; fewer where the words shown are certain before
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = positive)]
    passes: usize,

    /// Tokens before the cursor that the model sees
    #[arg(long, default_value_t = 64, value_name = "TOKENS", value_parser = positive)]
    context: usize,

    /// The most memory for the model, such as 8G [default: most of what is free]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
}

impl EffortArgs {
    fn of_words(&self) -> Effort {
        Effort {
            passes: self.passes,
            context: self.context,
        }
    }
}

/// Ways to go on suggesting.
#[derive(Debug, Args)]
#[command(next_help_heading = "Interactive")]
struct InteractiveArgs {
    /// Answer JSON lines from standard input: {"prefix": …}, {"accepted": …}, {"typed": …}, {"forget": …}; learns as it goes
    #[arg(long, conflicts_with = "demo")]
    serve: bool,

    /// Type on this terminal and see what is suggested
    #[arg(long)]
    demo: bool,
}

/// What is kept of a history.
#[derive(Debug, Args)]
#[command(next_help_heading = "Learnt state")]
pub(crate) struct StateArgs {
    /// Keep what is learnt in this file, for its owner alone (mode 0600), and go on from it
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Say what the state holds
    #[arg(long, requires = "state")]
    inspect: bool,

    /// Write all counts of the state as lines `count, tab, words` to a file, or - for stdout
    #[arg(long, requires = "state", value_name = "FILE|-")]
    export: Option<PathBuf>,

    /// Remove from the state every trace of a word, or of all that was learnt since a day or time (2026-11-25, 2026-11-25T20:15:00Z)
    #[arg(long, requires = "state", value_name = "SINCE|WORD")]
    forget: Option<String>,

    /// Learn counts with differential privacy: one passage changes the probability of any state by e^ε at most, but for δ
    #[arg(long, value_name = "ε", requires = "history")]
    epsilon: Option<f64>,

    /// δ of --epsilon
    #[arg(long, default_value_t = 1e-6, value_name = "δ", requires = "epsilon")]
    delta: f64,

    /// How many n-grams one passage counts with --epsilon; more is more noise on each
    #[arg(long, default_value_t = 8, value_name = "N", requires = "epsilon")]
    contribution: u32,
}

const EXAMPLES: &str = "\
Examples:
  kld suggest ngram:books/ --history letters.txt                        how much does my history help?
  kld suggest ngram:books/ --history letters.txt --prefix 'I am half ag'
  kld suggest model.gguf --prefix 'The capital of France is'
  kld suggest ngram:books/ --history letters.txt --state me.json --serve    suggestions for an editor
  kld suggest ngram:books/ --state me.json --demo                       type and see
  kld suggest --state me.json --forget Passw0rd
  kld suggest ngram:books/ --history chats.jsonl --state shared.json --epsilon 1

Exit codes: 0 fine · 2 wrong input, file or usage";

pub(crate) fn run(args: &SuggestArgs) -> anyhow::Result<Outcome> {
    let Some(model) = &args.model else {
        return manage::run(&args.state).map(|()| Outcome::Fine);
    };
    let inputs: Vec<&Path> = args.history.iter().map(PathBuf::as_path).collect();
    let (json, html) = (args.json.as_ref(), args.html.as_ref());
    refuse_overwriting(&[json, html, args.state.state.as_ref()], &inputs)?;
    let unit = if args.bits { Unit::Bits } else { Unit::Nats };
    let outputs = Outputs::open(json, html, unit)?;
    let before = args.state.read()?;
    let observer = Terminal::answering("\nstopping; again to stop at once")?;
    if let Some(text) = model.strip_prefix("ngram:") {
        let reading = args.reading(base::MOST_TEXT);
        let made = base::from_text(text, usize::from(args.order), &reading, &observer)?;
        return suggest(
            args,
            model,
            Base::NGrams(&made, args.judged.unwrap_or(base::JUDGED_OF_NGRAMS)),
            before,
            outputs,
            &observer,
        );
    }
    let source = Opener::new(args.effort.memory.map(|size| size.0), &observer).open_model(model)?;
    observer.finish();
    let tokens = Tokens::of(&source);
    let words = Words::of(&tokens, args.effort.of_words());
    suggest(
        args,
        model,
        Base::Tokens(&words, args.judged.unwrap_or(base::JUDGED_OF_TOKENS)),
        before,
        outputs,
        &observer,
    )
}

/// Learns the history and does what was asked.
fn suggest(
    args: &SuggestArgs,
    model: &str,
    base: Base<'_>,
    before: State,
    outputs: Outputs,
    observer: &Terminal,
) -> anyhow::Result<Outcome> {
    let learnt = learn::learn(args, base, before, observer)?;
    observer.finish();
    let mut kept = Kept::at(args.state.state.as_deref());
    if !args.history.is_empty() {
        kept.write(learnt.session.state())?;
    }
    if args.interactive.serve {
        serve::run(base, learnt.session, kept, args.top)?;
    } else if args.interactive.demo {
        demo::run(base, learnt.session, kept)?;
    } else {
        let result = report::result(args, model, base, &learnt)?;
        outputs.write(&result)?;
        return Ok(Outcome::Fine);
    }
    Ok(if Terminal::was_interrupted() {
        Outcome::Interrupted
    } else {
        Outcome::Fine
    })
}

impl SuggestArgs {
    /// How texts are read of which so many bytes, all together, may be held in memory.
    fn reading(&self, most_bytes: usize) -> ReadOptions {
        ReadOptions {
            field: self.field.clone(),
            lossy: self.lossy,
            most_bytes,
            ..ReadOptions::default()
        }
    }
}

impl StateArgs {
    /// What the state's file holds; nothing where there is none yet.
    fn read(&self) -> anyhow::Result<State> {
        match &self.state {
            Some(path) if path.exists() => Ok(State::read(path)?),
            _ => Ok(State::default()),
        }
    }

    /// The promise under which a history is learnt, where one is given.
    fn promise(&self) -> anyhow::Result<Option<Promise>> {
        let promise = |epsilon| Promise::new(epsilon, self.delta, self.contribution);
        self.epsilon
            .map(promise)
            .transpose()
            .map_err(anyhow::Error::msg)
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 up to, but not, 1".to_owned()),
    }
}
