//! Merges from the scores of SentencePiece's BPE.
//!
//! SentencePiece joins, again and again, the two neighbours whose union is the token with the highest score. The engine
//! wants a ranked list of pairs instead. Both are the same thing when every way of splitting a token into two tokens is listed,
//! tokens with higher scores first.

use std::collections::HashMap;

/// Longer tokens are not believed: splitting one costs the square of its length.
const MAX_TOKEN_BYTES: usize = 1024;

/// All pairs that join to a token for which `from_text` holds, best score first.
///
/// Ways to split one token keep the order of their parts' ids, as in Transformers' conversion.
pub(super) fn merges_from_scores(
    tokens: &[String],
    scores: &[f64],
    ids: &HashMap<String, u32>,
    from_text: impl Fn(usize) -> bool,
) -> Result<Vec<(String, String)>, String> {
    let mut ranked: Vec<usize> = (0..tokens.len()).filter(|id| from_text(*id)).collect();
    ranked.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let part = |text: &str| ids.get(text).copied().filter(|id| from_text(*id as usize));
    let mut merges = Vec::new();
    for token in ranked.into_iter().map(|id| &tokens[id]) {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(format!(
                "a token has {} bytes; at most {MAX_TOKEN_BYTES} are believed",
                token.len()
            ));
        }
        let cuts = token
            .char_indices()
            .skip(1)
            .map(|(cut, _)| token.split_at(cut));
        let mut pairs: Vec<_> = cuts
            .filter_map(|(left, right)| Some(((part(left)?, part(right)?), left, right)))
            .collect();
        pairs.sort_unstable_by_key(|(ids, ..)| *ids);
        merges.extend(
            pairs
                .into_iter()
                .map(|(_, left, right)| (left.to_owned(), right.to_owned())),
        );
    }
    Ok(merges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_score_comes_first_and_every_split_is_listed() {
        let tokens: Vec<String> = ["a", "b", "ab", "abb", "bb"].map(str::to_owned).to_vec();
        let ids = (0_u32..)
            .zip(&tokens)
            .map(|(id, token)| (token.clone(), id))
            .collect();
        let merges =
            merges_from_scores(&tokens, &[0.0, 0.0, -2.0, -1.0, -3.0], &ids, |_| true).unwrap();
        let merges: Vec<_> = merges
            .iter()
            .map(|(left, right)| (&**left, &**right))
            .collect();
        assert_eq!(merges, [("a", "bb"), ("ab", "b"), ("a", "b"), ("b", "b")]);
    }

    #[test]
    fn tokens_that_are_not_for_text_are_neither_made_nor_used() {
        let tokens: Vec<String> = ["<", "s>", "<s>"].map(str::to_owned).to_vec();
        let ids = (0_u32..)
            .zip(&tokens)
            .map(|(id, token)| (token.clone(), id))
            .collect();
        assert!(
            merges_from_scores(&tokens, &[0.0; 3], &ids, |id| id != 2)
                .unwrap()
                .is_empty()
        );
    }
}
