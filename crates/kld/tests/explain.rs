//! Scenarios of `kld explain --tensors`, run through the program itself on a tiny model.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

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
    insta::assert_snapshot!(Desk::new().printed(&format!("explain p.gguf --tensors q4_0 {TEXT}")), @"
    reference  p.gguf  llama 18.6 k, F32, 77.5 kB, f32 on dequantized weights
    text       1 fragment, 11 windows of 32 tokens, scored: second-half, protocol kld
    swapped    one kind at a time
               15 matrices of P quantized to Q4_0 in memory
               2 of them are F16 instead, their rows are no whole blocks of Q4_0: blk.0.ffn_down.weight, blk.1.ffn_down.weight
    control    nothing swapped: KL 0

    swapped alone  parameters    saves  error of W       KL(P‖Q) nats   KL of such noise  ratio  top-1 agreement  KL of all groups
    token_embd         3.07 k  10.6 kB      8.73 %    0.0343 ± 0.0041    0.0360 ± 0.0038  ×0.95     68.9 ± 4.7 %  ████████████████
    attn_q             2.05 k  7.04 kB      8.78 %    0.0116 ± 0.0013    0.0111 ± 0.0021  ×1.05     83.9 ± 2.4 %  █████▍
    attn_k             1.02 k  3.52 kB      8.79 %    0.0116 ± 0.0015    0.0106 ± 0.0014  ×1.09     80.1 ± 3.5 %  █████▍
    attn_v             1.02 k  3.52 kB      8.34 %    0.0206 ± 0.0028    0.0132 ± 0.0014  ×1.56     71.4 ± 4.9 %  █████████▋
    attn_output        2.05 k  7.04 kB      8.43 %  0.01517 ± 0.00089    0.0179 ± 0.0012  ×0.85     76.4 ± 3.5 %  ███████▏
    ffn_gate           3.07 k  10.6 kB      8.54 %  0.00995 ± 0.00071  0.00713 ± 0.00027  ×1.39     78.9 ± 3.5 %  ████▋
    ffn_up             3.07 k  10.6 kB      8.52 %    0.0082 ± 0.0011    0.0090 ± 0.0010  ×0.91     84.5 ± 3.2 %  ███▊
    ffn_down           3.07 k  6.14 kB    0.0202 %  3.83e-8 ± 2.33e-9  4.76e-8 ± 4.78e-9  ×0.80         100.00 %
    sum of groups                                     0.1114 ± 0.0090
    all together       18.4 k  58.9 kB      7.85 %    0.1066 ± 0.0070      0.112 ± 0.010  ×0.95     50.9 ± 5.3 %

    recipe: least KL per byte first  nats per MB  saved so far     size  KL so far
    ffn_down                             6.23e-6       6.14 kB  71.3 kB    3.83e-8
    ffn_up                                 0.774       16.7 kB  60.8 kB    0.00817
    ffn_gate                               0.942       27.3 kB  50.2 kB     0.0181
    attn_q                                  1.65       34.3 kB  43.2 kB     0.0297
    attn_output                             2.15       41.3 kB  36.1 kB     0.0449
    token_embd                              3.25       51.9 kB  25.6 kB     0.0792
    attn_k                                  3.29       55.4 kB  22.0 kB     0.0908
    attn_v                                  5.86       58.9 kB  18.5 kB      0.111
      KL so far adds up the groups; their KLs need not add: compare the sum of groups with all together
    ");
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
    for (row, group) in rows[1..]
        .iter()
        .zip(groups.iter().chain([&result["together"]]))
    {
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
    desk.fine(&format!("record p.gguf -o p.kldrec {TEXT}"));
    let refused = |arguments: &str| desk.refused(&format!("explain {arguments} {TEXT}"));
    insta::assert_snapshot!(refused("p.gguf"), @"
    error: the following required arguments were not provided:
      --tensors <TYPE>

    Usage: kld explain [OPTIONS] <P> --tensors <TYPE> --text <PATH>...

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused("p.gguf --tensors q9_0"), @"
    error: invalid value 'q9_0' for '--tensors <TYPE>': expected one of f32, f16, bf16, q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, q3_k, q2_k

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused("p.gguf --tensors q4_0 --only attn"), @"
    error: no matrix of p.gguf is called 'attn'
    hint: its matrices have names like token_embd.weight, blk.0.attn_q.weight, blk.0.attn_k.weight, blk.0.attn_v.weight, blk.0.attn_output.weight, blk.0.ffn_gate.weight, blk.0.ffn_up.weight, blk.0.ffn_down.weight; * stands for any text; norms and biases are never quantized
    ");
    insta::assert_snapshot!(refused("p.gguf --tensors q4_0 --by head"), @"
    error: invalid value 'head' for '--by <BY>'
      [possible values: kind, layer, tensor]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused("p.gguf --tensors q4_0 --json text.txt"), @"error: text.txt is an input: writing the result there would destroy it");
    insta::assert_snapshot!(refused("p.kldrec --tensors q4_0"), @"error: --tensors runs P in another way, but p.kldrec is not run, only its rows are read: give the model itself as P");
}
