//! Numbers as they were read, before anybody says what they mean; and two of them brought into the same order.

use std::collections::HashMap;

use anyhow::{Result, bail};
use kld_core::Error;

/// What one input holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// A name for every number, or none at all. No name stands twice.
    pub(crate) names: Option<Vec<String>>,
    /// The numbers.
    pub(crate) numbers: Vec<f64>,
    /// How exactly the numbers were stored.
    pub(crate) precision: Precision,
}

/// How exactly numbers were stored, which decides how far a sum may be from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Text, 64-bit floats, whole numbers.
    Double,
    /// 32-bit floats.
    Single,
    /// 16-bit floats (`f16`): 11 bits of significand.
    Half,
    /// 16-bit floats (`bf16`): 8 bits of significand.
    Brain,
}

impl Precision {
    /// How far the sum of probabilities may be from 1: 1e-6 for text and `f64`, 1e-5 for `f32`, and for the 16-bit types twice
    /// their largest relative rounding error, 2⁻¹⁰ and 2⁻⁸.
    pub(crate) fn tolerance(self) -> f64 {
        match self {
            Self::Double => 1e-6,
            Self::Single => 1e-5,
            Self::Half => 1.0 / 1024.0,
            Self::Brain => 1.0 / 256.0,
        }
    }
}

impl Table {
    /// Numbers without names.
    pub(crate) fn unnamed(numbers: Vec<f64>, precision: Precision) -> Self {
        Self {
            names: None,
            numbers,
            precision,
        }
    }

    /// Numbers with names, as text gives them.
    ///
    /// # Errors
    ///
    /// If a name stands twice.
    pub(crate) fn named(entries: Vec<(String, f64)>) -> Result<Self> {
        let (names, numbers): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let mut first = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            if let Some(before) = first.insert(name.as_str(), index) {
                bail!(
                    "the name `{name}` stands twice, at [{before}] and [{index}]: which one counts?"
                );
            }
        }
        Ok(Self {
            names: Some(names),
            numbers,
            precision: Precision::Double,
        })
    }
}

/// Two tables about the same things, in the same order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    /// The names, if the tables had some: those of P in its order, then those that only Q has.
    pub(crate) names: Option<Vec<String>>,
    /// The reference.
    pub(crate) p: Table,
    /// The candidate.
    pub(crate) q: Table,
}

/// Brings two tables into the same order: by name, where a name that is missing has the number `absent`, or else by place.
///
/// # Errors
///
/// If one has names and the other has not, or without names their lengths differ.
pub(crate) fn align(p: Table, q: Table, absent: f64) -> Result<Pair> {
    match (&p.names, &q.names) {
        (Some(_), Some(_)) => Ok(align_by_name(p, q, absent)),
        (None, None) if p.numbers.len() != q.numbers.len() => Err(Error::Lengths {
            reference: p.numbers.len(),
            candidate: q.numbers.len(),
        }
        .into()),
        (None, None) => Ok(Pair { names: None, p, q }),
        (p_names, _) => {
            let (with, without) = if p_names.is_some() {
                ("P", "Q")
            } else {
                ("Q", "P")
            };
            bail!(
                "{with} has names and {without} has not: they cannot be matched\n    \
                 hint: give names on both sides (a JSON object, a CSV of name,number) or on neither"
            )
        }
    }
}

fn align_by_name(p: Table, q: Table, absent: f64) -> Pair {
    let mut names = p.names.unwrap_or_default();
    let mut place: HashMap<String, usize> = names.iter().cloned().zip(0..).collect();
    let mut p_numbers = p.numbers;
    let mut q_numbers = vec![absent; p_numbers.len()];
    for (name, number) in q.names.unwrap_or_default().into_iter().zip(q.numbers) {
        if let Some(&index) = place.get(&name) {
            q_numbers[index] = number;
        } else {
            place.insert(name.clone(), names.len());
            names.push(name);
            p_numbers.push(absent);
            q_numbers.push(number);
        }
    }
    Pair {
        names: Some(names),
        p: Table::unnamed(p_numbers, p.precision),
        q: Table::unnamed(q_numbers, q.precision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(entries: &[(&str, f64)]) -> Table {
        Table::named(
            entries
                .iter()
                .map(|(name, number)| ((*name).to_owned(), *number))
                .collect(),
        )
        .unwrap()
    }

    #[test]
    fn names_are_joined_whatever_their_order_and_missing_ones_are_absent() {
        let pair = align(
            named(&[("a", 0.25), ("b", 0.75)]),
            named(&[("c", 0.5), ("b", 0.5)]),
            0.0,
        )
        .unwrap();
        assert_eq!(pair.names.unwrap(), ["a", "b", "c"]);
        assert_eq!(pair.p.numbers, [0.25, 0.75, 0.0]);
        assert_eq!(pair.q.numbers, [0.0, 0.5, 0.5]);
    }

    #[test]
    fn what_cannot_be_matched_is_refused() {
        let plain = |n| Table::unnamed(vec![0.5; n], Precision::Double);
        let refused = |p, q| align(p, q, 0.0).unwrap_err().to_string();
        assert_eq!(
            refused(plain(2), plain(3)),
            "P has 2 entries and Q has 3: without names they cannot be matched"
        );
        assert!(refused(plain(1), named(&[("a", 1.0)])).starts_with("Q has names and P has not"));
    }
}
