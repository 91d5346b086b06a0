//! Every kind of tokenizer, read from a folder and from GGUF, against Transformers, SentencePiece and llama.cpp.
//!
//! `golden/tokenizers/generate.py` makes the tokenizers and the answers.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use kld_models::{
    Tokenizer,
    gguf::Metadata,
    tokenizer::SpecialTokens::{AsTokenizerSays, None as Nothing},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    plain: Vec<Vec<u32>>,
    marked: Vec<Vec<u32>>,
    added: Vec<Vec<u32>>,
    decoded: Vec<String>,
}

const KINDS: [&str; 9] = [
    "gpt2",
    "llama3",
    "qwen2",
    "smollm",
    "tekken",
    "gpt4o",
    "deepseek3",
    "sentencepiece",
    "sentencepiece-no-prefix",
];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tokenizers")
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> T {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn texts() -> Vec<String> {
    json(&golden().join("texts.json"))
}

fn from_folder(kind: &str) -> Tokenizer {
    Tokenizer::from_folder(golden().join(kind)).unwrap()
}

fn from_gguf(kind: &str) -> Tokenizer {
    let metadata = Metadata::read(&golden().join(kind).join("tokenizer.gguf")).unwrap();
    Tokenizer::from_gguf(&metadata).unwrap()
}

fn agrees(tokenizer: &Tokenizer, expected: &Expected, who: &str) {
    let texts = texts();
    assert_eq!(
        texts.len(),
        expected.plain.len(),
        "{who}: the goldens belong together"
    );
    for (index, text) in texts.iter().enumerate() {
        let case = format!("{who}, text {index}, {text:?}");
        assert_eq!(
            tokenizer.encode(text, Nothing).unwrap(),
            expected.plain[index],
            "plain: {case}"
        );
        let marked = tokenizer.encode_marked_up(text, Nothing).unwrap();
        assert_eq!(marked, expected.marked[index], "marked up: {case}");
        let added = tokenizer.encode_marked_up(text, AsTokenizerSays).unwrap();
        assert_eq!(added, expected.added[index], "with added tokens: {case}");
        assert_eq!(
            tokenizer.decode(&marked),
            expected.decoded[index],
            "decoded: {case}"
        );
    }
}

#[test]
fn folders_give_the_tokens_of_transformers() {
    for kind in KINDS {
        agrees(
            &from_folder(kind),
            &json(&golden().join(kind).join("expected.json")),
            kind,
        );
    }
}

#[test]
fn gguf_files_give_the_same_tokens_as_folders() {
    for kind in KINDS {
        let gguf = from_gguf(kind);
        agrees(
            &gguf,
            &json(&golden().join(kind).join("expected.json")),
            &format!("{kind} from GGUF"),
        );
        let folder = from_folder(kind);
        assert_eq!(folder.first_difference(&gguf), None, "{kind}");
        assert_eq!(
            (folder.bos(), folder.eos(), folder.adds_bos()),
            (gguf.bos(), gguf.eos(), gguf.adds_bos()),
            "{kind}"
        );
        assert_eq!(
            folder.describe().special_tokens,
            gguf.describe().special_tokens,
            "{kind}"
        );
    }
}

#[test]
fn the_bytes_of_tokens_are_the_bytes_of_the_text() {
    for kind in KINDS {
        // These change the text: one composes it, the other puts a space in front.
        let (composes, prefixes) = (kind == "qwen2", kind == "sentencepiece");
        let tokenizer = from_folder(kind);
        for text in texts().iter().filter(|text| !composes || text.is_ascii()) {
            let ids = tokenizer.encode(text, Nothing).unwrap();
            let bytes: Vec<u8> = ids
                .iter()
                .flat_map(|id| tokenizer.token_bytes(*id))
                .collect();
            let space = if prefixes && !text.is_empty() {
                " "
            } else {
                ""
            };
            // SentencePiece cannot tell a `▁` of the text from a space.
            let text = if kind.starts_with("sentencepiece") {
                text.replace('▁', " ")
            } else {
                text.clone()
            };
            assert_eq!(
                String::from_utf8_lossy(&bytes),
                format!("{space}{text}"),
                "{kind}"
            );
        }
    }
}

#[test]
fn a_folder_with_only_vocabulary_and_merges_is_read_as_gpt_2() {
    #[derive(Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(Deserialize)]
    struct Model {
        vocab: serde_json::Value,
        merges: Vec<(String, String)>,
    }
    let File { model } = json(&golden().join("gpt2/tokenizer.json"));
    let folder = tempfile::tempdir().unwrap();
    let merges: Vec<String> = model
        .merges
        .iter()
        .map(|(left, right)| format!("{left} {right}"))
        .collect();
    fs::write(folder.path().join("vocab.json"), model.vocab.to_string()).unwrap();
    fs::write(
        folder.path().join("merges.txt"),
        format!("#version: 0.2\n{}\n", merges.join("\n")),
    )
    .unwrap();
    let config = r#"{"bos_token": "<|endoftext|>", "eos_token": {"content": "<|endoftext|>"}, "tokenizer_class": "GPT2Tokenizer"}"#;
    fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let whole = from_folder("gpt2");
    // All but the words that only `tokenizer.json` names as tokens of their own.
    for text in texts()
        .iter()
        .filter(|text| !text.contains("print") && !text.contains("<s>") && !text.contains("<|im"))
    {
        assert_eq!(
            tokenizer.encode(text, Nothing).unwrap(),
            whole.encode(text, Nothing).unwrap(),
            "{text:?}"
        );
        let marked = tokenizer.encode_marked_up(text, Nothing).unwrap();
        assert_eq!(
            marked,
            whole.encode_marked_up(text, Nothing).unwrap(),
            "{text:?}"
        );
    }
    assert_eq!(tokenizer.eos(), whole.eos());
    assert!(!tokenizer.adds_bos());
}

#[test]
fn special_names_in_text_are_text_unless_asked() {
    let tokenizer = from_folder("gpt2");
    let end = tokenizer.eos().unwrap();
    let text = "<|endoftext|>";
    assert!(!tokenizer.encode(text, Nothing).unwrap().contains(&end));
    assert_eq!(tokenizer.encode_marked_up(text, Nothing).unwrap(), [end]);
    assert!(tokenizer.is_special(end));
    assert_eq!(tokenizer.token_bytes(end), b"");
    assert_eq!(tokenizer.token_text(end), text);
}

#[test]
fn added_tokens_come_only_when_asked() {
    let tokenizer = from_gguf("llama3");
    let bos = tokenizer.bos().unwrap();
    assert!(tokenizer.adds_bos());
    assert_eq!(tokenizer.encode("", AsTokenizerSays).unwrap(), [bos]);
    assert!(tokenizer.encode("", Nothing).unwrap().is_empty());
    let without = from_gguf("gpt2");
    assert!(!without.adds_bos());
    assert!(without.encode("", AsTokenizerSays).unwrap().is_empty());
}

#[test]
fn padding_of_the_head_is_no_token() {
    let metadata = Metadata::read(&golden().join("qwen2/tokenizer.gguf")).unwrap();
    let columns = metadata
        .strings("tokenizer.ggml.tokens")
        .unwrap()
        .unwrap()
        .len();
    let tokenizer = Tokenizer::from_gguf(&metadata).unwrap();
    assert_eq!(columns - tokenizer.len(), 7);
    assert_eq!(tokenizer.len(), from_folder("qwen2").len());
    assert_eq!(
        tokenizer.token(u32::try_from(tokenizer.len()).unwrap()),
        None
    );
}

#[test]
fn vocabularies_that_differ_say_where() {
    let difference = from_folder("gpt2")
        .first_difference(&from_folder("sentencepiece"))
        .unwrap();
    assert_eq!(difference.id, 0);
    assert_eq!(difference.reference.as_deref(), Some("<|endoftext|>"));
    assert_eq!(difference.candidate.as_deref(), Some("<unk>"));
    let text = difference.to_string();
    assert!(
        text.starts_with("id 0 is `<|endoftext|>` in the reference (4"),
        "{text}"
    );
}

#[test]
fn several_threads_encode_as_one_does() {
    let tokenizer = from_folder("llama3");
    let text = texts().join("\n").repeat(20);
    let alone = tokenizer.encode(&text, AsTokenizerSays).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| tokenizer.encode(&text, AsTokenizerSays).unwrap()))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

/// Names a GGUF file of SmolLM2-135M-Instruct.
const REAL: &str = "KLD_SMOLLM2";

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn the_real_smollm2_gives_the_tokens_of_llama_cpp() {
    let Some(path) = std::env::var_os(REAL) else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{REAL} must name a GGUF file of SmolLM2-135M-Instruct"
        );
        println!("skipped: {REAL} names no GGUF file of SmolLM2-135M-Instruct");
        return;
    };
    let tokenizer = Tokenizer::from_gguf(&Metadata::read(Path::new(&path)).unwrap()).unwrap();
    agrees(&tokenizer, &json(&golden().join("smollm2.json")), "SmolLM2");
    let description = tokenizer.describe();
    assert_eq!(description.tokens, 49_152);
    assert_eq!(description.kind, "BPE, byte-level");
    assert_eq!(description.origin, "GGUF, gpt2, smollm");
    assert_eq!(description.eos.as_deref(), Some("<|im_end|>"));
    assert!(!description.adds_bos);
    assert!(description.has_chat_template);
}

#[test]
fn pieces_join_to_the_text_of_all() {
    for kind in KINDS {
        let tokenizer = from_folder(kind);
        for text in texts() {
            let ids = tokenizer.encode(&text, Nothing).unwrap();
            let pieces = tokenizer.pieces(&ids);
            assert_eq!(pieces.len(), ids.len(), "{kind}");
            // Decoders of SentencePiece take away the spaces that its encoder puts first.
            let without = |text: String| text.trim_start_matches(' ').to_owned();
            let (joined, decoded) = (without(pieces.concat()), without(tokenizer.decode(&ids)));
            assert_eq!(joined, decoded, "{kind}: {text:?}");
        }
    }
}
