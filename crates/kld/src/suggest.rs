//! `kld suggest MODEL --history FILE…`

mod base;
mod clock;
mod demo;
mod manage;
mod report;
mod serve;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use kld_text::{
    read::{ReadOptions, read_documents},
    suggest::{History, Session, State, privacy::Promise},
};

use crate::{args::refuse_overwriting, exit::Outcome, output::Output};

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
    interactive: InteractiveArgs,

    #[command(flatten)]
    state: StateArgs,

    /// Write the result as JSON (nats) to a file, or - for stdout instead of the table
    #[arg(long, value_name = "FILE|-", help_heading = "Output", conflicts_with_all = ["serve", "demo", "inspect", "export", "forget"])]
    json: Option<PathBuf>,

    /// Show the divergence in bits instead of nats
    #[arg(long, help_heading = "Output")]
    bits: bool,
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
    refuse_overwriting(&[args.json.as_ref(), args.state.state.as_ref()], &inputs)?;
    let Some(text) = model.strip_prefix("ngram:") else {
        bail!("only ngram: models suggest so far");
    };
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let base = base::from_text(text, usize::from(args.order), &args.reading())?;
    let before = args.state.read()?;
    let documents = match args.history.as_slice() {
        [] => Vec::new(),
        history => read_documents(history, &args.reading()).context("cannot read the history")?,
    };
    let texts: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    let mut learnt = learn(args, &base, before, &texts)?;
    learnt.warnings.extend(report::replaced(&documents));
    if args.interactive.serve || args.interactive.demo {
        args.state.write(learnt.session.state())?;
        match args.interactive.demo {
            true => demo::run(learnt.session, &args.state),
            false => serve::run(learnt.session, &args.state, args.top),
        }?;
        return Ok(Outcome::Fine);
    }
    let result = report::result(args, model, &base, &learnt);
    report::write(json, &result, args.bits)?;
    args.state.write(learnt.session.state())?;
    Ok(Outcome::Fine)
}

/// A session that knows the history, and how it came to.
struct Learnt<'m> {
    session: Session<'m>,
    adaptation: Option<kld_core::result::Adaptation>,
    following: Option<kld_core::result::Following>,
    warnings: Vec<String>,
}

/// Learns a history on top of a state: fits weights to its first part, judges them on its tail.
fn learn<'m>(
    args: &SuggestArgs,
    base: &'m kld_text::suggest::WordModel,
    before: State,
    texts: &[&str],
) -> anyhow::Result<Learnt<'m>> {
    let words_before = before.words();
    let (is_new, is_private) = (words_before == 0, before.private.is_some());
    if texts.is_empty() {
        let adaptation = (!is_new).then(|| report::adaptation(&Session::new(base, before.clone()), None, 0, words_before));
        return Ok(Learnt {
            session: Session::new(base, before),
            adaptation,
            following: None,
            warnings: Vec::new(),
        });
    }
    let history = History::cut(texts, args.tail);
    if history.learnt_words() + history.tail_words() == 0 {
        bail!("the history has no word");
    }
    let now = clock::now();
    let (mut session, fitted, learning) = if let Some(epsilon) = args.state.epsilon {
        if !is_new {
            bail!(
                "the state already holds {words_before} words: counts with --epsilon go to a new one\n    hint: choose another file with --state"
            );
        }
        let promise = Promise::new(epsilon, args.state.delta, args.state.contribution).map_err(anyhow::Error::msg)?;
        let state = promise.release(&history.learnt_texts(), &now, &mut rand::make_rng::<rand::rngs::StdRng>());
        (Session::new(base, state), false, None)
    } else if is_private {
        bail!("the state was made with --epsilon: learning more from a history would break its promise");
    } else {
        let fitted = history.fit(base, &before);
        let was_fitted = fitted.is_some();
        let fitted = fitted.or_else(|| before.fitted.clone());
        let mut session = Session::new(base, State { fitted, ..before });
        history.learn(&mut session, &now);
        (session, was_fitted, Some(now))
    };
    let adaptation = report::adaptation(&session, Some((&history, fitted)), texts.len(), words_before);
    let following = (history.tail_words() > 0).then(|| history.judge(&mut session, learning.as_deref()));
    let warnings = report::warnings(&history, fitted, session.state());
    Ok(Learnt {
        session,
        adaptation: Some(adaptation),
        following,
        warnings,
    })
}

impl SuggestArgs {
    fn reading(&self) -> ReadOptions {
        ReadOptions {
            field: self.field.clone(),
            lossy: self.lossy,
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

    /// Keeps a state, where one is to be kept.
    fn write(&self, state: &State) -> anyhow::Result<()> {
        match &self.state {
            Some(path) => Ok(state.write(path)?),
            None => Ok(()),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 up to, but not, 1".to_owned()),
    }
}
