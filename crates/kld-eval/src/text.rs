//! Text as fragments: what is not to be torn apart, and what errors are clustered by.
//!
//! A `.txt` or `.md` file (or standard input) is one fragment; in a `.jsonl` file every record is one. Folders are read in
//! the order of their paths, so the same folder gives the same fragments everywhere.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use kld_models::chat::Message;
use serde_json::Value;

use crate::{Error, Result};

/// A piece of text that belongs together.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment {
    /// The file, or the file and the line of the record: `notes.jsonl:17`.
    pub name: String,
    /// What it says.
    pub content: Content,
}

impl Fragment {
    fn is_empty(&self) -> bool {
        match &self.content {
            Content::Text(text) => text.is_empty(),
            Content::Chat(messages) => messages.is_empty(),
        }
    }
}

/// What a fragment says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// A conversation, to be rendered by the reference's chat template.
    Chat(Vec<Message>),
}

/// Endings of the files that are read as one fragment.
const PLAIN: [&str; 2] = ["txt", "md"];

/// Reads all fragments of the given files, folders and `-` (standard input), in that order. `field` is the field of a
/// `.jsonl` record that holds its text; a record without it may hold `messages`.
///
/// # Errors
///
/// If a file cannot be read, is not UTF-8 or of no known kind, a record is broken, or there is no text at all.
pub fn read_fragments(sources: &[PathBuf], field: &str) -> Result<Vec<Fragment>> {
    let mut fragments = Vec::new();
    for source in sources {
        if source.as_os_str() == "-" {
            fragments.push(Fragment {
                name: "stdin".to_owned(),
                content: Content::Text(read_stdin()?),
            });
        } else if source.is_dir() {
            let files = text_files(source)?;
            if files.is_empty() {
                return Err(Error::NoText {
                    source_names: source.display().to_string(),
                });
            }
            for file in files {
                read_file(&file, field, &mut fragments)?;
            }
        } else {
            read_file(source, field, &mut fragments)?;
        }
    }
    // An empty fragment stays: it is counted among those too short to be scored.
    if fragments.iter().all(Fragment::is_empty) {
        let names: Vec<String> = sources.iter().map(|s| s.display().to_string()).collect();
        return Err(Error::NoText {
            source_names: names.join(", "),
        });
    }
    Ok(fragments)
}

fn read_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Io {
            path: "standard input".into(),
            source,
        })?;
    utf8("standard input".as_ref(), bytes)
}

/// The text files of a folder and its subfolders, in the order of their paths; hidden ones are passed over.
fn text_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    let mut entries = fs::read_dir(folder)
        .map_err(io)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(io)?;
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it could lead round in a circle.
        if entry.file_type().map_err(io)?.is_dir() {
            files.extend(text_files(&path)?);
        } else if matches!(extension(&path), Some(e) if PLAIN.contains(&e) || e == "jsonl") {
            files.push(path);
        }
    }
    Ok(files)
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|e| e.to_str())
}

fn read_file(path: &Path, field: &str, fragments: &mut Vec<Fragment>) -> Result<()> {
    let read = || {
        let bytes = fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        utf8(path, bytes)
    };
    match extension(path) {
        Some("jsonl") => read_records(path, &read()?, field, fragments),
        Some(e) if PLAIN.contains(&e) => {
            fragments.push(Fragment {
                name: path.display().to_string(),
                content: Content::Text(read()?),
            });
            Ok(())
        }
        _ => Err(Error::UnknownTextKind {
            path: path.to_owned(),
        }),
    }
}

/// The text of a file, without the byte-order mark that some programs put before it.
fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    let text = String::from_utf8(bytes).map_err(|e| Error::NotUtf8 {
        path: path.to_owned(),
        offset: e.utf8_error().valid_up_to(),
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

fn read_records(path: &Path, text: &str, field: &str, fragments: &mut Vec<Fragment>) -> Result<()> {
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let name = format!("{}:{}", path.display(), number + 1);
        let bad = |problem: String| Error::BadRecord {
            name: name.clone(),
            problem,
        };
        let record: Value =
            serde_json::from_str(line).map_err(|e| bad(format!("not JSON: {e}")))?;
        let content = match (record.get(field), record.get("messages")) {
            (Some(Value::String(text)), _) => Content::Text(text.clone()),
            (Some(other), _) => {
                return Err(bad(format!(
                    "field {field:?} is {}, expected text",
                    kind(other)
                )));
            }
            (None, Some(messages)) => {
                Content::Chat(serde_json::from_value(messages.clone()).map_err(|e| {
                    bad(format!(
                        "`messages` is not a list of {{\"role\", \"content\"}}: {e}"
                    ))
                })?)
            }
            (None, None) => {
                return Err(bad(format!(
                    "has neither {field:?} nor \"messages\"; {}",
                    fields(&record)
                )));
            }
        };
        fragments.push(Fragment { name, content });
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn fields(record: &Value) -> String {
    match record.as_object() {
        Some(object) => {
            let names: Vec<String> = object.keys().map(|k| format!("{k:?}")).collect();
            format!(
                "its fields are {} (choose one with --field)",
                names.join(", ")
            )
        }
        None => format!("it is {}, expected an object", kind(record)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn folders_are_read_in_the_order_of_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a/z.md", "a/c.jsonl", ".hidden.txt", "picture.png"] {
            write(
                folder.path(),
                name,
                if name.ends_with("jsonl") {
                    "{\"text\":\"one\"}\n\n{\"text\":\"two\"}\n"
                } else {
                    "x"
                },
            );
        }
        let fragments = read_fragments(&[folder.path().to_owned()], "text").unwrap();
        let names: Vec<String> = fragments
            .iter()
            .map(|f| {
                f.name
                    .trim_start_matches(&*folder.path().to_string_lossy())
                    .to_owned()
            })
            .collect();
        assert_eq!(names, ["/a/c.jsonl:1", "/a/c.jsonl:3", "/a/z.md", "/b.txt"]);
    }

    #[test]
    fn records_may_be_chats() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(
            folder.path(),
            "chat.jsonl",
            r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
        );
        let fragments = read_fragments(&[file], "text").unwrap();
        let Content::Chat(messages) = &fragments[0].content else {
            panic!("not a chat")
        };
        assert_eq!(
            (messages[0].role.as_str(), messages[0].content.as_str()),
            ("user", "Hi")
        );
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, text: &[u8]| {
            let file = write(folder.path(), name, text);
            read_fragments(&[file], "text")
                .unwrap_err()
                .to_string()
                .replace(&*folder.path().to_string_lossy(), "")
        };
        assert_eq!(
            of("a.jsonl", b"{\"text\":\"x\"}\n{\"body\":1}"),
            r#"/a.jsonl:2: has neither "text" nor "messages"; its fields are "body" (choose one with --field)"#
        );
        assert_eq!(
            of("b.jsonl", b"{\"text\":7}"),
            r#"/b.jsonl:1: field "text" is a number, expected text"#
        );
        assert_eq!(of("c.txt", b"ab\xff"), "/c.txt: not UTF-8 at byte 2");
        assert_eq!(of("d.pdf", b"x"), "/d.pdf: expected .txt, .md or .jsonl");
        assert_eq!(of("e.txt", b""), "no text in /e.txt");
    }
}
