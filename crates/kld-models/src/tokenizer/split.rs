//! How byte-level tokenizers cut a text into words before they look for tokens, by the names that GGUF files use.
//!
//! A GGUF file names the rule (`tokenizer.ggml.pre`) instead of containing it. A rule is a list of patterns applied one after
//! the other; each cuts what it matches free of what is around it. A name that is not listed is an error: a
//! similar rule would give other tokens for some texts, silently.

use tokenizers::{
    PreTokenizerWrapper, SplitDelimiterBehavior,
    normalizers::{NFC, NormalizerWrapper},
    pre_tokenizers::{
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

/// A way of cutting, with what else its name implies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SplitRule {
    /// The values of `tokenizer.ggml.pre` that mean it.
    names: &'static [&'static str],
    patterns: &'static [&'static str],
    /// Whether the text is brought into Unicode's form NFC first, as the tokenizers of these models were trained.
    composes: bool,
    /// Whether a word that is a token is taken as it is, whatever the merges would make of it.
    pub(super) whole_words_first: bool,
    /// Whether a beginning-of-sequence token is added when the file does not say.
    pub(super) adds_bos: bool,
}

const PLAIN: SplitRule = SplitRule {
    names: &[],
    patterns: &[],
    composes: false,
    whole_words_first: false,
    adds_bos: false,
};

/// GPT-2's pattern, contractions in lower case only.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Numbers in threes.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Numbers digit by digit.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// As before, marks counted with letters.
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Words cut where lower case turns to upper case.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const DIGIT: &str = r"\p{N}";
const DIGITS: &str = r"\p{N}+";
const DIGITS_IN_THREES: &str = r"\p{N}{1,3}";
const ASCII_DIGITS_IN_THREES: &str = "[0-9][0-9][0-9]";
const PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const KANA: &str = "[一-龥぀-ゟ゠-ヿ]+";
const CJK: &str = "[一-龥ࠀ-一가-퟿]+";

/// Patterns that cut a text into words: they take no letter together with a newline, and a lone newline between letters by itself.
pub(super) const WORDS: [&str; 8] = [GPT2, LLAMA3, QWEN2, QWEN35, TEKKEN, GPT4O, DEEPSEEK3, BLOOM];
/// Patterns that look at digits, ideographs or punctuation alone.
pub(super) const LOCAL: [&str; 7] = [
    DIGIT,
    DIGITS,
    DIGITS_IN_THREES,
    ASCII_DIGITS_IN_THREES,
    KANA,
    CJK,
    PUNCTUATION,
];

/// All rules; the first one holds for files that name none, as in llama.cpp.
const RULES: &[SplitRule] = &[
    SplitRule {
        names: &["default"],
        patterns: &[PUNCTUATION, GPT2, DIGITS, ASCII_DIGITS_IN_THREES],
        ..PLAIN
    },
    SplitRule {
        names: &[
            "gpt-2",
            "phi-2",
            "mpt",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
            "gigachat",
            "a.x-4.0",
            "mellum",
        ],
        patterns: &[GPT2],
        ..PLAIN
    },
    SplitRule {
        names: &["olmo"],
        patterns: &[GPT2],
        composes: true,
        ..PLAIN
    },
    SplitRule {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "lfm2",
            "midm-2.0",
        ],
        patterns: &[LLAMA3],
        whole_words_first: true,
        adds_bos: true,
        ..PLAIN
    },
    SplitRule {
        names: &["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"],
        patterns: &[LLAMA3],
        ..PLAIN
    },
    SplitRule {
        names: &["qwen2", "deepseek-r1-qwen", "megrez", "kormo"],
        patterns: &[QWEN2],
        composes: true,
        ..PLAIN
    },
    SplitRule {
        names: &["stablelm2", "hunyuan", "solar-open", "grok-2"],
        patterns: &[QWEN2],
        ..PLAIN
    },
    SplitRule {
        names: &["qwen35"],
        patterns: &[QWEN35],
        composes: true,
        ..PLAIN
    },
    SplitRule {
        names: &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        patterns: &[DIGIT, GPT2],
        ..PLAIN
    },
    SplitRule {
        names: &["falcon"],
        patterns: &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, ASCII_DIGITS_IN_THREES],
        ..PLAIN
    },
    SplitRule {
        names: &["tekken"],
        patterns: &[TEKKEN],
        whole_words_first: true,
        adds_bos: true,
        ..PLAIN
    },
    SplitRule {
        names: &["gpt-4o", "llama4", "kanana2", "minimax-m2"],
        patterns: &[GPT4O],
        ..PLAIN
    },
    SplitRule {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm"],
        patterns: &[DIGITS_IN_THREES, KANA, DEEPSEEK3],
        ..PLAIN
    },
    SplitRule {
        names: &["deepseek-coder"],
        patterns: &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, DIGIT],
        ..PLAIN
    },
    SplitRule {
        names: &["bloom", "poro-chat", "gpt3-finnish"],
        patterns: &[BLOOM],
        ..PLAIN
    },
    SplitRule {
        names: &["viking"],
        patterns: &[BLOOM, DIGIT],
        ..PLAIN
    },
];

impl SplitRule {
    /// The rule that a file names, or the one for files that name none.
    pub(super) fn named(name: Option<&str>) -> Option<&'static Self> {
        let name = name.unwrap_or("default");
        RULES.iter().find(|rule| rule.names.contains(&name))
    }

    /// Every name that [`named`](Self::named) knows.
    pub(super) fn known() -> Vec<&'static str> {
        RULES.iter().flat_map(|rule| rule.names).copied().collect()
    }

    pub(super) fn normalizer(&self) -> Option<NormalizerWrapper> {
        self.composes.then_some(NormalizerWrapper::NFC(NFC))
    }

    /// The patterns in turn, then bytes for characters.
    pub(super) fn pre_tokenizer(&self) -> tokenizers::Result<PreTokenizerWrapper> {
        let cut = |pattern: &&str| {
            let pattern = SplitPattern::Regex((*pattern).to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                .map(PreTokenizerWrapper::Split)
        };
        let mut steps = self
            .patterns
            .iter()
            .map(cut)
            .collect::<tokenizers::Result<Vec<_>>>()?;
        steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(
            false, false, false,
        )));
        Ok(PreTokenizerWrapper::Sequence(Sequence::new(steps)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles_and_every_name_means_one_rule() {
        for rule in RULES {
            rule.pre_tokenizer()
                .unwrap_or_else(|error| panic!("{:?}: {error}", rule.names));
        }
        let mut names = SplitRule::known();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SplitRule::known().len());
    }

    #[test]
    fn a_name_that_is_not_listed_means_no_rule() {
        assert_eq!(SplitRule::named(Some("llama-bqe")), None);
        assert_eq!(SplitRule::named(None), SplitRule::named(Some("default")));
    }
}
