//! A folder of tiny models to run the program in: what the scenario files share.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "not every file uses all of it; a test that cannot read its own data has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use kld_models::gguf::{BlockType, requantize};
use serde_json::Value;
use tempfile::TempDir;

/// A text of some 180 tokens for models that read bytes.
pub(crate) const TEXT: &str = "To be, or not to be, that is the question: whether it is nobler in the mind to suffer the slings and arrows of \
                    fortune, or to take arms against a sea of troubles, and by opposing end them.";

/// A folder with `p.gguf`, its forms `q8_0.gguf` and `q4_0.gguf`, and `text.txt`.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
}

impl Desk {
    /// A new one.
    pub(crate) fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let source = golden("llama/model.gguf");
        fs::copy(&source, desk.path("p.gguf")).unwrap();
        for form in ["q8_0", "q4_0"] {
            let dtype = BlockType::from_name(&form.to_uppercase()).unwrap();
            requantize(&source, &desk.path(&format!("{form}.gguf")), dtype).unwrap();
        }
        fs::write(desk.path("text.txt"), TEXT).unwrap();
        desk
    }

    /// The same with the folders `teacher` and `student`, and `long.jsonl`, a text of eight fragments: what a training needs.
    pub(crate) fn for_training() -> Self {
        let desk = Self::new();
        for (name, model) in [("teacher", "llama-scaled"), ("student", "llama")] {
            fs::create_dir(desk.path(name)).unwrap();
            for file in fs::read_dir(golden(model)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), desk.path(name).join(file.file_name())).unwrap();
            }
        }
        let record = |i: usize| format!("{{\"text\": {:?}}}\n", &TEXT[i * 7..]);
        let records: String = (0..8).map(record).collect();
        fs::write(desk.path("long.jsonl"), records).unwrap();
        desk
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program.
    pub(crate) fn kld(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The program, ready to run in the folder.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kld"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
            .env("HF_HUB_CACHE", self.path("no-cache"))
            .env("HF_HUB_OFFLINE", "1")
            .env_remove("KLD_ISA");
        command
    }

    /// A run that should succeed.
    pub(crate) fn fine(&self, arguments: &str) -> Output {
        let output = self.kld(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    }

    /// What a run that should succeed prints.
    pub(crate) fn printed(&self, arguments: &str) -> String {
        String::from_utf8(self.fine(arguments).stdout).unwrap()
    }

    /// What is said to somebody whose input is refused.
    pub(crate) fn refused(&self, arguments: &str) -> String {
        let output = self.kld(arguments);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{}",
            stderr(&output)
        );
        stderr(&output)
    }

    /// The program at work in the background, saying nothing.
    pub(crate) fn spawn(&self, arguments: &str) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// A result in a file, but for how it came to be.
    pub(crate) fn result(&self, file: &str) -> Value {
        let mut result: Value =
            serde_json::from_slice(&fs::read(self.path(file)).unwrap()).unwrap();
        let run = result["run"].as_object_mut().unwrap();
        run.remove("elapsed_s");
        run.remove("threads");
        result
    }

    /// The result as JSON.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.printed(&format!("{arguments} --json -"))).unwrap()
    }
}

/// A file under `golden/models`.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/models")
        .join(name)
}

/// What was said beside the data.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Presses Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
}
