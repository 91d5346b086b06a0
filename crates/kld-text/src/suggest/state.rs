//! What was learnt from a history: counts of words after words, in one file that its owner can read, pass on and cut down.
//!
//! The file is JSON, readable by its owner alone (mode 0600), and always whole: it is written beside its name and renamed.
//! Counts lie in *spans* of at most [`SPAN`] words, so that newer ones can weigh more and be forgotten by their time. The
//! counts of a span overlap enough to put much of its text together again: the file is as private as the text itself, unless it
//! was made [with differential privacy](super::privacy).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Write},
    path::Path,
};

use kld_core::number;
use serde::{Deserialize, Serialize};

use super::{Error, Result, cache::ORDERS, mixture::Mixture, privacy::Promise};

/// The format's name and version.
pub const FORMAT: &str = "kld.suggest.state/1";

/// Words in a span, at most. All its counts have the same age.
pub const SPAN: u64 = 256;

/// Everything that was learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// [`FORMAT`].
    pub format: String,
    /// The promise under which the counts were made; `null` where they are those of the history itself.
    pub private: Option<Promise>,
    /// What was fitted to the history; `null` where nothing was, or something has been forgotten since.
    pub fitted: Option<Fitted>,
    /// What was learnt, oldest first.
    pub spans: Vec<Span>,
}

/// Settings that were fitted to a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Words after which a count weighs half.
    #[serde(with = "number")]
    pub half_life: f64,
    /// Weights of base and cache.
    pub mixture: Mixture,
}

/// Counts of neighbouring words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// When its first word was learnt, as `2026-11-25T20:15:00Z`.
    pub from: String,
    /// When its last word was learnt.
    pub until: String,
    /// How many words were learnt.
    pub words: u64,
    /// How often each n-gram of up to three words and marks came, with spaces between them; the last one is a word.
    pub counts: BTreeMap<String, u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            format: FORMAT.to_owned(),
            private: None,
            fitted: None,
            spans: Vec::new(),
        }
    }
}

impl State {
    /// Reads a state.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is no state of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| io(path, source))?;
        let bad = |problem: String| Error::BadState {
            path: path.to_owned(),
            problem,
        };
        let state: Self =
            serde_json::from_reader(BufReader::new(file)).map_err(|e| bad(e.to_string()))?;
        state.check().map_err(bad)?;
        Ok(state)
    }

    /// Writes the state, for its owner alone.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; what was there before is then still there.
    pub fn write(&self, path: &Path) -> Result<()> {
        let written = write_for_owner(path, |out| {
            serde_json::to_writer_pretty(&mut *out, self)?;
            writeln!(out)
        });
        written.map_err(|source| io(path, source))
    }

    /// Words learnt.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.spans.iter().map(|span| span.words).sum()
    }

    /// Adds the n-grams of one word, given the names of the word itself and of what stands before it, nearest last.
    /// Returns whether it began a new span.
    pub fn learn(&mut self, before: &[&str], word: &str, time: &str) -> bool {
        let spans = self.spans.len();
        let span = self.open_span(time);
        span.words += 1;
        time.clone_into(&mut span.until);
        for order in 0..=before.len().min(ORDERS - 1) {
            let context = &before[before.len() - order..];
            let gram = context.iter().copied().chain([word]).collect::<Vec<_>>();
            *span.counts.entry(gram.join(" ")).or_default() += 1;
        }
        self.spans.len() > spans
    }

    /// The span that takes the next word. One that is full, or of another hour of the clock, is followed by a new one.
    fn open_span(&mut self, time: &str) -> &mut Span {
        let is_open = |span: &Span| span.words < SPAN && same_hour(&span.from, time);
        if !self.spans.last().is_some_and(is_open) {
            self.spans.push(Span {
                from: time.to_owned(),
                ..Span::default()
            });
        }
        let last = self.spans.len() - 1;
        &mut self.spans[last]
    }

    /// Forgets every span with a word that was learnt at or after `time`. Returns the number of words forgotten.
    pub fn forget_since(&mut self, time: &str) -> u64 {
        let before = self.words();
        // Times written this way are ordered as text.
        self.spans.retain(|span| *span.until < *time);
        self.unfit(before != self.words());
        before - self.words()
    }

    /// Forgets every n-gram that has the word, in whatever case. Returns how often the word itself had come.
    pub fn forget_word(&mut self, word: &str) -> u64 {
        let lower = word.to_lowercase();
        let mut found = 0;
        for span in &mut self.spans {
            let mut kept = BTreeMap::new();
            for (gram, count) in std::mem::take(&mut span.counts) {
                if gram.to_lowercase() == lower {
                    found += count;
                    span.words = span.words.saturating_sub(count);
                }
                if gram.split(' ').all(|part| part.to_lowercase() != lower) {
                    kept.insert(gram, count);
                }
            }
            span.counts = kept;
        }
        self.spans.retain(|span| !span.counts.is_empty());
        self.unfit(found > 0);
        found
    }

    /// Weights and half-life were made from what has been forgotten as well, so they go too.
    fn unfit(&mut self, forgotten: bool) {
        if forgotten {
            self.fitted = None;
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!(
                "its format is {:?}, expected {FORMAT:?}",
                self.format
            ));
        }
        if let Some(fitted) = &self.fitted
            && !(fitted.half_life > 0.0 && fitted.mixture.is_sound())
        {
            return Err("its fitted weights do not sum to 1".to_owned());
        }
        let grams = self.spans.iter().flat_map(|span| span.counts.keys());
        match grams
            .into_iter()
            .find(|gram| !(1..=ORDERS).contains(&gram.split(' ').count()))
        {
            Some(gram) => Err(format!("{gram:?} is no n-gram of up to {ORDERS} words")),
            None => Ok(()),
        }
    }
}

/// Writes a file that its owner alone can read (mode 0600), beside its name, and renames it.
///
/// # Errors
///
/// If the file cannot be written; what was there before is then still there.
pub fn write_for_owner(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = write_new(&part, write).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // It may not even have been made.
        let _ = fs::remove_file(&part);
    }
    written
}

fn write_new(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    // One that an earlier run with this number left behind may have other permissions.
    let _ = fs::remove_file(path);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::new(options.open(path)?);
    write(&mut out)?;
    out.into_inner()?.sync_all()
}

/// Whether two times begin alike up to their hours, `2026-11-25T20`.
fn same_hour(a: &str, b: &str) -> bool {
    a.as_bytes().get(..13) == b.as_bytes().get(..13)
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(text: &[(&[&str], &str, &str)]) -> State {
        let mut state = State::default();
        for (before, word, time) in text {
            state.learn(before, word, time);
        }
        state
    }

    fn bytes(state: &State) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        state.write(&path).unwrap();
        assert_eq!(State::read(&path).unwrap(), *state);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::read_to_string(&path).unwrap()
    }

    const DAY_1: &str = "2026-11-24T10:00:00Z";
    const DAY_2: &str = "2026-11-25T10:00:00Z";

    #[test]
    fn a_state_holds_counts_of_up_to_three_words() {
        let state = learnt(&[
            (&["¶"], "Dear", DAY_1),
            (&["¶", "Dear"], "Anne", DAY_1),
            (&["x", "¶", "Dear"], "Anne", DAY_1),
        ]);
        let span = &state.spans[0];
        let grams: Vec<(&str, u64)> = span.counts.iter().map(|(g, n)| (&**g, *n)).collect();
        assert_eq!(
            grams,
            [
                ("Anne", 2),
                ("Dear", 1),
                ("Dear Anne", 2),
                ("¶ Dear", 1),
                ("¶ Dear Anne", 2)
            ]
        );
        assert_eq!(
            (state.words(), &*span.from, &*span.until),
            (3, DAY_1, DAY_1)
        );
    }

    #[test]
    fn what_is_forgotten_leaves_no_byte() {
        let mut state = learnt(&[
            (&["my"], "Passw0rd", DAY_1),
            (&["my", "Passw0rd"], "is", DAY_1),
            (&["Passw0rd", "is"], "secret", DAY_1),
            (&["is", "secret"], "today", DAY_1),
        ]);
        state.fitted = Some(Fitted {
            half_life: 500.0,
            mixture: Mixture::default(),
        });
        assert!(bytes(&state).contains("Passw0rd"));
        assert_eq!(state.forget_word("passw0RD"), 1);
        let text = bytes(&state).to_lowercase();
        assert!(
            !text.contains("passw0rd") && text.contains("is secret today"),
            "{text}"
        );
        assert_eq!((state.words(), &state.fitted), (3, &None));
        assert_eq!(state.forget_word("nothing"), 0);
    }

    #[test]
    fn what_was_learnt_since_a_time_is_forgotten_with_its_span() {
        let mut state = learnt(&[(&[], "monday", DAY_1)]);
        state.learn(&[], "tuesday", DAY_2);
        assert_eq!(state.forget_since("2026-11-25"), 1);
        let text = bytes(&state);
        assert!(!text.contains("tuesday") && !text.contains(DAY_2) && text.contains("monday"));
        assert_eq!(state.forget_since("2027"), 0);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_alone_even_where_it_was_not() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "open to all").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        State::default().write(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn files_that_are_no_state_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let problem = |text: &str| {
            fs::write(&path, text).unwrap();
            State::read(&path).unwrap_err().to_string()
        };
        let with = |format: &str, fitted: &str, gram: &str| {
            format!(
                r#"{{"format":"{format}","private":null,"fitted":{fitted},"spans":[{{"from":"","until":"","words":1,"counts":{{"{gram}":1}}}}]}}"#
            )
        };
        assert!(problem("{").contains("EOF"));
        assert!(
            problem(&with("kld.suggest.state/9", "null", "a"))
                .contains("expected \"kld.suggest.state/1\"")
        );
        let weights = r#"{"half_life":1.0,"mixture":{"weights":[[1.0],[2.0,-1.0],[1.0,0.0,0.0],[1.0,0.0,0.0,0.0]]}}"#;
        assert!(problem(&with(FORMAT, weights, "a")).contains("do not sum to 1"));
        assert!(problem(&with(FORMAT, "null", "a b c d")).contains("no n-gram"));
        fs::write(&path, with(FORMAT, "null", "a b c")).unwrap();
        assert_eq!(State::read(&path).unwrap().words(), 1);
    }
}
