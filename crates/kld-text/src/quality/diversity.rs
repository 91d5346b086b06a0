//! How varied two bodies are, and whether one repeats more than the other.
//!
//! ```text
//! documents ─► words ─► numbers of n-grams, shared by both bodies ─► about as many words of each
//!     ─► every measure of the whole, and without each group of documents ─► values, errors, tests
//! ```
//!
//! Most measures depend on how much text there is, so the larger body is cut down first: documents are drawn from it until they have as many words
//! as the other. Errors come from leaving out groups of documents (see [`Jackknife`]), tests from those errors, corrected for the number of
//! measures by Holm's method; so "Q repeats more" is said where chance would say so of *any* measure at most once in twenty times.

mod bleu;
mod grams;
mod measures;
mod spans;

use kld_core::{
    estimate::Jackknife,
    ranking::holm,
    result::{Diversity, DiversityKind, DiversityMeasure, Measured, Verdict},
};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};
use rayon::prelude::*;

use grams::Chosen;
pub use grams::Corpus;

use crate::segment::Cutter;

/// The most groups that a body is parted into.
const GROUPS: usize = 20;

/// p-values below it are called a difference.
const LEVEL: f64 = 0.05;

/// Bodies differ in size where one has more words by this factor.
const ALIKE: f64 = 1.1;

/// How diversity is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiversityOptions {
    /// Seed of the documents that are drawn from the larger body.
    pub seed: u64,
    /// Repeated spans that are listed of each body.
    pub spans: usize,
}

impl Default for DiversityOptions {
    fn default() -> Self {
        Self { seed: 0, spans: 5 }
    }
}

/// Measures both bodies of a corpus.
#[must_use]
pub fn diversity(corpus: &Corpus<'_>, cutter: &Cutter, options: &DiversityOptions) -> Diversity {
    let sides = equally_large(corpus, options.seed);
    let [reference, candidate] = sides
        .each_ref()
        .map(|documents| jackknives(corpus, documents));
    let [p, q] = &sides;
    Diversity {
        counted: cutter.counted(1),
        reference: measured(corpus, p),
        candidate: measured(corpus, q),
        seed: options.seed,
        measures: tested(&reference, &candidate),
        repeated_in_reference: spans::longest(corpus, p, options.spans),
        repeated_in_candidate: spans::longest(corpus, q, options.spans),
    }
}

/// The documents of each side: all of the smaller one, and of the larger one as many, drawn at random, as it takes to reach its words.
fn equally_large(corpus: &Corpus<'_>, seed: u64) -> [Vec<usize>; 2] {
    let sides = [corpus.reference(), corpus.candidate()].map(Vec::from_iter);
    let words = sides.each_ref().map(|side| corpus.words(side));
    let fewest = words[0].min(words[1]);
    sides.map(|mut side| {
        if corpus.words(&side) as f64 <= ALIKE * fewest as f64 {
            return side;
        }
        side.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let (mut kept, mut words) = (0, 0);
        while words < fewest {
            words += corpus.words(&side[kept..=kept]);
            kept += 1;
        }
        side.truncate(kept);
        side.sort_unstable();
        side
    })
}

fn groups(documents: &[usize]) -> usize {
    documents.len().min(GROUPS)
}

fn measured(corpus: &Corpus<'_>, documents: &[usize]) -> Measured {
    Measured {
        documents: documents.len(),
        words: corpus.words(documents),
        groups: groups(documents),
    }
}

/// Every measure of the whole and without each group; documents are dealt to groups in turn.
fn jackknives(corpus: &Corpus<'_>, documents: &[usize]) -> Vec<Jackknife> {
    let groups = groups(documents);
    let of = |left_out: Option<usize>| {
        let kept = documents.iter().enumerate();
        let kept = kept.filter(|(place, _)| Some(place % groups) != left_out);
        let kept: Vec<usize> = kept.map(|(_, document)| *document).collect();
        measures::all(&Chosen::new(corpus, &kept))
    };
    let whole = of(None);
    let parts: Vec<_> = if groups < 2 {
        Vec::new()
    } else {
        (0..groups).into_par_iter().map(|g| of(Some(g))).collect()
    };
    (0..whole.len())
        .map(|i| Jackknife {
            value: whole[i],
            left_out: parts.iter().map(|part| part[i]).collect(),
        })
        .collect()
}

fn tested(reference: &[Jackknife], candidate: &[Jackknife]) -> Vec<DiversityMeasure> {
    let pairs = || reference.iter().zip(candidate);
    let differences: Vec<_> = pairs().map(|(p, q)| Jackknife::difference(p, q)).collect();
    let known: Vec<f64> = differences.iter().filter_map(|(_, p)| *p).collect();
    let mut corrected = holm(&known).into_iter();
    DiversityKind::ALL
        .into_iter()
        .zip(pairs().zip(differences))
        .map(|(measure, ((p, q), (difference, p_value)))| {
            let p_value = p_value.and_then(|_| corrected.next());
            DiversityMeasure {
                measure,
                reference: p.estimate(),
                candidate: q.estimate(),
                difference,
                p_value,
                verdict: verdict(measure, difference.value, p_value),
            }
        })
        .collect()
}

fn verdict(measure: DiversityKind, difference: f64, p_value: Option<f64>) -> Verdict {
    match p_value {
        None => Verdict::Untested,
        Some(p) if p >= LEVEL => Verdict::NoDifference,
        _ if (difference > 0.0) == measure.grows_with_repetition() => Verdict::CandidateRepeatsMore,
        _ => Verdict::CandidateVariesMore,
    }
}
