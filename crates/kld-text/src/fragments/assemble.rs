//! Stretches of terms put together to fragments.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};
use kld_core::result::{FragmentKind, TextFragment};

use super::{
    MOST_GROUPS,
    floor::Floor,
    known::{Known, Role},
    walk::Stretch,
};
use crate::{Error, Result};

/// A fragment with all its terms.
pub(super) struct Whole {
    name: String,
    /// How often each of its terms stands in it, by their numbers.
    counts: Vec<(u32, u64)>,
}

/// What is no fragment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    pub(super) without_terms: u64,
    pub(super) cut_off: u64,
}

/// Fragments in the making.
pub(super) enum Assembly {
    Documents {
        here: HashMap<u32, u64>,
        left: Left,
    },
    Windows {
        size: u64,
        here: HashMap<u32, u64>,
        filled: u64,
        number: u64,
    },
    Groups(BTreeMap<String, HashMap<u32, u64>>),
}

impl Assembly {
    pub(super) fn new(kind: &FragmentKind) -> Self {
        match kind {
            FragmentKind::Documents => Self::Documents {
                here: HashMap::new(),
                left: Left::default(),
            },
            FragmentKind::Windows { terms } => Self::Windows {
                size: (*terms).max(1),
                here: HashMap::new(),
                filled: 0,
                number: 0,
            },
            FragmentKind::Groups { .. } => Self::Groups(BTreeMap::new()),
        }
    }

    /// Takes the next stretch, and hands on the fragments that it completes.
    pub(super) fn take(&mut self, stretch: Stretch, sink: &mut dyn FnMut(Whole)) -> Result<()> {
        match self {
            Self::Documents { here, left } => {
                add(here, &stretch.terms);
                if stretch.last {
                    match Whole::of(stretch.name, here) {
                        Some(whole) => sink(whole),
                        None => left.without_terms += 1,
                    }
                }
            }
            Self::Windows {
                size,
                here,
                filled,
                number,
            } => {
                let mut terms = stretch.terms.as_slice();
                while !terms.is_empty() {
                    let missing = (*size - *filled).min(terms.len() as u64);
                    let (now, later) = terms.split_at(missing as usize);
                    add(here, now);
                    *filled += missing;
                    terms = later;
                    if *filled == *size {
                        let first = *number * *size + 1;
                        let name = format!("{first}–{}", first + *size - 1);
                        Whole::of(name, here).into_iter().for_each(&mut *sink);
                        *filled = 0;
                        *number += 1;
                    }
                }
            }
            Self::Groups(groups) => {
                let value = stretch.by.ok_or_else(|| Error::BadRecord {
                    name: stretch.name,
                    problem: "plain text has no fields to group by: expected records".to_owned(),
                })?;
                add(groups.entry(value).or_default(), &stretch.terms);
                if groups.len() > MOST_GROUPS {
                    return Err(Error::TooManyGroups { most: MOST_GROUPS });
                }
            }
        }
        Ok(())
    }

    /// Hands on what is complete only now, and says what is no fragment.
    pub(super) fn finish(self, sink: &mut dyn FnMut(Whole)) -> Left {
        match self {
            Self::Documents { left, .. } => left,
            Self::Windows { filled, .. } => Left {
                cut_off: filled,
                ..Left::default()
            },
            Self::Groups(groups) => {
                let mut left = Left::default();
                for (name, mut here) in in_order(groups) {
                    match Whole::of(name, &mut here) {
                        Some(whole) => sink(whole),
                        None => left.without_terms += 1,
                    }
                }
                left
            }
        }
    }
}

fn add(here: &mut HashMap<u32, u64>, terms: &[u32]) {
    for term in terms {
        *here.entry(*term).or_default() += 1;
    }
}

/// Groups by value: as numbers where all are numbers, else as text, which is right for dates such as 2026-11-26.
fn in_order<T>(groups: BTreeMap<String, T>) -> Vec<(String, T)> {
    let mut groups: Vec<(String, T)> = groups.into_iter().collect();
    let number = |(name, _): &(String, T)| name.parse::<f64>().unwrap_or(f64::NAN);
    if groups.iter().all(|group| !number(group).is_nan()) {
        groups.sort_by(|a, b| number(a).total_cmp(&number(b)));
    }
    groups
}

impl Whole {
    /// The fragment of the counts so far, which begin anew; `None` without any.
    fn of(name: String, here: &mut HashMap<u32, u64>) -> Option<Self> {
        let mut counts: Vec<(u32, u64)> = here.drain().collect();
        // Sums must not depend on the order of hashes.
        counts.sort_unstable();
        (!counts.is_empty()).then_some(Self { name, counts })
    }

    /// The fragment against the reference, not yet tested.
    pub(super) fn judged(self, known: &Known, floor: &Floor, role: Role) -> TextFragment {
        let terms = self.counts.iter().map(|(_, count)| count).sum();
        let measured = known.measure(&self.counts, role);
        let floor = floor.of(terms);
        TextFragment {
            name: self.name,
            terms,
            kl: measured.kl,
            floor,
            excess: measured.kl - floor,
            p: None,
            adjusted_p: None,
            carried_by: measured.carried_by,
        }
    }
}
