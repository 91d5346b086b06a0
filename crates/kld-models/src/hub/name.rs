//! Names of repositories, revisions and files, none of which can leave the cache.

use super::{HubError, is_gguf};

/// `org/name[/file.gguf][@revision]`, taken apart and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RepositoryName {
    pub(super) organisation: String,
    pub(super) name: String,
    pub(super) file: Option<String>,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

impl RepositoryName {
    pub(super) fn parse(text: &str) -> Result<Self, HubError> {
        Self::parts(text).map_err(|reason| HubError::Name {
            name: text.to_owned(),
            reason,
        })
    }

    /// `org/name`.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.organisation, self.name)
    }

    fn parts(text: &str) -> Result<Self, String> {
        let (path, revision) = text.split_once('@').unwrap_or((text, "main"));
        let mut parts = path.splitn(3, '/');
        let (Some(organisation), Some(name)) = (parts.next(), parts.next()) else {
            return Err(
                "there is no such path, and a repository has an organisation: org/name".to_owned(),
            );
        };
        let file = parts.next();
        for part in [organisation, name] {
            if !is_repository_part(part) {
                return Err(format!("`{part}` cannot be part of a repository's name"));
            }
        }
        if !is_relative_path(revision) {
            return Err(format!("`{revision}` cannot be a revision"));
        }
        match file {
            Some(file) if !is_relative_path(file) => {
                return Err(format!("`{file}` cannot be a file of a repository"));
            }
            Some(file) if !is_gguf(file) => return Err(format!("`{file}` is not a .gguf file")),
            _ => {}
        }
        let file = file.map(str::to_owned);
        Ok(Self {
            organisation: organisation.to_owned(),
            name: name.to_owned(),
            file,
            revision: revision.to_owned(),
        })
    }
}

/// Whether text can be a path below a folder: plain characters, no way up, no root.
pub(super) fn is_relative_path(text: &str) -> bool {
    text.len() <= 512 && text.split('/').all(is_plain_segment)
}

/// Whether text is a commit, which names the same files for ever.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_plain_segment(segment: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'.' | b'_' | b'-' | b'+' | b'=' | b' ' | b'(' | b')' | b','
            )
    };
    !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
}

/// The hub's own rule; `--` separates organisation and name in the cache.
fn is_repository_part(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let sound = part.len() <= 96 && !part.is_empty() && part.bytes().all(plain);
    sound
        && !part.starts_with(['.', '-'])
        && !part.ends_with(['.', '-'])
        && !part.contains("--")
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Option<String>, String) {
        let name = RepositoryName::parse(text).unwrap();
        (name.id(), name.file, name.revision)
    }

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(parsed("org/name"), ("org/name".into(), None, "main".into()));
        assert_eq!(
            parsed("org/name@refs/pr/1"),
            ("org/name".into(), None, "refs/pr/1".into())
        );
        assert_eq!(
            parsed("a/b-GGUF/q4/b.Q4_K.gguf@v1.0"),
            (
                "a/b-GGUF".into(),
                Some("q4/b.Q4_K.gguf".into()),
                "v1.0".into()
            )
        );
    }

    #[test]
    fn names_that_could_leave_the_cache_are_refused() {
        for text in [
            "gpt2",
            "../x",
            "org/..",
            "org/name@..",
            "org/name@../../x",
            "org/name@",
            "org/name@/etc",
            "org/name@a//b",
            "org/na--me",
            "org/name/../x.gguf",
            "org/name//x.gguf",
            "org/name/x.bin",
            "org/na\\me",
            "org/name@a\\b",
            "/etc/passwd",
            "org/name/x\0.gguf",
            "org/",
            "/name",
            "org/name/C:x.gguf",
            "",
            "@",
            "é/name",
        ] {
            assert!(
                matches!(RepositoryName::parse(text), Err(HubError::Name { .. })),
                "{text}"
            );
        }
    }
}
