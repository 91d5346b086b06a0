//! What one row pair, or one row, gives: plain data in nats.

/// What to compute beyond the divergences themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairOptions {
    /// Both rows are divided by it before the softmax. Positive and finite.
    pub temperature: f32,
    /// How many of the most likely tokens of each row are compared; at most [`crate::MAX_TOP_K`].
    pub top_k: usize,
    /// The token that was really there, if its likelihood and rank are wanted.
    pub observed: Option<u32>,
}

impl Default for PairOptions {
    fn default() -> Self {
        PairOptions {
            temperature: 1.0,
            top_k: 10,
            observed: None,
        }
    }
}

/// How many of its most likely tokens a row names.
pub const NAMED: usize = 5;

/// A token and its probability.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likely {
    /// The token.
    pub token: u32,
    /// Its probability; 0 where a row has no further token above −∞.
    pub prob: f32,
}

/// All that is measured between a row of P (reference) and a row of Q (candidate).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowPair {
    /// D(P‖Q) in nats: never negative; +∞ where Q = 0 < P.
    pub kl: f64,
    /// D(Q‖P) in nats: never negative; +∞ where P = 0 < Q.
    pub reverse_kl: f64,
    /// The Jensen–Shannon divergence in nats: from 0 to ln 2.
    pub js: f64,
    /// The entropy of P in nats.
    pub entropy_p: f64,
    /// The entropy of Q in nats.
    pub entropy_q: f64,
    /// ln Σ exp(logit / temperature) of the reference.
    pub log_sum_exp_p: f64,
    /// ln Σ exp(logit / temperature) of the candidate.
    pub log_sum_exp_q: f64,
    /// The most likely token of P; the lowest index among equals.
    pub top1_p: u32,
    /// The most likely token of Q; the lowest index among equals.
    pub top1_q: u32,
    /// P of its own most likely token.
    pub top1_prob_p: f64,
    /// Q of its own most likely token.
    pub top1_prob_q: f64,
    /// How many tokens are among the `top_k` most likely of both rows. Among equals the lower index is in first,
    /// and a token at −∞ is never in.
    pub topk_overlap: u32,
    /// The most likely tokens of P, most likely first, as far as [`PairOptions::top_k`] goes; equals by index.
    pub likely_p: [Likely; NAMED],
    /// The most likely tokens of Q.
    pub likely_q: [Likely; NAMED],
    /// The observed token, if [`PairOptions::observed`] named one.
    pub observed: Option<Observed>,
}

/// The observed token under both models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// −ln P(token), in nats.
    pub nll_p: f64,
    /// −ln Q(token), in nats.
    pub nll_q: f64,
    /// Place of the token when P's tokens are ordered by likelihood, equals by index: 1 is the most likely.
    pub rank_p: u32,
    /// Place of the token under Q, likewise.
    pub rank_q: u32,
}

/// All that is measured of a single row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowSingle {
    /// ln Σ exp(logit).
    pub log_sum_exp: f64,
    /// The entropy in nats.
    pub entropy: f64,
    /// The most likely token; the lowest index among equals.
    pub top1: u32,
    /// The probability of the most likely token.
    pub top1_prob: f64,
    /// The observed token, if one was named.
    pub observed: Option<ObservedSingle>,
}

/// The observed token under one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObservedSingle {
    /// −ln of the token's probability, in nats.
    pub nll: f64,
    /// Place of the token by likelihood, equals by index: 1 is the most likely.
    pub rank: u32,
}
