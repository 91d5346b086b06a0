//! From the text that is named to windows: to learn from, and held out.

use anyhow::{Context, bail, ensure};
use kld_core::result::ProtocolRecord;
use kld_eval::{
    Fragment,
    prepare::{Prepared, Tokenized, check_recorded},
    read_fragments,
    window::{Cut, Protocol, Window, Windows},
};
use kld_models::{LogitSource, Script, Tokenizer};
use kld_train::{Split, split};

use super::TrainArgs;
use crate::args::ScoredName;

/// The windows, and the hash that says which they are.
pub(crate) struct Text {
    pub(crate) split: Split,
    pub(crate) sha256: String,
}

/// Cuts the text for student and teacher, who must agree on it.
pub(crate) fn prepare(
    args: &TrainArgs,
    student: &dyn LogitSource,
    teacher: Option<&dyn LogitSource>,
) -> anyhow::Result<Text> {
    let fragments = args.text.fragments()?;
    let cut = args.text.seeded_cut(args.score, ScoredName::All)?;
    let seed = args.text.seed.unwrap_or_default();
    let marker = args.ignore_before.as_deref();
    if marker.is_some() {
        check_cut(&cut, teacher.and_then(LogitSource::script))?;
    }
    let (tokens, windows) = match teacher.filter(|_| fragments.is_empty()) {
        Some(teacher) => replayed(args, student, teacher, &cut)?,
        None => cut_windows(&fragments, student, teacher, &cut)?,
    };
    let tokenizer = teacher.unwrap_or(student).tokenizer();
    let mut warnings = Vec::new();
    let mut counted = |(tokens, windows): (Tokenized, Vec<Window>)| match marker {
        Some(marker) => after(marker, &tokens, tokenizer, windows, &mut warnings),
        None => Ok(windows),
    };
    let windows = counted((tokens, windows))?;
    let mut split = if args.held_out_text.is_empty() {
        split(windows, args.held_out, seed)?
    } else {
        let fragments = read_fragments(&args.held_out_text, &args.text.field)
            .context("cannot read the held-out text")?;
        Split {
            training: windows,
            held_out: cut_windows(&fragments, student, teacher, &cut)
                .and_then(counted)
                .context("the held-out text")?,
            warnings: Vec::new(),
        }
    };
    split.warnings.extend(warnings);
    let all = split.training.iter().chain(&split.held_out);
    let all = Windows {
        windows: all.cloned().collect(),
        fragments_unscored: split.held_out.len(),
        left_out: 0,
    };
    let sha256 = format!("{}/{}", all.sha256(), split.held_out.len());
    Ok(Text { split, sha256 })
}

fn cut_windows(
    fragments: &[Fragment],
    student: &dyn LogitSource,
    teacher: Option<&dyn LogitSource>,
    cut: &Cut,
) -> anyhow::Result<(Tokenized, Vec<Window>)> {
    ensure!(
        !fragments.is_empty(),
        "no text: name it with --text (only a recording as the teacher would bring its own)"
    );
    let reference = teacher.unwrap_or(student);
    let tokens = Tokenized::new(fragments, reference, cut)?;
    tokens.check_pair(reference, student, cut.context)?;
    let windows = Prepared::new(&tokens, reference, cut)?.windows.windows;
    check_recorded(reference, &windows)?;
    Ok((tokens, windows))
}

/// The windows that a recording brings.
fn replayed(
    args: &TrainArgs,
    student: &dyn LogitSource,
    teacher: &dyn LogitSource,
    cut: &Cut,
) -> anyhow::Result<(Tokenized, Vec<Window>)> {
    let Some(script) = args.text.recorded(std::iter::once(teacher), args.score)? else {
        bail!("no text: name it with --text");
    };
    let ProtocolRecord { context, .. } = script.protocol;
    let tokens = Tokenized::of_script(script, teacher)?;
    tokens.check_pair(teacher, student, context)?;
    let prepared = Prepared::replay(script, cut.max_windows, cut.seed);
    Ok((tokens, prepared.windows.windows))
}

/// Where a marker is in a window can be told only where all windows of a fragment are there, each token scored at most once.
fn check_cut(cut: &Cut, script: Option<&Script>) -> anyhow::Result<()> {
    let is_whole = |script: &Script| {
        script.protocol.name == Protocol::Kld.name()
            && script.protocol.windows_left_out == 0
            && script.recorded == script.windows.len()
    };
    ensure!(
        cut.protocol == Protocol::Kld && cut.max_windows.is_none() && script.is_none_or(is_whole),
        "--ignore-before needs all windows of each fragment: leave --max-windows and --protocol llama.cpp away, also from a recording"
    );
    Ok(())
}

/// The windows without the rows that predict tokens up to the first marker of their fragment.
fn after(
    marker: &str,
    tokens: &Tokenized,
    tokenizer: &Tokenizer,
    windows: Vec<Window>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Vec<Window>> {
    let fragments = tokens.tokens();
    let first: Vec<Option<usize>> = fragments
        .iter()
        .map(|tokens| first_after(marker, &tokenizer.pieces(tokens)))
        .collect();
    let without = first.iter().filter(|first| first.is_none()).count();
    ensure!(
        without < fragments.len(),
        "--ignore-before {marker:?}: none of the {without} fragments has it, so nothing would count"
    );
    if without > 0 {
        let all = fragments.len();
        warnings.push(format!(
            "{without} of {all} fragments have no {marker:?}: nothing of them counts"
        ));
    }
    // What is scored of a fragment are its last tokens, window by window.
    let mut left = vec![0; fragments.len()];
    for window in &windows {
        left[window.fragment as usize] += window.scored.len();
    }
    let shortened = windows.into_iter().filter_map(|mut window| {
        let fragment = window.fragment as usize;
        let predicted = fragments[fragment].len() - left[fragment];
        left[fragment] -= window.scored.len();
        window.scored.start += first[fragment]?.saturating_sub(predicted);
        (window.scored.start < window.scored.end).then_some(window)
    });
    Ok(shortened.collect())
}

/// The first token that begins behind the first marker in the text that `pieces` are.
fn first_after(marker: &str, pieces: &[String]) -> Option<usize> {
    let end = pieces.concat().find(marker)? + marker.len();
    let mut begin = 0;
    let mut begins = pieces.iter().map(|piece| {
        begin += piece.len();
        begin - piece.len()
    });
    begins.position(|begin| begin >= end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_count_from_the_first_that_begins_behind_the_marker() {
        let pieces = ["Q: ", "why", "? A", ":", " be", "cause A: x"].map(str::to_owned);
        assert_eq!(first_after("A:", &pieces), Some(4));
        assert_eq!(first_after("?", &pieces), Some(3));
        assert_eq!(first_after("x", &pieces), None);
        assert_eq!(first_after("B", &pieces), None);
    }
}
