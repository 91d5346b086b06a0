//! Broken and hostile tokenizers end in an error that names what is wrong, never in a panic or in other tokens.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path};

use kld_models::{
    Tokenizer,
    gguf::{Array, Metadata, Value},
    tokenizer::SpecialTokens::{AsTokenizerSays, None as Nothing},
};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

fn golden(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/tokenizers")
        .join(file);
    fs::read_to_string(path).unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn load(tokenizer_json: &str) -> kld_models::Result<Tokenizer> {
    Tokenizer::from_folder(folder(&[("tokenizer.json", tokenizer_json)]).path())
}

/// The message of loading a `tokenizer.json` with one thing changed.
fn refused(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut file: serde_json::Value = serde_json::from_str(&golden("gpt2/tokenizer.json")).unwrap();
    change(&mut file);
    load(&file.to_string()).unwrap_err().to_string()
}

fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

#[test]
fn merges_of_tokens_that_do_not_exist_are_refused() {
    let message = refused(|file| file["model"]["merges"][5] = json!(["Ġ", "nowhere"]));
    says(
        &message,
        &[
            "tokenizer.json",
            "merge 5",
            "`Ġ nowhere`",
            "`nowhere`, which is not in the vocabulary",
        ],
    );
    // Both halves exist, their union does not, and is longer than every token: the engine itself would run out of its buffer.
    let long = "x".repeat(200);
    let message = refused(|file| {
        file["model"]["vocab"][&long] = json!(100_000);
        file["model"]["merges"][0] = json!([long, long]);
    });
    says(&message, &["merge 0", "not in the vocabulary"]);
    let message = refused(|file| file["model"]["merges"] = json!(["a b c", "ab"]));
    says(&message, &["merge"]);
}

#[test]
fn continuing_pieces_without_their_prefix_are_refused() {
    let message = refused(|file| file["model"]["continuing_subword_prefix"] = json!("##########"));
    says(&message, &["merge 0", "does not start with `##########`"]);
}

#[test]
fn ids_that_collide_or_are_absurd_are_refused() {
    let message = refused(|file| file["model"]["vocab"]["!"] = json!(11));
    says(&message, &["both have id 11"]);
    let message = refused(|file| file["model"]["vocab"]["!"] = json!(4_000_000_000_u32));
    says(&message, &["`!` has id 4000000000"]);
    refused(|file| file["model"]["vocab"]["!"] = json!(-1));
    refused(|file| file["model"]["vocab"]["!"] = json!(1e30));
}

#[test]
fn random_merges_are_refused() {
    let message = refused(|file| file["model"]["dropout"] = json!(0.1));
    says(&message, &["dropout 0.1", "at random"]);
}

#[test]
fn parts_that_do_not_exist_are_refused() {
    refused(|file| file["pre_tokenizer"] = json!({"type": "Nonsense"}));
    refused(
        |file| file["pre_tokenizer"] = json!({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false}),
    );
    refused(|file| file["model"] = json!({"type": "BPE"}));
    refused(|file| file["model"]["type"] = json!("Oracle"));
    refused(|file| file["version"] = json!("9.9"));
    refused(|file| *file = json!([]));
    let template = json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {}});
    refused(|file| file["post_processor"] = template);
}

#[test]
fn a_template_without_the_text_is_refused() {
    let template = |single| json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let bos = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    let message = refused(|file| file["post_processor"] = template(json!([bos])));
    says(&message, &["does not contain the text exactly once"]);
    refused(|file| file["post_processor"] = template(json!([text, text])));
}

#[test]
fn scores_that_are_no_numbers_are_refused() {
    let model = |score: &str| {
        format!(
            r#"{{"model": {{"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", {score}]]}}}}"#
        )
    };
    assert!(load(&model("-1.5")).is_ok());
    assert!(load(&model("1e999")).is_err());
    assert!(load(&model("null")).is_err());
    assert!(
        load(r#"{"model": {"type": "Unigram", "unk_id": 7, "vocab": [["<unk>", 0.0]]}}"#).is_err()
    );
}

#[test]
fn wishes_for_truncation_and_padding_are_not_followed() {
    let mut file: serde_json::Value = serde_json::from_str(&golden("gpt2/tokenizer.json")).unwrap();
    file["truncation"] =
        json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    file["padding"] = json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
    let whole = load(&golden("gpt2/tokenizer.json")).unwrap();
    let wishing = load(&file.to_string()).unwrap();
    for text in [
        "",
        "Hello world",
        "a longer text, of more than three tokens",
    ] {
        assert_eq!(
            wishing.encode(text, AsTokenizerSays).unwrap(),
            whole.encode(text, AsTokenizerSays).unwrap()
        );
    }
}

#[test]
fn a_hostile_normalizer_gives_an_error_instead_of_a_panic() {
    // A character map whose every unit points far outside of it.
    let mut file: serde_json::Value = serde_json::from_str(&golden("gpt2/tokenizer.json")).unwrap();
    file["normalizer"] =
        json!({"type": "Precompiled", "precompiled_charsmap": "EAAAAAD9//8A/f//AP3//wD9//94AA=="});
    let tokenizer = load(&file.to_string()).unwrap();
    let message = tokenizer
        .encode("any text", Nothing)
        .unwrap_err()
        .to_string();
    says(&message, &["tokenizer.json", "encoding failed"]);
}

#[test]
fn a_character_map_that_announces_more_than_it_has_is_refused() {
    let map = json!({"type": "Precompiled", "precompiled_charsmap": "/////wD9//8A/f//"});
    says(
        &refused(|file| file["normalizer"] = map.clone()),
        &["16 characters announces more"],
    );
    let steps = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, map]});
    says(
        &refused(|file| file["normalizer"] = steps),
        &["announces more than it has"],
    );
}

#[test]
fn folders_without_a_tokenizer_say_what_was_looked_for() {
    let message = Tokenizer::from_folder(folder(&[]).path())
        .unwrap_err()
        .to_string();
    says(&message, &["tokenizer.json", "vocab.json with merges.txt"]);
    let message = Tokenizer::from_folder(folder(&[("tokenizer.model", "")]).path())
        .unwrap_err()
        .to_string();
    says(
        &message,
        &["SentencePiece tokenizer.model", "save_pretrained"],
    );
    let message = Tokenizer::from_folder(folder(&[("vocab.json", "{}")]).path())
        .unwrap_err()
        .to_string();
    says(&message, &["merges.txt"]);
    let message = Tokenizer::from_folder(folder(&[("tokenizer_config.json", "{")]).path())
        .unwrap_err()
        .to_string();
    says(&message, &["tokenizer_config.json", "EOF"]);
    let files = [
        ("vocab.json", "{}"),
        ("merges.txt", ""),
        (
            "tokenizer_config.json",
            r#"{"tokenizer_class": "MyTokenizerFast"}"#,
        ),
    ];
    let message = Tokenizer::from_folder(folder(&files).path())
        .unwrap_err()
        .to_string();
    says(
        &message,
        &[
            "tokenizer_class `MyTokenizer` is not known",
            "GPT2Tokenizer",
        ],
    );
    assert!(Tokenizer::from_folder("/no/such/folder").is_err());
}

#[test]
fn every_truncation_of_a_file_is_refused() {
    let whole = golden("sentencepiece/tokenizer.json");
    for end in (0..whole.trim_end().len())
        .step_by(97)
        .filter(|end| whole.is_char_boundary(*end))
    {
        assert!(load(&whole[..end]).is_err(), "{end} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a few changed bytes do, there is a tokenizer or an error.
    #[test]
    fn changed_bytes_do_no_harm(changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0x20_u8..0x7f), 1..6)) {
        let mut bytes = golden("sentencepiece/tokenizer.json").into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            if bytes[place].is_ascii() {
                bytes[place] = byte;
            }
        }
        if let Ok(tokenizer) = load(&String::from_utf8(bytes).unwrap()) {
            let _ = tokenizer.encode("some text \u{1F600}\n", AsTokenizerSays);
            let _ = tokenizer.describe();
        }
    }
}

fn metadata(kind: &str) -> Metadata {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden/tokenizers")
        .join(kind)
        .join("tokenizer.gguf");
    Metadata::read(&path).unwrap()
}

/// The message of loading GGUF metadata with one value changed.
fn refused_gguf(kind: &str, key: &str, value: Value) -> String {
    let mut metadata = metadata(kind);
    metadata.insert(format!("tokenizer.ggml.{key}"), value);
    Tokenizer::from_gguf(&metadata).unwrap_err().to_string()
}

fn strings(items: &[&str]) -> Value {
    Value::Array(Array::String(
        items.iter().map(|item| (*item).to_owned()).collect(),
    ))
}

#[test]
fn unknown_kinds_and_rules_are_named_with_the_known_ones() {
    let message = refused_gguf("gpt2", "pre", Value::String("llama-bqe".to_owned()));
    says(
        &message,
        &[
            "tokenizer.ggml.pre `llama-bqe` is not known",
            "llama-bpe",
            "qwen2",
            "smollm",
        ],
    );
    let message = refused_gguf("gpt2", "model", Value::String("rwkv".to_owned()));
    says(
        &message,
        &["tokenizer.ggml.model `rwkv` is not known", "gpt2, llama"],
    );
    refused_gguf("gpt2", "model", Value::U32(1));
}

#[test]
fn lists_of_different_lengths_are_refused() {
    let message = refused_gguf(
        "sentencepiece",
        "scores",
        Value::Array(Array::F32(vec![0.0; 3])),
    );
    says(
        &message,
        &["tokens, but tokenizer.ggml.scores has 3 entries"],
    );
    let message = refused_gguf("gpt2", "token_type", Value::Array(Array::I32(vec![1; 3])));
    says(
        &message,
        &["tokens, but tokenizer.ggml.token_type has 3 entries"],
    );
    refused_gguf("gpt2", "tokens", strings(&["a"]));
}

#[test]
fn missing_lists_are_named() {
    let mut empty = Metadata::new(Path::new("empty.gguf"));
    says(
        &Tokenizer::from_gguf(&empty).unwrap_err().to_string(),
        &["tokenizer.ggml.tokens"],
    );
    empty.insert("tokenizer.ggml.model", Value::String("gpt2".to_owned()));
    empty.insert("tokenizer.ggml.tokens", strings(&["a"]));
    says(
        &Tokenizer::from_gguf(&empty).unwrap_err().to_string(),
        &["no tokenizer.ggml.merges", "`gpt2`"],
    );
    empty.insert("tokenizer.ggml.model", Value::String("llama".to_owned()));
    says(
        &Tokenizer::from_gguf(&empty).unwrap_err().to_string(),
        &["no tokenizer.ggml.scores", "`llama`"],
    );
}

#[test]
fn merges_of_gguf_are_checked_too() {
    says(
        &refused_gguf("gpt2", "merges", strings(&["t h", "th nowhere"])),
        &["merge 1", "`nowhere`"],
    );
    says(
        &refused_gguf("gpt2", "merges", strings(&["nospace"])),
        &["merge 0, `nospace`, is not two tokens"],
    );
    says(
        &refused_gguf("gpt2", "merges", strings(&[""])),
        &["merge 0"],
    );
}

#[test]
fn duplicate_tokens_and_scores_that_are_not_finite_are_refused() {
    let mut tokens = metadata("sentencepiece")
        .strings("tokenizer.ggml.tokens")
        .unwrap()
        .unwrap()
        .to_vec();
    let mut scores = metadata("sentencepiece")
        .numbers("tokenizer.ggml.scores")
        .unwrap()
        .unwrap();
    scores[300] = f64::NAN;
    says(
        &refused_gguf("sentencepiece", "scores", Value::Array(Array::F64(scores))),
        &["score of token 300 is NaN"],
    );
    tokens[300] = "x".repeat(5000);
    says(
        &refused_gguf(
            "sentencepiece",
            "tokens",
            Value::Array(Array::String(tokens.clone())),
        ),
        &["5000 bytes"],
    );
    tokens[300] = "<s>".to_owned();
    says(
        &refused_gguf(
            "sentencepiece",
            "tokens",
            Value::Array(Array::String(tokens)),
        ),
        &["`<s>` has two ids, 1 and 300"],
    );
}

#[test]
fn special_ids_that_do_not_exist_mean_none() {
    let mut metadata = metadata("llama3");
    for role in ["bos", "eos", "unknown"] {
        metadata.insert(
            format!("tokenizer.ggml.{role}_token_id"),
            Value::U32(u32::MAX),
        );
    }
    let tokenizer = Tokenizer::from_gguf(&metadata).unwrap();
    assert_eq!(
        (tokenizer.bos(), tokenizer.eos(), tokenizer.adds_bos()),
        (None, None, false)
    );
    metadata.insert(
        "tokenizer.ggml.bos_token_id",
        Value::String("<s>".to_owned()),
    );
    assert!(Tokenizer::from_gguf(&metadata).is_err());
}
