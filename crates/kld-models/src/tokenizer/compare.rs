//! Whether two vocabularies are the same, id by id.

use std::fmt;

use super::Tokenizer;

/// The first id at which two vocabularies differ.
///
/// Divergences compare column *i* of one model with column *i* of the other, so both must mean the same token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabularyDifference {
    /// The id.
    pub id: u32,
    /// The reference's token, if it has one.
    pub reference: Option<String>,
    /// The candidate's token, if it has one.
    pub candidate: Option<String>,
    /// Tokens of the reference.
    pub reference_tokens: usize,
    /// Tokens of the candidate.
    pub candidate_tokens: usize,
}

impl Tokenizer {
    /// Where the vocabulary of `candidate` first differs from this one, the reference's; `None` if nowhere.
    #[must_use]
    pub fn first_difference(&self, candidate: &Tokenizer) -> Option<VocabularyDifference> {
        let ids = 0..self.len().max(candidate.len());
        let id = ids
            .filter_map(|id| u32::try_from(id).ok())
            .find(|id| self.token(*id) != candidate.token(*id))?;
        Some(VocabularyDifference {
            id,
            reference: self.token(id).map(str::to_owned),
            candidate: candidate.token(id).map(str::to_owned),
            reference_tokens: self.len(),
            candidate_tokens: candidate.len(),
        })
    }
}

impl fmt::Display for VocabularyDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |token: &Option<String>| {
            token
                .as_ref()
                .map_or("no token".to_owned(), |token| format!("`{token}`"))
        };
        write!(
            formatter,
            "id {} is {} in the reference ({} tokens) and {} in the candidate ({} tokens)",
            self.id,
            name(&self.reference),
            self.reference_tokens,
            name(&self.candidate),
            self.candidate_tokens,
        )
    }
}
