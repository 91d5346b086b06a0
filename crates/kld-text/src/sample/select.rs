//! Which of the documents that were drawn are taken.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};
use kld_core::result::{NearDuplicate, NearRule, Overlap};

use super::{
    SampleOptions,
    draw::{Drawn, Strata},
    grams::{Grams, hash},
    overlap::Shared,
};
use crate::{Result, read::Document, segment::Cutter};

/// The sample, and what was left out of it.
pub(super) struct Selection {
    /// In the order of the corpus.
    pub(super) taken: Vec<Document>,
    pub(super) by_stratum: Vec<u64>,
    pub(super) without_words: u64,
    pub(super) too_short_to_tell: u64,
    pub(super) near_duplicates: Vec<NearDuplicate>,
    pub(super) overlaps: Vec<Overlap>,
}

impl Selection {
    /// Goes through the documents in the order of their keys.
    pub(super) fn new(
        drawn: Vec<Drawn>,
        shared: Vec<Shared>,
        strata: &Strata,
        options: &SampleOptions,
    ) -> Result<Self> {
        let mut selection = Self {
            taken: Vec::new(),
            by_stratum: vec![0; strata.values.len()],
            without_words: 0,
            too_short_to_tell: 0,
            near_duplicates: Vec::new(),
            overlaps: Vec::new(),
        };
        let mut others = Others::new(&options.count.cutter, options.near);
        let mut taken = BTreeMap::new();
        for (drawn, shared) in drawn.into_iter().zip(shared) {
            let filled = &mut selection.by_stratum[drawn.stratum];
            if *filled == strata.values[drawn.stratum].allotted {
                continue;
            }
            let set = others.set(&drawn.document.text)?;
            if set.is_empty() {
                selection.without_words += 1;
                continue;
            }
            if let Shared::Much(overlap) = shared {
                selection.overlaps.push(overlap);
                continue;
            }
            if let Some(near) = others.nearest(&drawn.document.name, &set) {
                selection.near_duplicates.push(near);
                continue;
            }
            selection.too_short_to_tell += u64::from(matches!(shared, Shared::TooShort));
            others.add(&drawn.document.name, &set);
            *filled += 1;
            taken.insert(drawn.number, drawn.document);
        }
        selection.taken = taken.into_values().collect();
        Ok(selection)
    }

    /// Has every stratum as many as were allotted to it?
    pub(super) fn is_full(&self, strata: &Strata) -> bool {
        let mut all = self.by_stratum.iter().zip(&strata.values);
        all.all(|(taken, stratum)| *taken == stratum.allotted)
    }
}

/// The n-grams of the documents taken so far.
struct Others<'a> {
    rule: NearRule,
    grams: Grams<'a>,
    /// All words of a document that has fewer than an n-gram.
    words: Grams<'a>,
    /// Which documents have an n-gram.
    having: HashMap<u64, Vec<u32>>,
    names: Vec<String>,
    sizes: Vec<usize>,
}

impl<'a> Others<'a> {
    fn new(cutter: &'a Cutter, rule: NearRule) -> Self {
        Self {
            rule,
            grams: Grams::new(cutter, rule.ngram),
            words: Grams::new(cutter, 1),
            having: HashMap::new(),
            names: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// The n-grams of a document, or all its words as one; none where it has no words.
    fn set(&mut self, text: &str) -> Result<Vec<u64>> {
        let set = self.grams.set(text)?;
        if !set.is_empty() {
            return Ok(set);
        }
        let mut all = String::new();
        self.words.each(text, |_, word| {
            all.push_str(word);
            all.push(' ');
        })?;
        Ok((!all.is_empty()).then(|| hash(&all)).into_iter().collect())
    }

    /// The most similar document taken so far, if it is a near-duplicate; the first of equal ones.
    fn nearest(&self, name: &str, set: &[u64]) -> Option<NearDuplicate> {
        let mut shared: BTreeMap<u32, usize> = BTreeMap::new();
        for other in set
            .iter()
            .filter_map(|gram| self.having.get(gram))
            .flatten()
        {
            *shared.entry(*other).or_default() += 1;
        }
        let similarity = |(other, both): (u32, usize)| {
            let either = set.len() + self.sizes[other as usize] - both;
            (both as f64 / either as f64, other)
        };
        let (similarity, other) = shared
            .into_iter()
            .map(similarity)
            .filter(|(similarity, _)| *similarity >= self.rule.similarity)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
        Some(NearDuplicate {
            name: name.to_owned(),
            of: self.names[other as usize].clone(),
            similarity,
        })
    }

    fn add(&mut self, name: &str, set: &[u64]) {
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.sizes.push(set.len());
        for gram in set {
            self.having.entry(*gram).or_default().push(number);
        }
    }
}
