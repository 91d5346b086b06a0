//! A causal language model as a model of tokens.

use kld_models::{LogitSource, Result, tokenizer::SpecialTokens};
use kld_text::suggest::TokenModel;

/// A source of logits with the bytes of its tokens.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    source: &'a dyn LogitSource,
    pieces: Vec<Vec<u8>>,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(source: &'a dyn LogitSource) -> Self {
        // Columns beyond the last token are padding.
        let tokens = source.vocabulary().min(source.tokenizer().len());
        let pieces = (0..tokens as u32).map(|id| source.tokenizer().token_bytes(id));
        Self {
            source,
            pieces: pieces.collect(),
        }
    }

    fn logits(&self, tokens: &[u32], last: usize) -> Result<Vec<f32>> {
        // A model that was made for less sees the end.
        let most = self.source.card().context_length.max(last);
        let tokens = &tokens[tokens.len().saturating_sub(most)..];
        let mut logits = Vec::new();
        let window = self.source.forward(tokens)?;
        window.rows(tokens.len() - last..tokens.len(), &mut logits)?;
        Ok(logits)
    }
}

impl TokenModel for Tokens<'_> {
    fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        let tokens = self.source.tokenizer().encode(text, SpecialTokens::None);
        tokens.map_err(|error| error.to_string())
    }

    fn start(&self, empty: bool) -> Option<u32> {
        let tokenizer = self.source.tokenizer();
        // Some model has to be told where a text begins and has no token for it: an empty line comes nearest.
        let line = || self.encode("\n").ok()?.first().copied();
        let any = || {
            let any = tokenizer.bos().or(tokenizer.eos()).or_else(line);
            any.filter(|_| empty)
        };
        tokenizer
            .bos()
            .filter(|_| tokenizer.adds_bos())
            .or_else(any)
    }

    fn pieces(&self) -> &[Vec<u8>] {
        &self.pieces
    }

    fn next(&self, tokens: &[u32], last: usize) -> Result<Vec<Vec<f64>>, String> {
        let logits = self
            .logits(tokens, last)
            .map_err(|error| error.to_string())?;
        let rows = logits.chunks_exact(self.source.vocabulary());
        Ok(rows
            .map(|row| probabilities(&row[..self.pieces.len()]))
            .collect())
    }
}

fn probabilities(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut row: Vec<f64> = logits
        .iter()
        .map(|logit| f64::from(logit - most).exp())
        .collect();
    let total: f64 = row.iter().sum();
    for p in &mut row {
        *p /= total;
    }
    row
}
