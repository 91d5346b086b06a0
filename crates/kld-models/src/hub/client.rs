//! The few questions that are put to the hub.

use std::{collections::BTreeSet, io::Read, time::Duration};

use serde::Deserialize;
use ureq::{
    Agent, Body, Proxy,
    http::{HeaderMap, Response},
};

use super::{
    HubError, HubOptions,
    name::{RepositoryName, is_commit, is_relative_path},
};

/// A list of files beyond this many bytes is not read.
const MAX_LISTING_BYTES: u64 = 16 << 20;
const MAX_REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// How long the hub may say nothing.
const SILENCE: Duration = Duration::from_mins(1);

/// Speaks with one hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

/// What a repository has at a revision.
pub(super) struct Listing {
    pub(super) commit: String,
    /// Names that are sound paths; others are left out.
    pub(super) files: BTreeSet<String>,
}

/// What the hub says of a file before it is sent.
pub(super) struct Announced {
    url: String,
    /// A name for the bytes that can be a file's name.
    pub(super) etag: String,
    /// Known for files of the large-file storage.
    pub(super) sha256: Option<String>,
    pub(super) size: Option<u64>,
}

/// Bytes on their way.
pub(super) struct Incoming {
    pub(super) reader: Box<dyn Read>,
    /// Where in the file they begin.
    pub(super) start: u64,
}

impl Client {
    pub(super) fn new(options: &HubOptions) -> Result<Self, HubError> {
        let proxy = options.proxy.as_deref().map(Proxy::new).transpose();
        let proxy = proxy.map_err(|error| HubError::Network {
            url: options.proxy.clone().unwrap_or_default(),
            reason: error.to_string(),
        })?;
        let config = Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Sizes and hashes are of the bytes as they are stored.
            .accept_encoding("identity")
            .user_agent(concat!("kld/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        let endpoint = options.endpoint.trim_end_matches('/').to_owned();
        Ok(Self {
            agent: config.new_agent(),
            endpoint,
            token: options.token.clone(),
        })
    }

    /// Commit and files of a revision.
    pub(super) fn listing(&self, repository: &RepositoryName) -> Result<Listing, HubError> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let revision = repository.revision.replace('/', "%2F");
        let url = format!(
            "{}/api/models/{}/revision/{revision}",
            self.endpoint,
            repository.id()
        );
        let (url, mut response) = self.follow(url, Method::Get(0), |_, _| false)?;
        self.accepted(&url, response.status().as_u16())?;
        let text = response
            .body_mut()
            .with_config()
            .limit(MAX_LISTING_BYTES)
            .read_to_string();
        let text = text.map_err(|error| network(&url, &error))?;
        let odd = |answer: String| HubError::Answer {
            url: url.clone(),
            answer,
        };
        let answer: Answer = serde_json::from_str(&text)
            .map_err(|error| odd(format!("something unexpected: {error}")))?;
        if !is_commit(&answer.sha) {
            return Err(odd(format!("with `{}`, which is not a commit", answer.sha)));
        }
        let files = answer
            .siblings
            .into_iter()
            .map(|sibling| sibling.rfilename)
            .filter(|file| is_relative_path(file));
        Ok(Listing {
            commit: answer.sha,
            files: files.collect(),
        })
    }

    /// Name, size and hash of a file.
    pub(super) fn announce(
        &self,
        repository: &RepositoryName,
        commit: &str,
        file: &str,
    ) -> Result<Announced, HubError> {
        let url = format!(
            "{}/{}/resolve/{commit}/{}",
            self.endpoint,
            repository.id(),
            file.replace(' ', "%20")
        );
        // The hub describes a large file in the answer that sends us elsewhere for it.
        let described = |url: &str, headers: &HeaderMap| {
            !self.is_own(url) || headers.contains_key("x-linked-etag")
        };
        let (url, response) = self.follow(url, Method::Head, described)?;
        let status = response.status().as_u16();
        if !response.status().is_redirection() {
            self.accepted(&url, status)?;
        }
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let size =
            header("x-linked-size").or_else(|| header("content-length").filter(|_| status == 200));
        let etag = header("x-linked-etag")
            .or_else(|| header("etag"))
            .map(bare)
            .unwrap_or_default();
        let sha256 = (etag.len() == 64 && is_hexadecimal(etag)).then(|| etag.to_ascii_lowercase());
        let etag = if is_file_name(etag) {
            etag.to_owned()
        } else {
            format!("{commit}-{}", file.replace(['/', ' ', '.'], "-"))
        };
        let size = size.and_then(|size| size.parse().ok());
        let url = header("location").map_or(url.clone(), |location| absolute(&url, location));
        Ok(Announced {
            url,
            etag,
            sha256,
            size,
        })
    }

    /// The bytes of a file from `start` on, or all of them where the server cannot do that.
    pub(super) fn bytes(&self, announced: &Announced, start: u64) -> Result<Incoming, HubError> {
        let (url, response) =
            self.follow(announced.url.clone(), Method::Get(start), |_, _| false)?;
        let status = response.status().as_u16();
        if status == 416 {
            // There is nothing beyond what is here: the size tells whether that is right.
            return Ok(Incoming {
                reader: Box::new(std::io::empty()),
                start,
            });
        }
        self.accepted(&url, status)?;
        let first = response
            .headers()
            .get("content-range")
            .and_then(|range| first_byte(range.to_str().ok()?));
        let start = match status {
            206 if first == Some(start) => start,
            206 => {
                return Err(HubError::Answer {
                    url,
                    answer: format!("206 with another range than from {start}"),
                });
            }
            _ => 0,
        };
        let reader = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        Ok(Incoming {
            reader: Box::new(reader),
            start,
        })
    }

    /// Asks, and asks again where it is sent, until an answer is no redirection or is enough.
    fn follow(
        &self,
        mut url: String,
        method: Method,
        enough: impl Fn(&str, &HeaderMap) -> bool,
    ) -> Result<(String, Response<Body>), HubError> {
        for _ in 0..MAX_REDIRECTS {
            let response = self.ask(&url, method)?;
            let location = response
                .headers()
                .get("location")
                .and_then(|location| location.to_str().ok());
            match location {
                Some(location)
                    if response.status().is_redirection() && !enough(&url, response.headers()) =>
                {
                    url = absolute(&url, location);
                }
                _ => return Ok((url, response)),
            }
        }
        Err(HubError::Answer {
            url,
            answer: format!("more than {MAX_REDIRECTS} redirections"),
        })
    }

    fn ask(&self, url: &str, method: Method) -> Result<Response<Body>, HubError> {
        let mut request = match method {
            Method::Head => self.agent.head(url),
            Method::Get(_) => self.agent.get(url),
        };
        // The token is for the endpoint; where it sends us is somebody else's.
        if let Some(token) = self.token.as_ref().filter(|_| self.is_own(url)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Method::Get(start @ 1..) = method {
            request = request.header("range", format!("bytes={start}-"));
        }
        request.call().map_err(|error| network(url, &error))
    }

    fn accepted(&self, url: &str, status: u16) -> Result<(), HubError> {
        let url = url.to_owned();
        match status {
            200 | 206 => Ok(()),
            401 | 403 => {
                let hint = match self.token {
                    Some(_) => "the token in HF_TOKEN does not open it",
                    None => "set HF_TOKEN to a token that may read it",
                };
                Err(HubError::Denied { url, status, hint })
            }
            404 => Err(HubError::Absent { url }),
            _ => Err(HubError::Answer {
                url,
                answer: status.to_string(),
            }),
        }
    }

    fn is_own(&self, url: &str) -> bool {
        origin(url) == origin(&self.endpoint)
    }
}

#[derive(Clone, Copy)]
enum Method {
    Head,
    /// From a byte on.
    Get(u64),
}

/// Where a `Location` leads: another URL, or a path of the same host.
fn absolute(from: &str, location: &str) -> String {
    if location.starts_with('/') && !location.starts_with("//") {
        format!("{}{location}", origin(from))
    } else {
        location.to_owned()
    }
}

/// `https://host:port` of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[host..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |end| host + end);
    &url[..end]
}

/// An `ETag` without the marks around it.
fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_file_name(text: &str) -> bool {
    is_relative_path(text) && text.len() <= 128 && !text.contains(['/', '.', ' '])
}

/// The first number of `bytes 5-9/10`.
fn first_byte(range: &str) -> Option<u64> {
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

fn network(url: &str, error: &ureq::Error) -> HubError {
    HubError::Network {
        url: url.to_owned(),
        reason: error.to_string(),
    }
}
