//! Suggestions on a terminal.

use std::io::{self, Write};

use kld_core::{
    estimate::Estimate,
    result::{Adaptation, BaseModel, Following, Measure, NextWords, Suggest},
};

use crate::{
    Exporter, Terminal,
    block::Block,
    format::{count, percent, plain, plus_minus, share, shortened, significant},
};

/// Columns given to the text before the cursor.
const TEXT_WIDTH: usize = 60;

impl Exporter<Suggest> for Terminal {
    fn export(&self, s: &Suggest, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "base     {}", base(&s.base))?;
        if let Some(adaptation) = &s.adaptation {
            let (history, weights) = adapted(adaptation);
            writeln!(out, "history  {history}\n         {weights}")?;
        }
        if let Some(following) = &s.following {
            writeln!(
                out,
                "  on the tail, P what was written, Q what was suggested"
            )?;
            write!(out, "{}", self.following(following).text())?;
        }
        if let Some(next) = &s.next {
            writeln!(out, "  after “{}”", shortened(&next.text, TEXT_WIDTH))?;
            let words = next_words(next, s.adaptation.is_some());
            write!(out, "{}", words.text())?;
        }
        s.warnings
            .iter()
            .try_for_each(|warning| writeln!(out, "warning: {warning}"))
    }
}

impl Terminal {
    /// What the history changes on its tail.
    pub(crate) fn following(self, f: &Following) -> Block {
        let per_word = format!("KL(P‖Q), {} per word", self.unit.name());
        let unit = self.unit.per_nat();
        let in_unit = |e: &Estimate| plus_minus(&e.map(|v| v * unit, unit));
        Block::of(
            ["", "without", "with history", "change"],
            [
                row(&per_word, &f.kl, in_unit),
                row("top-1 hit rate", &f.top1, percent),
                row("top-3 hit rate", &f.top3, percent),
                row("top-5 hit rate", &f.top5, percent),
                row("keystrokes saved", &f.keystrokes_saved, percent),
            ],
        )
    }
}

fn row(name: &str, of: &Measure, shown: impl Fn(&Estimate) -> String) -> [String; 4] {
    [
        name.to_owned(),
        shown(&of.before),
        shown(&of.after),
        shown(&of.change),
    ]
}

/// What suggests where there is no history.
pub(crate) fn base(base: &BaseModel) -> String {
    let mut text = format!("{}  {}", plain(&base.name), base.kind);
    if let Some(words) = base.words {
        text += &format!(", {} words", count(words));
    }
    if let Some(vocabulary) = base.vocabulary {
        text += &format!(", {} different", count(vocabulary as u64));
    }
    text
}

/// What the history is, and how it is mixed in.
pub(crate) fn adapted(a: &Adaptation) -> (String, String) {
    let documents = match a.documents {
        1 => "1 document".to_owned(),
        n => format!("{} documents", count(n as u64)),
    };
    let mut text = format!(
        "{documents}: {} words learnt, a tail of {} held out",
        count(a.words as u64),
        count(a.tail_words as u64)
    );
    if a.words_before > 0 {
        text += &format!("; {} words from the state", count(a.words_before));
    }
    let half_life = match a.half_life {
        v if v.is_infinite() => "never fades".to_owned(),
        v => format!("half-life {} words", count(v as u64)),
    };
    let fitted = if a.fitted { "fitted" } else { "not fitted" };
    let weights: Vec<String> = a
        .weights
        .last()
        .into_iter()
        .flatten()
        .map(|w| share(*w))
        .collect();
    let mixture = format!(
        "{half_life}; weights {fitted}, where all orders have seen the context: base {}",
        weights.join(" · ")
    );
    (text, mixture)
}

/// Words that may come next.
pub(crate) fn next_words(next: &NextWords, adapted: bool) -> Block {
    let begun = !next.prefix.is_empty();
    let mut head = vec!["word".to_owned(), "P(next word)".to_owned()];
    if adapted {
        head.push("without history".to_owned());
    }
    if begun {
        head.push(format!("of those in {}…", shortened(&next.prefix, 20)));
    }
    let mut rows = vec![head];
    rows.extend(next.words.iter().map(|word| {
        let mut row = vec![plain(&word.word), significant(word.probability)];
        if adapted {
            row.push(significant(word.base));
        }
        if begun {
            row.push(share(word.given_prefix));
        }
        row
    }));
    Block {
        rows,
        notes: undecided(next).into_iter().collect(),
        ..Block::default()
    }
}

/// What a model of tokens left open.
fn undecided(next: &NextWords) -> Option<String> {
    let undecided = significant(next.undecided?);
    Some(format!(
        "undecided {undecided}: no probability shown is too low by more"
    ))
}
