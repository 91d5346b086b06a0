//! `--serve`: a line of JSON in, a line of JSON out. `docs/suggest.md` describes the protocol.

use std::{
    io::{self, BufRead, Write},
    iter,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use kld_core::result::NextWords;
use kld_text::suggest::{Session, words::at_cursor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kept, base::Base, clock, manage, report};
use crate::progress::Terminal;

/// What is asked; exactly one of `prefix`, `accepted`, `typed` and `forget`, save that `accepted` takes a `prefix` along.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Given back with the answer, whatever it is.
    id: Option<Value>,
    /// The text before the cursor.
    prefix: Option<String>,
    /// How many words are wanted.
    top: Option<usize>,
    /// The word that was taken, at the cursor of this prefix or, without one, of the last that was asked about.
    accepted: Option<String>,
    /// Text that was written.
    typed: Option<String>,
    /// A word, or a time since when all is to be forgotten.
    forget: Option<String>,
}

/// What is answered.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said {
    Suggested(NextWords),
    Learnt { learnt: u64 },
    Forgotten { forgotten: u64 },
    Wrong { error: String },
}

/// Answers line after line until the input ends, or Ctrl-C ends it.
pub(super) fn run(
    base: Base<'_>,
    session: Session<'_>,
    kept: Kept<'_>,
    top: usize,
) -> anyhow::Result<()> {
    let mut server = Server {
        base,
        session,
        kept,
        top,
        last_prefix: String::new(),
    };
    let served = server.serve(lines_of_stdin(), &mut io::stdout().lock());
    server.kept.write(server.session.state())?;
    match served {
        // Nobody listens any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot go on serving"),
    }
}

struct Server<'m, 'a> {
    base: Base<'m>,
    session: Session<'m>,
    kept: Kept<'a>,
    top: usize,
    last_prefix: String,
}

/// The longest line that is read; what comes behind it on the line is passed over.
const LONGEST_LINE: u64 = 1 << 20;

impl Server<'_, '_> {
    fn serve(
        &mut self,
        lines: impl Iterator<Item = io::Result<Line>>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        for line in lines {
            let answer = match line? {
                Ok(line) if line.trim_ascii().is_empty() => continue,
                Ok(line) => self.answer(&line),
                Err(problem) => Answer {
                    id: None,
                    said: Said::Wrong { error: problem },
                },
            };
            serde_json::to_writer(&mut *out, &answer)?;
            out.write_all(b"\n")?;
            out.flush()?;
        }
        Ok(())
    }

    fn answer(&mut self, line: &[u8]) -> Answer {
        let request = match serde_json::from_slice::<Request>(line) {
            Ok(request) => request,
            Err(error) => {
                return Answer {
                    id: None,
                    said: Said::Wrong {
                        error: error.to_string(),
                    },
                };
            }
        };
        let id = request.id.clone();
        let said = self.said(request).unwrap_or_else(|error| Said::Wrong {
            error: format!("{error:#}"),
        });
        Answer { id, said }
    }

    fn said(&mut self, request: Request) -> anyhow::Result<Said> {
        match request {
            Request {
                accepted: Some(word),
                typed: None,
                forget: None,
                top: None,
                prefix,
                ..
            } => {
                self.last_prefix = prefix.unwrap_or_else(|| std::mem::take(&mut self.last_prefix));
                let (before, _) = at_cursor(&self.last_prefix);
                let (before, word) = (before.to_owned(), manage::one_word(&word)?.to_owned());
                self.learn(&before, &word)
            }
            Request {
                prefix: Some(text),
                typed: None,
                forget: None,
                top,
                ..
            } => {
                let next = report::next(self.base, &self.session, &text, top.unwrap_or(self.top))?;
                self.last_prefix = text;
                Ok(Said::Suggested(next))
            }
            Request {
                typed: Some(text),
                prefix: None,
                forget: None,
                top: None,
                ..
            } => self.learn("", &text),
            Request {
                forget: Some(what),
                prefix: None,
                typed: None,
                top: None,
                ..
            } => self.forget(&what),
            _ => anyhow::bail!(
                "expected one of \"prefix\" (with \"top\"), \"accepted\" (with \"prefix\"), \"typed\" and \"forget\""
            ),
        }
    }

    fn learn(&mut self, before: &str, text: &str) -> anyhow::Result<Said> {
        anyhow::ensure!(
            self.session.state().private.is_none(),
            "the state was made with --epsilon: nothing more is learnt into it"
        );
        let words = self.session.state().words();
        let mut context = self.session.context(before);
        self.session.learn_text(&mut context, text, &clock::now());
        let learnt = self.session.state().words() - words;
        self.kept.learnt(learnt, self.session.state())?;
        Ok(Said::Learnt { learnt })
    }

    fn forget(&mut self, what: &str) -> anyhow::Result<Said> {
        let mut state = self.session.state().clone();
        let forgotten = manage::forget(&mut state, what)?;
        self.session = self.session.with_state(state);
        self.kept.write(self.session.state())?;
        // It may be among what was asked about.
        self.last_prefix.clear();
        Ok(Said::Forgotten { forgotten })
    }
}

/// A line, or what is wrong with it.
type Line = Result<Vec<u8>, String>;

/// How soon Ctrl-C is noticed while nobody asks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The lines of standard input until it ends or the user stops; read on a thread of their own, since reading cannot be broken off.
fn lines_of_stdin() -> impl Iterator<Item = io::Result<Line>> {
    let (send, receive) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        // The other end hangs up where the user stops.
        lines(&mut input).try_for_each(|line| send.send(line))
    });
    iter::from_fn(move || {
        loop {
            match receive.recv_timeout(LOOK_EVERY) {
                Ok(line) => return Some(line),
                Err(RecvTimeoutError::Timeout) if !Terminal::was_interrupted() => {}
                Err(_) => return None,
            }
        }
    })
}

fn lines(input: &mut impl BufRead) -> impl Iterator<Item = io::Result<Line>> {
    iter::from_fn(|| next_line(input).transpose())
}

/// The next line; `None` at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    if io::Read::take(&mut *input, LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(format!(
            "a line of more than {LONGEST_LINE} bytes"
        ))));
    }
    Ok(Some(Ok(line)))
}

#[cfg(test)]
mod tests {
    use kld_text::suggest::{State, Trainer};

    use super::*;

    fn answers(input: &str) -> Vec<Value> {
        let mut trainer = Trainer::default();
        trainer.read("all the ships are at sea, and all the men are on land");
        let model = trainer.finish(3).unwrap();
        let mut server = Server {
            base: Base::NGrams(&model, 1),
            session: Session::new(&model, State::default()),
            kept: Kept::at(None),
            top: 2,
            last_prefix: String::new(),
        };
        let mut out = Vec::new();
        server
            .serve(lines(&mut input.as_bytes()), &mut out)
            .unwrap();
        let lines = std::str::from_utf8(&out).unwrap().lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_prefix_is_answered_with_words_and_its_id() {
        let found = &answers(r#"{"id":7,"prefix":"all the m","top":1}"#)[0];
        assert_eq!((&found["id"], &found["prefix"]), (&7.into(), &"m".into()));
        assert_eq!(found["words"].as_array().unwrap().len(), 1);
        assert_eq!(found["words"][0]["word"], "men");
    }

    #[test]
    fn what_is_accepted_or_typed_is_learnt_and_what_is_forgotten_is_gone() {
        let found = answers(
            r#"{"prefix":"all the z"}
{"accepted":"zebras"}
{"prefix":"all the z"}
{"typed":"all the zebras are here"}
{"forget":"ZEBRAS"}
{"prefix":"all the z"}"#,
        );
        assert_eq!(found[0]["words"].as_array().unwrap().len(), 0);
        assert_eq!(
            (&found[1]["learnt"], &found[3]["learnt"]),
            (&1.into(), &5.into())
        );
        assert_eq!(found[2]["words"][0]["word"], "zebras");
        assert_eq!(found[4]["forgotten"], 2);
        assert_eq!(found[5]["words"].as_array().unwrap().len(), 0);
    }

    #[test]
    fn a_bad_line_is_answered_with_an_error_and_the_next_one_as_ever() {
        let long = format!("{{\"prefix\":\"{}\"}}", "x".repeat(LONGEST_LINE as usize));
        for bad in [
            "{",
            "7",
            r#"{"prefix":1}"#,
            r#"{"prefx":""}"#,
            "{}",
            r#"{"id":1,"typed":"a","forget":"a"}"#,
            r#"{"accepted":"two words"}"#,
            &long,
        ] {
            let found = answers(&format!("{bad}\n\n{{\"prefix\":\"\"}}"));
            assert!(found[0]["error"].is_string(), "{bad:.40}");
            assert_eq!(
                (found.len(), found[1]["words"].as_array().unwrap().len()),
                (2, 2)
            );
        }
        assert!(answers("").is_empty());
    }
}
