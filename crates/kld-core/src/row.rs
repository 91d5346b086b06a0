//! One scored position: what one pass over both rows of logits gave, and where it stands.

pub use kld_kernels::{Likely, NAMED, Observed, RowPair};

/// How many of the most likely tokens are compared.
pub const TOP_K: usize = 10;

/// Where a scored position stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The fragment's number, in the order of the text.
    pub fragment: u32,
    /// The window's number over the whole run.
    pub window: u32,
    /// The row in the window: row *i* predicts the token at *i* + 1, so *i* + 1 tokens of context stand before it.
    pub row: u32,
}

/// A scored position, or its place where the logits were no distribution (NaN or +∞ among them).
pub type RowOutcome = Result<TokenRow, Place>;

/// What one window gave: the unit of work, of storage and of merging.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowRows {
    /// The window's number over the whole run.
    pub window: u32,
    /// For every candidate, in the order given, its scored positions in the order of the window.
    pub candidates: Vec<Vec<RowOutcome>>,
}

/// One scored position: the pair of rows there, and the token that came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenRow {
    /// Where it stands.
    pub place: Place,
    /// The token that the text has here.
    pub observed: u32,
    /// Divergences, entropies and top tokens of the two rows.
    pub pair: RowPair,
    /// Negative log-likelihood of the observed token under P, in nats.
    pub nll_p: f64,
    /// Negative log-likelihood of the observed token under Q, in nats.
    pub nll_q: f64,
    /// Probability that P puts on columns of its head that are no tokens (padding), before they are cut off.
    pub padding_mass_p: f64,
    /// The same for Q.
    pub padding_mass_q: f64,
}

impl TokenRow {
    /// Δp: Q − P probability of the observed token.
    #[must_use]
    pub fn delta_p(&self) -> f64 {
        (-self.nll_q).exp() - (-self.nll_p).exp()
    }

    /// Have both the same most likely token?
    #[must_use]
    pub fn top1_agrees(&self) -> bool {
        self.pair.top1_p == self.pair.top1_q
    }

    /// The share of the [`TOP_K`] most likely tokens that both have in common.
    #[must_use]
    pub fn topk_overlap_share(&self) -> f64 {
        f64::from(self.pair.topk_overlap) / TOP_K as f64
    }

    /// The probability of the reference's most likely token.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        self.pair.top1_prob_p
    }

    /// Can it enter a mean? Only if the forward KL and both negative log-likelihoods are finite. (The reverse KL may be
    /// +∞ where P masks a token that Q does not: then its mean is +∞ and says so.)
    #[must_use]
    pub fn is_finite(&self) -> bool {
        [self.pair.kl, self.nll_p, self.nll_q]
            .iter()
            .all(|v| v.is_finite())
    }
}
