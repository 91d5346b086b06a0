//! The measures of one body. Runs of words never cross from one document into the next, save in MATTR, which reads the documents one after the other.

use kld_core::count::{Counts, Estimator};

use super::{bleu::self_bleu, grams::Chosen};

/// Words of a window of MATTR.
const WINDOW: usize = 100;

/// Words drawn in HD-D.
const DRAWN: usize = 42;

/// The most frequent words, whose frequencies Zipf's law is fitted to.
const RANKED: usize = 5000;

/// The level of compression; higher ones find hardly more in texts and take far longer.
const LEVEL: i32 = 3;

/// All measures, in the order of [`DiversityKind::ALL`](kld_core::result::DiversityKind::ALL); NaN where there is too little text.
pub(super) fn all(chosen: &Chosen<'_>) -> Vec<f64> {
    let totals = [1, 2, 3].map(|n| chosen.totals(n));
    let words = Counts::new(totals[0].clone()).ok();
    let entropy = |by: Estimator| words.as_ref().map_or(f64::NAN, |words| by.entropy(words));
    let distinct = totals.each_ref().map(|totals| distinct(totals));
    let expected = totals.each_ref().map(|totals| of_expected(totals));
    [
        distinct.as_slice(),
        &expected,
        &[
            entropy(Estimator::PlugIn),
            entropy(Estimator::MillerMadow),
            mattr(chosen),
            hd_d(&totals[0]),
            self_bleu(chosen),
            repeated(chosen, 2),
            repeated(chosen, 3),
            repeated(chosen, 4),
            shared(chosen, 4),
            zipf(&totals[0]),
            compression_ratio(chosen),
        ],
    ]
    .concat()
}

/// Different runs / runs.
fn distinct(totals: &[u64]) -> f64 {
    seen(totals) / totals.iter().sum::<u64>() as f64
}

fn seen(totals: &[u64]) -> f64 {
    totals.iter().filter(|total| **total > 0).count() as f64
}

/// Different runs / V·(1 − (1 − 1/V)ᶜ), as many as C draws from the V runs of both bodies, all equally likely, would be expected to show.
///
/// S. Liu et al., *Rethinking and Refining the Distinct Metric* (2022).
fn of_expected(totals: &[u64]) -> f64 {
    let (known, drawn) = (totals.len() as f64, totals.iter().sum::<u64>() as f64);
    seen(totals) / (-known * (drawn * (-1.0 / known).ln_1p()).exp_m1())
}

/// Mean share of different words in every window of [`WINDOW`] words.
///
/// M. A. Covington and J. D. McFall, *Cutting the Gordian Knot: The Moving-Average Type-Token Ratio* (2010).
fn mattr(chosen: &Chosen<'_>) -> f64 {
    let words: Vec<u32> = chosen
        .documents
        .iter()
        .flat_map(|d| &d.grams[0])
        .copied()
        .collect();
    if words.len() < WINDOW {
        return f64::NAN;
    }
    let mut inside = vec![0_u32; chosen.different[0]];
    let (mut different, mut sum) = (0_u64, 0_u64);
    for (place, &word) in words.iter().enumerate() {
        let count = &mut inside[word as usize];
        different += u64::from(*count == 0);
        *count += 1;
        if let Some(first) = (place + 1).checked_sub(WINDOW) {
            sum += different;
            let count = &mut inside[words[first] as usize];
            *count -= 1;
            different -= u64::from(*count == 0);
        }
    }
    sum as f64 / ((words.len() - WINDOW + 1) * WINDOW) as f64
}

/// Expected share of different words among [`DRAWN`] drawn without replacement: the mean over words of the hypergeometric chance to be among them.
///
/// P. M. McCarthy and S. Jarvis, *vocd: A theoretical and empirical evaluation* (2007).
fn hd_d(totals: &[u64]) -> f64 {
    let all: u64 = totals.iter().sum();
    if all < DRAWN as u64 {
        return f64::NAN;
    }
    let missed = |count: u64| -> f64 {
        (0..DRAWN as u64)
            .map(|i| (all - i).saturating_sub(count) as f64 / (all - i) as f64)
            .product()
    };
    let drawn = totals
        .iter()
        .filter(|count| **count > 0)
        .map(|count| 1.0 - missed(*count));
    drawn.sum::<f64>() / DRAWN as f64
}

/// Mean share of a document's runs of `n` words that stand in it before.
///
/// S. Welleck et al., *Neural Text Generation with Unlikelihood Training* (2019).
fn repeated(chosen: &Chosen<'_>, n: usize) -> f64 {
    let shares = chosen
        .counts(n)
        .filter(|counts| !counts.is_empty())
        .map(|counts| {
            let runs: u32 = counts.iter().map(|(_, count)| count).sum();
            1.0 - counts.len() as f64 / f64::from(runs)
        });
    mean(shares)
}

/// Mean share of a document's runs of `n` words that stand in another document.
fn shared(chosen: &Chosen<'_>, n: usize) -> f64 {
    let mut documents = vec![0_u32; chosen.different[n - 1]];
    for (gram, _) in chosen.counts(n).flatten() {
        documents[*gram as usize] += 1;
    }
    let shares = chosen
        .counts(n)
        .filter(|counts| !counts.is_empty())
        .map(|counts| {
            let runs: u32 = counts.iter().map(|(_, count)| count).sum();
            let elsewhere = counts
                .iter()
                .filter(|(gram, _)| documents[*gram as usize] > 1);
            let elsewhere: u32 = elsewhere.map(|(_, count)| count).sum();
            f64::from(elsewhere) / f64::from(runs)
        });
    mean(shares)
}

/// The slope of −ln frequency over ln rank by least squares.
fn zipf(totals: &[u64]) -> f64 {
    let mut sorted: Vec<u64> = totals.iter().copied().filter(|count| *count > 0).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.truncate(RANKED);
    let points = || {
        sorted
            .iter()
            .zip(1..)
            .map(|(c, rank)| (f64::from(rank).ln(), (*c as f64).ln()))
    };
    let (x, y) = (mean(points().map(|p| p.0)), mean(points().map(|p| p.1)));
    let products: f64 = points().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let squares: f64 = points().map(|p| (p.0 - x).powi(2)).sum();
    -products / squares
}

/// Bytes of all texts, a line for each, / bytes after compression with zstd.
fn compression_ratio(chosen: &Chosen<'_>) -> f64 {
    let text: Vec<&str> = chosen.documents.iter().map(|d| d.text).collect();
    let text = text.join("\n");
    let compressed = zstd::bulk::compress(text.as_bytes(), LEVEL);
    compressed.map_or(f64::NAN, |bytes| text.len() as f64 / bytes.len() as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    sum / count
}
