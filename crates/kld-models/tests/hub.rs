//! Finding models on disk, in the cache and on a hub that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "hub/server.rs"]
mod server;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use kld_core::observer::{Observer, Progress};
use kld_models::hub::{Format, HubOptions, Location};
use server::{COMMIT, Faults, Hub, sha256};
use tempfile::TempDir;

const NAME: &str = "org/tiny";

/// A repository with what is wanted and what is not.
fn hub(token: Option<&str>) -> Hub {
    let files: [(&str, &[u8]); 9] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{\"version\": \"1.0\"}"),
        ("tokenizer_config.json", b"{}"),
        ("model.safetensors", WEIGHTS),
        ("pytorch_model.bin", b"pickled"),
        ("modeling_tiny.py", b"print('hello')"),
        ("README.md", b"# Tiny"),
        ("onnx/model.safetensors", b"another"),
        ("consolidated.safetensors", b"the same again"),
    ];
    Hub::new(NAME, &files, token)
}

const WEIGHTS: &[u8] = &[7; 3_000_000];

fn options(hub: &Hub, cache: &TempDir) -> HubOptions {
    HubOptions {
        cache: Some(cache.path().to_owned()),
        endpoint: hub.endpoint.clone(),
        ..HubOptions::default()
    }
}

fn error(name: &str, options: &HubOptions) -> String {
    Location::resolve(name, options).unwrap_err().to_string()
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

/// All files under a folder, links followed, by their paths below it.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(
                    path.strip_prefix(folder)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

fn snapshot(cache: &TempDir) -> PathBuf {
    cache
        .path()
        .join("models--org--tiny/snapshots")
        .join(COMMIT)
}

#[test]
fn what_is_on_disk_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.Q4_0.GGUF");
    fs::write(&file, "").unwrap();
    let resolve = |path: &Path| Location::resolve(path.to_str().unwrap(), &HubOptions::default());
    let location = resolve(folder.path()).unwrap();
    assert_eq!(
        (location.format, location.path.as_path(), location.commit),
        (Format::Folder, folder.path(), None)
    );
    assert_eq!(resolve(&file).unwrap().format, Format::Gguf);
    let other = folder.path().join("model.bin");
    fs::write(&other, "").unwrap();
    says(
        &resolve(&other).unwrap_err().to_string(),
        &["model.bin is not a model", ".gguf"],
    );
}

#[test]
fn names_of_nothing_say_how_models_are_named() {
    let options = HubOptions::default();
    says(
        &error("nothing", &options),
        &["`nothing`", "org/name[@revision]", ".gguf file"],
    );
    says(
        &error("./models/missing.gguf", &options),
        &["`.` cannot be part of a repository's name"],
    );
    says(&error("org/../name", &options), &["`..`"]);
    says(
        &error("org/name@../../etc", &options),
        &["`../../etc` cannot be a revision"],
    );
    says(
        &error("org/name/x.safetensors", &options),
        &["`x.safetensors` is not a .gguf file"],
    );
    says(
        &error("org/name", &options),
        &["no model `org/name`", "HF_HOME"],
    );
}

#[test]
fn a_repository_is_downloaded_once_and_only_what_is_needed() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let options = options(&hub, &cache);
    let location = Location::resolve(NAME, &options).unwrap();
    assert_eq!(location.format, Format::Folder);
    assert_eq!(location.commit.as_deref(), Some(COMMIT));
    assert_eq!(location.path, snapshot(&cache));
    assert_eq!(
        files(&location.path),
        [
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    assert_eq!(
        fs::read(location.path.join("model.safetensors")).unwrap(),
        WEIGHTS
    );
    let root = cache.path().join("models--org--tiny");
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(
        fs::read(root.join("blobs").join(sha256(WEIGHTS))).unwrap(),
        WEIGHTS
    );
    if cfg!(unix) {
        let link = fs::read_link(location.path.join("model.safetensors")).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(sha256(WEIGHTS)));
    }
    assert!(!hub.asked().is_empty());
    assert_eq!(Location::resolve(NAME, &options).unwrap(), location);
    let offline = HubOptions {
        offline: true,
        ..options
    };
    assert_eq!(Location::resolve(NAME, &offline).unwrap(), location);
    assert_eq!(
        Location::resolve(&format!("{NAME}@{COMMIT}"), &offline)
            .unwrap()
            .path,
        location.path
    );
    assert!(
        hub.asked().is_empty(),
        "what is cached is not asked for again"
    );
}

#[test]
fn the_cache_of_other_programs_is_understood() {
    let cache = tempfile::tempdir().unwrap();
    let root = cache.path().join("models--org--tiny");
    fs::create_dir_all(root.join("refs/refs/pr")).unwrap();
    fs::create_dir_all(snapshot(&cache)).unwrap();
    // Hugging Face's own programs end the file without a newline, people do not.
    fs::write(root.join("refs/refs/pr/1"), format!("{COMMIT}\n")).unwrap();
    for file in [
        "config.json",
        "vocab.json",
        "merges.txt",
        "a-00001-of-00002.safetensors",
    ] {
        fs::write(snapshot(&cache).join(file), "").unwrap();
    }
    let index = r#"{"weight_map": {"x": "a-00001-of-00002.safetensors", "y": "a-00002-of-00002.safetensors"}}"#;
    fs::write(snapshot(&cache).join("model.safetensors.index.json"), index).unwrap();
    let options = HubOptions {
        cache: Some(cache.path().to_owned()),
        offline: true,
        ..HubOptions::default()
    };
    let name = "org/tiny@refs/pr/1";
    says(
        &error(name, &options),
        &["not complete in the cache", "downloads are off"],
    );
    fs::write(snapshot(&cache).join("a-00002-of-00002.safetensors"), "").unwrap();
    assert_eq!(
        Location::resolve(name, &options).unwrap().path,
        snapshot(&cache)
    );
    says(&error("org/tiny@main", &options), &["not complete"]);
}

#[test]
fn a_hostile_cache_or_index_leads_nowhere() {
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions {
        cache: Some(cache.path().to_owned()),
        offline: true,
        ..HubOptions::default()
    };
    let refs = cache.path().join("models--org--tiny/refs");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("main"), "../../../../etc").unwrap();
    says(&error(NAME, &options), &["not complete"]);
    fs::write(refs.join("main"), COMMIT).unwrap();
    fs::create_dir_all(snapshot(&cache)).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        fs::write(snapshot(&cache).join(file), "").unwrap();
    }
    let index = r#"{"weight_map": {"x": "../../../../etc/passwd.safetensors"}}"#;
    fs::write(snapshot(&cache).join("model.safetensors.index.json"), index).unwrap();
    says(
        &error(NAME, &options),
        &["model.safetensors.index.json", "cannot be a shard"],
    );
    fs::write(snapshot(&cache).join("model.safetensors.index.json"), "{").unwrap();
    says(
        &error(NAME, &options),
        &["model.safetensors.index.json", "EOF"],
    );
}

#[test]
fn shards_are_those_of_the_index() {
    let index = br#"{"weight_map": {"x": "model-1.safetensors", "y": "model-2.safetensors", "z": "model-1.safetensors"}}"#;
    let files_there: [(&str, &[u8]); 6] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two"),
        ("model-3.safetensors", b"three"),
    ];
    let (hub, cache) = (
        Hub::new(NAME, &files_there, None),
        tempfile::tempdir().unwrap(),
    );
    let location = Location::resolve(NAME, &options(&hub, &cache)).unwrap();
    let expected = [
        "config.json",
        "model-1.safetensors",
        "model-2.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    ];
    assert_eq!(files(&location.path), expected);
}

#[test]
fn one_gguf_file_of_a_repository_is_enough() {
    let files_there: [(&str, &[u8]); 3] = [
        ("README.md", b""),
        ("tiny.Q4_0.gguf", b"four"),
        ("big/tiny.F32.gguf", b"thirty-two"),
    ];
    let (hub, cache) = (
        Hub::new(NAME, &files_there, None),
        tempfile::tempdir().unwrap(),
    );
    let options = options(&hub, &cache);
    says(
        &error(NAME, &options),
        &[
            "no safetensors",
            "it has big/tiny.F32.gguf, tiny.Q4_0.gguf",
            "org/tiny/big/tiny.F32.gguf",
        ],
    );
    let location = Location::resolve("org/tiny/big/tiny.F32.gguf@v1", &options).unwrap();
    assert_eq!(location.format, Format::Gguf);
    assert_eq!(fs::read(&location.path).unwrap(), b"thirty-two");
    assert_eq!(files(&snapshot(&cache)), ["big/tiny.F32.gguf"]);
    let offline = HubOptions {
        offline: true,
        ..options.clone()
    };
    assert_eq!(
        Location::resolve("org/tiny/big/tiny.F32.gguf@v1", &offline).unwrap(),
        location
    );
    says(
        &error("org/tiny/missing.gguf", &options),
        &["missing.gguf answered 404"],
    );
}

#[test]
fn pickled_weights_are_not_downloaded() {
    let files_there: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("pytorch_model.bin", b"")];
    let (hub, cache) = (
        Hub::new(NAME, &files_there, None),
        tempfile::tempdir().unwrap(),
    );
    says(
        &error(NAME, &options(&hub, &cache)),
        &["pickled weights", "runs code", "convert"],
    );
    assert_eq!(hub.asked().len(), 1, "only the list was asked for");
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let options = options(&hub, &cache);
    hub.fail(Faults {
        break_after: Some(1_000_000),
        ..Faults::default()
    });
    says(
        &error(NAME, &options),
        &[
            "model.safetensors: expected 3000000 bytes, 1000000 came",
            "goes on where it stopped",
        ],
    );
    assert!(
        !cache.path().join("models--org--tiny/refs/main").exists(),
        "what is not whole is not remembered"
    );
    hub.asked();
    hub.fail(Faults::default());
    let location = Location::resolve(NAME, &options).unwrap();
    assert_eq!(
        fs::read(location.path.join("model.safetensors")).unwrap(),
        WEIGHTS
    );
    assert!(
        hub.asked()
            .contains(&"GET /storage/model.safetensors 1000000".to_owned())
    );
    assert!(
        !files(cache.path())
            .iter()
            .any(|file| file.contains("incomplete"))
    );
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let options = options(&hub, &cache);
    hub.fail(Faults {
        break_after: Some(1_000_000),
        ..Faults::default()
    });
    error(NAME, &options);
    hub.fail(Faults {
        no_ranges: true,
        ..Faults::default()
    });
    let location = Location::resolve(NAME, &options).unwrap();
    assert_eq!(
        fs::read(location.path.join("model.safetensors")).unwrap(),
        WEIGHTS
    );
}

#[test]
fn what_is_complete_but_unnamed_needs_no_more_bytes() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let blobs = cache.path().join("models--org--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(
        blobs.join(sha256(WEIGHTS)).with_extension("incomplete"),
        WEIGHTS,
    )
    .unwrap();
    let location = Location::resolve(NAME, &options(&hub, &cache)).unwrap();
    assert_eq!(
        fs::read(location.path.join("model.safetensors")).unwrap(),
        WEIGHTS
    );
}

#[test]
fn bytes_that_are_not_those_announced_are_thrown_away() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let options = options(&hub, &cache);
    hub.fail(Faults {
        wrong_bytes: true,
        ..Faults::default()
    });
    says(
        &error(NAME, &options),
        &["model.safetensors: expected SHA-256", &sha256(WEIGHTS)],
    );
    assert!(
        !files(cache.path())
            .iter()
            .any(|file| file.contains(&sha256(WEIGHTS)))
    );
    hub.fail(Faults::default());
    Location::resolve(NAME, &options).unwrap();
}

#[test]
fn a_leftover_of_other_bytes_does_not_survive() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let blobs = cache.path().join("models--org--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let leftover = blobs.join(sha256(WEIGHTS)).with_extension("incomplete");
    fs::write(&leftover, vec![9; 1000]).unwrap();
    let options = options(&hub, &cache);
    says(&error(NAME, &options), &["expected SHA-256"]);
    assert!(!leftover.exists());
    fs::write(&leftover, vec![9; 4_000_000]).unwrap();
    let location = Location::resolve(NAME, &options).unwrap();
    assert_eq!(
        fs::read(location.path.join("model.safetensors")).unwrap(),
        WEIGHTS
    );
}

#[test]
fn private_repositories_need_their_token_and_only_the_hub_sees_it() {
    let (hub, cache) = (hub(Some("secret")), tempfile::tempdir().unwrap());
    let without = options(&hub, &cache);
    says(&error(NAME, &without), &["answered 401", "set HF_TOKEN"]);
    let wrong = HubOptions {
        token: Some("guess".to_owned()),
        ..without.clone()
    };
    says(&error(NAME, &wrong), &["answered 401", "does not open it"]);
    // The storage answers 400 to whoever shows it a token.
    let right = HubOptions {
        token: Some("secret".to_owned()),
        ..without
    };
    Location::resolve(NAME, &right).unwrap();
    assert!(!format!("{right:?}").contains("secret"));
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let options = options(&hub, &cache);
    says(
        &error("org/other", &options),
        &["org/other/revision/main answered 404"],
    );
    says(
        &error("org/tiny@v9", &options),
        &["revision/v9 answered 404"],
    );
    hub.fail(Faults {
        status: Some(503),
        ..Faults::default()
    });
    says(&error(NAME, &options), &["answered 503"]);
}

#[test]
fn hostile_lists_write_nothing_outside_the_cache() {
    let (hub, outer) = (hub(None), tempfile::tempdir().unwrap());
    let cache = outer.path().join("a/b/c/cache");
    let options = HubOptions {
        cache: Some(cache.clone()),
        endpoint: hub.endpoint.clone(),
        ..HubOptions::default()
    };
    let extra_names = [
        "../../../../evil.safetensors",
        "/evil.safetensors",
        "a/../../../evil.safetensors",
    ]
    .map(str::to_owned);
    hub.fail(Faults {
        extra_names: extra_names.to_vec(),
        ..Faults::default()
    });
    Location::resolve(NAME, &options).unwrap();
    assert!(
        files(outer.path())
            .iter()
            .all(|file| file.starts_with("a/b/c/cache/models--org--tiny/"))
    );
    let other = tempfile::tempdir().unwrap();
    let options = HubOptions {
        cache: Some(other.path().to_owned()),
        ..options
    };
    hub.fail(Faults {
        commit: Some("../../../evil".to_owned()),
        ..Faults::default()
    });
    says(
        &error(NAME, &options),
        &["`../../../evil`, which is not a commit"],
    );
    assert!(files(other.path()).is_empty());
}

#[test]
fn without_a_network_the_message_says_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let options = HubOptions {
        cache: Some(cache.path().to_owned()),
        endpoint,
        ..HubOptions::default()
    };
    says(
        &error(NAME, &options),
        &[
            "cannot reach http://127.0.0.1",
            "copy the model's folder here",
            "HF_ENDPOINT",
        ],
    );
    let offline = HubOptions {
        offline: true,
        ..options
    };
    says(
        &error(NAME, &offline),
        &["not complete in the cache", "downloads are off"],
    );
}

#[derive(Default)]
struct Impatient {
    heard: AtomicUsize,
}

impl Observer for Impatient {
    fn progress(&self, progress: &Progress) {
        assert_eq!(progress.stage, "download");
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.heard.load(Ordering::Relaxed) > 8
    }
}

#[test]
fn a_download_tells_how_far_it_is_and_stops_when_asked() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let (options, impatient) = (options(&hub, &cache), Impatient::default());
    let message = Location::resolve_observed(NAME, &options, &impatient)
        .unwrap_err()
        .to_string();
    says(&message, &["was interrupted", "goes on where it stopped"]);
    Location::resolve(NAME, &options).unwrap();
}

#[test]
fn two_that_download_the_same_both_have_it() {
    let (hub, cache) = (hub(None), tempfile::tempdir().unwrap());
    let options = options(&hub, &cache);
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| Location::resolve(NAME, &options).unwrap()))
            .collect();
        for one in both {
            assert_eq!(
                fs::read(one.join().unwrap().path.join("model.safetensors")).unwrap(),
                WEIGHTS
            );
        }
    });
}
