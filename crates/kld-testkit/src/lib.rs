//! Models made in code, whose logits a test chooses, and tiny ones on disk; for tests only.

mod tiny;

use std::{fmt, ops::Range, path::Path};

use kld_core::ModelCard;
use kld_models::{LogitSource, Result, Tokenizer, WindowLogits};

pub use tiny::{Expected, expected, largest_difference, tiny_model};

/// Gives a row of logits from the tokens up to and including a position.
type Rule = Box<dyn Fn(&[u32]) -> Vec<f32> + Send + Sync>;

/// A causal model whose logits follow a rule.
pub struct RuleModel {
    card: ModelCard,
    tokenizer: Tokenizer,
    rule: Rule,
}

impl RuleModel {
    /// A model of the given name with a tokenizer of single bytes (see [`byte_tokenizer`]) and `vocabulary` columns.
    ///
    /// # Panics
    ///
    /// If the tokenizer cannot be made.
    #[must_use]
    pub fn new(
        name: &str,
        vocabulary: usize,
        rule: impl Fn(&[u32]) -> Vec<f32> + Send + Sync + 'static,
    ) -> Self {
        let card = ModelCard {
            name: name.to_owned(),
            revision: None,
            sha256: name.to_owned(),
            config_sha256: name.to_owned(),
            format: "rule".to_owned(),
            family: "rule".to_owned(),
            weights: "none".to_owned(),
            compute: "a rule".to_owned(),
            parameters: 0,
            bytes: 0,
            vocabulary,
            context_length: 4096,
            recorded: None,
            quantized: None,
        };
        Self {
            card,
            tokenizer: byte_tokenizer(&[]),
            rule: Box::new(rule),
        }
    }

    /// Takes another tokenizer.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Tokenizer) -> Self {
        self.tokenizer = tokenizer;
        self
    }
}

impl fmt::Debug for RuleModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RuleModel")
            .field("card", &self.card)
            .finish_non_exhaustive()
    }
}

impl LogitSource for RuleModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn forward(&self, tokens: &[u32]) -> Result<Box<dyn WindowLogits + '_>> {
        let rows = (0..tokens.len())
            .map(|i| (self.rule)(&tokens[..=i]))
            .collect();
        Ok(Box::new(Rows(rows)))
    }
}

struct Rows(Vec<Vec<f32>>);

impl WindowLogits for Rows {
    fn positions(&self) -> usize {
        self.0.len()
    }

    fn rows(&self, positions: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        self.0[positions].iter().for_each(|row| out.extend(row));
        Ok(())
    }
}

/// Logits that look like a model's: pseudo-random in [−4, 4], decided by the last two tokens and `salt`.
#[must_use]
pub fn arbitrary_logits(tokens: &[u32], vocabulary: usize, salt: u64) -> Vec<f32> {
    let seed = tokens
        .iter()
        .rev()
        .take(2)
        .fold(salt, |seed, token| mix(seed ^ u64::from(*token)));
    (0..vocabulary as u64)
        .map(|i| (mix(seed ^ (i << 20)) >> 40) as f32 / (1 << 21) as f32 - 4.0)
        .collect()
}

/// The finaliser of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A byte-level tokenizer whose tokens 0…255 are the single bytes, in the order of GPT-2's alphabet, followed by `merges`
/// (pairs such as `("t", "h")`), read the way a model's folder is.
///
/// # Panics
///
/// If the temporary folder cannot be written or the tokenizer not be read.
#[must_use]
pub fn byte_tokenizer(merges: &[(&str, &str)]) -> Tokenizer {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_byte_tokenizer(folder.path(), merges);
    Tokenizer::from_folder(folder.path()).expect("a byte-level tokenizer")
}

/// The tokenizer of [`byte_tokenizer`] with one more token, `bos`, that it puts before every text.
///
/// # Panics
///
/// As [`byte_tokenizer`].
#[must_use]
pub fn byte_tokenizer_with_bos(bos: &str) -> Tokenizer {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_byte_tokenizer(folder.path(), &[]);
    let path = folder.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&path).expect("the tokenizer just written");
    let mut tokenizer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    tokenizer["added_tokens"] = serde_json::json!([{"id": 256, "content": bos, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true}]);
    tokenizer["post_processor"] = serde_json::json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {bos: {"id": bos, "ids": [256], "tokens": [bos]}}});
    std::fs::write(&path, tokenizer.to_string()).expect("a writable temporary folder");
    let settings = serde_json::json!({"bos_token": bos, "add_bos_token": true});
    std::fs::write(
        folder.path().join("tokenizer_config.json"),
        settings.to_string(),
    )
    .expect("a writable temporary folder");
    Tokenizer::from_folder(folder.path()).expect("a byte-level tokenizer")
}

fn write_byte_tokenizer(folder: &Path, merges: &[(&str, &str)]) {
    let alphabet = gpt2_alphabet().into_iter().map(String::from);
    let merged = merges.iter().map(|(a, b)| format!("{a}{b}"));
    let vocabulary: serde_json::Map<String, serde_json::Value> = alphabet
        .chain(merged)
        .enumerate()
        .map(|(id, token)| (token, id.into()))
        .collect();
    let merges: Vec<String> = merges.iter().map(|(a, b)| format!("{a} {b}")).collect();
    let byte_level = serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": merges},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string())
        .expect("a writable temporary folder");
}

/// The 256 characters by which byte-level vocabularies spell bytes: printable ones by themselves, the others from U+0100 on.
fn gpt2_alphabet() -> Vec<char> {
    let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255_u8).filter(|b| !printable(b)).count() as u32;
    (0..=255_u8)
        .filter(printable)
        .map(char::from)
        .chain((0..others).filter_map(|i| char::from_u32(256 + i)))
        .collect()
}
