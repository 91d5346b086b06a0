//! How long a suggestion takes: every keystroke of a stretch of one novel, over an n-gram model of another part of it.
//!
//! ```text
//! cargo bench --workspace --bench suggest [-- BASE HISTORY]
//! ```
//!
//! First the answers are checked: what is suggested are the most likely words of the whole distribution, which sums to 1 at most.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and one that cannot read its own data has failed"
)]

use std::{env, fs, hint::black_box, time::Instant};

use kld_text::suggest::{Session, State, Trainer};

/// Characters that are typed.
const TYPED: usize = 4000;
const TOP: usize = 5;

fn main() {
    let mut files = env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"));
    let novel = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../data/austen-persuasion.txt"
    );
    let base = fs::read_to_string(files.next().unwrap_or_else(|| novel.to_owned())).unwrap();
    let history = files.next().map(|file| fs::read_to_string(file).unwrap());
    // Without a second file the last quarter is the history.
    let (base, history) = match &history {
        Some(history) => (base.as_str(), history.as_str()),
        None => base.split_at(base.floor_char_boundary(base.len() / 4 * 3)),
    };

    let mut trainer = Trainer::default();
    trainer.read(base);
    let begun = Instant::now();
    let model = trainer.finish(5).unwrap();
    println!(
        "model of {} words, {} different, made in {:.2} s",
        model.words(),
        model.vocabulary().len(),
        begun.elapsed().as_secs_f64()
    );

    let mut session = Session::new(&model, State::default());
    let (learnt, typed) = history.split_at(history.floor_char_boundary(history.len() / 2));
    let mut context = session.context("");
    session.learn_text(&mut context, learnt, "2026-11-25T20:00:00Z");
    check(&session, typed);

    let mut times = Vec::new();
    for (at, _) in typed.char_indices().take(TYPED) {
        let begun = Instant::now();
        black_box(session.suggest(&typed[..at], TOP));
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize];
    println!(
        "{} keystrokes: median {:.2} ms, 95 % {:.2} ms, 99 % {:.2} ms",
        times.len(),
        at(0.5),
        at(0.95),
        at(0.99)
    );
}

/// The suggestions at some places against the distribution over all words.
fn check(session: &Session<'_>, typed: &str) {
    let spaces = typed.match_indices(' ').map(|(at, _)| at + 1);
    for at in spaces.take(TYPED).step_by(97).take(20) {
        let context = session.context(&typed[..at]);
        let (mut base, mut mixed) = (Vec::new(), Vec::new());
        session.distributions(&context, &mut base, &mut mixed);
        let total: f64 = mixed.iter().sum();
        assert!(total > 0.5 && total < 1.0 + 1e-9, "{total}");
        mixed.sort_by(|a, b| b.total_cmp(a));
        let suggested = session.suggest(&typed[..at], TOP);
        let mut pairs = suggested.iter().zip(&mixed);
        assert!(
            pairs.all(|(of, p)| (of.probability - p).abs() < 1e-15),
            "{suggested:?}"
        );
    }
    println!("20 answers agree with the whole distribution");
}
