//! The compact letter display: which candidates can be told apart, at a glance.
//!
//! Every letter is a set of candidates none of which differs from another one in it; two candidates share a letter if and
//! only if they do not differ. Insert and absorb: begin with one set of all; for each pair that differs, split every set that holds both
//! into one without the first and one without the second; drop sets that lie within others.
//!
//! H.-P. Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", Journal of Computational and
//! Graphical Statistics 13 (2004).

/// The letters of `count` candidates, given in the order of their ranks; `differ` lists the pairs that can be told apart.
///
/// ```
/// // 0 and 2 differ, 1 can be told from neither.
/// assert_eq!(kld_core::ranking::letters(3, &[(0, 2)]), ["a", "ab", "b"]);
/// ```
#[must_use]
pub fn letters(count: usize, differ: &[(usize, usize)]) -> Vec<String> {
    let mut texts = vec![String::new(); count];
    for (index, set) in sets(count, differ).iter().enumerate() {
        for candidate in (0..count).filter(|c| set[*c]) {
            texts[candidate].push_str(&letter(index));
        }
    }
    texts
}

/// The largest sets of candidates that do not differ, those with the best candidates first. `set[c]`: is candidate c in it?
fn sets(count: usize, differ: &[(usize, usize)]) -> Vec<Vec<bool>> {
    let mut sets = vec![vec![true; count]];
    for (a, b) in differ {
        let (both, mut kept): (Vec<_>, Vec<_>) = sets.into_iter().partition(|s| s[*a] && s[*b]);
        for out in [*b, *a] {
            for set in &both {
                let mut set = set.clone();
                set[out] = false;
                absorb(&mut kept, set);
            }
        }
        sets = kept;
    }
    // Members first in the order of ranks: a set that holds a better candidate comes earlier.
    sets.sort_by(|a, b| b.cmp(a));
    sets
}

/// Adds a set unless it lies within one that is there already; those that lie within it go.
fn absorb(sets: &mut Vec<Vec<bool>>, set: Vec<bool>) {
    let within = |inner: &[bool], outer: &[bool]| inner.iter().zip(outer).all(|(i, o)| !i || *o);
    if sets.iter().any(|other| within(&set, other)) {
        return;
    }
    sets.retain(|other| !within(other, &set));
    sets.push(set);
}

/// `a` to `z`, then `a1` to `z1`, and so on.
fn letter(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    match index / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 53].map(letter), ["a", "z", "a1", "b2"]);
    }

    proptest! {
        /// Any pattern of differences, also those that no ordering would give.
        #[test]
        fn two_share_a_letter_if_and_only_if_they_do_not_differ(
            count in 1_usize..9,
            bits in prop::collection::vec(any::<bool>(), 36),
        ) {
            let pairs: Vec<(usize, usize)> = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
            let differ: Vec<(usize, usize)> = pairs.iter().zip(&bits).filter(|(_, d)| **d).map(|(p, _)| *p).collect();
            let texts = letters(count, &differ);
            let sets: Vec<BTreeSet<char>> = texts.iter().map(|t| t.chars().collect()).collect();
            for (a, b) in pairs {
                prop_assert_eq!(!sets[a].is_disjoint(&sets[b]), !differ.contains(&(a, b)), "{:?} {:?}", &differ, &texts);
            }
            prop_assert!(texts.iter().all(|t| !t.is_empty()));
            prop_assert!(texts[0].starts_with('a'), "the best one has the first letter: {:?}", texts);
        }
    }
}
