//! A small hub on loopback: lists files, serves them with ranges, sends large ones elsewhere, and fails when told to.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The connection breaks after so many bytes of each answer.
    pub(crate) break_after: Option<usize>,
    /// Ranges are not understood: everything is sent.
    pub(crate) no_ranges: bool,
    /// The bytes of large files are not those of their hash.
    pub(crate) wrong_bytes: bool,
    /// The status of every answer.
    pub(crate) status: Option<u16>,
    /// Names added to the list of files.
    pub(crate) extra_names: Vec<String>,
    /// The commit that the list names.
    pub(crate) commit: Option<String>,
}

/// A running server and what it was asked.
pub(crate) struct Hub {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    repository: String,
    files: BTreeMap<String, Vec<u8>>,
    storage: String,
    token: Option<String>,
    faults: Mutex<Faults>,
    log: Mutex<Vec<String>>,
}

struct Request {
    method: String,
    path: String,
    start: usize,
    authorization: Option<String>,
}

impl Hub {
    /// Serves the files of one repository; only to those with the token, if there is one.
    pub(crate) fn new(repository: &str, files: &[(&str, &[u8])], token: Option<&str>) -> Self {
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let storage = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let endpoint = url(&front);
        let shared = Arc::new(Shared {
            repository: repository.to_owned(),
            files: files
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                .collect(),
            storage: url(&storage),
            token: token.map(str::to_owned),
            faults: Mutex::default(),
            log: Mutex::default(),
        });
        for listener in [front, storage] {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.serve(&stream.unwrap()));
                }
            });
        }
        Self { endpoint, shared }
    }

    pub(crate) fn fail(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    /// The requests since the last call, as `METHOD path from-byte`.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.log.lock().unwrap())
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let Some(request) = read(stream) else { return };
        let line = format!("{} {} {}", request.method, request.path, request.start);
        self.log.lock().unwrap().push(line);
        let faults = self.faults.lock().unwrap().clone();
        let (head, body) = self.answer(&request, &faults);
        let mut bytes = format!(
            "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        if request.method == "GET" {
            bytes.extend_from_slice(
                &body[..body.len().min(faults.break_after.unwrap_or(usize::MAX))],
            );
        }
        let mut stream = stream;
        // The other side may have gone: that is its business.
        let _ = stream.write_all(&bytes);
    }

    /// Status with headers, and the body.
    fn answer(&self, request: &Request, faults: &Faults) -> (String, Vec<u8>) {
        if let Some(status) = faults.status {
            return (format!("{status} Fault"), Vec::new());
        }
        if let Some(name) = request.path.strip_prefix("/storage/") {
            // The token is not for the storage.
            return if request.authorization.is_some() {
                ("400 Leaked".to_owned(), Vec::new())
            } else {
                self.bytes(name, request, faults)
            };
        }
        let expected = self.token.as_ref().map(|token| format!("Bearer {token}"));
        if expected.is_some() && request.authorization != expected {
            return ("401 Unauthorized".to_owned(), Vec::new());
        }
        let listing = format!("/api/models/{}/revision/", self.repository);
        let resolve = format!("/{}/resolve/{COMMIT}/", self.repository);
        if let Some(revision) = request.path.strip_prefix(&listing) {
            return if ["main", "v1", "refs%2Fpr%2F1", COMMIT].contains(&revision) {
                self.list(faults)
            } else {
                absent()
            };
        }
        match request.path.strip_prefix(&resolve) {
            Some(name)
                if [".safetensors", ".gguf"]
                    .iter()
                    .any(|ending| name.ends_with(ending)) =>
            {
                self.elsewhere(name)
            }
            Some(name) => self.bytes(name, request, faults),
            None => absent(),
        }
    }

    fn list(&self, faults: &Faults) -> (String, Vec<u8>) {
        let mut siblings = String::new();
        for name in self.files.keys().chain(&faults.extra_names) {
            let comma = if siblings.is_empty() { "" } else { "," };
            let _ = write!(
                siblings,
                "{comma}{{\"rfilename\": {}}}",
                serde_json::json!(name)
            );
        }
        let commit = faults.commit.as_deref().unwrap_or(COMMIT);
        (
            "200 OK".to_owned(),
            format!("{{\"sha\": \"{commit}\", \"siblings\": [{siblings}]}}").into_bytes(),
        )
    }

    fn elsewhere(&self, name: &str) -> (String, Vec<u8>) {
        let Some(bytes) = self.files.get(name) else {
            return absent();
        };
        let (hash, size, storage) = (sha256(bytes), bytes.len(), &self.storage);
        (
            format!(
                "302 Found\r\nlocation: {storage}/storage/{name}\r\nx-linked-etag: \"{hash}\"\r\nx-linked-size: {size}"
            ),
            Vec::new(),
        )
    }

    fn bytes(&self, name: &str, request: &Request, faults: &Faults) -> (String, Vec<u8>) {
        let Some(bytes) = self.files.get(name) else {
            return absent();
        };
        let mut bytes = bytes.clone();
        let etag = &sha256(&bytes)[..40];
        if faults.wrong_bytes && request.path.starts_with("/storage/") {
            bytes[0] ^= 1;
        }
        let (start, end) = (request.start, bytes.len());
        if start == 0 || faults.no_ranges {
            return (format!("200 OK\r\netag: \"{etag}\""), bytes);
        }
        if start >= end {
            return (
                format!("416 Range Not Satisfiable\r\ncontent-range: bytes */{end}"),
                Vec::new(),
            );
        }
        (
            format!(
                "206 Partial Content\r\ncontent-range: bytes {start}-{}/{end}",
                end - 1
            ),
            bytes.split_off(start),
        )
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn absent() -> (String, Vec<u8>) {
    ("404 Not Found".to_owned(), Vec::new())
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        start: 0,
        authorization: None,
    };
    for line in lines {
        let line = line.ok()?;
        match line.split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                request.start = value
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                request.authorization = Some(value.to_owned());
            }
            Some(_) => {}
        }
    }
    Some(request)
}
