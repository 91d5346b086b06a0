//! Who a model is: the hash of its files and what they are made of.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use kld_core::ModelCard;
use sha2::{Digest, Sha256};

use super::files::Opened;
use super::store::Store;
use crate::gguf::BlockType;
use crate::{Error, Result};

/// The card of an opened model.
pub(crate) fn card(path: &Path, opened: &Opened, compute: &str) -> Result<ModelCard> {
    let config = &opened.plan.config;
    let sha256 = hash(&opened.store);
    Ok(ModelCard {
        name: path.display().to_string(),
        revision: None,
        config_sha256: config_hash(path, &sha256)?,
        sha256,
        format: opened.format.to_owned(),
        family: config.family.clone(),
        weights: shares(&opened.store),
        compute: compute.to_owned(),
        parameters: opened.plan.parameters(),
        bytes: opened
            .store
            .files()
            .map(|(_, bytes)| bytes.len() as u64)
            .sum(),
        vocabulary: config.vocabulary,
        context_length: config.context_length,
        recorded: None,
        quantized: None,
    })
}

/// The files of a folder, beside its weights, that decide which tokens a text is and which logits they get.
const CONFIG_FILES: [&str; 7] = [
    "chat_template.jinja",
    "config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];

/// SHA-256 over name, length and bytes of each of [`CONFIG_FILES`] that a folder has; a GGUF file's own hash, which covers all.
pub(crate) fn config_hash(path: &Path, file_hash: &str) -> Result<String> {
    if !path.is_dir() {
        return Ok(file_hash.to_owned());
    }
    let mut hasher = Sha256::new();
    for name in CONFIG_FILES {
        let path = path.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io(&path, error)),
        };
        hasher.update(name);
        hasher.update([0]);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    Ok(hex(&hasher.finalize()))
}

/// SHA-256 of the weight file; of several, SHA-256 over their binary hashes in file-name order. Lower-case hex.
pub(crate) fn hash(store: &Store) -> String {
    let mut hashes: Vec<_> = store
        .files()
        .map(|(_, bytes)| digest(store, bytes))
        .collect();
    let whole = match hashes.len() {
        1 => hashes.swap_remove(0),
        _ => Sha256::digest(hashes.concat()).to_vec(),
    };
    hex(&whole)
}

/// SHA-256 of the bytes of a file, lower-case hex.
pub(crate) fn hash_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 for a model with other tensors in the place of some of its own: over the hash of the model, and name, type, length
/// and bytes of each of the others in the order of their names. The model's own hash where there are none.
pub(crate) fn hash_with<'a>(
    model: &str,
    others: impl Iterator<Item = (&'a str, BlockType, &'a [u8])>,
) -> String {
    let mut others = others.peekable();
    if others.peek().is_none() {
        return model.to_owned();
    }
    let mut hasher = Sha256::new();
    hasher.update(model);
    for (name, dtype, bytes) in others {
        for text in [name, dtype.name()] {
            hasher.update(text);
            hasher.update([0]);
        }
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Hashes a piece at a time and lets the pages go, so that a large file does not fill the memory.
fn digest(store: &Store, bytes: &[u8]) -> Vec<u8> {
    const PIECE: usize = 1 << 25;
    let mut hasher = Sha256::new();
    for piece in bytes.chunks(PIECE) {
        hasher.update(piece);
        store.release();
    }
    hasher.finalize().to_vec()
}

/// The stored types with their share of the values, e.g. `Q4_1 (98 %) + F32 (2 %)`; a single type stands alone.
pub(crate) fn shares(store: &Store) -> String {
    let mut values: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, stored) in store.iter() {
        *values.entry(stored.dtype.name()).or_default() += stored.values() as u64;
    }
    let total: u64 = values.values().sum();
    let mut sorted: Vec<_> = values.into_iter().collect();
    sorted.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    if let [(name, _)] = sorted[..] {
        return name.to_owned();
    }
    let parts: Vec<String> = sorted
        .iter()
        .map(|(name, count)| format!("{name} ({})", percent(*count as f64 / total as f64)))
        .collect();
    parts.join(" + ")
}

/// A share in per cent, with as many digits as it takes not to read 0 or 100.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        p if p < 0.1 => "< 0.1 %".to_owned(),
        p if !(1.0..=99.0).contains(&p) => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_tokenizer_are_part_of_an_identity() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let hash = || config_hash(folder.path(), "").unwrap();
        write("config.json", r#"{"rms_norm_eps": 1e-5}"#);
        let plain = hash();
        write("README.md", "not one of them");
        assert_eq!(hash(), plain);
        write("config.json", r#"{"rms_norm_eps": 1e-6}"#);
        let other_epsilon = hash();
        write("tokenizer.json", "{}");
        let hashes = [plain, other_epsilon, hash()];
        assert!(
            hashes[0] != hashes[1] && hashes[1] != hashes[2],
            "{hashes:?}"
        );
        assert_eq!(
            config_hash(&folder.path().join("m.gguf"), "abc").unwrap(),
            "abc"
        );
    }

    #[test]
    fn a_share_never_reads_as_all_or_nothing() {
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.9986), "99.9 %");
        assert_eq!(percent(0.002), "0.2 %");
        assert_eq!(percent(0.000_3), "< 0.1 %");
    }
}
