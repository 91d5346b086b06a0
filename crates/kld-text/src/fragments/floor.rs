//! What D is on average of samples drawn from the reference itself.
//!
//! With p the frequencies in the reference, n draws have on average Zhang and Grabchak's entropy G(n) = Σᵥ₌₁ⁿ⁻¹ 1/v Σₖ pₖ(1−pₖ)ᵛ, so D of them is on average the
//! cross-entropy less G(n). It falls to about 0 as n grows: the terms that a short text has room for are fewer than the reference has.

use std::collections::BTreeMap;

use kld_core::{
    count::{Counts, Estimator},
    sum::sum,
};

use crate::count::CountTable;

/// The floor of samples of any size.
pub(crate) struct Floor {
    cross_entropy: f64,
    /// n and G(n), for some n; between them G is nearly linear in ln n.
    entropy: Vec<(f64, f64)>,
}

/// Up to here every v is summed; beyond, blocks of v that grow by one in `FINENESS` are summed at once.
const EXACT: u64 = 256;
const FINENESS: u64 = 32;

impl Floor {
    /// Larger samples than the reference itself have its own floor.
    pub(crate) fn new(reference: &CountTable) -> Self {
        let counts: Vec<u64> = reference.terms().map(|term| term.count()).collect();
        let total = reference.total();
        // Terms that are equally frequent add the same.
        let mut spectrum: BTreeMap<u64, u64> = BTreeMap::new();
        for count in &counts {
            *spectrum.entry(*count).or_default() += 1;
        }
        let spectrum: Vec<(f64, f64)> = spectrum
            .into_iter()
            .map(|(count, terms)| (count as f64 / total as f64, terms as f64))
            .collect();
        Self {
            cross_entropy: Counts::new(counts).map_or(0.0, |own| {
                let estimator = Estimator::ZhangGrabchak;
                estimator.kl(&own, &own) + estimator.entropy(&own)
            }),
            entropy: entropies(&spectrum, total),
        }
    }

    /// The floor of a sample of so many terms.
    pub(crate) fn of(&self, terms: u64) -> f64 {
        let n = terms as f64;
        let after = self.entropy.partition_point(|(at, _)| *at <= n);
        let entropy = match (
            after.checked_sub(1).map(|i| self.entropy[i]),
            self.entropy.get(after),
        ) {
            (Some((from, low)), Some((to, high))) => {
                low + (high - low) * (n / from).ln() / (to / from).ln()
            }
            (Some((_, last)), None) => last,
            (None, _) => 0.0,
        };
        self.cross_entropy - entropy
    }
}

/// G(n) for n = 1, 2, …, then farther and farther apart, to the size of the reference.
fn entropies(spectrum: &[(f64, f64)], total: u64) -> Vec<(f64, f64)> {
    let mean_power = |v: f64| {
        sum(spectrum
            .iter()
            .map(|(p, terms)| terms * p * (v * (-p).ln_1p()).exp()))
    };
    let (mut all, mut entropy, mut v) = (vec![(1.0, 0.0)], 0.0, 1_u64);
    while v < total {
        let block = if v < EXACT { 1 } else { v / FINENESS };
        let end = (v + block).min(total);
        let inverse = sum((v..end).map(|v| 1.0 / v as f64));
        entropy += inverse * mean_power((v + end - 1) as f64 / 2.0);
        v = end;
        all.push((v as f64, entropy));
    }
    all
}

#[cfg(test)]
mod tests {
    use kld_core::count::Counts;
    use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

    use super::*;
    use crate::count::{CountOptions, count_texts};

    #[test]
    fn the_floor_is_what_samples_of_the_reference_show() {
        let text: String = (1..400)
            .map(|i| format!("w{i} ").repeat(2000 / i))
            .collect();
        let table = count_texts([text.as_str()], &CountOptions::default()).unwrap();
        let counts: Vec<u64> = table.terms().map(|term| term.count()).collect();
        let urn: Vec<usize> = (0..counts.len())
            .flat_map(|k| std::iter::repeat_n(k, counts[k] as usize))
            .collect();
        let (floor, q) = (Floor::new(&table), Counts::new(counts).unwrap());
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        for n in [1, 2, 50, 900, 5000] {
            let samples = 2000;
            let mean = sum((0..samples).map(|_| {
                let mut drawn = vec![0; q.known()];
                (0..n).for_each(|_| drawn[urn[random.random_range(0..urn.len())]] += 1);
                Estimator::ZhangGrabchak.kl(&Counts::new(drawn).unwrap(), &q)
            })) / f64::from(samples);
            assert!(
                (mean - floor.of(n)).abs() < 0.06,
                "{n}: {mean} {}",
                floor.of(n)
            );
        }
    }
}
