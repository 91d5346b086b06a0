//! Which matrices of a model: by the names that its files give them.

use super::replace::MatrixCard;
use crate::{Error, Result};

/// Patterns that names of tensors match, as `kld info` shows them: `*` stands for any text, all else for itself.
///
/// Without a pattern it is every matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    patterns: Vec<String>,
}

impl Selection {
    /// The tensors that match one of the patterns; without patterns all.
    #[must_use]
    pub fn new(patterns: Vec<String>) -> Self {
        Self { patterns }
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The matrices that are selected, in their order; `model` is for the message.
    ///
    /// # Errors
    ///
    /// If a pattern matches none of them: it would silently change nothing.
    pub fn choose<'a>(
        &self,
        matrices: &'a [MatrixCard],
        model: &str,
    ) -> Result<Vec<&'a MatrixCard>> {
        let useless = |pattern: &&String| !matrices.iter().any(|m| matches(pattern, &m.name));
        if let Some(pattern) = self.patterns.iter().find(useless) {
            return Err(Error::NoSuchMatrix {
                pattern: pattern.clone(),
                model: model.to_owned(),
                names: some_names(matrices),
            });
        }
        let chosen = |m: &&MatrixCard| {
            self.patterns.is_empty() || self.patterns.iter().any(|p| matches(p, &m.name))
        };
        Ok(matrices.iter().filter(chosen).collect())
    }
}

/// A name of each kind.
fn some_names(matrices: &[MatrixCard]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    let mut names = Vec::new();
    for matrix in matrices {
        if !kinds.contains(&matrix.kind.as_str()) {
            kinds.push(&matrix.kind);
            names.push(matrix.name.as_str());
        }
    }
    names.join(", ")
}

/// Whether a pattern, in which `*` stands for any text, describes the whole name.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The leftmost place for each piece leaves the most for those after it.
    for piece in middle.split('*') {
        match left.find(piece) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let name = "blk.12.ffn_down.weight";
        for pattern in [
            "*",
            "blk.*",
            "*.weight",
            "blk.*.ffn_down.*",
            "blk.1*.ffn*",
            name,
            "**down**",
        ] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in [
            "",
            "blk",
            "blk.*.ffn_up.*",
            "*.bias",
            "blk.12.ffn_down",
            "ffn_down*",
            "blk.1*12*",
        ] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }

    /// The definition: a star is nothing, or one character and a star again.
    fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            ([b'*', rest @ ..], []) => by_definition(rest, name),
            ([b'*', rest @ ..], [_, shorter @ ..]) => {
                by_definition(rest, name) || by_definition(pattern, shorter)
            }
            ([p, rest @ ..], [n, shorter @ ..]) => p == n && by_definition(rest, shorter),
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &name), by_definition(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
