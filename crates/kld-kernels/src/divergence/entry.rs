//! One vocabulary entry under both models, and the small functions that terms are made of.

/// One entry: its probabilities, their logarithms, and t = ln(Q/P).
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// P of the entry.
    pub p: f64,
    /// Q of the entry.
    pub q: f64,
    /// ln P; −∞ where P is zero.
    pub ln_p: f64,
    /// ln Q; −∞ where Q is zero.
    pub ln_q: f64,
    /// ln Q − ln P; 0 where both are zero.
    pub t: f64,
}

impl Entry {
    /// From ln P and ln Q.
    #[must_use]
    pub fn from_log_probs(ln_p: f64, ln_q: f64) -> Entry {
        let both_zero = ln_p == f64::NEG_INFINITY && ln_q == f64::NEG_INFINITY;
        let t = if both_zero { 0.0 } else { ln_q - ln_p };
        Entry {
            p: ln_p.exp(),
            q: ln_q.exp(),
            ln_p,
            ln_q,
            t,
        }
    }

    /// From P and Q. A negative number gives NaN, which every divergence passes on.
    #[must_use]
    pub fn from_probs(p: f64, q: f64) -> Entry {
        let valid = |x: f64| if x >= 0.0 { x } else { f64::NAN };
        let (p, q) = (valid(p), valid(q));
        let (ln_p, ln_q) = (p.ln(), q.ln());
        // Between neighbours the quotient carries more digits than the difference of two logarithms.
        let close = q < 2.0 * p && p < 2.0 * q;
        let t = if close {
            ((q - p) / p).ln_1p()
        } else {
            Entry::from_log_probs(ln_p, ln_q).t
        };
        Entry {
            p,
            q,
            ln_p,
            ln_q,
            t,
        }
    }

    /// The entry with P and Q exchanged.
    #[must_use]
    pub fn swapped(&self) -> Entry {
        Entry {
            p: self.q,
            q: self.p,
            ln_p: self.ln_q,
            ln_q: self.ln_p,
            t: -self.t,
        }
    }

    /// Whether P is zero: not merely too small for a float, but −∞ among the logits.
    #[must_use]
    pub fn p_is_zero(&self) -> bool {
        self.ln_p == f64::NEG_INFINITY
    }

    /// Whether Q is zero.
    #[must_use]
    pub fn q_is_zero(&self) -> bool {
        self.ln_q == f64::NEG_INFINITY
    }

    /// The entry of P against the mixture αP + (1−α)Q, for 0 ≤ α ≤ 1.
    #[must_use]
    pub fn against_mixture(&self, alpha: f64) -> Entry {
        if self.p_is_zero() && self.q_is_zero() {
            return *self;
        }
        // The larger of P and Q is taken out of the logarithm, so that nothing overflows.
        let (ln_m, t) = if self.t <= 0.0 {
            let above_p = ln_mix(1.0 - alpha, self.t);
            (self.ln_p + above_p, above_p)
        } else {
            let above_q = ln_mix(alpha, -self.t);
            (
                self.ln_q + above_q,
                if self.p_is_zero() {
                    f64::INFINITY
                } else {
                    self.t + above_q
                },
            )
        };
        Entry {
            p: self.p,
            q: alpha * self.p + (1.0 - alpha) * self.q,
            ln_p: self.ln_p,
            ln_q: ln_m,
            t,
        }
    }

    /// P·ln(P/Q) − P + Q, which is never negative and sums to D(P‖Q) over rows that sum to one.
    #[must_use]
    pub fn relative(&self) -> f64 {
        if self.p_is_zero() {
            self.q
        } else if self.q_is_zero() {
            f64::INFINITY
        } else if self.t > 1.0 {
            self.q - self.p - self.p * self.t
        } else {
            self.p * phi(self.t)
        }
    }
}

/// ln((1 − weight) + weight·eᵗ) for t ≤ 0.
fn ln_mix(weight: f64, t: f64) -> f64 {
    let change = weight * t.exp_m1();
    if change > -0.5 {
        change.ln_1p()
    } else {
        ((1.0 - weight) + weight * t.exp()).ln()
    }
}

/// φ(t) = eᵗ − 1 − t, to full relative accuracy and never negative.
#[must_use]
pub fn phi(t: f64) -> f64 {
    if t.abs() > 0.25 {
        return t.exp_m1() - t;
    }
    // Taylor's series t²/2·(1 + t/3·(1 + t/4·(…))): what is left out is below 1e-18 of the sum.
    let series = (3..=14)
        .rev()
        .fold(1.0, |inner, k| 1.0 + inner * t / f64::from(k));
    0.5 * t * t * series
}
