//! Who a model is: the hash of its files and what they are made of.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use kld_core::ModelCard;
use sha2::{Digest, Sha256};

use super::files::Opened;
use super::store::Store;

/// The card of an opened model.
pub(crate) fn card(path: &Path, opened: &Opened, compute: &str) -> ModelCard {
    let config = &opened.plan.config;
    ModelCard {
        name: path.display().to_string(),
        sha256: hash(&opened.store),
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
    }
}

/// SHA-256 of the weight file; of several, SHA-256 over their binary hashes in file-name order. Lower-case hex.
fn hash(store: &Store) -> String {
    let mut hashes: Vec<_> = store
        .files()
        .map(|(_, bytes)| digest(store, bytes))
        .collect();
    let whole = match hashes.len() {
        1 => hashes.swap_remove(0),
        _ => Sha256::digest(hashes.concat()).to_vec(),
    };
    whole.iter().fold(String::new(), |mut hex, byte| {
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
fn shares(store: &Store) -> String {
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
    fn a_share_never_reads_as_all_or_nothing() {
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.9986), "99.9 %");
        assert_eq!(percent(0.002), "0.2 %");
        assert_eq!(percent(0.000_3), "< 0.1 %");
    }
}
