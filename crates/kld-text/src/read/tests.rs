use kld_core::observer::Silent;
use std::{fs, path::Path, sync::Mutex};

use proptest::prelude::*;

use super::*;

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn read(path: &Path, options: &ReadOptions) -> Result<Vec<Document>> {
    read_documents(&[path.to_owned()], options, &Silent)
}

#[test]
fn folders_are_read_in_the_order_of_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.txt", "a/z.md", ".hidden.txt", "picture.png"] {
        write(folder.path(), name, "x");
    }
    write(
        folder.path(),
        "a/c.jsonl",
        "{\"text\":\"one\"}\n\n{\"messages\":[{\"role\":\"user\",\"content\":\"two\"}]}\n",
    );
    let documents = read(folder.path(), &ReadOptions::default()).unwrap();
    let shown: Vec<String> = documents
        .iter()
        .map(|d| {
            format!(
                "{} {}",
                d.name.trim_start_matches(&*folder.path().to_string_lossy()),
                d.text
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "/a/c.jsonl:1 one",
            "/a/c.jsonl:3 two",
            "/a/z.md x",
            "/b.txt x"
        ]
    );
}

#[test]
fn broken_text_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, text: &[u8], options: &ReadOptions| {
        let refused = read(&write(folder.path(), name, text), options)
            .unwrap_err()
            .to_string();
        refused.replace(&*folder.path().to_string_lossy(), "")
    };
    let usual = ReadOptions::default();
    let dated = ReadOptions {
        by: Some("date".to_owned()),
        ..usual.clone()
    };
    let mut late = vec![b'a'; 20_000];
    late.push(0xff);
    assert_eq!(
        of("a.jsonl", b"{\"text\":\"x\"}\n{\"body\":1}", &usual),
        r#"/a.jsonl:2: has neither "text" nor "messages"; its other fields are "body" (choose one with --field)"#
    );
    assert_eq!(
        of("b.jsonl", b"{\"text\":7}", &usual),
        r#"/b.jsonl:1: field "text" is a number, expected text"#
    );
    assert_eq!(
        of("b.jsonl", b"{\"text\":\"x\",\"day\":1}", &dated),
        r#"/b.jsonl:1: has no field "date"; its other fields are "day" (choose one with --field)"#
    );
    assert_eq!(
        of("c.txt", &late, &usual),
        "/c.txt: not UTF-8 at byte 20000 (--lossy goes on)"
    );
    assert_eq!(
        of("c.txt", b"ab\0", &usual),
        "/c.txt: a zero byte at 2: expected text, this is binary or UTF-16"
    );
    assert_eq!(
        of("d.pdf", b"x", &usual),
        "/d.pdf: expected .txt, .md, .jsonl (also with .zst) or .parquet"
    );
    assert_eq!(of("e.txt", b" \n", &usual), "no text in /e.txt");
}

#[test]
fn what_is_not_utf8_is_replaced_and_counted_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a.txt", b"\xef\xbb\xbfgr\xfc\xdfe");
    let lossy = ReadOptions {
        lossy: true,
        ..ReadOptions::default()
    };
    let documents = read(&path, &lossy).unwrap();
    assert_eq!(
        (documents[0].text.as_str(), documents[0].replaced),
        ("gr\u{fffd}\u{fffd}e", 2)
    );
}

#[test]
fn more_text_than_may_be_held_is_refused_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let records = "{\"text\":\"twelve bytes\"}\n".repeat(3);
    let path = write(folder.path(), "a.jsonl", records.as_bytes());
    let within = |most_bytes| {
        let options = ReadOptions {
            most_bytes,
            ..ReadOptions::default()
        };
        read(&path, &options).map_err(|error| error.to_string())
    };
    assert_eq!(within(36).unwrap().len(), 3);
    let refused = within(35).unwrap_err();
    assert!(refused.contains("a.jsonl:3: more than"), "{refused}");
}

proptest! {
    #[test]
    fn pieces_make_the_whole(text in "([a-z ]{0,9}|\n|。|世界|\u{3000}){0,40}", piece_bytes in 16_usize..60) {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "a.txt", &text);
        let options = ReadOptions { piece_bytes, ..ReadOptions::default() };
        let documents = documents(&[path], &options, &Silent).unwrap().collect::<Result<Vec<_>>>().unwrap();
        prop_assert_eq!(documents.len(), 1);
        prop_assert_eq!(&documents[0].text, &text);
    }
}

/// Listens, and asks to stop after so many reports.
#[derive(Default)]
struct Listener {
    heard: Mutex<Vec<Progress>>,
    patience: usize,
}

impl Observer for Listener {
    fn progress(&self, progress: &Progress) {
        self.heard.lock().unwrap().push(progress.clone());
    }

    fn interrupted(&self) -> bool {
        self.heard.lock().unwrap().len() >= self.patience
    }
}

#[test]
fn an_observer_hears_how_much_was_read_and_may_stop_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = "all the ships are at sea. ".repeat(120_000);
    let (plain, packed) = (folder.path().join("a.txt"), folder.path().join("b.txt.zst"));
    fs::write(&plain, &text).unwrap();
    fs::write(&packed, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    for (path, patience) in [(&plain, 100), (&packed, 100), (&plain, 1)] {
        let listener = Listener {
            patience,
            ..Listener::default()
        };
        let pieces = Pieces::of(
            std::slice::from_ref(path),
            &ReadOptions::default(),
            &listener,
        );
        let last = pieces.unwrap().last().unwrap();
        assert_eq!(matches!(last, Err(Error::Interrupted)), patience == 1);
        let heard = listener.heard.into_inner().unwrap();
        let total = fs::metadata(path).unwrap().len().div_ceil(1_000_000) as usize;
        assert!(!heard.is_empty());
        for progress in heard {
            assert_eq!((progress.stage, progress.total), ("MB read", total));
            assert!((1..=total).contains(&progress.done), "{progress:?}");
        }
    }
}
