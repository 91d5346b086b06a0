//! Fragments of the candidate, judged by those of the reference.

use kld_core::result::{FragmentKind, OwnSpread, TextFragment, TextFragments};

use super::assemble::Left;

/// Chance of a false discovery among those that stand out.
const LEVEL: f64 = 0.05;

/// What is kept of the fragments while they come.
pub(super) struct Judge {
    kind: FragmentKind,
    /// Of documents no more are kept than are listed.
    most: Option<usize>,
    kept: Vec<TextFragment>,
    /// Excess and number of terms of all.
    all: Vec<(f64, u64)>,
}

impl Judge {
    pub(super) fn new(kind: &FragmentKind, listed: usize) -> Self {
        Self {
            kind: kind.clone(),
            most: (*kind == FragmentKind::Documents).then_some(listed),
            kept: Vec::new(),
            all: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, fragment: TextFragment) {
        self.all.push((fragment.excess, fragment.terms));
        self.kept.push(fragment);
        // Some slack, so that sorting is rare.
        if self
            .most
            .is_some_and(|most| self.kept.len() > 4 * most + 64)
        {
            self.keep_farthest();
        }
    }

    fn keep_farthest(&mut self) {
        let Some(most) = self.most else { return };
        // Stable: of equally far ones the first come first.
        self.kept.sort_by(|a, b| b.excess.total_cmp(&a.excess));
        self.kept.truncate(most);
    }

    /// The median number of terms of all fragments, at least 1.
    pub(super) fn median_terms(&self) -> u64 {
        let mut terms: Vec<u64> = self.all.iter().map(|(_, terms)| *terms).collect();
        terms.sort_unstable();
        terms.get(terms.len() / 2).copied().unwrap_or(1)
    }

    /// The result, given the excess of the reference's own fragments.
    pub(super) fn result(
        mut self,
        left: Left,
        own_kind: FragmentKind,
        mut own: Vec<f64>,
    ) -> TextFragments {
        self.keep_farthest();
        own.sort_by(f64::total_cmp);
        let adjusted = Adjusted::new(self.all.iter().map(|(excess, _)| *excess), &own);
        if let Some(adjusted) = &adjusted {
            for fragment in &mut self.kept {
                let p = p_value(fragment.excess, &own);
                fragment.p = Some(p);
                fragment.adjusted_p = Some(adjusted.of(p));
            }
        }
        TextFragments {
            kind: self.kind,
            number: self.all.len() as u64,
            without_terms: left.without_terms,
            cut_off: left.cut_off,
            stand_out: adjusted.as_ref().map(Adjusted::stand_out),
            spread: adjusted.map(|_| spread(own_kind, &own)),
            listed: self.kept,
        }
    }
}

fn spread(kind: FragmentKind, sorted: &[f64]) -> OwnSpread {
    let at = |share: f64| sorted[((share * sorted.len() as f64).ceil() as usize).max(1) - 1];
    OwnSpread {
        kind,
        number: sorted.len() as u64,
        median: at(0.5),
        percentile_95: at(0.95),
    }
}

/// (1 + how many are at least as large) / (1 + how many there are).
fn p_value(excess: f64, sorted: &[f64]) -> f64 {
    let smaller = sorted.partition_point(|own| *own < excess);
    (1 + sorted.len() - smaller) as f64 / (1 + sorted.len()) as f64
}

/// P-values with what Benjamini and Hochberg make of them.
struct Adjusted {
    /// All p, smallest first, and for each the smallest p·n/rank of those from it on.
    adjusted: Vec<(f64, f64)>,
}

impl Adjusted {
    fn new(excesses: impl Iterator<Item = f64>, own: &[f64]) -> Option<Self> {
        if own.is_empty() {
            return None;
        }
        let mut p: Vec<f64> = excesses.map(|excess| p_value(excess, own)).collect();
        p.sort_by(f64::total_cmp);
        let number = p.len() as f64;
        let mut least = 1.0_f64;
        let mut adjusted: Vec<(f64, f64)> = p
            .into_iter()
            .enumerate()
            .rev()
            .map(|(rank, p)| {
                least = least.min(p * number / (rank + 1) as f64);
                (p, least)
            })
            .collect();
        adjusted.reverse();
        Some(Self { adjusted })
    }

    fn of(&self, p: f64) -> f64 {
        let place = self.adjusted.partition_point(|(other, _)| *other < p);
        self.adjusted
            .get(place)
            .map_or(1.0, |(_, adjusted)| *adjusted)
    }

    fn stand_out(&self) -> u64 {
        self.adjusted
            .partition_point(|(_, adjusted)| *adjusted <= LEVEL) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_counts_the_own_fragments_that_are_as_far() {
        let own = [1.0, 2.0, 3.0];
        assert_eq!([0.5, 2.0, 9.0].map(|x| p_value(x, &own)), [1.0, 0.75, 0.25]);
    }

    #[test]
    fn adjusted_values_are_those_of_benjamini_and_hochberg() {
        // As `scipy.stats.false_discovery_control([0.25, 0.5, 0.5, 1.0])` has them.
        let adjusted = Adjusted::new([9.0, 2.5, 2.5, 0.0].into_iter(), &[1.0, 2.0, 3.0]).unwrap();
        let (of, expected) = (
            [0.25, 0.5, 1.0].map(|p| adjusted.of(p)),
            [2.0 / 3.0, 2.0 / 3.0, 1.0],
        );
        for (of, expected) in of.iter().zip(expected) {
            assert!((of - expected).abs() < 1e-15, "{of} {expected}");
        }
        assert_eq!(adjusted.stand_out(), 0);
        assert!(Adjusted::new([1.0].into_iter(), &[]).is_none());
    }
}
