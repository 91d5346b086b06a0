//! Counts of paired texts, kept text by text so that texts can change sides.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::{Result, segment::Cutter};

/// What the two texts of each pair are made of: numbers of terms with their counts, in the order of the numbers.
#[derive(Clone, Debug)]
pub struct PairedCounts {
    first: Vec<Vec<(u32, u32)>>,
    second: Vec<Vec<(u32, u32)>>,
    different: usize,
}

impl PairedCounts {
    /// Counts the words of paired texts.
    ///
    /// # Errors
    ///
    /// If a tokenizer fails.
    ///
    /// # Panics
    ///
    /// If there are not as many second texts as first ones.
    pub fn of_texts(first: &[&str], second: &[&str], cutter: &Cutter) -> Result<Self> {
        let mut numbers: HashMap<String, u32, FixedState> = HashMap::default();
        let mut count = |text: &&str| {
            let mut terms = Vec::new();
            cutter.each(text, |word| {
                let next = numbers.len() as u32;
                terms.push(*numbers.entry_ref(word).or_insert(next));
            })?;
            Ok(counted(terms))
        };
        let first = first.iter().map(&mut count).collect::<Result<_>>()?;
        let second = second.iter().map(&mut count).collect::<Result<_>>()?;
        Ok(Self::new(first, second, numbers.len()))
    }

    /// Takes one term for each text, such as its bucket.
    ///
    /// # Panics
    ///
    /// If there are not as many second texts as first ones.
    #[must_use]
    pub fn of_terms(first: &[u32], second: &[u32]) -> Self {
        let different = first
            .iter()
            .chain(second)
            .max()
            .map_or(0, |most| *most as usize + 1);
        let single = |terms: &[u32]| terms.iter().map(|&term| vec![(term, 1)]).collect();
        Self::new(single(first), single(second), different)
    }

    fn new(first: Vec<Vec<(u32, u32)>>, second: Vec<Vec<(u32, u32)>>, different: usize) -> Self {
        assert_eq!(first.len(), second.len(), "two texts make a pair");
        Self {
            first,
            second,
            different,
        }
    }

    /// Number of pairs.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.first.len()
    }

    /// The plug-in Jensen–Shannon divergence of both sides, in nats, with the texts of some pairs on the other side.
    #[must_use]
    pub fn js(&self, turned: impl Fn(usize) -> bool) -> f64 {
        let mut sides = [vec![0_u64; self.different], vec![0_u64; self.different]];
        for (pair, texts) in self.first.iter().zip(&self.second).enumerate() {
            let turned = usize::from(turned(pair));
            for (text, side) in [(texts.0, turned), (texts.1, 1 - turned)] {
                for (term, count) in text {
                    sides[side][*term as usize] += u64::from(*count);
                }
            }
        }
        let [p, q] = &sides;
        let pairs = p.iter().zip(q).map(|(p, q)| (*p as f64, *q as f64));
        js(
            pairs,
            p.iter().sum::<u64>() as f64,
            q.iter().sum::<u64>() as f64,
        )
    }

    /// The Jensen–Shannon divergence of the words of the first text of one pair and the second text of another, in nats.
    #[must_use]
    pub fn js_between(&self, first: usize, second: usize) -> f64 {
        let (p, q) = (&self.first[first], &self.second[second]);
        let total = |text: &[(u32, u32)]| text.iter().map(|(_, count)| f64::from(*count)).sum();
        js(merged(p, q).into_iter(), total(p), total(q))
    }
}

/// ½ Σ p·ln(p/m) + q·ln(q/m) with m = (p + q)/2, of counts and their totals.
fn js(counts: impl Iterator<Item = (f64, f64)>, p_total: f64, q_total: f64) -> f64 {
    let term = |x: f64, m: f64| if x > 0.0 { x * (x / m).ln() } else { 0.0 };
    let terms = counts.map(|(p, q)| {
        let (p, q) = (p / p_total, q / q_total);
        let middle = 0.5 * (p + q);
        0.5 * (term(p, middle) + term(q, middle))
    });
    terms.sum::<f64>().max(0.0)
}

/// The counts of both texts of every term that one of them has.
fn merged(p: &[(u32, u32)], q: &[(u32, u32)]) -> Vec<(f64, f64)> {
    let (mut i, mut j) = (0, 0);
    let mut merged = Vec::with_capacity(p.len() + q.len());
    while i < p.len() || j < q.len() {
        let (a, b) = (p.get(i), q.get(j));
        let next = a.into_iter().chain(b).map(|(term, _)| *term).min();
        let has = |entry: Option<&(u32, u32)>| {
            entry
                .filter(|(term, _)| Some(*term) == next)
                .map(|(_, count)| f64::from(*count))
        };
        let (a, b) = (has(a), has(b));
        i += usize::from(a.is_some());
        j += usize::from(b.is_some());
        merged.push((a.unwrap_or(0.0), b.unwrap_or(0.0)));
    }
    merged
}

fn counted(mut terms: Vec<u32>) -> Vec<(u32, u32)> {
    terms.sort_unstable();
    terms
        .chunk_by(|a, b| a == b)
        .map(|run| (run[0], run.len() as u32))
        .collect()
}
