//! Interpolated modified Kneser–Ney: the probability of the next symbol given the few before it.
//!
//! With `a(·)` the adjusted count of an n-gram, `h′` the context `h` without its first symbol, and `G` a distribution over all symbols
//! there could ever be:
//!
//! ```text
//! P(w | h) = (a(hw) − D(a(hw))) / a(h·)  +  γ(h) · P(w | h′)       γ(h) = Σ_w D(a(hw)) / a(h·)
//! P(w)     = (a(w)  − D(a(w)))  / a(·)   +  γ    · G(w)
//! ```
//!
//! - The adjusted count is how often an n-gram of the highest order occurs; of a shorter one, how many different symbols it
//!   follows. One that begins a document follows nothing, and keeps how often it occurs.
//! - `D` has a value for counts of 1, of 2, and of 3 or more, at every order: `D_i = i − (i+1)·Y·n_{i+1}/n_i` with `Y = n₁/(n₁+2n₂)`,
//!   where `n_i` n-grams have the adjusted count `i`. Where that is not defined, or not in (0, i], as in tiny texts, the order
//!   takes ½, 1 and 1½.
//! - Some symbols are only ever context (the start of a document, punctuation): they are given, not predicted. The probabilities
//!   are those of the next symbol that is not of their kind, and sum to 1 over these.
//!
//! S. F. Chen and J. Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", TR-10-98, Harvard, 1998;
//! K. Heafield and others, "Scalable Modified Kneser-Ney Language Model Estimation", ACL 2013.
//!
//! All n-grams lie in one sorted array per order, so that the symbols seen after a context are neighbours: a whole distribution
//! is one pass over the vocabulary and one over what followed each context.

use std::ops::Range;

use super::{Error, Result};

/// The number of a word, a mark or a character.
pub type Symbol = u32;

/// The longest n-grams that there can be: five symbols of 25 bits fit a 128-bit key.
pub const LONGEST: usize = 5;

/// The symbol before the first one of a document; it is context only.
pub const START: Symbol = 0;

const SYMBOL_BITS: u32 = 25;

/// A model of the next symbol.
#[derive(Clone, Debug)]
pub struct NGram {
    root: Context,
    /// The k-grams at `levels[k − 1]`; the first level has every symbol at its own number.
    levels: Vec<Level>,
    discounts: Vec<Discounts>,
    /// P(w) of every symbol, G's part included.
    unigram: Vec<f64>,
}

/// What is subtracted from adjusted counts of one order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discounts {
    /// From counts of 1, of 2, and of 3 or more.
    pub of: [f64; 3],
    /// From the counts of counts, not the fixed values for texts that are too small.
    pub estimated: bool,
}

/// All n-grams of one order, sorted.
#[derive(Clone, Debug, Default)]
struct Level {
    /// The last symbol of each; in order within one context.
    last: Vec<Symbol>,
    /// The adjusted count of each; 0 where the last symbol is only ever context.
    count: Vec<u32>,
    /// Each as a context of the next order; one more than there are n-grams, so that every range has an end.
    contexts: Vec<Context>,
}

/// What is known of the symbols after a context.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    /// Where they begin in the next level.
    first: usize,
    /// a(h·), the sum of their adjusted counts.
    total: f64,
    /// γ(h), the weight of the shorter context; 1 where nothing that is predicted was ever seen after this one.
    backoff: f64,
}

impl NGram {
    /// Learns from a stream of symbols in which [`START`] begins every document.
    ///
    /// `base` is G of every symbol, 0 for those below `first_event`, which are only ever context. Its sum may be below 1: the rest
    /// belongs to symbols that are not known.
    ///
    /// # Errors
    ///
    /// If there are more than 2²⁵ symbols, or more than 2³² in the stream.
    ///
    /// # Panics
    ///
    /// If the order is 0 or above [`LONGEST`], or a symbol of the stream has no entry in `base`.
    pub fn train(
        stream: &[Symbol],
        order: usize,
        first_event: Symbol,
        base: &[f64],
    ) -> Result<Self> {
        assert!((1..=LONGEST).contains(&order), "n-grams of order {order}");
        assert!(stream.iter().all(|s| (*s as usize) < base.len()));
        if base.len() > 1 << SYMBOL_BITS || u32::try_from(stream.len()).is_err() {
            return Err(Error::TooLarge {
                symbols: base.len(),
                stream: stream.len(),
            });
        }
        let is_event = |gram: u128| last(gram) >= first_event;
        let tallies = adjusted_counts(stream, order);
        let discounts: Vec<Discounts> = tallies
            .iter()
            .map(|of| Discounts::from_counts(of.iter().filter(|g| is_event(g.0)).map(|g| g.1)))
            .collect();
        let levels = levels(&tallies, &discounts, is_event, base.len());
        let root = Context::of(0, &levels[0].count, &discounts[0]);
        let share = |(count, g): (&u32, &f64)| root.share(*count, &discounts[0]) + root.backoff * g;
        let unigram = levels[0].count.iter().zip(base).map(share).collect();
        Ok(Self {
            root,
            levels,
            discounts,
            unigram,
        })
    }

    /// The number of symbols that the model knows, those that are only ever context included.
    #[must_use]
    pub fn symbols(&self) -> usize {
        self.unigram.len()
    }

    /// The discounts of orders 1, 2, …
    #[must_use]
    pub fn discounts(&self) -> &[Discounts] {
        &self.discounts
    }

    /// The number of different n-grams of orders 1, 2, …; those whose last symbol is only ever context included.
    #[must_use]
    pub fn sizes(&self) -> Vec<usize> {
        self.levels.iter().map(|level| level.last.len()).collect()
    }

    /// P(w | h) of one symbol; `base` is its G, which matters only where the symbol is not known.
    #[must_use]
    pub fn probability(&self, history: &[Symbol], symbol: Symbol, base: f64) -> f64 {
        let (mut seen, mut weight) = (0.0, 1.0);
        for (order, node) in self.chain(history).into_iter().rev() {
            let context = &self.levels[order - 1].contexts[node];
            if let Some(at) = self.child(order, node, symbol) {
                seen +=
                    weight * context.share(self.levels[order].count[at], &self.discounts[order]);
            }
            weight *= context.backoff;
        }
        let known = self.unigram.get(symbol as usize);
        seen + weight * known.copied().unwrap_or(self.root.backoff * base)
    }

    /// P(w | h) of every known symbol, into `out`. Returns the weight of G: a symbol that is not known has that many times its G.
    pub fn distribution(&self, history: &[Symbol], out: &mut Vec<f64>) -> f64 {
        out.clear();
        out.resize(self.unigram.len(), 0.0);
        let mut weight = 1.0;
        for (order, node) in self.chain(history).into_iter().rev() {
            let (context, level) = (&self.levels[order - 1].contexts[node], &self.levels[order]);
            for at in self.children(order, node) {
                out[level.last[at] as usize] +=
                    weight * context.share(level.count[at], &self.discounts[order]);
            }
            weight *= context.backoff;
        }
        for (p, unigram) in out.iter_mut().zip(&self.unigram) {
            *p += weight * unigram;
        }
        weight * self.root.backoff
    }

    /// The contexts that the end of a history has in the model, as (length, node), shortest first.
    fn chain(&self, history: &[Symbol]) -> Vec<(usize, usize)> {
        let longest = history.len().min(self.levels.len() - 1);
        (1..=longest)
            .map_while(|length| Some((length, self.node(&history[history.len() - length..])?)))
            .collect()
    }

    fn node(&self, gram: &[Symbol]) -> Option<usize> {
        let (first, rest) = gram.split_first()?;
        let first = Some(*first as usize).filter(|first| *first < self.unigram.len())?;
        (1..).zip(rest).try_fold(first, |node, (order, symbol)| {
            self.child(order, node, *symbol)
        })
    }

    /// The node of a context of this length followed by a symbol.
    fn child(&self, length: usize, node: usize, symbol: Symbol) -> Option<usize> {
        let range = self.children(length, node);
        let found = self.levels[length].last[range.clone()].binary_search(&symbol);
        found.ok().map(|at| range.start + at)
    }

    fn children(&self, length: usize, node: usize) -> Range<usize> {
        let contexts = &self.levels[length - 1].contexts;
        contexts[node].first..contexts[node + 1].first
    }
}

impl Discounts {
    const FALLBACK: [f64; 3] = [0.5, 1.0, 1.5];

    fn from_counts(counts: impl Iterator<Item = u32>) -> Self {
        let mut with = [0.0; 5];
        for count in counts.filter(|count| *count <= 4) {
            with[count as usize] += 1.0;
        }
        let y = with[1] / (with[1] + 2.0 * with[2]);
        let of = [1, 2, 3].map(|i| i as f64 - (i + 1) as f64 * y * with[i + 1] / with[i]);
        let estimated = (1..).zip(of).all(|(i, d)| d > 0.0 && d <= f64::from(i));
        Self {
            of: if estimated { of } else { Self::FALLBACK },
            estimated,
        }
    }

    fn for_count(&self, count: u32) -> f64 {
        match count {
            0 => 0.0,
            _ => self.of[count.min(3) as usize - 1],
        }
    }
}

impl Context {
    fn of(first: usize, counts: &[u32], discounts: &Discounts) -> Self {
        let total: f64 = counts.iter().map(|count| f64::from(*count)).sum();
        let kept_back: f64 = counts.iter().map(|count| discounts.for_count(*count)).sum();
        Self {
            first,
            total,
            backoff: if total > 0.0 { kept_back / total } else { 1.0 },
        }
    }

    /// (a − D(a)) / a(h·).
    fn share(&self, count: u32, discounts: &Discounts) -> f64 {
        match count {
            0 => 0.0,
            _ => (f64::from(count) - discounts.for_count(count)) / self.total,
        }
    }
}

/// The distinct n-grams of every order with their adjusted counts, sorted.
fn adjusted_counts(stream: &[Symbol], order: usize) -> Vec<Vec<(u128, u32)>> {
    let mut tallies = vec![tally(windows(stream, order).collect())];
    for length in (1..order).rev() {
        let longer = &tallies[tallies.len() - 1];
        // Each distinct longer n-gram is one different symbol before the n-gram that it ends with.
        let mut grams: Vec<u128> = longer
            .iter()
            .map(|(gram, _)| ending(*gram, length))
            .collect();
        grams.extend(
            windows(stream, length)
                .filter(|gram| *gram >> (SYMBOL_BITS * (length as u32 - 1)) == u128::from(START)),
        );
        tallies.push(tally(grams));
    }
    tallies.reverse();
    tallies
}

/// All n-grams of one length, in the order of the text; none reaches over the start of a document.
fn windows(stream: &[Symbol], length: usize) -> impl Iterator<Item = u128> {
    let (mut gram, mut long) = (0, 0);
    stream.iter().filter_map(move |symbol| {
        long = if *symbol == START { 1 } else { long + 1 };
        gram = ending(gram << SYMBOL_BITS | u128::from(*symbol), length);
        (long >= length).then_some(gram)
    })
}

fn tally(mut grams: Vec<u128>) -> Vec<(u128, u32)> {
    grams.sort_unstable();
    grams
        .chunk_by(|a, b| a == b)
        .map(|equal| (equal[0], equal.len() as u32))
        .collect()
}

/// The last symbols of an n-gram.
fn ending(gram: u128, length: usize) -> u128 {
    gram & ((1 << (SYMBOL_BITS * length as u32)) - 1)
}

fn last(gram: u128) -> Symbol {
    ending(gram, 1) as Symbol
}

fn levels(
    tallies: &[Vec<(u128, u32)>],
    discounts: &[Discounts],
    is_event: impl Fn(u128) -> bool,
    symbols: usize,
) -> Vec<Level> {
    let mut levels: Vec<Level> = tallies
        .iter()
        .map(|tally| Level {
            last: tally.iter().map(|(gram, _)| last(*gram)).collect(),
            count: tally
                .iter()
                .map(|(gram, n)| if is_event(*gram) { *n } else { 0 })
                .collect(),
            contexts: Vec::new(),
        })
        .collect();
    levels[0] = every_symbol(&levels[0], symbols);
    for order in 1..tallies.len() {
        let grams: Vec<u128> = match order {
            1 => (0..symbols as u128).collect(),
            _ => tallies[order - 1].iter().map(|(gram, _)| *gram).collect(),
        };
        levels[order - 1].contexts = contexts(
            &grams,
            &tallies[order],
            &levels[order].count,
            &discounts[order],
        );
    }
    levels
}

/// The unigrams with every symbol at its own number, seen or not.
fn every_symbol(seen: &Level, symbols: usize) -> Level {
    let mut count = vec![0; symbols];
    for (symbol, n) in seen.last.iter().zip(&seen.count) {
        count[*symbol as usize] = *n;
    }
    Level {
        last: (0..symbols as Symbol).collect(),
        count,
        contexts: Vec::new(),
    }
}

/// `grams` as contexts of the sorted longer n-grams, in step through both.
fn contexts(
    grams: &[u128],
    longer: &[(u128, u32)],
    counts: &[u32],
    discounts: &Discounts,
) -> Vec<Context> {
    let mut first = 0;
    let mut contexts = Vec::with_capacity(grams.len() + 1);
    for gram in grams {
        let after = longer[first..]
            .iter()
            .take_while(|(long, _)| *long >> SYMBOL_BITS == *gram)
            .count();
        contexts.push(Context::of(first, &counts[first..first + after], discounts));
        first += after;
    }
    contexts.push(Context::of(first, &[], discounts));
    contexts
}
