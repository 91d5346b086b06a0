//! `--inspect`, `--export` and `--forget`: what has been learnt is its owner's.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use kld_report::format::count;
use kld_text::suggest::{
    State, state,
    words::{Token, each_token},
};

use super::{StateArgs, clock};
use crate::output::say;

/// How many words `--inspect` names.
const NAMED: usize = 10;

/// Does what the flags say, in the order forget, inspect, export.
pub(super) fn run(args: &StateArgs) -> anyhow::Result<()> {
    let path = args
        .state
        .as_deref()
        .context("name the state with --state")?;
    let mut state = State::read(path)?;
    if let Some(what) = &args.forget {
        let words = forget(&mut state, what)?;
        state.write(path)?;
        say(&format!(
            "forgot {} in {}",
            counted(words, "word"),
            path.display()
        ))?;
    }
    if args.inspect {
        say(&inspected(&state))?;
    }
    match &args.export {
        Some(to) => export(&state, to),
        None => Ok(()),
    }
}

/// Forgets a word, or all that was learnt since a time; returns the number of words that are gone.
pub(super) fn forget(state: &mut State, what: &str) -> anyhow::Result<u64> {
    if clock::is_time(what) {
        return Ok(state.forget_since(what));
    }
    Ok(state.forget_word(one_word(what)?))
}

/// The text, where it is one word.
pub(super) fn one_word(text: &str) -> anyhow::Result<&str> {
    let mut tokens = Vec::new();
    each_token(text, |token| tokens.push(token));
    match tokens.as_slice() {
        [Token::Word(word)] if *word == text => Ok(text),
        _ => bail!(
            "expected one word (or, to forget, a day or time such as 2026-11-25T20:15:00Z), found {text:?}"
        ),
    }
}

fn inspected(state: &State) -> String {
    let grams = totals(state);
    let of_order = |order: usize| {
        grams
            .keys()
            .filter(|gram| gram.split(' ').count() == order)
            .count() as u64
    };
    let mut lines = vec![format!(
        "{} learnt: {} different, {} pairs, {} triples",
        counted(state.words(), "word"),
        count(of_order(1)),
        count(of_order(2)),
        count(of_order(3)),
    )];
    if let (Some(first), Some(last)) = (state.spans.first(), state.spans.last()) {
        let spans = counted(state.spans.len() as u64, "span");
        lines.push(format!(
            "from {} to {}, in {spans} of time",
            first.from, last.until
        ));
    }
    lines.push(match &state.private {
        Some(of) => format!(
            "made with differential privacy: ε = {}, δ = {}, {} n-grams of a passage",
            of.epsilon, of.delta, of.contribution
        ),
        None => "holds the counts as they are: as private as the text".to_owned(),
    });
    lines.push(match &state.fitted {
        Some(fitted) => format!("weights fitted, half-life {} words", fitted.half_life),
        None => "no weights fitted".to_owned(),
    });
    let often: Vec<String> = by_count(&grams)
        .filter(|(gram, _)| !gram.contains(' '))
        .take(NAMED)
        .map(|(word, n)| format!("{word} {}", count(n)))
        .collect();
    if !often.is_empty() {
        lines.push(format!("most often: {}", often.join(", ")));
    }
    lines.join("\n")
}

fn export(state: &State, to: &Path) -> anyhow::Result<()> {
    let grams = totals(state);
    let mut text = String::new();
    for (gram, n) in by_count(&grams) {
        text += &format!("{n}\t{gram}\n");
    }
    if to.as_os_str() == "-" {
        return say(text.trim_end_matches('\n'));
    }
    let written = state::write_for_owner(to, |out| out.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", to.display()))
}

/// How often each n-gram came in all spans.
fn totals(state: &State) -> BTreeMap<&str, u64> {
    let mut totals = BTreeMap::new();
    for (gram, count) in state.spans.iter().flat_map(|span| &span.counts) {
        *totals.entry(gram.as_str()).or_default() += count;
    }
    totals
}

/// The most frequent first, equal ones by their letters.
fn by_count<'a>(grams: &BTreeMap<&'a str, u64>) -> impl Iterator<Item = (&'a str, u64)> {
    let mut sorted: Vec<(&str, u64)> = grams.iter().map(|(gram, n)| (*gram, *n)).collect();
    sorted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    sorted.into_iter()
}

fn counted(n: u64, what: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{} {what}{ending}", count(n))
}
