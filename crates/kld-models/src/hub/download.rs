//! Files of the hub into the cache.
//!
//! Bytes go to `blobs/<etag>.incomplete`, which a later try goes on with, and get their name when they are all there and are what
//! the hub announced. The branch is remembered last, so a repository that is remembered is whole.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use kld_core::observer::{Observer, Progress};
use sha2::{Digest, Sha256};

use super::{
    HubError, HubOptions,
    cache::{Cache, shards, weights},
    client::{Announced, Client, Incoming},
    is_gguf,
    name::RepositoryName,
};

const INDEX: &str = "model.safetensors.index.json";
const CHUNK_BYTES: usize = 1 << 20;

/// What is taken beside weights, where it exists.
const SETTINGS: [&str; 10] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    INDEX,
];

/// Downloads what is named; its commit and path.
pub(super) fn repository(
    repository: &RepositoryName,
    cache: &Cache,
    options: &HubOptions,
    observer: &dyn Observer,
) -> Result<(String, PathBuf), HubError> {
    let client = Client::new(options)?;
    let listing = client.listing(repository)?;
    let commit = listing.commit;
    let get = |file: &str| download(&client, cache, repository, &commit, file, observer);
    let snapshot = cache.snapshot(&commit);
    let path = if let Some(file) = &repository.file {
        get(file)?;
        snapshot.join(file)
    } else {
        has_weights(repository, &listing.files)?;
        for file in SETTINGS
            .iter()
            .filter(|file| listing.files.contains(**file))
        {
            get(file)?;
        }
        for file in weights(&listing.files, shards(&snapshot.join(INDEX))?).unwrap_or_default() {
            get(&file)?;
        }
        snapshot
    };
    cache.remember(&repository.revision, &commit)?;
    Ok((commit, path))
}

/// Refuses, before anything is fetched, a repository that has no weights for us; says what it has instead.
fn has_weights(repository: &RepositoryName, files: &BTreeSet<String>) -> Result<(), HubError> {
    let has = |ending: &str| files.iter().any(|file| file.ends_with(ending));
    if files.contains("config.json") && has(".safetensors") {
        return Ok(());
    }
    let name = repository.id();
    let gguf: Vec<&str> = files
        .iter()
        .map(String::as_str)
        .filter(|file| is_gguf(file))
        .collect();
    let found = match gguf.first() {
        Some(first) => format!("; it has {}\nhint: name one of them: {name}/{first}", gguf.join(", ")),
        None if has(".bin") || has(".pt") || has(".pth") => {
            "; it has pickled weights, which are not read because reading them runs code\nhint: convert them to safetensors".to_owned()
        }
        None => String::new(),
    };
    Err(HubError::NoWeights { name, found })
}

fn download(
    client: &Client,
    cache: &Cache,
    repository: &RepositoryName,
    commit: &str,
    file: &str,
    observer: &dyn Observer,
) -> Result<(), HubError> {
    let announced = client.announce(repository, commit, file)?;
    let blob = cache.blob(&announced.etag)?;
    if !blob.is_file() {
        Transfer {
            client,
            announced: &announced,
            file,
            blob: &blob,
            observer,
        }
        .run()?;
    }
    cache.link(commit, file, &blob)
}

/// One file on its way into its blob.
struct Transfer<'a> {
    client: &'a Client,
    announced: &'a Announced,
    file: &'a str,
    blob: &'a Path,
    observer: &'a dyn Observer,
}

impl Transfer<'_> {
    fn run(&self) -> Result<(), HubError> {
        let draft = self.blob.with_extension("incomplete");
        let failed = |source| HubError::Io {
            path: draft.clone(),
            source,
        };
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&draft);
        let mut output = open.map_err(failed)?;
        // Somebody else may be downloading the same file; then theirs is awaited.
        output.lock().map_err(failed)?;
        if self.blob.is_file() {
            return Ok(());
        }
        let there = output.metadata().map_err(failed)?.len();
        // What is there already cannot be more than all of it.
        let there = if self.announced.size.is_some_and(|size| there > size) {
            0
        } else {
            there
        };
        let Incoming { reader, start } = self.client.bytes(self.announced, there)?;
        output.set_len(start).map_err(failed)?;
        let mut sum = Sum::default();
        let mut whole = Tee {
            output: &mut output,
            sum: &mut sum,
        };
        whole.read_back().map_err(failed)?;
        self.receive(reader, &mut whole, &draft)?;
        self.check_size(sum.size)?;
        self.check_hash(&sum.sha256(), &draft)?;
        output.sync_all().map_err(failed)?;
        fs::rename(&draft, self.blob).map_err(failed)
    }

    fn receive(
        &self,
        mut reader: impl Read,
        whole: &mut Tee,
        draft: &Path,
    ) -> Result<(), HubError> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            self.tell(whole.sum.size)?;
            let count = match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A connection that broke; the size says how much is missing.
                Err(_) if self.announced.size.is_some() => return Ok(()),
                Err(error) => {
                    return Err(HubError::Network {
                        url: self.file.to_owned(),
                        reason: error.to_string(),
                    });
                }
            };
            whole
                .append(&buffer[..count])
                .map_err(|source| HubError::Io {
                    path: draft.to_owned(),
                    source,
                })?;
        }
    }

    /// Removes what is not what was announced, so that the next try begins anew.
    fn check_hash(&self, found: &str, draft: &Path) -> Result<(), HubError> {
        match &self.announced.sha256 {
            Some(expected) if expected != found => {
                fs::remove_file(draft).map_err(|source| HubError::Io {
                    path: draft.to_owned(),
                    source,
                })?;
                let (file, expected, found) =
                    (self.file.to_owned(), expected.clone(), found.to_owned());
                Err(HubError::Checksum {
                    file,
                    expected,
                    found,
                })
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, found: u64) -> Result<(), HubError> {
        match self.announced.size {
            Some(expected) if expected != found => Err(HubError::Incomplete {
                file: self.file.to_owned(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn tell(&self, size: u64) -> Result<(), HubError> {
        let mebibytes = |bytes: u64| usize::try_from(bytes >> 20).unwrap_or(usize::MAX);
        let total = mebibytes(self.announced.size.unwrap_or(size));
        let estimate = self.file.to_owned();
        self.observer.progress(&Progress {
            stage: "download",
            done: mebibytes(size),
            total,
            estimate,
        });
        if self.observer.interrupted() {
            return Err(HubError::Interrupted {
                file: self.file.to_owned(),
            });
        }
        Ok(())
    }
}

/// A file that is written, and the sum of all that is in it.
struct Tee<'a> {
    output: &'a mut File,
    sum: &'a mut Sum,
}

impl Tee<'_> {
    /// Takes in what an earlier try left; afterwards writing goes on behind it.
    fn read_back(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        self.output.seek(SeekFrom::Start(0))?;
        loop {
            match self.output.read(&mut buffer)? {
                0 => return Ok(()),
                count => self.sum.add(&buffer[..count]),
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.add(bytes);
        self.output.write_all(bytes)
    }
}

/// How many bytes, and which.
#[derive(Default)]
struct Sum {
    size: u64,
    hash: Sha256,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hash.update(bytes);
    }

    fn sha256(&self) -> String {
        self.hash
            .clone()
            .finalize()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}
