//! `kld text USER SYSTEM --pairs`

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use kld_core::{
    Observer,
    result::{PAIRS_SCHEMA, Pair, PairMeaning, Pairs, QualityBody, RankedBy},
};
use kld_text::{
    compare::compare,
    count::count_texts,
    pairs::{PairedCounts, Permutations, cosine_distance},
    quality::{Places, mauve, places},
    read::{Document, read_documents},
    segment::Cutter,
};

use super::{
    compare::CompareArgs,
    quality::{Asked, Found, by_line, held_in_memory, words},
};
use crate::{exit::Outcome, progress::Terminal};

/// Characters of a text that are shown.
const SHOWN: usize = 60;

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    let paths = paths(args)?;
    let outputs = args.output.open(&[&paths[0], &paths[1]])?;
    let observer = Terminal::listening()?;
    let options = args.unit.count_options(&args.read, &observer)?;
    let paired = Paired::read(args, &paths, &options.cutter, &observer)?;
    let texts = paired.texts();
    let found = match Found::of(args, &texts, &observer)? {
        Asked::Stopped => return Ok(Outcome::Interrupted),
        Asked::ForNothing => None,
        Asked::Found(found) => Some(found),
    };
    let tables = [
        count_texts(texts[0].iter().copied(), &options)?,
        count_texts(texts[1].iter().copied(), &options)?,
    ];
    let [reference, candidate] = paired.cards();
    let words = compare(
        (&reference.name, &tables[0]),
        (&candidate.name, &tables[1]),
        &args.statistics.options(options.threads),
    )?;
    let permutations = Permutations {
        number: args.quality.permutations,
        seed: args.statistics.seed,
    };
    let counts = PairedCounts::of_texts(&texts[0], &texts[1], &options.cutter)?;
    let meaning = found
        .map(|found| Meaning::of(found, args, permutations))
        .transpose()?;
    let result = Pairs {
        schema: PAIRS_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        reference,
        candidate,
        left_out: paired.left_out,
        words,
        words_test: permutations.swap_test(&counts),
        words_link: permutations.link_test(counts.pairs(), |a, b| counts.js_between(a, b)),
        ranked_by: if meaning.is_some() {
            RankedBy::Meaning
        } else {
            RankedBy::Words
        },
        pairs: ranked(&paired, &counts, meaning.as_ref()),
        meaning: meaning.map(|meaning| meaning.result),
    };
    outputs.write(&result)?;
    Ok(Outcome::Fine)
}

/// Both files; the same one twice where its records hold both texts.
fn paths(args: &CompareArgs) -> anyhow::Result<[PathBuf; 2]> {
    let fields = &args.quality.fields;
    ensure!(
        matches!(fields.len(), 0 | 2),
        "--fields takes two names, of the first text and of the second, not {}",
        fields.len()
    );
    if fields.is_empty() {
        return args.bodies();
    }
    ensure!(
        args.candidate.is_none(),
        "--fields names both texts of the records of one file: leave B away"
    );
    let path = args.reference.clone().unwrap_or_default();
    ensure!(
        path.as_os_str() != "-",
        "--fields reads its file twice: it cannot be `-`"
    );
    Ok([path.clone(), path])
}

/// Pairs whose texts both have words.
struct Paired {
    sides: [Vec<Document>; 2],
    names: [String; 2],
    words: [usize; 2],
    /// The numbers of the pairs in the input, from 1.
    numbers: Vec<usize>,
    left_out: usize,
}

impl Paired {
    fn read(
        args: &CompareArgs,
        paths: &[PathBuf; 2],
        cutter: &Cutter,
        observer: &dyn Observer,
    ) -> anyhow::Result<Self> {
        let names = [0, 1].map(|side| {
            let path = paths[side].display();
            let field = args.quality.fields.get(side);
            field.map_or(path.to_string(), |field| format!("{path} ({field})"))
        });
        let side = |side: usize| -> anyhow::Result<Vec<Document>> {
            let mut options = held_in_memory(args);
            if let Some(field) = args.quality.fields.get(side) {
                options.field.clone_from(field);
            }
            let documents = read_documents(std::slice::from_ref(&paths[side]), &options, observer);
            Ok(documents?.into_iter().flat_map(by_line).collect())
        };
        let (first, second) = (side(0).context("A")?, side(1).context("B")?);
        ensure!(
            first.len() == second.len(),
            "A has {} texts, B {}: expected as many, the first of A with the first of B and so on",
            first.len(),
            second.len()
        );
        let mut paired = Self {
            sides: [Vec::new(), Vec::new()],
            names,
            words: [0, 0],
            numbers: Vec::new(),
            left_out: 0,
        };
        for (number, (a, b)) in first.into_iter().zip(second).enumerate() {
            let words = [words(&a, cutter)?, words(&b, cutter)?];
            if words.contains(&0) {
                paired.left_out += 1;
                continue;
            }
            paired.numbers.push(number + 1);
            paired.words = [0, 1].map(|side| paired.words[side] + words[side]);
            paired.sides[0].push(a);
            paired.sides[1].push(b);
        }
        ensure!(
            !paired.numbers.is_empty(),
            "in no pair both texts have words: nothing to compare"
        );
        Ok(paired)
    }

    fn texts(&self) -> [Vec<&str>; 2] {
        self.sides
            .each_ref()
            .map(|side| side.iter().map(|d| d.text.as_str()).collect())
    }

    fn cards(&self) -> [QualityBody; 2] {
        [0, 1].map(|side| QualityBody {
            name: self.names[side].clone(),
            documents: self.numbers.len(),
            empty_documents: 0,
            replaced: self.sides[side].iter().map(|d| d.replaced).sum(),
            words: self.words[side],
        })
    }
}

/// Pairs by their features.
struct Meaning {
    result: PairMeaning,
    places: Places,
}

impl Meaning {
    fn of(found: Found, args: &CompareArgs, permutations: Permutations) -> anyhow::Result<Self> {
        let options = args.mauve_options();
        let (reference, candidate) = (&found.reference, &found.candidate);
        let pairs = reference.count();
        let mauve = mauve(reference, candidate, &options)?;
        let places = places(reference, candidate, &options)?;
        let (first, second) = places.buckets.split_at(pairs);
        let test = permutations.swap_test(&PairedCounts::of_terms(first, second));
        let distance = |a, b| cosine_distance(&places.points, a, pairs + b);
        let link = permutations.link_test(pairs, distance);
        Ok(Self {
            result: PairMeaning {
                features: found.source,
                mauve,
                test,
                link,
            },
            places,
        })
    }
}

/// All pairs, those that fit least first.
fn ranked(paired: &Paired, counts: &PairedCounts, meaning: Option<&Meaning>) -> Vec<Pair> {
    let count = counts.pairs();
    let [first, second] = paired.texts();
    let begins = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().take(SHOWN).collect();
        words.join(" ").chars().take(SHOWN).collect::<String>()
    };
    let mut pairs: Vec<Pair> = (0..count)
        .map(|i| Pair {
            number: paired.numbers[i],
            reference: begins(first[i]),
            candidate: begins(second[i]),
            words_js: counts.js_between(i, i),
            distance: meaning.map(|m| cosine_distance(&m.places.points, i, count + i)),
            same_bucket: meaning.map(|m| m.places.buckets[i] == m.places.buckets[count + i]),
        })
        .collect();
    // Equal ones stay in the order of the input.
    pairs.sort_by(|a, b| {
        let by = |pair: &Pair| pair.distance.unwrap_or(pair.words_js);
        by(b).total_cmp(&by(a))
    });
    pairs
}
