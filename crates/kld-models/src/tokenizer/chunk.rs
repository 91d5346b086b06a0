//! Cutting a long text where it makes no difference to its tokens.
//!
//! The engine keeps some 100 bytes for each byte of a text at once. A long text is therefore encoded in chunks, on all threads, but only
//! where the tokens are certain to be those of the whole text; a tokenizer for which that is not certain gets it whole.
//!
//! *After a newline*, for tokenizers that cut text by a pattern we know. Every pattern in [`WORDS`] lets no match run from an
//! ASCII letter into a newline, takes a lone newline between two letters by itself, and looks at nothing before a match. So
//! the text `…x⏎Y…` has matches that end after `x` and after `⏎`, and from `Y` on they are those of a text that begins there.
//!
//! *At a space*, for SentencePiece's BPE, which joins neighbours wherever they are. If no token has `▁` behind another character,
//! nothing is ever joined across the left edge of a `▁`, so the two sides of `…x▁Y…` do not know of each other.
//!
//! In both cases no added token may be found across the cut; see [`Cuts::of`].

use tokenizers::{
    ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior,
    Tokenizer as Engine, pre_tokenizers::split::SplitPattern,
};

use super::{
    gguf::spaces_to_marks,
    split::{LOCAL, WORDS},
};

/// Where a tokenizer's texts may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cuts {
    /// After a newline between two ASCII letters.
    AfterNewline,
    /// At a space between two ASCII letters, which stays with what follows it.
    BeforeSpace,
    /// The same, but the space goes: the engine puts one in front of every text.
    AtSpace,
    /// Nowhere for certain.
    Nowhere,
}

impl Cuts {
    /// What is certain of an engine.
    pub(super) fn of(engine: &Engine) -> Self {
        let added = engine.get_added_tokens_decoder();
        let letter = |character: Option<char>| {
            character.is_some_and(|character| character.is_ascii_alphabetic())
        };
        if added
            .values()
            .any(|token| token.lstrip || token.rstrip || token.single_word)
        {
            return Self::Nowhere;
        }
        let mut names = added.values().map(|token| token.content.as_str());
        match engine.get_pre_tokenizer() {
            Some(pre)
                if cuts_words(pre) == Some(true) && composes_at_most(engine.get_normalizer()) =>
            {
                let mixed =
                    |name: &str| name.contains('\n') && name.contains(|c: char| !c.is_whitespace());
                if names.any(mixed) {
                    Self::Nowhere
                } else {
                    Self::AfterNewline
                }
            }
            None if marks_begin_tokens(engine) => {
                let touches = |name: &str| {
                    name.contains(' ') || letter(name.chars().next()) || letter(name.chars().last())
                };
                if names.any(touches) {
                    Self::Nowhere
                } else {
                    Self::at_spaces(engine)
                }
            }
            _ => Self::Nowhere,
        }
    }

    fn at_spaces(engine: &Engine) -> Self {
        let normalizer = engine
            .get_normalizer()
            .map(serde_json::to_value)
            .and_then(Result::ok);
        let is = |prefix| {
            normalizer.is_some()
                && normalizer
                    == spaces_to_marks(prefix)
                        .ok()
                        .map(serde_json::to_value)
                        .and_then(Result::ok)
        };
        match (is(false), is(true)) {
            (true, _) => Self::BeforeSpace,
            (_, true) => Self::AtSpace,
            _ => Self::Nowhere,
        }
    }

    /// The text in pieces of at least `size` bytes, save the last, that have its tokens one after the other.
    pub(super) fn chunks(self, text: &str, size: usize) -> Vec<&str> {
        let separator = match self {
            Self::AfterNewline => b'\n',
            Self::BeforeSpace | Self::AtSpace => b' ',
            Self::Nowhere => return vec![text],
        };
        let bytes = text.as_bytes();
        let is_cut = |at: usize| {
            bytes[at] == separator
                && bytes[at - 1].is_ascii_alphabetic()
                && bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic)
        };
        let mut chunks = Vec::with_capacity(text.len() / size.max(1) + 1);
        let mut start = 0;
        while let Some(at) = (start + size.max(1)..bytes.len()).find(|at| is_cut(*at)) {
            let (end, next) = match self {
                Self::AfterNewline => (at + 1, at + 1),
                Self::BeforeSpace => (at, at),
                _ => (at, at + 1),
            };
            chunks.push(&text[start..end]);
            start = next;
        }
        chunks.push(&text[start..]);
        chunks
    }
}

/// Whether words are cut by a pattern we know; `None` if there is a step we do not know.
fn cuts_words(pre: &PreTokenizerWrapper) -> Option<bool> {
    match pre {
        PreTokenizerWrapper::ByteLevel(step) if !step.add_prefix_space => Some(step.use_regex),
        PreTokenizerWrapper::Digits(_) => Some(false),
        PreTokenizerWrapper::Split(step)
            if !step.invert && step.behavior == SplitDelimiterBehavior::Isolated =>
        {
            let SplitPattern::Regex(pattern) = &step.pattern else {
                return None;
            };
            let words = WORDS.contains(&pattern.as_str());
            (words || LOCAL.contains(&pattern.as_str())).then_some(words)
        }
        PreTokenizerWrapper::Sequence(steps) => {
            let known: Option<Vec<bool>> = steps.as_ref().iter().map(cuts_words).collect();
            known.map(|steps| steps.contains(&true))
        }
        _ => None,
    }
}

/// Unicode's composition does not reach over a newline or a letter of ASCII.
fn composes_at_most(normalizer: Option<&NormalizerWrapper>) -> bool {
    matches!(normalizer, None | Some(NormalizerWrapper::NFC(_)))
}

/// Whether the model is a BPE in which `▁` follows nothing but `▁`.
fn marks_begin_tokens(engine: &Engine) -> bool {
    let inside = |token: &str| token.trim_start_matches('▁').contains('▁');
    match engine.get_model() {
        ModelWrapper::BPE(model) => !model.get_vocab().keys().any(|token| inside(token)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::{Tokenizer, tokenizer::SpecialTokens};

    fn tokenizer(kind: &str) -> Tokenizer {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tokenizers");
        Tokenizer::from_folder(golden.join(kind)).unwrap()
    }

    /// Texts of what is awkward at a cut, with many places to cut.
    fn awkward() -> impl Strategy<Value = String> {
        let bits = [
            "a",
            "B",
            "word",
            "the",
            "print",
            "\n",
            "\n",
            "x\ny",
            "x y",
            " ",
            "  ",
            "\r\n",
            "\t",
            ".",
            "'s",
            "'LL",
            "12",
            "345",
            "é",
            "e\u{301}",
            "中",
            "▁",
            "<s>",
            "<|endoftext|>",
            "<0x0A>",
            "\u{a0}",
            "😀",
            "/",
            "-",
        ];
        proptest::collection::vec(proptest::sample::select(bits.to_vec()), 0..60)
            .prop_map(|bits| bits.concat())
    }

    fn fixed() -> ProptestConfig {
        let rng_seed = proptest::test_runner::RngSeed::Fixed(7);
        ProptestConfig {
            rng_seed,
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    }

    fn same_in_chunks(kind: &str, cuts: Cuts) {
        let tokenizer = tokenizer(kind);
        assert_eq!(tokenizer.cuts, cuts, "{kind}");
        tokenizer.encode_marked_up("", SpecialTokens::None).unwrap();
        let engines = [&tokenizer.engine, tokenizer.marked_up.get().unwrap()];
        let mut runner = proptest::test_runner::TestRunner::new(fixed());
        let same = |text: String| {
            for engine in engines {
                let whole = tokenizer.encode_chunk(engine, &text).unwrap();
                for size in [1, 7, 40] {
                    let chunked = tokenizer
                        .encode_in_chunks(engine, &text, SpecialTokens::None, size)
                        .unwrap();
                    prop_assert_eq!(
                        &chunked,
                        &whole,
                        "{} in chunks of {}: {:?}",
                        kind,
                        size,
                        &text
                    );
                }
            }
            Ok(())
        };
        runner.run(&awkward(), same).unwrap();
    }

    #[test]
    fn chunks_after_newlines_have_the_tokens_of_the_whole() {
        for kind in [
            "gpt2",
            "llama3",
            "qwen2",
            "smollm",
            "tekken",
            "gpt4o",
            "deepseek3",
        ] {
            same_in_chunks(kind, Cuts::AfterNewline);
        }
    }

    #[test]
    fn chunks_at_spaces_have_the_tokens_of_the_whole() {
        same_in_chunks("sentencepiece", Cuts::AtSpace);
        same_in_chunks("sentencepiece-no-prefix", Cuts::BeforeSpace);
    }

    #[test]
    fn chunks_are_as_long_as_asked_and_lose_nothing_but_the_space_that_comes_back() {
        assert_eq!(
            Cuts::AfterNewline.chunks("ab\ncd\nef\n\ngh", 1),
            ["ab\n", "cd\n", "ef\n\ngh"]
        );
        assert_eq!(
            Cuts::AfterNewline.chunks("ab\ncd\nef", 4),
            ["ab\ncd\n", "ef"]
        );
        assert_eq!(
            Cuts::AtSpace.chunks("ab cd. ef  gh i", 1),
            ["ab", "cd. ef  gh", "i"]
        );
        assert_eq!(Cuts::BeforeSpace.chunks("ab cd", 1), ["ab", " cd"]);
        assert_eq!(Cuts::Nowhere.chunks("ab cd\nef", 1), ["ab cd\nef"]);
        assert_eq!(Cuts::AfterNewline.chunks("", 1), [""]);
    }

    #[test]
    fn unknown_patterns_and_tokens_that_reach_over_a_cut_are_left_whole() {
        let mut engine = tokenizer("llama3").engine;
        engine
            .add_tokens([tokenizers::AddedToken::from("a\nb", false)])
            .unwrap();
        assert_eq!(Cuts::of(&engine), Cuts::Nowhere);
        let mut engine = tokenizer("llama3").engine;
        let pattern = SplitPattern::Regex(r"\S+\s".to_owned());
        let split = tokenizers::pre_tokenizers::split::Split::new(
            pattern,
            SplitDelimiterBehavior::Isolated,
            false,
        );
        engine.with_pre_tokenizer(Some(split.unwrap()));
        assert_eq!(Cuts::of(&engine), Cuts::Nowhere);
    }
}
