//! Scenarios of `kld info`, run through the program itself on tiny models; those that it cannot run, too.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with models, and an empty cache of the hub in it.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Copies a model's folder.
    fn folder(&self, source: &str, name: &str) -> PathBuf {
        let copy = self.path(name);
        fs::create_dir_all(&copy).unwrap();
        for file in fs::read_dir(golden(source)).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap();
            if file.is_file() && name != "model.gguf" {
                fs::copy(&file, copy.join(name)).unwrap();
            }
        }
        copy
    }

    /// Copies a GGUF file with some bytes exchanged for as many others, everywhere.
    fn gguf(&self, name: &str, changes: &[(&[u8], &[u8])]) {
        let mut bytes = fs::read(golden("llama/model.gguf")).unwrap();
        for (old, new) in changes {
            assert_eq!(old.len(), new.len());
            let places: Vec<usize> = (0..bytes.len() - old.len())
                .filter(|&at| bytes[at..].starts_with(old))
                .collect();
            assert!(!places.is_empty());
            for at in places {
                bytes[at..at + new.len()].copy_from_slice(new);
            }
        }
        fs::write(self.path(name), bytes).unwrap();
    }

    fn printed(&self, arguments: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_kld"))
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env("HF_HUB_CACHE", self.path("cache"))
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.printed(&format!("{arguments} --json -"))).unwrap()
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/models")
        .join(name)
}

/// Names and types of the fields of an object.
fn shape(value: &Value, indent: usize) -> String {
    let kind = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(items) => match items.first() {
            Some(first @ Value::Object(_)) => format!("array of\n{}", shape(first, indent + 1)),
            _ => "array".to_owned(),
        },
        Value::Object(_) => format!("object\n{}", shape(value, indent + 1)),
    };
    let lines = value.as_object().unwrap().iter();
    let lines: Vec<String> = lines
        .map(|(name, value)| format!("{}{name}: {}", "  ".repeat(indent), kind(value)))
        .collect();
    lines.join("\n")
}

#[test]
fn a_model_that_can_be_run() {
    let desk = Desk::new();
    desk.folder("mistral", "m");
    insta::assert_snapshot!(desk.printed("info m"), @r"
    m
        format      safetensors, 88.8 kB, sha256 a7e500e327af385f12a842c46942ffa0ce1deed75f80882705e944e21ab49dc9
        family      mistral, 21 664 parameters
        shape       2 layers of 32, 4 heads of 8 (2 for keys and values), MLP of 48, sliding window of 7
        context     64 tokens
        head        96 columns, of its own
        stored as   F32 (21 tensors, 86.7 kB)
        tokenizer   BPE, byte-level from tokenizer.json, 96 tokens, 0 of them special
                    BOS none; EOS none; chat template: no
    ");
    let info = desk.json("info m");
    insta::assert_snapshot!(shape(&info, 0), @r"
    head_width: number
    heads: number
    hidden: number
    kv_heads: number
    layers: number
    mlp: number
    model: object
      bytes: number
      compute: string
      config_sha256: string
      context_length: number
      family: string
      format: string
      name: string
      parameters: number
      revision: null
      sha256: string
      vocabulary: number
      weights: string
    reason: null
    runnable: bool
    schema: string
    sliding_window: number
    tensors: array of
      bytes: number
      name: string
      shape: array
      type: string
    tied_head: bool
    tokenizer: object
      adds_bos: bool
      bos: null
      eos: null
      has_chat_template: bool
      kind: string
      origin: string
      special_tokens: number
      tokens: number
      unspelled_bytes: number
    ");
    assert_eq!(info["runnable"], true);
    assert!(
        desk.printed("info m --tensors")
            .contains("model.layers.1.mlp.down_proj.weight")
    );
}

#[test]
fn a_family_that_cannot_be_run_is_described() {
    let desk = Desk::new();
    let config = desk.folder("mistral", "m").join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"mistral\"", "\"gemma2\"")).unwrap();
    insta::assert_snapshot!(desk.printed("info m"), @r"
    m
        format      safetensors, 88.8 kB, sha256 a7e500e327af385f12a842c46942ffa0ce1deed75f80882705e944e21ab49dc9
        family      gemma2, 21 664 parameters
        shape       2 layers of 32, 4 heads of 8 (2 for keys and values), MLP of 48, sliding window of 7
        context     64 tokens
        head        96 columns, of its own
        stored as   F32 (21 tensors, 86.7 kB)
        tokenizer   BPE, byte-level from tokenizer.json, 96 tokens, 0 of them special
                    BOS none; EOS none; chat template: no
        cannot be run: m/config.json: models of the family 'gemma2' are not computed
            hint: families that can be run: llama (SmolLM2 too), mistral, qwen2, qwen3, gpt2
    ");
    let info = desk.json("info m");
    assert_eq!(info["runnable"], false);
    assert!(
        info["reason"]
            .as_str()
            .unwrap()
            .contains("the family 'gemma2'")
    );
    assert_eq!(info["model"]["compute"], Value::Null);

    desk.gguf(
        "g.gguf",
        &[
            (b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0gemma"),
            (b"llama.", b"gemma."),
        ],
    );
    insta::assert_snapshot!(desk.printed("info g.gguf"), @r"
    g.gguf
        format      gguf, 77.5 kB, sha256 dfbb6a80a8576b24f7cab4fbb2a400814b21b1b2cd99da1235ccfae1f40c96f9
        family      gemma, 18 592 parameters
        shape       2 layers of 32, 4 heads of 8 (2 for keys and values), MLP of 48
        context     64 tokens
        head        96 columns, tied to the embedding
        stored as   F32 (20 tensors, 74.4 kB)
        tokenizer   BPE, byte-level from GGUF, gpt2, gpt-2, 96 tokens, 0 of them special
                    BOS none; EOS none; chat template: no
        cannot be run: g.gguf: models of the family 'gemma' are not computed
            hint: families that can be run from GGUF: llama (SmolLM2, Mistral too), qwen2, qwen3, gpt2
    ");
}

#[test]
fn types_that_cannot_be_computed_with_are_described() {
    let desk = Desk::new();
    // F32 is 4 bytes a value; so is what claims to be I32.
    let mut old = b"output_norm.weight\x01\0\0\0".to_vec();
    old.extend(32_u64.to_le_bytes());
    let mut new = old.clone();
    old.extend(0_u32.to_le_bytes());
    new.extend(26_u32.to_le_bytes());
    desk.gguf("i.gguf", &[(&old, &new)]);
    let said = desk.printed("info i.gguf");
    assert!(said.contains("I32 (1 tensor, 128 B)"), "{said}");
    assert!(
        said.contains("cannot be run: i.gguf: tensor 'output_norm.weight' is stored as I32"),
        "{said}"
    );
}

#[test]
fn a_folder_without_a_tokenizer_is_described() {
    let desk = Desk::new();
    fs::remove_file(desk.folder("llama", "m").join("tokenizer.json")).unwrap();
    let said = desk.printed("info m");
    assert!(said.contains("family      llama"), "{said}");
    assert!(
        said.contains("    tokenizer   none that can be read\n    cannot be run: "),
        "{said}"
    );
    let info = desk.json("info m");
    assert_eq!(
        (&info["runnable"], &info["tokenizer"]),
        (&Value::Bool(false), &Value::Null)
    );
}

#[test]
fn an_unknown_rule_of_cutting_words_is_no_reason_to_say_nothing() {
    let desk = Desk::new();
    desk.gguf(
        "g.gguf",
        &[(b"\x05\0\0\0\0\0\0\0gpt-2", b"\x05\0\0\0\0\0\0\0novel")],
    );
    let said = desk.printed("info g.gguf");
    assert!(said.contains("family      llama"), "{said}");
    assert!(
        said.contains("cannot be run: ") && said.contains("novel"),
        "{said}"
    );
}

#[test]
fn a_model_of_the_hub_keeps_its_name_and_tells_its_commit() {
    let desk = Desk::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let repository = "cache/models--org--tiny";
    desk.folder("llama", &format!("{repository}/snapshots/{commit}"));
    fs::create_dir_all(desk.path(&format!("{repository}/refs"))).unwrap();
    fs::write(desk.path(&format!("{repository}/refs/main")), commit).unwrap();
    fs::write(desk.path("text.txt"), "to be or not to be ".repeat(20)).unwrap();

    let info = desk.json("info org/tiny");
    assert_eq!(
        (&info["model"]["name"], &info["model"]["revision"]),
        (&"org/tiny".into(), &commit.into())
    );
    let said = desk.printed("info org/tiny");
    assert!(
        said.starts_with("org/tiny\n") && said.contains(&format!("revision    {commit}")),
        "{said}"
    );
    let compared = desk.json("compare org/tiny org/tiny --text text.txt --context 32");
    for card in [&compared["reference"], &compared["candidates"][0]["model"]] {
        assert_eq!(
            (&card["name"], &card["revision"]),
            (&"org/tiny".into(), &commit.into())
        );
        assert_eq!(card["config_sha256"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn equal_weights_under_other_settings_are_another_model() {
    let desk = Desk::new();
    desk.folder("llama", "a");
    let config = desk.folder("llama", "b").join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    let changed = text.replace("\"rms_norm_eps\": 1", "\"rms_norm_eps\": 2");
    assert_ne!(changed, text);
    fs::write(&config, changed).unwrap();
    let (a, b) = (desk.json("info a"), desk.json("info b"));
    assert_eq!(a["model"]["sha256"], b["model"]["sha256"]);
    assert_ne!(a["model"]["config_sha256"], b["model"]["config_sha256"]);
}
