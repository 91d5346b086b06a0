//! Scenarios of `kld compare --quantize`, run through the program itself on a tiny model.

mod desk;

use desk::Desk;
use serde_json::Value;

/// The candidates of the JSON, without who they are.
fn numbers(desk: &Desk, arguments: &str) -> Vec<Value> {
    let result = desk.json(&format!("compare {arguments} --text text.txt --context 32"));
    let mut candidates = result["candidates"].as_array().cloned().unwrap_or_default();
    for candidate in &mut candidates {
        candidate
            .as_object_mut()
            .map(|fields| fields.remove("model"));
    }
    candidates
}

#[test]
fn a_candidate_made_in_memory_gives_the_numbers_of_its_file() {
    let desk = Desk::new();
    let both = numbers(&desk, "p.gguf q4_0.gguf --quantize q8_0,q4_0");
    assert_eq!(both.len(), 3);
    assert_eq!(both[0], both[2]);
    for threads in ["1", "3"] {
        let alone = format!("p.gguf --quantize q4_0 --threads {threads} --memory 1kB");
        assert_eq!(numbers(&desk, &alone), both[2..]);
    }
}

#[test]
fn the_table_says_what_was_quantized_and_what_could_not_be() {
    let desk = Desk::new();
    let table = desk.printed(
        "compare p.gguf --quantize q8_0,q4_0 --only *embd* --only blk.*.ffn_*.* --text text.txt --context 32",
    );
    let shown: Vec<&str> = table
        .lines()
        .take_while(|line| !line.contains("nats      "))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    reference  p.gguf  llama 18.6 k, F32, 77.5 kB, f32 on dequantized weights
    text       1 fragment, 11 windows of 32 tokens, scored: second-half, protocol kld

    ranking                                  group     size  bits/weight  front         KL(P‖Q) nats  over the one above      99 %  top-1 agreement        ppl ratio
    p.gguf → q8_0 only *embd* blk.*.ffn_*.*      a  44.3 kB        19.04      ●  0.000198 ± 0.000014                      0.000587     96.9 ± 1.4 %  0.9995 ± 0.0015
    p.gguf → q4_0 only *embd* blk.*.ffn_*.*      b  39.6 kB        17.06      ●      0.0483 ± 0.0048    +0.0481 ± 0.0048     0.138     66.5 ± 4.9 %    1.055 ± 0.022
      a shared letter: not told apart by paired differences (Holm over all pairs, 5.0 %)
      ● on the front of size against KL

    candidate  p.gguf → q8_0 only *embd* blk.*.ffn_*.*  llama 18.6 k, Q8_0 (50 %) + F32 (34 %) + F16 (17 %), 44.3 kB, f32 on dequantized weights
               7 matrices of P quantized to Q8_0 in memory
               2 of them are F16 instead, their rows are no whole blocks of Q8_0: blk.0.ffn_down.weight, blk.1.ffn_down.weight
    ");
}

#[test]
fn the_noise_floor_stands_beside_every_number_and_changes_none() {
    let desk = Desk::new();
    let arguments = "p.gguf --quantize bf16,q4_0 --until 30%";
    let text = "--text text.txt --context 32";
    let table = desk.printed(&format!("compare {arguments} {text} --noise-floor"));
    let told = |line: &&str| line.contains("floor");
    let told: Vec<&str> = table.lines().filter(told).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    floor      P against itself, f32 on dequantized weights, activations rounded to bf16: KL 0.0000852 ± 0.0000057 nats
    noise floor                                        0.0000852 ± 0.0000057                      0.000335   98.76 ± 0.83 %
          noise floor  0.0000852 ± 0.0000057  5.76e-5  0.000188  0.000237  0.000335  0.000404  0.000407
        top-1 agreement  97.5 ± 1.4 % (noise floor 98.76 ± 0.83 %)   top-10 overlap 99.63 ± 0.14 %
    warning: the mean KL is not clearly above the noise floor: computing P in another valid way changes as much
          noise floor  0.0000852 ± 0.0000057  5.76e-5  0.000188  0.000237  0.000335  0.000404  0.000407
        top-1 agreement  50.9 ± 5.3 % (noise floor 98.76 ± 0.83 %)   top-10 overlap 70.1 ± 1.0 %
    ");
    let [with, without] = ["--noise-floor", ""]
        .map(|floor| desk.json(&format!("compare {arguments} {text} {floor}")));
    for (index, is_above) in [(0, false), (1, true)] {
        let [with, without] = [&with, &without].map(|r| &r["candidates"][index]);
        assert_eq!(with["kl"], without["kl"]);
        assert_eq!(
            with["above_noise_floor"]["low"].as_f64().unwrap() > 0.0,
            is_above
        );
        let warned = with["warnings"]
            .to_string()
            .contains("not clearly above the noise floor");
        assert_eq!(warned, !is_above);
    }
    assert_eq!(with["ranking"], without["ranking"]);
    assert_eq!(with["sequential"], without["sequential"]);
}

#[test]
fn a_ranking_within_the_noise_floor_says_that_it_is_none() {
    let desk = Desk::new();
    let noted = |arguments: &str| {
        let table = desk.printed(&format!(
            "compare p.gguf --quantize {arguments} --text text.txt --context 32"
        ));
        table.contains("note: no candidate is clearly above the noise floor")
    };
    assert!(noted("f16,bf16 --noise-floor"));
    assert!(!noted("f16,bf16"));
    assert!(!noted("f16,q4_0 --noise-floor"));
}

#[test]
fn what_cannot_be_made_is_refused_with_what_can() {
    let desk = Desk::new();
    let refused =
        |arguments: &str| desk.refused(&format!("compare p.gguf {arguments} --text text.txt"));
    insta::assert_snapshot!(refused("--quantize q9_0"), @"
    error: invalid value 'q9_0' for '--quantize <TYPE,…>': expected one of f32, f16, bf16, q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, q3_k, q2_k

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused("--quantize q4_0 --only blk.*.ffn_dwn.*"), @"
    error: cannot quantize P to Q4_0: no matrix of p.gguf is called 'blk.*.ffn_dwn.*'
    hint: its matrices have names like token_embd.weight, blk.0.attn_q.weight, blk.0.attn_k.weight, blk.0.attn_v.weight, blk.0.attn_output.weight, blk.0.ffn_gate.weight, blk.0.ffn_up.weight, blk.0.ffn_down.weight; * stands for any text; norms and biases are never quantized
    ");
    insta::assert_snapshot!(refused("--quantize q4_0,q8_0,q4_0"), @"error: --quantize names Q4_0 twice");
    insta::assert_snapshot!(refused("--only *"), @"
    error: the following required arguments were not provided:
      --quantize <TYPE,…>
      <Q>...

    Usage: kld compare [OPTIONS] <P> <Q>... --text <PATH>...
           kld compare [OPTIONS] <P> --quantize <TYPE,…> --text <PATH>...

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused(""), @"
    error: the following required arguments were not provided:
      <Q>...

    Usage: kld compare [OPTIONS] <P> <Q>... --text <PATH>...
           kld compare [OPTIONS] <P> --quantize <TYPE,…> --text <PATH>...

    For more information, try '--help'.
    ");
}
