//! Scenarios of `kld compare --quantize`, run through the program itself on a tiny model.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use kld_models::gguf::{BlockType, requantize};
use serde_json::Value;
use tempfile::TempDir;

const TEXT: &str = "To be, or not to be, that is the question: whether it is nobler in the mind to suffer the slings and arrows of \
                    fortune, or to take arms against a sea of troubles, and by opposing end them.";

/// A folder with `p.gguf`, its form `q4_0.gguf`, and `text.txt`.
fn desk() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/models/llama/model.gguf");
    let path = |name: &str| folder.path().join(name);
    fs::copy(&source, path("p.gguf")).unwrap();
    let dtype = BlockType::from_name("Q4_0").unwrap();
    requantize(&source, &path("q4_0.gguf"), dtype).unwrap();
    fs::write(path("text.txt"), TEXT).unwrap();
    folder
}

fn kld(desk: &TempDir, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kld"));
    command.args(arguments.split_whitespace());
    command.current_dir(desk.path()).output().unwrap()
}

fn printed(desk: &TempDir, arguments: &str) -> String {
    let output = kld(desk, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(desk: &TempDir, arguments: &str) -> String {
    let output = kld(desk, arguments);
    assert_eq!(output.status.code(), Some(2));
    stderr(&output)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The candidates of the JSON, without who they are.
fn numbers(desk: &TempDir, arguments: &str) -> Vec<Value> {
    let arguments = format!("compare {arguments} --text text.txt --context 32 --json -");
    let result: Value = serde_json::from_str(&printed(desk, &arguments)).unwrap();
    let mut candidates = result["candidates"].as_array().unwrap().clone();
    for candidate in &mut candidates {
        candidate.as_object_mut().unwrap().remove("model");
    }
    candidates
}

#[test]
fn a_candidate_made_in_memory_gives_the_numbers_of_its_file() {
    let desk = desk();
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
    let desk = desk();
    let table = printed(
        &desk,
        "compare p.gguf --quantize q8_0,q4_0 --only *embd* --only blk.*.ffn_*.* --text text.txt --context 32",
    );
    let shown: Vec<&str> = table
        .lines()
        .take_while(|line| !line.contains("nats      "))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    reference  p.gguf  llama 18.6 k, F32, 77.5 kB, f32 on dequantized weights
    text       1 fragment, 11 windows of 32 tokens, scored: second-half, protocol kld
    ");
}

#[test]
fn what_cannot_be_made_is_refused_with_what_can() {
    let desk = desk();
    let refused = |arguments: &str| {
        refused(
            &desk,
            &format!("compare p.gguf {arguments} --text text.txt"),
        )
    };
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
