//! Scenarios of `kld text --quality` and `--pairs`, run through the program itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

mod desk;

use std::fs;

use desk::Desk;
use serde_json::Value;

/// A desk with texts that people and machines wrote: the machine says the same over and over.
fn desk() -> Desk {
    let desk = Desk::new();
    let people = [
        "The harbour woke before the town did.",
        "Gulls argued over what the night had left.",
        "Marta counted the crates twice, and one had no label.",
        "You are early, said the pilot, who was late.",
        "Preheat the oven; mix flour, butter and salt.",
        "Wer Zeit hat, wartet; wer keine hat, auch.",
        "我们在北京大学学习。",
        "Two coins, one fair, one not.",
    ];
    let records = |texts: &[String]| -> String {
        let record = |text: &String| {
            serde_json::json!({ "text": text, "said": "Hello there" }).to_string() + "\n"
        };
        texts.iter().map(record).collect()
    };
    let human: Vec<String> = (0..24).map(|i| format!("{} {i}", people[i % 8])).collect();
    let machine: Vec<String> = (0..24)
        .map(|i| format!("the sea the sea and then the sea again {i}"))
        .collect();
    fs::write(desk.path("human.jsonl"), records(&human)).unwrap();
    fs::write(desk.path("machine.jsonl"), records(&machine)).unwrap();
    fs::write(desk.path("user.txt"), human.join("\n")).unwrap();
    fs::write(desk.path("system.txt"), machine.join("\n")).unwrap();
    desk
}

/// A NumPy file of `rows` rows of 2, made from their numbers.
fn npy(rows: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 2)}}\n");
    let values = (0..2 * rows).flat_map(|i| ((i * i % 17) as f32).to_le_bytes());
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes()]
        .concat()
        .into_iter()
        .chain(values)
        .collect()
}

fn measure<'a>(result: &'a Value, name: &str) -> &'a Value {
    let measures = result["diversity"]["measures"].as_array().unwrap();
    measures.iter().find(|m| m["measure"] == name).unwrap()
}

#[test]
fn that_the_machine_repeats_more_is_said_and_tested() {
    let desk = desk();
    let table = desk.printed("text human.jsonl machine.jsonl --quality");
    for said in [
        "P  human.jsonl    24 documents",
        "Q repeats more",
        "self-BLEU",
        "Longest runs of words that stand more than once",
        "the sea the sea and then the sea again",
        "by leaving out each of 20 groups of documents",
    ] {
        assert!(table.contains(said), "{said}\n{table}");
    }
    let result = desk.json("text human.jsonl machine.jsonl --quality");
    assert_eq!(result["schema"], "kld.quality/1");
    assert_eq!(
        measure(&result, "rep2")["verdict"],
        "candidate_repeats_more"
    );
    assert_eq!(result["mauve"], Value::Null);
}

#[test]
fn likeness_and_perplexities_are_those_of_a_model() {
    let desk = desk();
    let arguments =
        "text human.jsonl machine.jsonl --quality --features p.gguf --model p.gguf --resamples 100";
    let table = desk.printed(arguments);
    for said in [
        "MAUVE, smoothed",
        "warning: 24 documents are too few",
        "under p.gguf",
        "perplexities of documents overlap by",
    ] {
        assert!(table.contains(said), "{said}\n{table}");
    }
    let one = desk.json(&format!("{arguments} --threads 1"));
    let mut two = desk.json(&format!("{arguments} --threads 2"));
    assert_eq!(one["mauve"], two["mauve"]);
    assert_eq!(one["model"]["perplexities"], two["model"]["perplexities"]);
    let score = two["model"]["reference"].take();
    assert_eq!(score["schema"], "kld.score/1");
    let mauve = |result: &Value| result["mauve"]["plain"]["mauve"]["value"].as_f64().unwrap();
    let same = desk.json("text human.jsonl human.jsonl --quality --features p.gguf");
    assert!(
        mauve(&same) > 0.999 && mauve(&one) < 0.5,
        "{} {}",
        mauve(&same),
        mauve(&one)
    );
}

#[test]
fn given_features_need_a_row_for_each_document() {
    let desk = desk();
    fs::write(desk.path("p.npy"), npy(24)).unwrap();
    fs::write(desk.path("q.npy"), npy(23)).unwrap();
    let of =
        |features: &str| format!("text human.jsonl machine.jsonl --quality --features {features}");
    let result = desk.json(&of("p.npy,p.npy"));
    assert_eq!(result["features"]["name"], "p.npy, p.npy");
    assert!(result["mauve"]["plain"]["mauve"]["value"].as_f64().unwrap() > 0.999);
    for (features, said) in [
        ("p.npy,q.npy", "q.npy has 23 rows, but B has 24 documents"),
        ("p.npy", "features of B are missing"),
        ("p.npy,user.txt", "not a NumPy file"),
        ("p.npy,q.npy,q.npy", "not 3 names"),
    ] {
        let stderr = desk.refused(&of(features));
        assert!(stderr.contains(said), "{stderr}");
    }
    let stderr = desk.refused("text human.jsonl machine.jsonl --features p.npy,p.npy");
    assert!(stderr.contains("--quality or --pairs"), "{stderr}");
    let stderr = desk
        .refused("text human.jsonl machine.jsonl --quality --features p.npy,p.npy --buckets 49");
    assert!(stderr.contains("49 buckets for 48 documents"), "{stderr}");
}

#[test]
fn lines_can_be_documents_and_one_document_has_no_errors() {
    let desk = desk();
    let by_line = desk.json("text user.txt system.txt --quality --lines");
    assert_eq!(by_line["reference"]["documents"], 24);
    let table = desk.printed("text user.txt system.txt --quality");
    assert!(table.contains("without errors and tests"), "{table}");
    fs::write(desk.path("signs.txt"), "?! ...").unwrap();
    let stderr = desk.refused("text user.txt signs.txt --quality");
    assert!(stderr.contains("B: signs.txt: no words"), "{stderr}");
}

#[test]
fn pairs_are_compared_tested_and_ranked() {
    let desk = desk();
    let table = desk.printed(
        "text user.txt system.txt --pairs --resamples 20 --permutations 99 --features p.gguf",
    );
    for said in [
        "more in Q",
        "tests by permutation",
        "words of P and of Q: JS",
        "pairs that fit least",
        "features within a pair",
    ] {
        assert!(table.contains(said), "{said}\n{table}");
    }
    let result = desk.json("text user.txt system.txt --pairs --resamples 20 --permutations 99");
    assert_eq!(result["schema"], "kld.pairs/1");
    assert_eq!(result["words_test"]["p_value"], 0.01);
    assert_eq!(result["pairs"].as_array().unwrap().len(), 24);
    assert_eq!(
        result["words"]["contributors"]["more_in_candidate"][0]["term"],
        "sea"
    );
    // The number at the end of each line is all that the texts of a pair have in common.
    assert!(result["words_link"]["p_value"].as_f64().unwrap() < 0.05);
}

#[test]
fn fields_of_one_file_make_pairs_and_what_has_no_words_is_left_out() {
    let desk = desk();
    let record =
        |a: &str, b: &str| serde_json::json!({ "user": a, "system": b }).to_string() + "\n";
    let chat = [
        record("how are you", "fine, how are you"),
        record("...", "what?"),
        record("bye", "the end"),
    ]
    .concat();
    fs::write(desk.path("chat.jsonl"), chat).unwrap();
    let result = desk.json("text chat.jsonl --pairs --fields user,system");
    assert_eq!(
        (&result["left_out"], &result["pairs"][0]["number"]),
        (&1.into(), &3.into())
    );
    assert_eq!(result["reference"]["name"], "chat.jsonl (user)");
    for (arguments, said) in [
        (
            "text chat.jsonl --pairs --fields user",
            "--fields takes two names",
        ),
        (
            "text chat.jsonl chat.jsonl --pairs --fields user,system",
            "leave B away",
        ),
        ("text user.txt text.txt --pairs", "A has 24 texts, B 1"),
        ("text chat.jsonl --pairs --fields user,other", "other"),
    ] {
        let stderr = desk.refused(arguments);
        assert!(stderr.contains(said), "{stderr}");
    }
}

/// The page that a command writes, with the JSON of the same result.
fn page(desk: &Desk, arguments: &str) -> (String, Value) {
    let result = desk.json(&format!("{arguments} --html page.html"));
    (fs::read_to_string(desk.path("page.html")).unwrap(), result)
}

#[test]
fn pages_show_the_frontier_and_the_tables() {
    let desk = desk();
    let (quality, result) = page(
        &desk,
        "text human.jsonl machine.jsonl --quality --features p.gguf --model p.gguf --resamples 20",
    );
    for said in [
        "Divergence frontier",
        "the area under it",
        "Under a model",
        "Diversity and repetition",
        "Q repeats more",
        "Longest repeated runs",
        "the sea the sea and then",
    ] {
        assert!(quality.contains(said), "{said}");
    }
    let curve = result["mauve"]["curve"].as_array().unwrap();
    assert_eq!(quality.matches("class=\"dot\"").count(), curve.len());
    let (pairs, _) = page(
        &desk,
        "text user.txt system.txt --pairs --features p.gguf --resamples 20 --permutations 9",
    );
    for said in [
        "Pairs that fit least",
        "tests by permutation",
        "Word shift",
        "Divergence frontier",
        "number 24",
    ] {
        assert!(pairs.contains(said), "{said}");
    }
    for (arguments, says) in [
        (
            "text human.jsonl --expected p.gguf --context 64",
            ["Token shift", "more expected", "By document"],
        ),
        (
            "text count human.jsonl",
            ["Most frequent", "of 1000", "different"],
        ),
        (
            "suggest ngram:user.txt --history system.txt --prefix the",
            ["keystrokes saved", "Weights", "What comes next"],
        ),
    ] {
        let (page, _) = page(&desk, arguments);
        for said in says {
            assert!(page.contains(said), "{arguments}: {said}");
        }
    }
}

#[test]
fn what_strangers_wrote_is_text_in_a_page() {
    let desk = desk();
    let hostile = "<script>alert(1)</script> said the sea, and again\n".repeat(2);
    fs::write(desk.path("hostile.txt"), &hostile).unwrap();
    for arguments in [
        "text hostile.txt hostile.txt --quality --lines",
        "text hostile.txt hostile.txt --pairs --permutations 9",
        "text hostile.txt --expected p.gguf --context 64",
        "text count hostile.txt",
        "suggest ngram:hostile.txt --history hostile.txt --prefix said",
    ] {
        let (page, _) = page(&desk, arguments);
        assert_eq!(page.matches("<script").count(), 1, "{arguments}");
        assert!(page.contains("default-src 'none'"), "{arguments}");
    }
}

/// A file of the repository, as seen from the program's crate.
fn shipped(name: &str) -> String {
    format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn quality_and_diversity_move_with_the_temperature() {
    let desk = Desk::new();
    let (model, human) = (
        shipped("assets/austen"),
        shipped("data/sampled/human.jsonl"),
    );
    let [cold, fair, hot] = ["0.5", "1.0", "1.6"].map(|temperature| {
        let machine = shipped(&format!("data/sampled/machine-{temperature}.jsonl"));
        desk.json(&format!(
            "text {human} {machine} --quality --features {model} --model {model} --model-context 128 --resamples 20"
        ))
    });
    let number = |value: &Value| value.as_f64().unwrap();
    // The colder, the more it repeats; at 1 it is the model itself, more varied than people by little.
    for (name, grows) in [
        ("self_bleu", false),
        ("compression_ratio", false),
        ("zipf", false),
        ("entropy_corrected", true),
        ("mattr", true),
        ("expected_distinct2", true),
    ] {
        let [a, b, c] =
            [&cold, &fair, &hot].map(|r| number(&measure(r, name)["candidate"]["value"]));
        assert!(
            (a < b && b < c) == grows && (a > b && b > c) != grows,
            "{name}: {a} {b} {c}"
        );
        assert_eq!(
            measure(&cold, name)["verdict"],
            "candidate_repeats_more",
            "{name}"
        );
        assert_eq!(
            measure(&hot, name)["verdict"],
            "candidate_varies_more",
            "{name}"
        );
    }
    // Of its own texts at temperature 1 a model expects the frequencies that they have, but for chance; of others it does not.
    let excess = |r: &Value| {
        let frequency = &r["model"]["candidate"]["frequency"];
        number(&frequency["kl"]) - number(&frequency["sampling_floor"])
    };
    assert!(excess(&fair).abs() < 0.01, "{}", excess(&fair));
    assert!(excess(&cold) > 0.1 && excess(&hot) > 0.1);
    let perplexity = |r: &Value| number(&r["model"]["candidate"]["perplexity"]["value"]);
    assert!(perplexity(&cold) < perplexity(&fair) && perplexity(&fair) < perplexity(&hot));
    let mauve = |r: &Value| number(&r["mauve"]["plain"]["mauve"]["value"]);
    assert!(mauve(&fair) > mauve(&cold) && mauve(&fair) > mauve(&hot));
}

#[test]
fn the_sampler_in_numpy_thinks_what_the_engine_thinks() {
    let desk = Desk::new();
    let (model, prompts) = (
        shipped("assets/austen"),
        shipped("data/sampled/prompts.jsonl"),
    );
    let score = desk.json(&format!("score {model} --text {prompts} --score all"));
    let nll = score["cross_entropy"]["value"].as_f64().unwrap();
    // What data/sampled/generate.py prints; one of the prompts is cut into one token less here.
    assert!((nll - 3.903_97).abs() < 0.002, "{nll}");
}
