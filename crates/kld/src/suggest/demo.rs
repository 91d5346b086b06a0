//! `--demo`: one line to type on, and above it what is suggested.

use anyhow::ensure;
use console::{Key, Term};
use kld_text::suggest::{Session, words::at_cursor};

use super::{Kept, base::Base, clock};
use crate::progress::Terminal;

/// Suggestions that are shown; the keys 1, 2 and 3 take them.
const SHOWN: usize = 3;

/// Lets somebody type until they leave with Esc, Ctrl-C or Ctrl-D.
pub(super) fn run(base: Base<'_>, session: Session<'_>, mut kept: Kept<'_>) -> anyhow::Result<()> {
    let term = Term::stdout();
    ensure!(
        term.is_term(),
        "--demo needs a terminal: use --serve where a program asks"
    );
    term.write_line("Type. Tab or 1, 2, 3 take a word; Enter ends the passage, which is then learnt; Esc leaves.")?;
    let mut typing = Typing::new(base, session)?;
    loop {
        show(&term, &typing)?;
        if Terminal::was_interrupted() {
            break;
        }
        let key = term.read_key_raw()?;
        match typing.press(&key)? {
            Step::Typed => term.clear_last_lines(1)?,
            Step::Ended => {
                // What was written stays to be read.
                term.write_line("")?;
                kept.write(typing.session.state())?;
            }
            Step::Left => break,
        }
    }
    term.write_line("")?;
    term.write_line(&typing.told())?;
    kept.write(typing.session.state())
}

/// The line above, which the cursor is behind, and what is suggested.
fn show(term: &Term, typing: &Typing<'_>) -> anyhow::Result<()> {
    let width = usize::from(term.size().1).saturating_sub(1);
    let from_the_end = |text: &str| -> String {
        let cut = text.chars().count().saturating_sub(width);
        text.chars().skip(cut).collect()
    };
    let words: Vec<String> = (1..)
        .zip(&typing.words)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    let below: String = format!("  {}", words.join("   "))
        .chars()
        .take(width)
        .collect();
    term.clear_line()?;
    term.write_line(&below)?;
    term.clear_line()?;
    Ok(term.write_str(&from_the_end(&typing.text))?)
}

/// What a key did.
#[derive(Debug, PartialEq)]
enum Step {
    Typed,
    Ended,
    Left,
}

struct Typing<'m> {
    base: Base<'m>,
    session: Session<'m>,
    text: String,
    words: Vec<String>,
    pressed: usize,
    written: usize,
}

impl<'m> Typing<'m> {
    fn new(base: Base<'m>, session: Session<'m>) -> anyhow::Result<Self> {
        let mut typing = Self {
            base,
            session,
            text: String::new(),
            words: Vec::new(),
            pressed: 0,
            written: 0,
        };
        typing.suggest()?;
        Ok(typing)
    }

    fn press(&mut self, key: &Key) -> anyhow::Result<Step> {
        let taken = match key {
            Key::Tab | Key::ArrowRight => Some(0),
            Key::Char(digit @ '1'..='3') => digit.to_digit(10).map(|n| n as usize - 1),
            _ => None,
        };
        self.pressed += 1;
        match (key, taken.and_then(|n| self.words.get(n)).cloned()) {
            (_, Some(word)) => self.take(&word),
            (Key::Escape | Key::CtrlC | Key::Char('\u{4}'), _) => return Ok(Step::Left),
            (Key::Enter, _) => {
                self.end()?;
                return Ok(Step::Ended);
            }
            (Key::Backspace, _) => {
                self.text.pop();
            }
            (Key::Char(c), _) if !c.is_control() => self.text.push(*c),
            _ => {}
        }
        self.suggest()?;
        Ok(Step::Typed)
    }

    /// Puts a suggested word in the place of what was begun of it, with a space behind.
    fn take(&mut self, word: &str) {
        let begun = at_cursor(&self.text).1.len();
        self.text.truncate(self.text.len() - begun);
        self.text += word;
        self.text.push(' ');
    }

    /// Learns the passage and begins another.
    fn end(&mut self) -> anyhow::Result<()> {
        self.written += self.text.chars().count() + 1;
        if self.session.state().private.is_none() {
            let mut context = self.session.context("");
            self.session
                .learn_text(&mut context, &self.text, &clock::now());
        }
        self.text.clear();
        self.suggest()
    }

    fn suggest(&mut self) -> anyhow::Result<()> {
        let (found, _) = self.base.suggest(&self.session, &self.text, SHOWN)?;
        self.words = found.into_iter().map(|found| found.word).collect();
        Ok(())
    }

    fn told(&self) -> String {
        let written = self.written + self.text.chars().count();
        format!(
            "{written} characters with {} keys",
            self.pressed.saturating_sub(1)
        )
    }
}

#[cfg(test)]
mod tests {
    use kld_text::suggest::{State, Trainer};

    use super::*;

    #[test]
    fn a_word_is_begun_taken_and_learnt() {
        let mut trainer = Trainer::default();
        trainer.read("half agony, half hope");
        let model = trainer.finish(3).unwrap();
        let mut typing = Typing::new(
            Base::NGrams(&model, 1),
            Session::new(&model, State::default()),
        )
        .unwrap();
        for key in ['h', 'o'].map(Key::Char) {
            assert_eq!(typing.press(&key).unwrap(), Step::Typed);
        }
        assert_eq!(typing.words, ["hope"]);
        typing.press(&Key::Tab).unwrap();
        assert_eq!(typing.text, "hope ");
        for key in [
            Key::Char('x'),
            Key::Char('y'),
            Key::Backspace,
            Key::Char('4'),
        ] {
            typing.press(&key).unwrap();
        }
        assert_eq!((&*typing.text, typing.words.len()), ("hope x4", 0));
        assert_eq!(typing.press(&Key::Enter).unwrap(), Step::Ended);
        assert_eq!((&*typing.text, typing.session.state().words()), ("", 2));
        assert_eq!(typing.press(&Key::Escape).unwrap(), Step::Left);
        assert_eq!(typing.told(), "8 characters with 8 keys");
        assert_eq!(typing.session.suggest("hope x", 1)[0].word, "x4");
    }
}
