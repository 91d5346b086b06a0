//! Self-BLEU: how well each document is made of runs of words that other documents have.
//!
//! BLEU-4 of a document against all others: the geometric mean of the shares of its runs of 1 to 4 words that stand in one of them, a run counted
//! at most as often as in the document that has it most; times exp(1 − r/c) where its length c is below the nearest length r of another. A share of
//! 0 counts as a tenth of a run, the first method of Chen and Cherry (2014).
//!
//! Instead of a loop over all pairs, each run keeps the two largest counts that any document has: the largest count among the *others*
//! is one of them. So the work grows with the text, not with its square.
//!
//! Y. Zhu et al., *Texygen* (2018); K. Papineni et al., *BLEU* (2002).

use super::grams::{Chosen, LONGEST, Numbered};

/// What stands for no matching run at all.
const TENTH: f64 = 0.1;

/// Mean BLEU-4 of each document against all others; NaN with less than two.
pub(super) fn self_bleu(chosen: &Chosen<'_>) -> f64 {
    if chosen.documents.len() < 2 {
        return f64::NAN;
    }
    let most: Vec<Vec<Most>> = (1..=LONGEST).map(|n| most(chosen, n)).collect();
    let mut lengths: Vec<usize> = chosen.documents.iter().map(|d| d.grams[0].len()).collect();
    lengths.sort_unstable();
    let documents = chosen.documents.iter().enumerate();
    let scores = documents.map(|(number, document)| bleu(number as u32, document, &most, &lengths));
    scores.sum::<f64>() / chosen.documents.len() as f64
}

/// The two largest counts of a run in a document, and which document has the larger one.
#[derive(Clone, Copy, Default)]
struct Most {
    document: u32,
    largest: u32,
    second: u32,
}

fn most(chosen: &Chosen<'_>, n: usize) -> Vec<Most> {
    let mut most = vec![Most::default(); chosen.different[n - 1]];
    for (document, counts) in chosen.counts(n).enumerate() {
        for &(gram, count) in counts {
            let most = &mut most[gram as usize];
            if count > most.largest {
                *most = Most {
                    document: document as u32,
                    largest: count,
                    second: most.largest,
                };
            } else {
                most.second = most.second.max(count);
            }
        }
    }
    most
}

fn bleu(number: u32, document: &Numbered<'_>, most: &[Vec<Most>], lengths: &[usize]) -> f64 {
    let mut sum = 0.0;
    for (longer, (counts, most)) in document.counts.iter().zip(most).enumerate() {
        let runs: u32 = counts.iter().map(|(_, count)| count).sum();
        let matched = counts.iter().map(|&(gram, count)| {
            let most = most[gram as usize];
            let elsewhere = if most.document == number {
                most.second
            } else {
                most.largest
            };
            count.min(elsewhere)
        });
        let matched: u32 = matched.sum();
        if matched == 0 && longer == 0 {
            return 0.0;
        }
        let matched = if matched == 0 {
            TENTH
        } else {
            f64::from(matched)
        };
        sum += (matched / f64::from(runs.max(1))).ln();
    }
    let length = document.grams[0].len();
    let nearest = nearest_other(lengths, length) as f64 / length as f64;
    (sum / LONGEST as f64 + (1.0 - nearest).min(0.0)).exp()
}

/// The nearest length of another document, of two equally near ones the smaller.
fn nearest_other(sorted: &[usize], length: usize) -> usize {
    let (first, end) = (
        sorted.partition_point(|l| *l < length),
        sorted.partition_point(|l| *l <= length),
    );
    if end - first > 1 {
        return length;
    }
    let below = first.checked_sub(1).map(|i| sorted[i]);
    match (below, sorted.get(end)) {
        (Some(below), Some(&above)) if above - length < length - below => above,
        (Some(below), _) => below,
        (None, above) => above.copied().unwrap_or(length),
    }
}
