//! A tokenizer made for a text: byte-level byte-pair encoding (Sennrich, Haddow and Birch 2016), by the `tokenizers` library.

use tokenizers::{
    AddedToken, Tokenizer as Engine,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainerBuilder},
    },
    pre_tokenizers::byte_level::ByteLevel,
};

use super::{Parts, Tokenizer, TokenizerError, engine_error};
use crate::Result;

/// Stands between texts; token 0.
const END_OF_TEXT: &str = "<|endoftext|>";

/// The bytes, and [`END_OF_TEXT`].
const SMALLEST: usize = 257;

impl Tokenizer {
    /// A byte-level BPE tokenizer of at most `size` tokens, made for texts: `<|endoftext|>`, the 256 bytes, then pairs that occur at
    /// least twice, the most frequent first. Any text can be told in it. The same texts give the same tokenizer.
    ///
    /// # Errors
    ///
    /// If `size` is below 257, or the engine fails.
    pub fn trained<'a>(texts: impl Iterator<Item = &'a str> + Send, size: usize) -> Result<Self> {
        if size < SMALLEST {
            let what = format!(
                "{size} tokens are too few: expected at least {SMALLEST}, one per byte and {END_OF_TEXT}"
            );
            return Err(TokenizerError::broken(ORIGIN, what).into());
        }
        let trainer = BpeTrainerBuilder::new()
            .vocab_size(size)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let byte_level = ByteLevel::new(false, true, true);
        let mut engine = Engine::new(BPE::default());
        engine
            .with_pre_tokenizer(Some(byte_level))
            .with_decoder(Some(byte_level));
        // A novel as one sequence would take twenty times its size; no token spans two paragraphs.
        let paragraphs = texts.flat_map(|text| text.split_inclusive("\n\n"));
        engine
            .train(&mut TrainerWrapper::from(trainer), paragraphs)
            .map_err(|e| engine_error(ORIGIN, "making a tokenizer", &e.to_string()))?;
        Self::from_parts(Parts {
            engine,
            origin: ORIGIN.to_owned(),
            kind: "BPE".to_owned(),
            bos: Some(END_OF_TEXT.to_owned()),
            eos: Some(END_OF_TEXT.to_owned()),
            chat_template: None,
            padding_from: None,
        })
    }
}

const ORIGIN: &str = "the text";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::SpecialTokens;

    const TEXT: &str = "She had been forced into prudence in her youth,\n\nshe learned romance as she grew older. 你好\n\n";

    #[test]
    fn what_it_was_made_for_becomes_short_and_any_text_comes_back() {
        let many = TEXT.repeat(20);
        let tokenizer = Tokenizer::trained([many.as_str()].into_iter(), 300).unwrap();
        let encode = |text: &str| tokenizer.encode(text, SpecialTokens::None).unwrap();
        assert!(
            encode(TEXT).len() * 2 < TEXT.len(),
            "{}",
            encode(TEXT).len()
        );
        for text in [TEXT, "Ünknown → \u{1f642}\r\n\t", ""] {
            assert_eq!(tokenizer.decode(&encode(text)), text);
        }
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(0), Some(0)));
        assert!(encode(TEXT).iter().all(|&id| id < 300));
        // It can be written, read back, and made again.
        let (json, _) = tokenizer.to_portable().unwrap();
        let again = Tokenizer::trained([many.as_str()].into_iter(), 300).unwrap();
        assert_eq!(again.to_portable().unwrap().0, json);
    }

    #[test]
    fn fewer_tokens_than_bytes_are_refused() {
        let refused = Tokenizer::trained(["text"].into_iter(), 256).unwrap_err();
        assert!(refused.to_string().contains("at least 257"), "{refused}");
    }
}
