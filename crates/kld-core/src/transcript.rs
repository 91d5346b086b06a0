//! The text of a run as its windows hold it: what a report needs to show a token where it stands, without any model.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The windows of a run as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// Names of the fragments by number.
    pub fragments: Vec<String>,
    /// The windows by number, in the order of the text.
    pub windows: Vec<WindowText>,
    /// Every token of the vocabulary as tables show it, by id.
    pub vocabulary: Vec<String>,
}

/// The text of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowText {
    /// The fragment it is cut from.
    pub fragment: u32,
    /// The rows that are scored; row *i* predicts token *i* + 1.
    pub scored: Range<u32>,
    /// The tokens as fed.
    pub tokens: Vec<u32>,
    /// The tokens' text, one behind the other.
    text: String,
    /// Where each token's text ends in `text`, in bytes.
    ends: Vec<u32>,
}

impl Transcript {
    /// A token as tables show it.
    #[must_use]
    pub fn token(&self, id: u32) -> &str {
        self.vocabulary
            .get(id as usize)
            .map_or("<no token>", String::as_str)
    }
}

impl WindowText {
    /// A window whose token *i* has the text `pieces[i]`. A character that several tokens spell is the text of the last of them.
    #[must_use]
    pub fn new(fragment: u32, scored: Range<u32>, tokens: Vec<u32>, pieces: &[String]) -> Self {
        let mut end = 0;
        let ends = pieces.iter().map(|piece| {
            end += piece.len() as u32;
            end
        });
        Self {
            fragment,
            scored,
            tokens,
            ends: ends.collect(),
            text: pieces.concat(),
        }
    }

    /// The text of the tokens in `range`; what reaches beyond the window is left out.
    #[must_use]
    pub fn text(&self, range: Range<usize>) -> &str {
        let end = |tokens: usize| match tokens.min(self.ends.len()).checked_sub(1) {
            Some(last) => self.ends[last] as usize,
            None => 0,
        };
        self.text
            .get(end(range.start)..end(range.end))
            .unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_again() {
        let pieces = ["<s>", "Anne ", "", "é", "!"].map(str::to_owned);
        let window = WindowText::new(0, 0..4, vec![0, 1, 2, 3, 4], &pieces);
        for (index, piece) in pieces.iter().enumerate() {
            assert_eq!(window.text(index..index + 1), piece);
        }
        assert_eq!(window.text(1..9), "Anne é!");
        assert_eq!((window.text(0..0), window.text(7..9)), ("", ""));
    }
}
