//! Scenarios of `kld explain --tensors`, run through the program itself on a tiny model.

mod desk;

use std::fs;

use desk::{Desk, golden};
use serde_json::Value;

const TEXT: &str = "--text text.txt --context 32";

fn explained(desk: &Desk, arguments: &str) -> Value {
    let mut result = desk.json(&format!("explain p.gguf {arguments} {TEXT}"));
    let run = result["run"].as_object_mut().unwrap();
    run.remove("elapsed_s");
    run.remove("threads");
    result
}

fn compared(desk: &Desk, arguments: &str) -> Value {
    let result = desk.json(&format!("compare p.gguf {arguments} {TEXT}"));
    result["candidates"][0].clone()
}

#[test]
fn the_table_says_which_matrices_make_the_difference() {
    insta::assert_snapshot!(Desk::new().printed(&format!("explain p.gguf --tensors q4_0 {TEXT}")), @"");
}

#[test]
fn all_swapped_is_the_candidate_of_compare_and_each_group_that_of_its_names() {
    let desk = Desk::new();
    let result = explained(&desk, "--tensors q4_0 --by layer");
    let all = compared(&desk, "--quantize q4_0");
    assert_eq!(result["together"]["kl"], all["kl"]["mean"]);
    assert_eq!(result["together"]["top1_agreement"], all["top1_agreement"]);
    assert_eq!(result["quantized"], all["model"]["quantized"]);
    assert_eq!(result["groups"][1]["name"], "layer 0");
    let layer = compared(&desk, "--quantize q4_0 --only blk.0.*");
    assert_eq!(result["groups"][1]["kl"], layer["kl"]["mean"]);
    let saved = |effect: &Value| {
        effect["bytes_before"].as_i64().unwrap() - effect["bytes_after"].as_i64().unwrap()
    };
    let size = |model: &Value| model["bytes"].as_i64().unwrap();
    assert_eq!(
        saved(&result["groups"][1]),
        size(&result["reference"]) - size(&layer["model"])
    );
    assert_eq!(result["control_max_kl"], 0.0);
}

#[test]
fn groups_add_up_whatever_makes_them() {
    let desk = Desk::new();
    for by in ["kind", "layer", "tensor"] {
        let result = explained(&desk, &format!("--tensors q4_0 --by {by}"));
        let groups = result["groups"].as_array().unwrap();
        let sum = |field: &str| {
            groups
                .iter()
                .map(|group| group[field].as_u64().unwrap())
                .sum::<u64>()
        };
        for field in ["matrices", "parameters", "bytes_before", "bytes_after"] {
            assert_eq!(sum(field), result["together"][field], "{by} {field}");
        }
        let kl: f64 = groups
            .iter()
            .map(|group| group["kl"]["value"].as_f64().unwrap())
            .sum();
        let told = result["sum_of_groups"]["value"].as_f64().unwrap();
        assert!((kl / told - 1.0).abs() < 1e-12, "{by}: {kl} {told}");
        let steps = result["recipe"].as_array().unwrap();
        let last = steps.last().unwrap()["kl"].as_f64().unwrap();
        assert!((last / kl - 1.0).abs() < 1e-12, "{by}: {last} {kl}");
    }
}

#[test]
fn the_bits_are_those_of_the_seed_whatever_threads_and_memory() {
    let desk = Desk::new();
    let arguments = "--tensors q5_1 --only blk.*";
    let whole = explained(&desk, arguments);
    for work in ["--threads 1", "--threads 3 --memory 1kB"] {
        let mut other = explained(&desk, &format!("{arguments} {work}"));
        other["reference"]["compute"] = whole["reference"]["compute"].clone();
        assert_eq!(other, whole, "{work}");
    }
    let seeded = explained(&desk, &format!("{arguments} --noise-seed 1"));
    assert_eq!(seeded["groups"][0]["kl"], whole["groups"][0]["kl"]);
    assert_ne!(
        seeded["groups"][0]["noise_kl"],
        whole["groups"][0]["noise_kl"]
    );
}

#[test]
fn errors_and_bytes_are_those_of_an_independent_quantizer() {
    let golden = fs::read_to_string(golden("../quantize/groups.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let desk = Desk::new();
    for (dtype, by) in [("Q4_0", "kind"), ("Q5_1", "layer"), ("Q8_0", "kind")] {
        let tensors = dtype.to_lowercase();
        let result = explained(&desk, &format!("--tensors {tensors} --by {by}"));
        let groups = result["groups"].as_array().unwrap();
        let expected = golden[dtype][by].as_object().unwrap();
        assert_eq!(groups.len(), expected.len());
        for group in groups {
            let expected = &expected[group["name"].as_str().unwrap()];
            for field in ["bytes_before", "bytes_after"] {
                assert_eq!(group[field], expected[field], "{dtype} {group}");
            }
            let error = |of: &Value| of["relative_error"].as_f64().unwrap();
            let off = (error(group) / error(expected) - 1.0).abs();
            assert!(off < 1e-12, "{dtype} {off:e} {group}");
        }
    }
}

#[test]
fn the_csv_has_a_row_for_each_group_and_one_for_all_in_full_precision() {
    let desk = Desk::new();
    let arguments = "--tensors q4_0 --by layer";
    let result = explained(&desk, arguments);
    let table = desk.printed(&format!("explain p.gguf {arguments} {TEXT} --csv -"));
    let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|head| *head == name).unwrap();
    let groups = result["groups"].as_array().unwrap();
    assert_eq!(rows.len(), 1 + groups.len() + 1);
    for (row, group) in rows[1..].iter().zip(groups.iter().chain([&result["together"]])) {
        assert_eq!(row.len(), rows[0].len());
        let told: f64 = row[column("kl_mean_nats")].parse().unwrap();
        assert_eq!(told, group["kl"]["value"]);
        let told: f64 = row[column("noise_kl_mean_nats")].parse().unwrap();
        assert_eq!(told, group["noise_kl"]["value"]);
    }
    let first = result["recipe"][0]["group"].as_u64().unwrap() as usize;
    assert_eq!(rows[1 + first][column("recipe_step")], "1");
}

#[test]
fn what_saves_nothing_is_no_recipe() {
    let desk = Desk::new();
    let table = desk.printed(&format!("explain p.gguf --tensors f32 {TEXT}"));
    assert!(table.contains("there is nothing to buy"), "{table}");
}

#[test]
fn what_cannot_be_swapped_is_refused() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.refused(&format!("explain p.gguf {TEXT}")), @"");
    insta::assert_snapshot!(desk.refused(&format!("explain p.gguf --tensors q9_0 {TEXT}")), @"");
    insta::assert_snapshot!(desk.refused(&format!("explain p.gguf --tensors q4_0 --only attn {TEXT}")), @"");
    insta::assert_snapshot!(desk.refused(&format!("explain p.gguf --tensors q4_0 --by head {TEXT}")), @"");
    insta::assert_snapshot!(desk.refused(&format!("explain p.gguf --tensors q4_0 --json text.txt {TEXT}")), @"");
}
