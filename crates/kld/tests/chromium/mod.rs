//! A headless Chromium that a test steers by its `DevTools` protocol, over two named pipes: no port, no library.

#![allow(
    clippy::unwrap_used,
    reason = "a browser that does not do as it is told has failed the test"
)]

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The environment variable that names the program.
const VARIABLE: &str = "KLD_CHROMIUM";

/// Longer than a browser ever takes to answer, even on a machine that has a lot to do.
const PATIENCE: Duration = Duration::from_mins(2);

/// A page in a browser.
pub(crate) struct Browser {
    process: Child,
    to: File,
    from: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    /// What the browser said of itself.
    pub(crate) events: Vec<Value>,
    /// Profile and pipes.
    _folder: TempDir,
}

impl Browser {
    /// Opens a page; `None`, said aloud, where no browser is named. In CI there must be one.
    pub(crate) fn open(page: &Path) -> Option<Self> {
        let program = program()?;
        let mut browser = Self::start(&program);
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach)["sessionId"].clone();
        browser.session = session.as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        let url = format!("file://{}", page.display());
        browser.call("Page.navigate", &json!({ "url": url }));
        browser.wait_for("Page.loadEventFired");
        Some(browser)
    }

    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            assert!(
                Command::new("mkfifo")
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
            path
        };
        let (into, out) = (pipe("in"), pipe("out"));
        let process = Command::new("sh")
            // The browser reads commands from descriptor 3 and answers on 4.
            .args(["-c", "exec \"$@\" 3<\"$KLD_IN\" 4>\"$KLD_OUT\"", "sh"])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args(["--disable-component-update", "--disable-quic"])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .env("KLD_IN", &into)
            .env("KLD_OUT", &out)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // In the order in which the shell opens them: each waits for the other end.
        let to = File::options().write(true).open(into).unwrap();
        let answers = BufReader::new(File::open(out).unwrap());
        let (sender, from) = channel();
        thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else {
                    return;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            to,
            from,
            session: None,
            last_id: 0,
            events: Vec::new(),
            _folder: folder,
        }
    }

    /// Calls a method of the protocol and waits for its result.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let mut answer = self.next();
            if answer["id"] == self.last_id {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    fn next(&mut self) -> Value {
        self.from
            .recv_timeout(PATIENCE)
            .expect("the browser went away or does not answer")
    }

    fn wait_for(&mut self, event: &str) {
        while !self.events.iter().any(|e| e["method"] == event) {
            let event = self.next();
            self.events.push(event);
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", &parameters);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].take()
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                &json!({ "type": kind, "key": key }),
            );
        }
    }

    /// Points at the middle of the element that an expression gives, once it is in sight.
    pub(crate) fn point_at(&mut self, element: &str) {
        let middle = self.value(&format!(
            "(() => {{ const e = {element}; e.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        let parameters = json!({ "type": "mouseMoved", "x": middle[0], "y": middle[1] });
        self.call("Input.dispatchMouseEvent", &parameters);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Nothing is left to be done for a browser that has gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn program() -> Option<PathBuf> {
    let program = env::var_os(VARIABLE).map(PathBuf::from);
    if program.is_none() {
        assert_ne!(
            env::var("CI").as_deref(),
            Ok("true"),
            "{VARIABLE} must name a Chromium in CI"
        );
        eprintln!("skipped: {VARIABLE} names no Chromium");
    }
    program
}
