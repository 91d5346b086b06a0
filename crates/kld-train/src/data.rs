//! What is learnt from and what is held out, and in which order windows come.

use std::collections::BTreeMap;

use kld_models::Window;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::seed::STRIDE;
use crate::{Error, Result};

/// A window to learn from, and which of its scored rows count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The window.
    pub window: Window,
    /// For each scored row whether it counts; `None` where all do.
    pub mask: Option<Vec<bool>>,
}

impl From<Window> for Example {
    fn from(window: Window) -> Self {
        Self { window, mask: None }
    }
}

impl Example {
    /// Whether a scored row counts.
    #[must_use]
    pub fn counts(&self, row: usize) -> bool {
        let place = row - self.window.scored.start;
        self.mask.as_ref().is_none_or(|mask| mask[place])
    }

    /// Number of rows that count.
    #[must_use]
    pub fn counted(&self) -> usize {
        let scored = self.window.scored.clone();
        scored.filter(|&row| self.counts(row)).count()
    }
}

/// Windows that are learnt from, and windows that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// To learn from.
    pub training: Vec<Window>,
    /// To be judged by.
    pub held_out: Vec<Window>,
    /// What the user should know of it.
    pub warnings: Vec<String>,
}

/// Holds out whole fragments, chosen by `seed`, until they have at least `share` of all windows. A single fragment is cut in two: its
/// last windows are held out.
///
/// # Errors
///
/// If there are not two windows.
pub fn split(windows: Vec<Window>, share: f64, seed: u64) -> Result<Split> {
    if windows.len() < 2 {
        let what = format!(
            "{} windows of text: expected at least 2, one to learn from and one to hold out; give more text, or a smaller --context",
            windows.len()
        );
        return Err(Error::TooLittleText { what });
    }
    let wanted = ((share * windows.len() as f64).ceil() as usize).clamp(1, windows.len() - 1);
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    for window in &windows {
        *sizes.entry(window.fragment).or_default() += 1;
    }
    if sizes.len() == 1 {
        let mut training = windows;
        let held_out = training.split_off(training.len() - wanted);
        let warning = "the text is one fragment: its end is held out, which goes on where the training text stops".to_owned();
        return Ok(Split {
            training,
            held_out,
            warnings: vec![warning],
        });
    }
    let chosen = choose(&sizes, wanted, seed);
    let is_chosen = |window: &Window| chosen.contains(&window.fragment);
    let (held_out, training) = windows.into_iter().partition(is_chosen);
    Ok(Split {
        training,
        held_out,
        warnings: Vec::new(),
    })
}

/// Fragments that have at least `wanted` windows together, but not all fragments.
fn choose(sizes: &BTreeMap<u32, usize>, wanted: usize, seed: u64) -> Vec<u32> {
    let mut fragments: Vec<u32> = sizes.keys().copied().collect();
    fragments.shuffle(&mut StdRng::seed_from_u64(seed));
    let (mut chosen, mut count) = (Vec::new(), 0);
    for fragment in fragments.into_iter().take(sizes.len() - 1) {
        if count >= wanted {
            break;
        }
        count += sizes[&fragment];
        chosen.push(fragment);
    }
    chosen
}

/// The order in which windows are learnt from: all of them once, shuffled, then all again in another order, and so on. It is a
/// function of the seed alone, so that a run can go on anywhere.
#[derive(Clone, Debug)]
pub struct Order {
    seed: u64,
    count: u64,
    round: Option<(u64, Vec<u32>)>,
}

impl Order {
    /// The order of so many windows.
    #[must_use]
    pub fn new(count: usize, seed: u64) -> Self {
        Self {
            seed,
            count: count as u64,
            round: None,
        }
    }

    /// The windows of a step, counted from 0, of `batch` windows each.
    pub fn step(&mut self, step: u64, batch: usize) -> Vec<usize> {
        let first = step * batch as u64;
        (first..first + batch as u64).map(|i| self.at(i)).collect()
    }

    fn at(&mut self, place: u64) -> usize {
        let (round, within) = (place / self.count, (place % self.count) as usize);
        if let Some((known, order)) = &self.round
            && *known == round
        {
            return order[within] as usize;
        }
        let mut order: Vec<u32> = (0..self.count as u32).collect();
        let seed = self.seed.wrapping_add(round.wrapping_mul(STRIDE));
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        let window = order[within] as usize;
        self.round = Some((round, order));
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(sizes: &[usize]) -> Vec<Window> {
        let of = |(fragment, &count): (usize, &usize)| {
            let window = Window {
                fragment: fragment as u32,
                input: vec![0, 1],
                replaced: None,
                scored: 0..1,
            };
            vec![window; count]
        };
        sizes.iter().enumerate().flat_map(of).collect()
    }

    #[test]
    fn no_fragment_is_on_both_sides() {
        for seed in 0..20 {
            let split = split(windows(&[3, 5, 1, 8, 2]), 0.2, seed).unwrap();
            assert!(split.held_out.len() >= 4 && !split.training.is_empty());
            assert_eq!(split.held_out.len() + split.training.len(), 19);
            let held = |w: &Window| split.held_out.iter().any(|h| h.fragment == w.fragment);
            assert!(!split.training.iter().any(held));
        }
    }

    #[test]
    fn a_single_fragment_is_cut_and_that_is_said() {
        let split = split(windows(&[10]), 0.25, 0).unwrap();
        assert_eq!((split.training.len(), split.held_out.len()), (7, 3));
        assert_eq!(split.warnings.len(), 1);
    }

    #[test]
    fn one_window_cannot_be_split() {
        assert!(split(windows(&[1]), 0.1, 0).is_err());
    }

    #[test]
    fn a_round_visits_every_window_once_and_rounds_differ() {
        let mut order = Order::new(12, 5);
        let steps: Vec<Vec<usize>> = (0..6).map(|step| order.step(step, 4)).collect();
        let (first, second) = (steps[..3].concat(), steps[3..].concat());
        for round in [&first, &second] {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..12).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
        // Whoever begins in the middle gets the same.
        assert_eq!(Order::new(12, 5).step(4, 4), steps[4]);
    }

    #[test]
    fn masked_rows_do_not_count() {
        let window = Window {
            fragment: 0,
            input: vec![0; 6],
            replaced: None,
            scored: 2..5,
        };
        let mask = Some(vec![false, true, true]);
        let example = Example { window, mask };
        assert_eq!(example.counted(), 2);
        assert!(!example.counts(2) && example.counts(4));
    }
}
