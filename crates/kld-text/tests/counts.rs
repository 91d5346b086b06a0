//! Tables of counts: the laws that they obey, their files, and files that are none.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use kld_core::observer::Silent;
use kld_text::{
    count::{CountOptions, CountTable, TableFormat, count, count_texts, read_table, write_table},
    read::{ReadOptions, read_documents},
    segment::{Cutter, Fold, Segmenter, Unit},
};
use proptest::prelude::*;
use tempfile::TempDir;

fn saved(table: &CountTable) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_table(table, TableFormat::Full, &mut bytes).unwrap();
    bytes
}

fn records(texts: &[String]) -> String {
    let record = |text| format!("{}\n", serde_json::json!({ "text": text }));
    texts.iter().map(record).collect::<Vec<_>>().concat()
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn counted(path: &PathBuf, options: &CountOptions) -> CountTable {
    count(std::slice::from_ref(path), options, &Silent).unwrap()
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("x y z ([a-d ]{0,8}|世界和平。|\n){0,12}", 1..8)
}

/// More different words than are counted without being looked up, long ones among them, in more documents than there are parts.
#[test]
fn many_words_are_counted_as_a_plain_map_counts_them() {
    let word = |i: u64| {
        format!(
            "{}{}",
            ["w", "quite-a-", "word_of_more_than_fifteen_"][i as usize % 3],
            i * i % 30_011
        )
    };
    let texts: Vec<String> = (0..300)
        .map(|text| (0..1000).map(|i| word(i * text % 40_000) + " ").collect())
        .collect();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for word in texts
        .iter()
        .flat_map(|text| text.split([' ', '-']))
        .filter(|word| !word.is_empty())
    {
        *expected.entry(word.to_owned()).or_default() += 1;
    }
    let table = count_texts(texts.iter().map(String::as_str), &CountOptions::default()).unwrap();
    let counted: BTreeMap<String, u64> = table
        .terms()
        .map(|term| (term.term.to_owned(), term.count()))
        .collect();
    assert_eq!(counted, expected);
}

proptest! {
    #[test]
    fn the_merged_tables_of_parts_are_the_table_of_the_whole(a in texts(), b in texts(), ngram in 1_usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let options = CountOptions { ngram, ..CountOptions::default() };
        let whole = counted(&file(&folder, "all.jsonl", records(&[a.clone(), b.clone()].concat())), &options);
        let mut parts = counted(&file(&folder, "a.jsonl", records(&a)), &options);
        parts.merge(&counted(&file(&folder, "b.jsonl", records(&b)), &options)).unwrap();
        prop_assert_eq!(saved(&parts), saved(&whole));
        prop_assert_eq!(saved(&count_texts(a.iter().chain(&b).map(String::as_str), &options).unwrap()), saved(&whole));
    }

    #[test]
    fn neither_threads_nor_the_size_of_pieces_change_the_counts(text in "([a-c]{1,3} ){3,60}", ngram in 1_usize..4) {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a.txt", &text);
        let of = |threads, piece_bytes| {
            let read = ReadOptions { piece_bytes, ..ReadOptions::default() };
            let table = counted(&path, &CountOptions { threads, read, ngram, ..CountOptions::default() });
            table.terms().map(|term| (term.term.to_owned(), term.count())).collect::<Vec<_>>()
        };
        prop_assert_eq!(of(1, 16), of(3, 1 << 13));
    }

    #[test]
    fn what_is_saved_is_read(texts in texts()) {
        let folder = tempfile::tempdir().unwrap();
        let table = count_texts(texts.iter().map(String::as_str), &CountOptions::default()).unwrap();
        let path = file(&folder, "t.kldcounts", saved(&table));
        prop_assert_eq!(saved(&read_table(&path).unwrap()), saved(&table));
        let mut json = Vec::new();
        write_table(&table, TableFormat::Json, &mut json).unwrap();
        let totals = read_table(&file(&folder, "t.json", json)).unwrap();
        prop_assert_eq!(totals.total(), table.total());
        prop_assert!(!totals.has_parts());
    }

    #[test]
    fn a_file_that_is_no_table_is_an_error(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = saved(&count_texts(["one two two", "three"], &CountOptions::default()).unwrap());
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // A changed count may still be a table; what is asked for is that nothing panics.
        let _ = read_table(&file(&folder, "t.kldcounts", bytes));
    }
}

#[test]
fn a_table_that_is_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = saved(&count_texts(["one two two", "three"], &CountOptions::default()).unwrap());
    for length in 0..bytes.len() {
        let path = file(&folder, "t.kldcounts", &bytes[..length]);
        assert!(read_table(&path).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn beyond_the_limit_the_rarest_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let frequent: String = (0..10).map(|i| format!("w{i} ").repeat(50)).collect();
    let rare = (0..500)
        .map(|i| format!("r{i} "))
        .collect::<Vec<_>>()
        .concat();
    let path = file(&folder, "a.txt", frequent + &rare);
    let options = CountOptions {
        max_vocabulary: 100,
        ..CountOptions::default()
    };
    let table = counted(&path, &options);
    assert_eq!((table.vocabulary(), table.total()), (10, 500));
    let pruned = table.pruned();
    assert_eq!(
        (pruned.terms, pruned.occurrences, pruned.at_most),
        (500, 500, 1)
    );
}

#[test]
fn a_text_without_any_spaces_is_not_held_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = 1_u64;
    let letters: String = (0..200_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b'a' + (state >> 59) as u8 % 26)
        })
        .collect();
    let options = CountOptions {
        max_vocabulary: 1000,
        ..CountOptions::default()
    };
    // 25 pieces of 8 kB, each another word that stands there once.
    let refused = count(&[file(&folder, "b.txt", &letters)], &options, &Silent).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("none is left within 1000 terms"),
        "{refused}"
    );
    let table = counted(
        &file(
            &folder,
            "a.txt",
            "some words some words ".to_owned() + &letters,
        ),
        &options,
    );
    assert_eq!((table.vocabulary(), table.count("words")), (2, 2));
    assert!(table.pruned().terms > 20, "{:?}", table.pruned());
}

#[test]
fn tables_of_different_things_are_not_merged() {
    let words = count_texts(["one"], &CountOptions::default()).unwrap();
    let chars = CountOptions {
        cutter: Cutter::Segmenter(Segmenter::new(Unit::Chars, Fold::default())),
        ..CountOptions::default()
    };
    let mut chars = count_texts(["one"], &chars).unwrap();
    assert_eq!(
        chars.merge(&words).unwrap_err().to_string(),
        "one counts characters, case folded, the other words, case folded: expected the same in both"
    );
}

#[test]
fn compressed_records_are_read_as_if_they_were_not() {
    let folder = tempfile::tempdir().unwrap();
    let content = records(&["one two".to_owned(), "two 世界".to_owned()]);
    let plain = file(&folder, "a.jsonl", &content);
    let compressed = zstd::encode_all(content.as_bytes(), 3).unwrap();
    let packed = file(&folder, "b.jsonl.zst", &compressed);
    let options = CountOptions::default();
    assert_eq!(
        saved(&counted(&packed, &options)),
        saved(&counted(&plain, &options))
    );
    let broken = file(&folder, "c.jsonl.zst", &compressed[..compressed.len() - 4]);
    assert!(count(&[broken], &options, &Silent).is_err());
}

/// A Parquet file with a column of texts and one of days.
fn parquet(folder: &TempDir, rows: &[(Option<&str>, i32)]) -> PathBuf {
    use parquet::{
        data_type::{ByteArrayType, Int32Type},
        file::writer::SerializedFileWriter,
        schema::parser::parse_message_type,
    };
    let path = folder.path().join("a.parquet");
    let schema = "message m { optional binary body (UTF8); required int32 day (DATE); }";
    let schema = parse_message_type(schema).unwrap().into();
    let out = fs::File::create(&path).unwrap();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::default()).unwrap();
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<_> = rows
            .iter()
            .filter_map(|(text, _)| *text)
            .map(Into::into)
            .collect();
        let levels: Vec<i16> = rows
            .iter()
            .map(|(text, _)| i16::from(text.is_some()))
            .collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, Some(&levels), None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let days: Vec<i32> = rows.iter().map(|(_, day)| *day).collect();
        column
            .typed::<Int32Type>()
            .write_batch(&days, None, None)
            .unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    path
}

#[test]
fn rows_of_parquet_files_are_documents() {
    let folder = tempfile::tempdir().unwrap();
    let options = ReadOptions {
        field: "body".to_owned(),
        by: Some("day".to_owned()),
        ..ReadOptions::default()
    };
    let path = parquet(
        &folder,
        &[
            (Some("one"), 0),
            (Some("two 世界"), 31),
            (Some("three"), 365),
        ],
    );
    let read = read_documents(std::slice::from_ref(&path), &options, &Silent).unwrap();
    let read: Vec<_> = read
        .iter()
        .map(|d| (d.text.as_str(), d.by.as_deref().unwrap()))
        .collect();
    assert_eq!(
        read,
        [
            ("one", "1970-01-01"),
            ("two 世界", "1970-02-01"),
            ("three", "1971-01-01")
        ]
    );

    let refused = |path: PathBuf, options: &ReadOptions| {
        let refused = read_documents(&[path], options, &Silent)
            .unwrap_err()
            .to_string();
        refused.replace(&*folder.path().to_string_lossy(), "")
    };
    assert_eq!(
        refused(path.clone(), &ReadOptions::default()),
        r#"/a.parquet: has no column "text" that fits; those that do are "body" (choose one with --field)"#
    );
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(7) {
        let cut = file(&folder, "cut.parquet", &whole[..length]);
        assert!(
            read_documents(&[cut], &options, &Silent).is_err(),
            "{length}"
        );
    }
    let with_null = parquet(&folder, &[(Some("one"), 0), (None, 31)]);
    assert_eq!(
        refused(with_null, &options),
        "/a.parquet:2: its text is null"
    );
}
