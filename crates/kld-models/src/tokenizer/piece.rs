//! How a token, as the vocabulary stores it, spells bytes of text.
//!
//! Byte-level vocabularies write every byte as one printable character (`Ġ` is a space), SentencePiece
//! ones write `▁` for a space and `<0x0A>` for a byte that no piece covers. Both are undone here, token by token,
//! so that a token that is half a character still has its bytes.

use std::fmt::Write as _;

use tokenizers::{DecoderWrapper, PreTokenizerWrapper, Tokenizer};

/// The way a vocabulary spells bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceStyle {
    /// Every byte is one character of the byte-level alphabet.
    ByteLevel,
    /// `▁` is a space, `<0xNN>` a byte.
    SentencePiece,
    /// `##` in front continues a word, everything else starts one after a space.
    WordPiece,
    /// The text itself.
    Plain,
}

impl PieceStyle {
    /// Reads the style off the engine's decoder, or its pre-tokenizer where there is no decoder.
    pub(super) fn of(engine: &Tokenizer) -> Self {
        match (engine.get_decoder(), engine.get_pre_tokenizer()) {
            (Some(decoder), _) => Self::of_decoder(decoder),
            (None, Some(pre)) if splits_into_bytes(pre) => Self::ByteLevel,
            _ => Self::Plain,
        }
    }

    fn of_decoder(decoder: &DecoderWrapper) -> Self {
        match decoder {
            DecoderWrapper::ByteLevel(_) => Self::ByteLevel,
            DecoderWrapper::WordPiece(_) => Self::WordPiece,
            DecoderWrapper::Metaspace(_) | DecoderWrapper::ByteFallback(_) => Self::SentencePiece,
            DecoderWrapper::Sequence(steps) => {
                let styles = steps.get_decoders().iter().map(Self::of_decoder);
                styles
                    .into_iter()
                    .find(|style| *style != Self::Plain)
                    .unwrap_or(Self::Plain)
            }
            _ => Self::Plain,
        }
    }

    /// The bytes of text that `piece` stands for.
    pub(super) fn bytes(self, piece: &str) -> Vec<u8> {
        match self {
            Self::ByteLevel => byte_level_bytes(piece).unwrap_or_else(|| piece.as_bytes().to_vec()),
            Self::SentencePiece => match fallback_byte(piece) {
                Some(byte) => vec![byte],
                None => piece.replace('▁', " ").into_bytes(),
            },
            Self::WordPiece => match piece.strip_prefix("##") {
                Some(rest) => rest.as_bytes().to_vec(),
                None => format!(" {piece}").into_bytes(),
            },
            Self::Plain => piece.as_bytes().to_vec(),
        }
    }

    /// The name of the style for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ByteLevel => "byte-level",
            Self::SentencePiece => "SentencePiece",
            Self::WordPiece => "WordPiece",
            Self::Plain => "plain",
        }
    }
}

/// The characters of the byte-level alphabet, in the order of the bytes they stand for.
pub(super) fn byte_level_alphabet() -> impl Iterator<Item = char> {
    let mut moved = 0;
    (0..=255_u8).map(move |byte| {
        if is_printed_as_itself(byte) {
            char::from(byte)
        } else {
            moved += 1;
            char::from_u32(255 + moved).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    })
}

/// Bytes as people read them: text where it is text, escapes where it is not, `␣` for a space at either end.
pub(super) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    show_outer_spaces(&text)
}

fn show_outer_spaces(text: &str) -> String {
    let inner = text.trim_matches(' ');
    if inner.is_empty() {
        return "␣".repeat(text.len());
    }
    let front = text.len() - text.trim_start_matches(' ').len();
    let back = text.len() - front - inner.len();
    format!("{}{inner}{}", "␣".repeat(front), "␣".repeat(back))
}

fn byte_level_bytes(piece: &str) -> Option<Vec<u8>> {
    piece.chars().map(byte_level_byte).collect()
}

/// The inverse of [`byte_level_alphabet`]: the moved bytes are 0-32, 127-160 and 173, in this order from U+0100.
fn byte_level_byte(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ 0..=255 => u8::try_from(code)
            .ok()
            .filter(|byte| is_printed_as_itself(*byte)),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 127).ok(),
        0x143 => Some(173),
        _ => None,
    }
}

fn is_printed_as_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

fn fallback_byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

fn splits_into_bytes(pre: &PreTokenizerWrapper) -> bool {
    match pre {
        PreTokenizerWrapper::ByteLevel(_) => true,
        PreTokenizerWrapper::Sequence(steps) => steps.as_ref().iter().any(splits_into_bytes),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character_and_comes_back_from_it() {
        let alphabet: Vec<char> = byte_level_alphabet().collect();
        for (byte, character) in (0..=255_u8).zip(&alphabet) {
            assert_eq!(byte_level_byte(*character), Some(byte), "{character:?}");
        }
        assert_eq!(alphabet[usize::from(b' ')], 'Ġ');
        assert_eq!(alphabet[usize::from(b'\n')], 'Ċ');
    }

    #[test]
    fn each_style_gives_the_bytes_of_its_pieces() {
        assert_eq!(PieceStyle::ByteLevel.bytes("Ġthe"), b" the");
        assert_eq!(PieceStyle::ByteLevel.bytes("ðŁ"), [0xF0, 0x9F]);
        assert_eq!(PieceStyle::SentencePiece.bytes("▁the"), b" the");
        assert_eq!(PieceStyle::SentencePiece.bytes("<0xE2>"), [0xE2]);
        assert_eq!(PieceStyle::SentencePiece.bytes("<0xE2"), b"<0xE2");
        assert_eq!(PieceStyle::WordPiece.bytes("##ing"), b"ing");
    }

    #[test]
    fn unreadable_bytes_are_escaped_and_outer_spaces_shown() {
        assert_eq!(readable(b" the"), "␣the");
        assert_eq!(readable(b"  "), "␣␣");
        assert_eq!(readable(b"a b "), "a b␣");
        assert_eq!(readable(b"\n"), "\\n");
        assert_eq!(readable(&[0xF0, 0x9F]), "\\xF0\\x9F");
    }
}
