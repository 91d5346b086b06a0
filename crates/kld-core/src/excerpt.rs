//! The part of a text that a page has room for: where the candidates are farthest from the reference, and a random sample of the rest.
//!
//! What is far off is what one wants to see; it says nothing of how the text usually looks, and the sample does. Both are made of
//! stretches of at most [`STRETCH`] positions, so that a long window need not be shown whole or not at all.

use std::ops::Range;

use rand::{SeedableRng, rngs::Xoshiro256PlusPlus, seq::SliceRandom};

use crate::{RowOutcome, WindowRows};

/// The longest stretch, in scored positions.
pub const STRETCH: usize = 256;

/// Neighbouring scored positions of one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch<'a> {
    /// The window.
    pub rows: &'a WindowRows,
    /// Which of its scored positions, counted from the first scored one; the same for every candidate.
    pub range: Range<usize>,
}

/// What is shown of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Excerpt<'a> {
    /// The stretches in the order of the text.
    pub stretches: Vec<Stretch<'a>>,
    /// How many of them were chosen for their KL.
    pub by_kl: usize,
    /// How many of them were chosen at random among the others.
    pub at_random: usize,
    /// Scored positions in them.
    pub positions: usize,
    /// Scored positions in the whole text.
    pub of: usize,
    /// How many candidates count: the first ones of the rows.
    pub candidates: usize,
}

impl<'a> Excerpt<'a> {
    /// Everything, if it has at most `positions` scored positions; else half of that by largest mean KL, and the rest of it chosen at
    /// random. Every candidate counts alike: by how many times its own mean its KL in a stretch is.
    #[must_use]
    pub fn new(rows: &'a [WindowRows], candidates: usize, positions: usize, seed: u64) -> Self {
        let mut all: Vec<Stretch> = rows.iter().flat_map(stretches).collect();
        all.sort_by_key(|stretch| (stretch.rows.window, stretch.range.start));
        let of = all.iter().map(Stretch::positions).sum();
        if of <= positions {
            let (by_kl, at_random) = (all.len(), 0);
            return Self {
                stretches: all,
                by_kl,
                at_random,
                positions: of,
                of,
                candidates,
            };
        }
        let (far, mut others) = farthest(all, candidates, positions / 2);
        others.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
        let room = positions - far.iter().map(Stretch::positions).sum::<usize>();
        let (sample, _) = fitting(others, room);
        let (by_kl, at_random) = (far.len(), sample.len());
        let mut stretches = far;
        stretches.extend(sample);
        stretches.sort_by_key(|stretch| (stretch.rows.window, stretch.range.start));
        Self {
            positions: stretches.iter().map(Stretch::positions).sum(),
            stretches,
            by_kl,
            at_random,
            of,
            candidates,
        }
    }

    /// Is it the whole text?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.positions == self.of
    }
}

impl<'a> Stretch<'a> {
    /// The positions of one candidate.
    pub fn candidate(&self, index: usize) -> &'a [RowOutcome] {
        &self.rows.candidates[index][self.range.clone()]
    }

    /// Number of scored positions.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.range.len()
    }
}

fn stretches(rows: &WindowRows) -> impl Iterator<Item = Stretch<'_>> {
    let positions = rows.candidates.first().map_or(0, Vec::len);
    (0..positions).step_by(STRETCH).map(move |start| Stretch {
        rows,
        range: start..positions.min(start + STRETCH),
    })
}

/// The stretches farthest off, as many as fit, and the others.
fn farthest(mut all: Vec<Stretch>, candidates: usize, room: usize) -> (Vec<Stretch>, Vec<Stretch>) {
    let means: Vec<f64> = (0..candidates)
        .map(|index| mean_kl(all.iter().flat_map(|stretch| stretch.candidate(index))))
        .collect();
    let times_its_mean = |stretch: &Stretch| {
        let of = |(index, mean): (usize, &f64)| match mean_kl(stretch.candidate(index)) {
            0.0 => 0.0,
            kl => kl / mean,
        };
        means.iter().enumerate().map(of).fold(0.0, f64::max)
    };
    // Equals stay in the order of the text.
    all.sort_by_cached_key(|stretch| std::cmp::Reverse(times_its_mean(stretch).to_bits()));
    fitting(all, room)
}

/// Those that fit one after the other, and those that do not.
fn fitting(all: Vec<Stretch>, mut room: usize) -> (Vec<Stretch>, Vec<Stretch>) {
    all.into_iter().partition(|stretch| {
        let fits = stretch.positions() <= room;
        room -= if fits { stretch.positions() } else { 0 };
        fits
    })
}

/// Over the finite positions; 0 where there is none.
fn mean_kl<'a>(outcomes: impl IntoIterator<Item = &'a RowOutcome>) -> f64 {
    let finite = outcomes.into_iter().flatten().filter(|row| row.is_finite());
    let (sum, count) = finite.fold((0.0, 0_u64), |(sum, count), row| {
        (sum + row.pair.kl, count + 1)
    });
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Place, TokenRow, row::RowPair};

    fn row(window: u32, row: u32, kl: f64) -> TokenRow {
        TokenRow {
            place: Place {
                fragment: 0,
                window,
                row,
            },
            observed: 0,
            pair: RowPair {
                kl,
                ..RowPair::default()
            },
            nll_p: 1.0,
            nll_q: 1.0,
            padding_mass_p: 0.0,
            padding_mass_q: 0.0,
        }
    }

    /// Windows of `lengths[i]` positions whose KL is `kl(i)` under the first candidate and nothing under the second.
    fn windows(lengths: &[usize], kl: impl Fn(usize) -> f64) -> Vec<WindowRows> {
        let window = |(index, length): (usize, &usize)| {
            let rows = |kl: f64| {
                (0..*length as u32)
                    .map(|i| Ok(row(index as u32, i, kl)))
                    .collect()
            };
            WindowRows {
                window: index as u32,
                candidates: vec![rows(kl(index)), rows(0.0)],
            }
        };
        lengths.iter().enumerate().map(window).collect()
    }

    #[test]
    fn the_farthest_windows_are_in_and_a_sample_of_the_rest() {
        let rows = windows(&[10; 40], |index| if index % 10 == 7 { 1.0 } else { 0.01 });
        let excerpt = Excerpt::new(&rows, 2, 85, 3);
        assert_eq!((excerpt.by_kl, excerpt.at_random), (4, 4));
        assert_eq!((excerpt.positions, excerpt.of), (80, 400));
        let shown: Vec<u32> = excerpt.stretches.iter().map(|s| s.rows.window).collect();
        assert!(
            [7, 17, 27, 37].iter().all(|window| shown.contains(window)),
            "{shown:?}"
        );
        assert!(shown.is_sorted() && !excerpt.is_whole());
        assert_eq!(Excerpt::new(&rows, 2, 85, 3), excerpt);
        assert_ne!(Excerpt::new(&rows, 2, 85, 4), excerpt);
    }

    #[test]
    fn what_fits_is_shown_whole_in_the_order_of_the_text() {
        let mut rows = windows(&[300, 20], |_| 0.1);
        rows.reverse();
        let excerpt = Excerpt::new(&rows, 2, 320, 0);
        let ranges: Vec<_> = excerpt
            .stretches
            .iter()
            .map(|s| (s.rows.window, s.range.clone()))
            .collect();
        assert_eq!(ranges, [(0, 0..256), (0, 256..300), (1, 0..20)]);
        assert!(excerpt.is_whole());
    }

    proptest! {
        #[test]
        fn nothing_is_shown_twice_and_the_room_is_kept(
            lengths in prop::collection::vec(0_usize..700, 0..12),
            positions in 0_usize..3000,
            seed: u64,
        ) {
            let rows = windows(&lengths, |index| index as f64);
            let excerpt = Excerpt::new(&rows, 2, positions, seed);
            prop_assert!(excerpt.positions <= positions);
            prop_assert_eq!(excerpt.of, lengths.iter().sum::<usize>());
            prop_assert_eq!(excerpt.by_kl + excerpt.at_random, excerpt.stretches.len());
            let apart = |pair: &[Stretch]| {
                (pair[0].rows.window, pair[0].range.end) <= (pair[1].rows.window, pair[1].range.start)
                    || pair[0].rows.window < pair[1].rows.window
            };
            prop_assert!(excerpt.stretches.windows(2).all(apart));
        }
    }
}
