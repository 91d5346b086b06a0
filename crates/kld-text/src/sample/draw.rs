//! Which documents are drawn: random keys, strata, and how many of each.

use std::{
    collections::{BTreeMap, BinaryHeap},
    path::PathBuf,
};

use kld_core::{Observer, result::Allocation};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::SampleOptions;
use crate::{
    Error, Result,
    read::{Document, Pieces, documents},
};

/// Most values of the field; more are taken for a mistake.
const MOST_STRATA: usize = 100_000;

/// The strata of a corpus, in the order of their values, and the stratum of every document.
pub(super) struct Strata {
    pub(super) values: Vec<Planned>,
    of_document: Vec<u32>,
}

/// A stratum, and how much of the sample comes from it.
pub(super) struct Planned {
    pub(super) value: Option<String>,
    pub(super) documents: u64,
    pub(super) allotted: u64,
}

/// A document that was drawn.
pub(super) struct Drawn {
    pub(super) document: Document,
    pub(super) stratum: usize,
    /// Its number in the corpus.
    pub(super) number: u64,
    /// The place of its key among all that were drawn.
    key: u64,
}

impl Strata {
    pub(super) fn of(
        corpus: &[PathBuf],
        options: &SampleOptions,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let mut numbers: BTreeMap<Option<String>, u32> = BTreeMap::new();
        let mut of_document = Vec::new();
        for piece in Pieces::of(corpus, &options.count.read, observer)? {
            let piece = piece?;
            if piece.number > 0 {
                continue;
            }
            let value = match &options.stratify {
                Some(_) => piece.read(&options.count.read)?.by,
                None => None,
            };
            let next = numbers.len() as u32;
            of_document.push(*numbers.entry(value).or_insert(next));
            if numbers.len() > MOST_STRATA {
                return Err(Error::TooManyGroups { most: MOST_STRATA });
            }
        }
        Ok(Self::sorted(numbers, of_document, options))
    }

    fn sorted(
        numbers: BTreeMap<Option<String>, u32>,
        mut of_document: Vec<u32>,
        options: &SampleOptions,
    ) -> Self {
        let mut places = vec![0; numbers.len()];
        for (place, number) in numbers.values().enumerate() {
            places[*number as usize] = place as u32;
        }
        let mut sizes = vec![0; numbers.len()];
        for stratum in &mut of_document {
            *stratum = places[*stratum as usize];
            sizes[*stratum as usize] += 1;
        }
        let allotted = allot(options.number, &sizes, options.allocation);
        let values = numbers.into_keys().zip(sizes).zip(allotted);
        Self {
            values: values
                .map(|((value, documents), allotted)| Planned {
                    value,
                    documents,
                    allotted,
                })
                .collect(),
            of_document,
        }
    }

    pub(super) fn documents(&self) -> u64 {
        self.of_document.len() as u64
    }

    /// The documents with the smallest keys, in the order of their keys: of each stratum a part of `number` as large as its allotted part of the
    /// sample.
    pub(super) fn draw(
        &self,
        corpus: &[PathBuf],
        number: u64,
        options: &SampleOptions,
        observer: &dyn Observer,
    ) -> Result<Vec<Drawn>> {
        let wanted = self.values.iter().map(|stratum| {
            let share = number as f64 / options.number as f64;
            ((stratum.allotted as f64 * share).ceil() as u64).min(stratum.documents) as usize
        });
        let mut smallest: Vec<(usize, BinaryHeap<(u64, u64)>)> =
            wanted.map(|wanted| (wanted, BinaryHeap::new())).collect();
        for (number, stratum) in self.of_document.iter().enumerate() {
            let (wanted, heap) = &mut smallest[*stratum as usize];
            heap.push((key(options.seed, number as u64), number as u64));
            if heap.len() > *wanted {
                heap.pop();
            }
        }
        let keys: BTreeMap<u64, u64> = smallest
            .into_iter()
            .flat_map(|(_, heap)| heap)
            .map(|(key, number)| (number, key))
            .collect();
        let mut drawn = Vec::with_capacity(keys.len());
        for (number, document) in (0..).zip(documents(corpus, &options.count.read, observer)?) {
            let document = document?;
            if let Some(key) = keys.get(&number) {
                drawn.push(Drawn {
                    document,
                    stratum: self.of_document[number as usize] as usize,
                    number,
                    key: *key,
                });
            }
        }
        drawn.sort_by_key(|drawn| (drawn.key, drawn.number));
        Ok(drawn)
    }
}

/// The key of a document: 64 random bits that nothing but the seed and its number decides.
fn key(seed: u64, number: u64) -> u64 {
    // 2⁶⁴ over the golden ratio, as seeds are usually spread.
    let spread = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1);
    Xoshiro256PlusPlus::seed_from_u64(seed ^ spread).random()
}

/// How many documents of each stratum are taken, `number` in all where the strata have so many.
fn allot(number: u64, sizes: &[u64], allocation: Allocation) -> Vec<u64> {
    match allocation {
        Allocation::Proportional => proportional(number, sizes),
        Allocation::Equal => equal(number, sizes),
    }
}

/// Whole parts of `number`, and what is left to the largest fractions (Hamilton's method), the first of equal ones.
fn proportional(number: u64, sizes: &[u64]) -> Vec<u64> {
    let total: u64 = sizes.iter().sum();
    let exact = |size: u64| u128::from(number) * u128::from(size);
    let whole = |size: u64| (exact(size) / u128::from(total.max(1))) as u64;
    let mut allotted: Vec<u64> = sizes.iter().map(|size| whole(*size)).collect();
    let left = number.saturating_sub(allotted.iter().sum());
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(exact(sizes[*i]) % u128::from(total.max(1))));
    for index in order.into_iter().take(left as usize) {
        allotted[index] += 1;
    }
    allotted
}

/// The same number of each; what small ones lack is shared by the others.
fn equal(number: u64, sizes: &[u64]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| sizes[*index]);
    let (mut left, mut strata) = (number, sizes.len() as u64);
    let mut allotted = vec![0; sizes.len()];
    for index in order {
        // Rounded up for the last ones, so that nothing is left over.
        allotted[index] = (left / strata).min(sizes[index]);
        left -= allotted[index];
        strata -= 1;
    }
    allotted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strata_get_their_share() {
        assert_eq!(proportional(10, &[50, 25, 25]), [5, 3, 2]);
        assert_eq!(equal(10, &[50, 1, 50]), [4, 1, 5]);
    }

    proptest! {
        #[test]
        fn all_are_allotted_and_no_stratum_gets_more_than_it_has(
            sizes in prop::collection::vec(1_u64..90, 1..9), share in 0.0..1.0_f64,
        ) {
            let number = (sizes.iter().sum::<u64>() as f64 * share) as u64;
            for allocation in [Allocation::Proportional, Allocation::Equal] {
                let allotted = allot(number, &sizes, allocation);
                prop_assert_eq!(allotted.iter().sum::<u64>(), number);
                prop_assert!(allotted.iter().zip(&sizes).all(|(a, size)| a <= size));
            }
        }
    }
}
