//! Texts in pairs on a terminal.

use std::io::{self, Write};

use kld_core::result::{LinkTest, Pair, Pairs, RankedBy, SwapTest};

use crate::{
    Exporter, Terminal,
    block::Block,
    dist::plural,
    format::{count, shortened, significant},
    quality::{blocks::likeness, p_value},
};

/// Pairs that are listed.
const LISTED: usize = 10;

/// Columns given to a text.
const TEXT_WIDTH: usize = 40;

impl Exporter<Pairs> for Terminal {
    fn export(&self, result: &Pairs, out: &mut dyn Write) -> io::Result<()> {
        self.export(&result.words, out)?;
        if let Some(left_out) = left_out(result) {
            writeln!(out, "{left_out}")?;
        }
        if let Some(meaning) = &result.meaning {
            let likeness = likeness(&meaning.mauve, &meaning.features);
            write!(out, "\n{}", likeness.text())?;
        }
        write!(out, "\n{}", self.pair_tests(result).text())?;
        let least = self.least_fitting(result, LISTED, TEXT_WIDTH);
        write!(out, "\n{}", least.text())
    }
}

/// How many pairs are left out, if any are.
pub(crate) fn left_out(result: &Pairs) -> Option<String> {
    let pairs = plural(result.left_out, "pair", "pairs");
    (result.left_out > 0).then(|| format!("{pairs} with a text without words left out"))
}

impl Terminal {
    /// The tests by permutation.
    pub(crate) fn pair_tests(self, result: &Pairs) -> Block {
        let row = |name: &str, found: String, by_chance: String, p: f64| {
            [name.to_owned(), found, by_chance, p_value(p)]
        };
        let swap = |name: &str, test: &SwapTest| {
            let [found, by_chance] = [test.js, test.js_of_chance].map(|nats| self.value(nats));
            row(name, found, by_chance, test.p_value)
        };
        let link = |name: &str, test: &LinkTest, shown: &dyn Fn(f64) -> String| {
            let [found, by_chance] = [test.distance, test.distance_of_chance].map(shown);
            row(name, found, by_chance, test.p_value)
        };
        let mut rows = vec![
            swap("words of P and of Q: JS", &result.words_test),
            link("words within a pair: JS", &result.words_link, &|nats| {
                self.value(nats)
            }),
        ];
        if let Some(meaning) = &result.meaning {
            rows.push(swap("buckets of P and of Q: JS", &meaning.test));
            rows.push(link(
                "features within a pair: distance",
                &meaning.link,
                &significant,
            ));
        }
        let mut block = Block::of(["tests by permutation", "found", "by chance", "p"], rows);
        block.notes.push(format!(
            "of P and of Q: by chance the texts of a pair change sides; within a pair: the texts of Q are dealt out anew; {} times",
            count(result.words_test.permutations as u64)
        ));
        block
    }

    /// The first pairs of the ranking, with so many characters of each text.
    pub(crate) fn least_fitting(self, result: &Pairs, listed: usize, width: usize) -> Block {
        let row = |pair: &Pair| {
            [
                format!("number {}", pair.number),
                self.value(pair.words_js),
                pair.distance.map_or("–".to_owned(), significant),
                shortened(&pair.reference, width),
                shortened(&pair.candidate, width),
            ]
        };
        let by = match result.ranked_by {
            RankedBy::Words => "the divergence of their words",
            RankedBy::Meaning => "the distance of their features, 1 − cosine",
        };
        let more = match result.pairs.len().saturating_sub(listed) {
            0 => String::new(),
            more => format!("; {} more in the JSON", count(more as u64)),
        };
        Block {
            notes: vec![format!("by {by}{more}")],
            ..Block::of(
                ["pairs that fit least", "words, JS", "distance", "P", "Q"],
                result.pairs.iter().take(listed).map(row),
            )
        }
    }

    fn value(self, nats: f64) -> String {
        significant(nats * self.unit.per_nat())
    }
}
