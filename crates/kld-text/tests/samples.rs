//! Samples of a corpus: what they must hold whatever the corpus.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use kld_core::{
    observer::Silent,
    result::{Allocation, TextSample},
};
use kld_text::{
    count::CountOptions,
    read::Document,
    sample::{SampleOptions, sample},
};
use proptest::prelude::*;
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, records: &[(String, u64)]) -> PathBuf {
    let path = folder.path().join(name);
    let record = |(text, day): &(String, u64)| {
        format!("{}\n", serde_json::json!({ "text": text, "day": day }))
    };
    fs::write(&path, records.iter().map(record).collect::<String>()).unwrap();
    path
}

fn drawn(path: &PathBuf, options: &SampleOptions) -> (Vec<Document>, TextSample) {
    sample("corpus", std::slice::from_ref(path), options, &Silent).unwrap()
}

fn texts(documents: &[Document]) -> Vec<&str> {
    documents
        .iter()
        .map(|document| document.text.as_str())
        .collect()
}

/// Documents without a word in common.
fn distinct(number: u64) -> Vec<(String, u64)> {
    let words = |i: u64| {
        (0..12)
            .map(|j| format!("w{i}x{j} "))
            .collect::<Vec<_>>()
            .concat()
    };
    (0..number).map(|i| (words(i), i % 3)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_seed_gives_the_same_sample_on_any_number_of_threads(
        number in 1_u64..40, seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, "c.jsonl", &distinct(40));
        let of = |threads, seed| {
            let count = CountOptions { threads, ..CountOptions::default() };
            drawn(&path, &SampleOptions { count, number, seed, ..SampleOptions::default() })
        };
        let (here, result) = of(1, seed);
        let (there, again) = of(3, seed);
        prop_assert_eq!(&here, &there);
        prop_assert_eq!(result.taken, number);
        prop_assert_eq!(serde_json::to_string(&result).unwrap(), serde_json::to_string(&again).unwrap());
        let different: BTreeSet<_> = texts(&here).into_iter().collect();
        prop_assert_eq!(different.len() as u64, number);
    }

    #[test]
    fn a_larger_sample_holds_the_smaller_one(small in 1_u64..20, more in 0_u64..20) {
        let folder = tempfile::tempdir().unwrap();
        let path = write(&folder, "c.jsonl", &distinct(40));
        let of = |number| drawn(&path, &SampleOptions { number, ..SampleOptions::default() }).0;
        let (few, many) = (of(small), of(small + more));
        prop_assert!(texts(&few).iter().all(|text| texts(&many).contains(text)));
    }
}

#[test]
fn every_document_is_as_likely_as_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "c.jsonl", &distinct(10));
    let mut times = [0_u32; 10];
    for seed in 0..400 {
        let options = SampleOptions {
            number: 3,
            seed,
            ..SampleOptions::default()
        };
        for document in drawn(&path, &options).0 {
            let (_, line) = document.name.rsplit_once(':').unwrap();
            times[line.parse::<usize>().unwrap() - 1] += 1;
        }
    }
    // 120 on average with a standard deviation of 9.2; these are five of them.
    assert!(times.iter().all(|n| (74..=166).contains(n)), "{times:?}");
}

#[test]
fn strata_are_drawn_from_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = distinct(90);
    records.iter_mut().take(60).for_each(|(_, day)| *day = 0);
    let path = write(&folder, "c.jsonl", &records);
    let taken = |allocation| {
        let options = SampleOptions {
            number: 30,
            stratify: Some("day".to_owned()),
            allocation,
            ..SampleOptions::default()
        };
        let strata = drawn(&path, &options).1.strata;
        strata
            .iter()
            .map(|stratum| stratum.taken)
            .collect::<Vec<_>>()
    };
    // 70, 10 and 10 documents.
    assert_eq!(taken(Allocation::Proportional), [24, 3, 3]);
    assert_eq!(taken(Allocation::Equal), [10, 10, 10]);
}

#[test]
fn near_duplicates_are_left_out_and_named_and_others_take_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = distinct(8);
    // Nearly the same twenty times over: 40 words of which one differs.
    let long = (0..39)
        .map(|i| format!("same{i} "))
        .collect::<Vec<_>>()
        .concat();
    records.extend((0..20).map(|i| (format!("{long}other{i}"), 0)));
    records.push((" ?! ".to_owned(), 0));
    let path = write(&folder, "c.jsonl", &records);
    let options = SampleOptions {
        number: 9,
        ..SampleOptions::default()
    };
    let (documents, result) = drawn(&path, &options);
    let same = |text: &&&str| text.starts_with("same");
    assert_eq!(texts(&documents).iter().filter(same).count(), 1);
    assert_eq!(documents.len(), 9);
    let near = &result.near_duplicates[0];
    // 35 word 5-grams, of which the last one differs.
    assert_eq!(near.similarity, 35.0 / 37.0);
    let too_many = SampleOptions {
        number: 12,
        ..options
    };
    let (documents, result) = drawn(&path, &too_many);
    assert_eq!((documents.len(), result.without_words), (9, 1));
    assert_eq!(result.near_duplicates.len(), 19);
}

#[test]
fn what_overlaps_with_the_training_text_is_left_out_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = distinct(10);
    let known = records[3].0.clone();
    records.push(("我们在北京大学学习，我们也在上海工作。".to_owned(), 0));
    records.push(("too short".to_owned(), 0));
    let path = write(&folder, "c.jsonl", &records);
    let train = write(
        &folder,
        "train.jsonl",
        &[
            (format!("before it {known} and after it"), 0),
            ("他说：我们在北京大学学习，我们也在上海工作。".to_owned(), 0),
        ],
    );
    let options = SampleOptions {
        number: 10,
        exclude: vec![train],
        ..SampleOptions::default()
    };
    let (documents, result) = drawn(&path, &options);
    assert_eq!((documents.len(), result.too_short_to_tell), (10, 1));
    assert!(!texts(&documents).contains(&known.as_str()));
    let mut names: Vec<_> = result
        .overlaps
        .iter()
        .map(|one| one.name.rsplit_once(':').unwrap().1)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["11", "4"]);
    let first = result
        .overlaps
        .iter()
        .find(|one| one.name.ends_with(":4"))
        .unwrap();
    assert_eq!(first.share, 1.0);
    assert_eq!(first.example, "w3x0 w3x1 w3x2 w3x3 w3x4 w3x5 w3x6 w3x7");
    assert!(first.seen_in.ends_with("train.jsonl:1"), "{first:?}");
}

#[test]
fn a_corpus_that_is_too_small_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "c.jsonl", &distinct(2));
    let refused = sample("c", &[path], &SampleOptions::default(), &Silent).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the corpus has 2 documents, fewer than the 1000 asked for: a .txt file is one document, a .jsonl file has one in each record"
    );
}
