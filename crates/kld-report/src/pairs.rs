//! Texts in pairs on a terminal.

use std::io::{self, Write};

use kld_core::result::{LinkTest, Pair, Pairs, RankedBy, SwapTest};

use crate::{
    Exporter, Terminal,
    dist::plural,
    format::{count, shortened, significant},
    quality::{likeness, p_value},
    table::layout,
};

/// Pairs that are listed.
const LISTED: usize = 10;

/// Columns given to a text.
const TEXT_WIDTH: usize = 40;

impl Exporter<Pairs> for Terminal {
    fn export(&self, result: &Pairs, out: &mut dyn Write) -> io::Result<()> {
        self.export(&result.words, out)?;
        if result.left_out > 0 {
            let pairs = plural(result.left_out, "pair", "pairs");
            writeln!(out, "{pairs} with a text without words left out")?;
        }
        if let Some(meaning) = &result.meaning {
            write!(out, "\n{}", likeness(&meaning.mauve, &meaning.features))?;
        }
        write!(out, "\n{}", self.tests(result))?;
        write!(out, "\n{}", self.least_fitting(result))
    }
}

impl Terminal {
    fn tests(self, result: &Pairs) -> String {
        let swap = |of: &str, test: &SwapTest| {
            vec![
                format!("{of} of P and of Q: JS"),
                self.value(test.js),
                self.value(test.js_of_chance),
                p_value(test.p_value),
            ]
        };
        let link = |of: &str, test: &LinkTest, value: &dyn Fn(f64) -> String| {
            vec![
                format!(
                    "{of} within a pair: {}",
                    if of == "words" { "JS" } else { "distance" }
                ),
                value(test.distance),
                value(test.distance_of_chance),
                p_value(test.p_value),
            ]
        };
        let mut rows = vec![
            ["tests by permutation", "found", "by chance", "p"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.push(swap("words", &result.words_test));
        rows.push(link("words", &result.words_link, &|nats| self.value(nats)));
        if let Some(meaning) = &result.meaning {
            rows.push(swap("buckets", &meaning.test));
            rows.push(link("features", &meaning.link, &significant));
        }
        layout("    ", &rows)
            + &format!(
                "    of P and of Q: by chance the texts of a pair change sides; within a pair: the texts of Q are dealt out anew; {} times\n",
                count(result.words_test.permutations as u64)
            )
    }

    fn least_fitting(self, result: &Pairs) -> String {
        let head = ["pairs that fit least", "words, JS", "distance", "P", "Q"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(result.pairs.iter().take(LISTED).map(|pair| self.pair(pair)));
        let by = match result.ranked_by {
            RankedBy::Words => "the divergence of their words",
            RankedBy::Meaning => "the distance of their features, 1 − cosine",
        };
        let more = result.pairs.len().saturating_sub(LISTED);
        layout("    ", &rows) + &format!("    by {by}; {} more in the JSON\n", count(more as u64))
    }

    fn pair(self, pair: &Pair) -> Vec<String> {
        vec![
            format!("number {}", pair.number),
            self.value(pair.words_js),
            pair.distance.map_or("–".to_owned(), significant),
            shortened(&pair.reference, TEXT_WIDTH),
            shortened(&pair.candidate, TEXT_WIDTH),
        ]
    }

    fn value(self, nats: f64) -> String {
        significant(nats * self.unit.per_nat())
    }
}
