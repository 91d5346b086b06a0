//! From the text that is named to windows: to learn from, and held out.

use anyhow::{Context, bail, ensure};
use kld_core::result::ProtocolRecord;
use kld_eval::{
    Fragment,
    prepare::{Prepared, Tokenized, check_recorded},
    read_fragments,
    window::{Cut, Window, Windows},
};
use kld_models::LogitSource;
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
    let windows = match teacher.filter(|_| fragments.is_empty()) {
        Some(teacher) => replayed(args, student, teacher, &cut)?,
        None => cut_windows(&fragments, student, teacher, &cut)?,
    };
    let split = if args.held_out_text.is_empty() {
        split(windows, args.held_out, seed)?
    } else {
        let fragments = read_fragments(&args.held_out_text, &args.text.field)
            .context("cannot read the held-out text")?;
        Split {
            training: windows,
            held_out: cut_windows(&fragments, student, teacher, &cut)
                .context("the held-out text")?,
            warnings: Vec::new(),
        }
    };
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
) -> anyhow::Result<Vec<Window>> {
    ensure!(
        !fragments.is_empty(),
        "no text: name it with --text (only a recording as the teacher would bring its own)"
    );
    let reference = teacher.unwrap_or(student);
    let tokens = Tokenized::new(fragments, reference, cut)?;
    tokens.check_pair(reference, student, cut.context)?;
    let windows = Prepared::new(&tokens, reference, cut)?.windows.windows;
    check_recorded(reference, &windows)?;
    Ok(windows)
}

/// The windows that a recording brings.
fn replayed(
    args: &TrainArgs,
    student: &dyn LogitSource,
    teacher: &dyn LogitSource,
    cut: &Cut,
) -> anyhow::Result<Vec<Window>> {
    let Some(script) = args.text.recorded(std::iter::once(teacher), args.score)? else {
        bail!("no text: name it with --text");
    };
    let ProtocolRecord { context, .. } = script.protocol;
    Tokenized::of_script(script, teacher)?.check_pair(teacher, student, context)?;
    let prepared = Prepared::replay(script, cut.max_windows, cut.seed);
    Ok(prepared.windows.windows)
}
