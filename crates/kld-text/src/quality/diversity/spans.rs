//! The longest runs of words that a body has more than once, within a document or in several.
//!
//! All documents are laid end to end with a sign of its own after each, the places sorted by what follows them (a suffix array, by doubling), and
//! neighbours compared (Kasai's way): a run that stands twice is what two neighbours have in common.

use kld_core::result::RepeatedSpan;

use super::grams::Corpus;

/// Shorter runs are not listed: every text has them.
const SHORTEST: usize = 4;

/// Words of a run that are spelled out: a copied document need not stand in the result as a whole.
const SPELLED: usize = 60;

/// At most `count` spans, the longest first; none that lies within one listed before it.
pub(super) fn longest(corpus: &Corpus<'_>, documents: &[usize], count: usize) -> Vec<RepeatedSpan> {
    let laid = Laid::of(corpus, documents);
    let order = sorted_places(&laid.signs);
    let common = common_with_next(&laid.signs, &order);
    let mut longest: Vec<usize> = (0..common.len())
        .filter(|&i| common[i] >= SHORTEST)
        .collect();
    longest.sort_by_key(|&i| (std::cmp::Reverse(common[i]), order[i]));
    let mut covered = vec![false; laid.signs.len()];
    let mut spans = Vec::new();
    for i in longest {
        if spans.len() == count {
            break;
        }
        let (place, words) = (order[i] as usize, common[i]);
        if covered[place] && covered[place + words - 1] {
            continue;
        }
        // All places that begin with the same words are neighbours in the order.
        let first = i - common[..i]
            .iter()
            .rev()
            .take_while(|c| **c >= words)
            .count();
        let last = i + common[i..].iter().take_while(|c| **c >= words).count();
        let places = &order[first..=last];
        for &place in places {
            covered[place as usize..][..words].fill(true);
        }
        spans.push(RepeatedSpan {
            words,
            times: places.len(),
            documents: laid.documents_of(places),
            text: corpus.spelled(&laid.signs[place..place + words.min(SPELLED)]),
        });
    }
    spans
}

/// Documents end to end.
struct Laid {
    /// Words, and after each document a sign that stands nowhere else.
    signs: Vec<u32>,
    /// Where the documents end.
    ends: Vec<usize>,
}

impl Laid {
    fn of(corpus: &Corpus<'_>, documents: &[usize]) -> Self {
        let mut laid = Self {
            signs: Vec::new(),
            ends: Vec::new(),
        };
        for (number, &document) in documents.iter().enumerate() {
            laid.signs.extend(&corpus.document(document).grams[0]);
            laid.signs.push(u32::MAX - number as u32);
            laid.ends.push(laid.signs.len());
        }
        laid
    }

    fn documents_of(&self, places: &[u32]) -> usize {
        let document = |place: &u32| self.ends.partition_point(|end| *end <= *place as usize);
        let mut documents: Vec<usize> = places.iter().map(document).collect();
        documents.sort_unstable();
        documents.dedup();
        documents.len()
    }
}

/// All places, by the signs that follow each of them.
fn sorted_places(signs: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..signs.len() as u32).collect();
    let mut rank = signs.to_vec();
    // What is ranked by some signs is sorted by twice as many by the ranks of both halves; at first there is only one half.
    let mut half = signs.len();
    loop {
        let key = |place: &u32| {
            let after = rank.get(*place as usize + half);
            (rank[*place as usize], after.map_or(0, |rank| rank + 1))
        };
        order.sort_unstable_by_key(key);
        let mut next = vec![0; signs.len()];
        for pair in order.windows(2) {
            let step = u32::from(key(&pair[0]) != key(&pair[1]));
            next[pair[1] as usize] = next[pair[0] as usize] + step;
        }
        rank = next;
        let last = order
            .last()
            .map_or(0, |&place| rank[place as usize] as usize);
        if last + 1 >= signs.len() {
            return order;
        }
        half = if half == signs.len() { 1 } else { 2 * half };
    }
}

/// How many signs each place has in common with the next one in the order.
fn common_with_next(signs: &[u32], order: &[u32]) -> Vec<usize> {
    let mut position = vec![0; signs.len()];
    for (at, place) in order.iter().enumerate() {
        position[*place as usize] = at;
    }
    let mut common = vec![0; signs.len()];
    let mut length = 0_usize;
    for place in 0..signs.len() {
        let Some(&next) = order.get(position[place] + 1) else {
            length = 0;
            continue;
        };
        let (here, there) = (&signs[place + length..], &signs[next as usize + length..]);
        length += here.iter().zip(there).take_while(|(a, b)| a == b).count();
        common[position[place]] = length;
        length = length.saturating_sub(1);
    }
    common
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::Cutter;

    proptest! {
        #[test]
        fn places_are_sorted_by_what_follows(signs in prop::collection::vec(0_u32..4, 0..60)) {
            let order = sorted_places(&signs);
            let mut expected: Vec<u32> = (0..signs.len() as u32).collect();
            expected.sort_by_key(|&place| &signs[place as usize..]);
            prop_assert_eq!(&order, &expected);
            let common = common_with_next(&signs, &order);
            for (pair, common) in order.windows(2).zip(common) {
                let (a, b) = (&signs[pair[0] as usize..], &signs[pair[1] as usize..]);
                prop_assert_eq!(common, a.iter().zip(b).take_while(|(a, b)| a == b).count());
            }
        }
    }

    #[test]
    fn the_longest_repetition_is_found_with_its_places() {
        let texts = [
            "a b c d e x a b c d e",
            "nothing here repeats",
            "y a b c d e and k l m n",
            "k l m n",
        ];
        let corpus = Corpus::new(&texts, &[], &Cutter::default()).unwrap();
        let spans = longest(&corpus, &[0, 1, 2, 3], 5);
        let found: Vec<_> = spans
            .iter()
            .map(|s| (s.text.as_str(), s.words, s.times, s.documents))
            .collect();
        assert_eq!(found, [("a b c d e", 5, 3, 2), ("k l m n", 4, 2, 2)]);
    }
}
