//! Scenarios of `kld compare`, `kld score` and `kld info`, run through the program itself on tiny models.

mod desk;

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use desk::{Desk, TEXT, golden, interrupt, stderr};
use serde_json::Value;

#[test]
fn the_table_says_how_far_a_quantized_model_has_moved() {
    insta::assert_snapshot!(Desk::new().printed("compare p.gguf q8_0.gguf --text text.txt --context 32"), @r#"
    reference  p.gguf  llama 18.6 k, F32, 77.5 kB, f32 on dequantized weights
    text       1 fragment, 11 windows of 32 tokens, scored: second-half, protocol kld

    candidate  q8_0.gguf  llama 18.6 k, Q8_0 (83 %) + F16 (17 %) + F32 (0.9 %), 26.2 kB, f32 on dequantized weights
        nats                      mean    median      90 %      95 %      99 %    99.9 %       max
        KL(P‖Q)    0.000439 ± 0.000033  0.000354  0.000858   0.00107   0.00142   0.00166   0.00168
        KL(Q‖P)    0.000439 ± 0.000033  0.000353  0.000861   0.00106   0.00143   0.00166   0.00168
        JS       0.0001097 ± 0.0000083   8.83e-5  0.000215  0.000266  0.000356  0.000414  0.000419
        top-1 agreement  96.9 ± 1.1 %   top-10 overlap 98.20 ± 0.41 %
        Δp               mean −0.00294 %   rms 0.0380 %
        perplexity       207.64 → 207.83 (×1.0009 ± 0.0023)
        positions        161, errors clustered by window (11 windows)
      by confidence of P
        P(top-1)    positions              KL(P‖Q)    top-1  share of KL
        0 – 0.1           115  0.000435 ± 0.000038   95.7 %       70.8 %  ██████████████▏
        0.1 – 0.25         45  0.000453 ± 0.000039  100.0 %       28.8 %  █████▊
        0.25 – 0.5          1             0.000284  100.0 %        0.4 %  ▏
      by position
        context  positions              KL(P‖Q)   top-1  share of KL
        16 – 23         73  0.000424 ± 0.000026  95.9 %       43.8 %  ████████▊
        24 – 31         88  0.000451 ± 0.000046  97.7 %       56.2 %  ███████████▎
      worst tokens (context → observed: P's and Q's most likely)
        0.00168  gs and arrows of → ␣: . 9.9 % | . 10.2 %
        0.00155  nst a sea of trou → b: 4 16.7 % | 4 15.7 %
        0.00133  ows of fortune,  → o: ^ 7.6 % | ^ 7.3 %
        0.00119  n: whether it is → ␣: ^ 6.2 % | \ 6.4 %
        0.00119  nobler in the min → d: y 6.9 % | y 6.9 %
        0.00116  hether it is nob → l: Q 7.1 % | Q 7.4 %
        0.00115  bler in the mind t → o: ^ 6.7 % | ^ 7.2 %
        0.00107  ngs and arrows o → f: " 11.5 % | " 11.3 %
    "#);
}

#[test]
fn several_candidates_begin_with_an_overview() {
    let table =
        Desk::new().printed("compare p.gguf q8_0.gguf q4_0.gguf --text text.txt --context 32");
    let overview: Vec<&str> = table.lines().skip(3).take(3).collect();
    insta::assert_snapshot!(overview.join("\n"), @"
    ranking    group     size  bits/weight  front         KL(P‖Q) nats  over the one above     99 %  top-1 agreement        ppl ratio
    q8_0.gguf      a  26.2 kB        11.29      ●  0.000439 ± 0.000033                      0.00142     96.9 ± 1.1 %  1.0009 ± 0.0023
    q4_0.gguf      b  18.6 kB         7.99      ●      0.1066 ± 0.0070    +0.1061 ± 0.0069    0.347     50.9 ± 5.3 %    1.025 ± 0.030
    ");
}

#[test]
fn the_json_has_what_its_page_says() {
    let desk = Desk::new();
    let result =
        desk.json("compare p.gguf q8_0.gguf --text text.txt --context 32 --fail-above mean=1");
    insta::assert_snapshot!(shape(&result), @"
     candidates noise_floor pick protocol ranking reference run schema sequential
    .candidates[] above_noise_floor by_confidence by_position clusters delta_p effective_clusters entropy_candidate± entropy_reference± errors_clustered_by fragments js kl kl_histogram model not_finite padding_mass_candidate padding_mass_reference perplexity positions reverse_kl top10_overlap± top1_agreement± verdict warnings worst
    .candidates[].by_confidence[] from kl± positions share_of_kl to top1_agreement±
    .candidates[].by_position[] from kl± positions share_of_kl to top1_agreement±
    .candidates[].delta_p mean± rms±
    .candidates[].fragments[] index kl± name not_finite perplexity positions reverse_kl± top1_agreement±
    .candidates[].fragments[].perplexity candidate± ratio± reference±
    .candidates[].js max mean± median p90 p95 p99 p999
    .candidates[].kl max mean± median p90 p95 p99 p999
    .candidates[].kl_histogram counts first infinite zeros
    .candidates[].model bytes compute config_sha256 context_length family format name parameters revision sha256 vocabulary weights
    .candidates[].perplexity candidate± ratio± reference±
    .candidates[].reverse_kl max mean± median p90 p95 p99 p999
    .candidates[].verdict checks complete not_finite passed
    .candidates[].verdict.checks[] limit meaning metric passed value
    .candidates[].worst[] context kl observed observed_prob_candidate observed_prob_reference observed_rank_candidate observed_rank_reference position reverse_kl top1_candidate top1_prob_candidate top1_prob_reference top1_reference
    .candidates[].worst[].position fragment row window
    .protocol context fragments name scored seed token_stream_sha256 tokens windows windows_left_out
    .reference bytes compute config_sha256 context_length family format name parameters revision sha256 vocabulary weights
    .run complete elapsed_s isa metrics threads version windows_done
    ");
    assert_eq!(result["schema"], "kld.compare/1");
    assert_eq!(result["reference"]["name"], "p.gguf");
    assert_eq!(result["candidates"][0]["verdict"]["passed"], true);
    let score = desk.json("score p.gguf --text text.txt --context 32");
    insta::assert_snapshot!(shape(&score), @r"
     bits_per_byte± bytes calibration clusters cross_entropy± effective_clusters entropy± errors_clustered_by fragments frequency model not_finite padding_mass perplexity± positions protocol run schema top1_hit_rate± warnings
    .calibration bins expected_calibration_error overconfidence±
    .calibration.bins[] confidence from hit_rate positions to
    .fragments[] bits_per_byte± bytes cross_entropy± frequency index name not_finite perplexity± positions
    .fragments[].frequency js kl over_predicted reverse_kl sampling_floor under_predicted
    .fragments[].frequency.over_predicted[] contribution count expected text token
    .fragments[].frequency.under_predicted[] contribution count expected text token
    .frequency errors js kl over_predicted reverse_kl sampling_floor under_predicted
    .frequency.errors clustered_by excess± groups js± kl±
    .frequency.over_predicted[] contribution count estimate± expected text token
    .frequency.under_predicted[] contribution count estimate± expected text token
    .model bytes compute config_sha256 context_length family format name parameters revision sha256 vocabulary weights
    .protocol context fragments name scored seed token_stream_sha256 tokens windows windows_left_out
    .run complete elapsed_s isa metrics threads version windows_done
    ");
    assert_eq!(score["schema"], "kld.score/1");
}

/// The names of all fields, a line for every object; of a list, those of its first entry. An estimate is shown as `name±`.
fn shape(value: &Value) -> String {
    let mut lines = Vec::new();
    list_fields(value, "", &mut lines);
    lines.join("\n")
}

fn list_fields(value: &Value, path: &str, lines: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    let is_estimate = |v: &Value| v.get("standard_error").is_some();
    let show = |(name, v): (&String, &Value)| {
        if is_estimate(v) {
            format!("{name}±")
        } else {
            name.clone()
        }
    };
    lines.push(format!(
        "{path} {}",
        fields.iter().map(show).collect::<Vec<_>>().join(" ")
    ));
    for (name, v) in fields.iter().filter(|(_, v)| !is_estimate(v)) {
        match v {
            Value::Array(entries) => list_fields(
                entries.first().unwrap_or(&Value::Null),
                &format!("{path}.{name}[]"),
                lines,
            ),
            other => list_fields(other, &format!("{path}.{name}"), lines),
        }
    }
}

#[test]
fn text_json_and_exit_code_share_one_verdict() {
    let desk = Desk::new();
    for (gate, code, words) in [
        ("mean=1,p99=1", 0, "verdict: passed"),
        ("mean=1,p99=1e-6", 1, "verdict: FAILED"),
    ] {
        let arguments =
            format!("compare p.gguf q8_0.gguf --text text.txt --context 32 --fail-above {gate}");
        let output = desk.kld(&arguments);
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stdout).contains(words));
        let output = desk.kld(&format!("{arguments} --json r.json --csv r.csv"));
        assert_eq!(output.status.code(), Some(code));
        let json: Value = serde_json::from_slice(&fs::read(desk.path("r.json")).unwrap()).unwrap();
        assert_eq!(json["candidates"][0]["verdict"]["passed"], code == 0);
    }
}

#[test]
fn gates_that_cannot_be_understood_are_refused_before_any_work() {
    let desk = Desk::new();
    let refused = |gate: &str| {
        desk.refused(&format!(
            "compare p.gguf q8_0.gguf --text text.txt --fail-above {gate}"
        ))
    };
    assert!(refused("meen=0.1").contains("unknown metric \"meen\"; known: mean, median"));
    assert!(refused("top1=0.95").contains("for an agreement of at least 95 % write top1=0.05"));
}

#[test]
fn the_same_file_twice_is_a_warning_and_so_is_an_exact_zero() {
    let desk = Desk::new();
    let same = desk.printed("compare p.gguf p.gguf --text text.txt --context 32");
    assert!(
        same.contains("warning: candidate and reference are the same file: this measures nothing"),
        "{same}"
    );
    let folder = golden("llama");
    let other = desk.printed(&format!(
        "compare p.gguf {} --text text.txt --context 32",
        folder.display()
    ));
    // The same weights in another container are computed to the same bits.
    assert!(
        other.contains("warning: KL is exactly zero at every position although the files differ"),
        "{other}"
    );
}

#[test]
fn csv_is_tidy() {
    let desk = Desk::new();
    let table =
        desk.printed("compare p.gguf q8_0.gguf q4_0.gguf --text text.txt --context 32 --csv -");
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let heads = rows.headers().unwrap().clone();
    let column = |name: &str| heads.iter().position(|head| head == name).unwrap();
    let (scope, kl) = (column("scope"), column("kl_mean_nats"));
    let means: Vec<f64> = rows
        .records()
        .map(Result::unwrap)
        .filter(|row| &row[scope] == "all")
        .map(|row| row[kl].parse().unwrap())
        .collect();
    assert!(
        means.len() == 2 && 0.0 < means[0] && means[0] < means[1],
        "{means:?}"
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_do() {
    let desk = Desk::new();
    fs::write(
        desk.path("broken.gguf"),
        b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    )
    .unwrap();
    fs::write(desk.path("empty.txt"), "").unwrap();
    fs::write(desk.path("table.pdf"), "x").unwrap();
    let cases = [
        (
            "compare p.gguf nowhere.gguf --text text.txt",
            "nowhere.gguf",
        ),
        ("compare p.gguf broken.gguf --text text.txt", "broken.gguf"),
        ("compare p.gguf some/model --text text.txt", "some/model"),
        ("compare p.gguf q8_0.gguf --text nowhere.txt", "nowhere.txt"),
        (
            "compare p.gguf q8_0.gguf --text empty.txt",
            "no text in empty.txt",
        ),
        (
            "compare p.gguf q8_0.gguf --text table.pdf",
            "expected .txt, .md or .jsonl",
        ),
        (
            "compare p.gguf q8_0.gguf --text text.txt --context 4096",
            "was made for at most 64",
        ),
        (
            "compare p.gguf q8_0.gguf --text text.txt --json no/folder/r.json",
            "no/folder/r.json",
        ),
        (
            "compare p.gguf q8_0.gguf --text text.txt --seed 1",
            "--max-windows",
        ),
        ("compare p.gguf --text text.txt", "<Q>"),
        (
            "compare p.gguf q8_0.gguf --text text.txt --json p.gguf",
            "p.gguf is an input",
        ),
        (
            "compare p.gguf q8_0.gguf --text text.txt --csv text.txt",
            "text.txt is an input",
        ),
        (
            "compare p.gguf q8_0.gguf --text text.txt --json r --csv r",
            "two outputs go to r",
        ),
        (
            "compare p.gguf q8_0.gguf --text text.txt --json - --csv -",
            "two outputs go to -",
        ),
        (
            "compare p.gguf q8_0.gguf --text text.txt --protocol llama.cpp --score all",
            "leave --score all away",
        ),
        ("compare p.gguf q8_0.gguf", "--text"),
    ];
    for (arguments, words) in cases {
        let message = desk.refused(arguments);
        assert!(
            message.starts_with("error: ") && message.contains(words),
            "{arguments}: {message}"
        );
    }
}

#[test]
fn models_with_other_tokenizers_are_refused() {
    let desk = Desk::new();
    // A copy of the model whose tokenizer has two tokens exchanged.
    let folder = desk.path("other");
    fs::create_dir(&folder).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(golden("llama").join(name), folder.join(name)).unwrap();
    }
    let tokenizer = fs::read_to_string(folder.join("tokenizer.json")).unwrap();
    let mut tokenizer: Value = serde_json::from_str(&tokenizer).unwrap();
    let vocabulary = &mut tokenizer["model"]["vocab"];
    let (e, o) = (vocabulary["e"].take(), vocabulary["o"].take());
    (vocabulary["e"], vocabulary["o"]) = (o, e);
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let message = desk.refused("compare p.gguf other --text text.txt --context 32");
    assert!(
        message.contains("tokenizers disagree on this text: in text.txt, token 1 is"),
        "{message}"
    );
}

#[test]
fn a_failed_run_leaves_an_older_result_alone() {
    let desk = Desk::new();
    fs::write(desk.path("r.json"), "older").unwrap();
    desk.refused("compare p.gguf nowhere.gguf --text text.txt --json r.json");
    assert_eq!(fs::read_to_string(desk.path("r.json")).unwrap(), "older");
    let left = fs::read_dir(desk.folder.path()).unwrap().filter(|e| {
        e.as_ref()
            .unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "part")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn memory_that_does_not_suffice_changes_the_path_but_not_the_numbers() {
    let desk = Desk::new();
    let compare = "compare p.gguf q8_0.gguf --text text.txt --context 32";
    let (roomy, tight) = (
        desk.json(compare),
        desk.json(&format!("{compare} --memory 1kB")),
    );
    assert_eq!(tight["candidates"][0]["kl"], roomy["candidates"][0]["kl"]);
    assert_ne!(
        tight["candidates"][0]["model"]["compute"],
        roomy["candidates"][0]["model"]["compute"]
    );
}

#[test]
fn every_kernel_can_be_forced_and_agrees() {
    let desk = Desk::new();
    let kl = |isa: &str| {
        let output = desk
            .command("compare p.gguf q8_0.gguf --text text.txt --context 32 --json -")
            .env("KLD_ISA", isa)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["run"]["isa"], isa);
        json["candidates"][0]["kl"]["mean"]["value"]
            .as_f64()
            .unwrap()
    };
    let scalar = kl("scalar");
    for isa in kld_kernels::Isa::available() {
        assert!((kl(isa.name()) / scalar - 1.0).abs() < 1e-6);
    }
    let output = desk
        .command("compare p.gguf q8_0.gguf --text text.txt")
        .env("KLD_ISA", "mmx")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn score_and_info_say_what_there_is() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.printed("info p.gguf"), @r"
    p.gguf
        format      gguf, 77.5 kB, sha256 cf2f08d75906521000160d290ce6eefa144437d6cf16d320b535f68d0efe73ff
        family      llama, 18 592 parameters
        shape       2 layers of 32, 4 heads of 8 (2 for keys and values), MLP of 48
        context     64 tokens
        head        96 columns, tied to the embedding
        stored as   F32 (20 tensors, 74.4 kB)
        tokenizer   BPE, byte-level from GGUF, gpt2, gpt-2, 96 tokens, 0 of them special
                    BOS none; EOS none; chat template: no
    ");
    insta::assert_snapshot!(desk.printed("score p.gguf --text text.txt --context 32"), @r#"
    model  p.gguf  llama 18.6 k, F32, 77.5 kB, f32 on dequantized weights
    text   1 fragment, 6 windows of 32 tokens, scored: all, protocol kld
        cross-entropy     5.25 ± 0.12 nats per token
        perplexity        190 ± 23
        bits per byte     7.167 ± 0.090
        entropy           3.961 ± 0.033 nats per token
        top-1 hit rate    0.00 %
        positions         177 (187 bytes), errors clustered by window
      token frequencies of the text (P) against what the model expected (Q)
        KL(P‖Q) 1.68 ± 0.14 nats (a text drawn from the model would have 0.302); JS 0.395 ± 0.021 nats
        excess  1.38 ± 0.15 nats more than a drawn text, errors by leaving out each of 6 groups of windows
        under-predicted  in text  expected     part of KL
        ␣                     28      1.32  0.333 ± 0.035
        o                     16      2.18  0.102 ± 0.062
        ␣t                    10     0.747  0.094 ± 0.038
        e                     16      2.96  0.079 ± 0.015
        s                     12      1.67  0.075 ± 0.029
        a                     10      1.22  0.069 ± 0.064
        r                     10      1.95  0.047 ± 0.035
        f                      5     0.584  0.036 ± 0.030
        over-predicted  in text  expected       part of KL
        \n                    0      5.45  0.0308 ± 0.0061
        "                     0      3.43  0.0194 ± 0.0025
        0                     0      3.33  0.0188 ± 0.0032
        /                     0      3.22  0.0182 ± 0.0048
        }                     0      3.13  0.0177 ± 0.0045
        H                     0      3.10  0.0175 ± 0.0020
        @                     0      2.95  0.0167 ± 0.0040
        !                     0      2.86  0.0162 ± 0.0024
      calibration: expected error 9.6 %, overconfidence 9.64 ± 0.78 %
        confidence  positions    mean  hit rate
        0 – 0.1           125   7.4 %     0.0 %
        0.1 – 0.2          47  13.9 %     0.0 %
        0.2 – 0.3           4  21.1 %     0.0 %
        0.3 – 0.4           1  39.3 %     0.0 %
    "#);
    assert!(
        desk.printed("info p.gguf --tensors")
            .contains("blk.1.ffn_down.weight")
    );
}

#[test]
fn bits_are_shown_where_bits_are_asked_for() {
    let desk = Desk::new();
    let arguments = "compare p.gguf q8_0.gguf --text text.txt --context 32";
    let nats = desk.json(arguments)["candidates"][0]["kl"]["max"]
        .as_f64()
        .unwrap();
    let table = desk.printed(&format!("{arguments} --bits"));
    let bits = format!("{:.5}", nats * std::f64::consts::LOG2_E);
    assert!(
        table.matches(&bits).count() >= 2,
        "not both in the table and with the worst token: {table}"
    );
    // JSON stays in nats.
    assert_eq!(
        desk.json(&format!("{arguments} --bits"))["candidates"][0]["kl"]["max"].as_f64(),
        Some(nats)
    );
}

#[test]
fn the_llama_cpp_protocol_means_the_same_to_every_verb() {
    let desk = Desk::new();
    fs::write(desk.path("long.txt"), TEXT.repeat(3)).unwrap();
    let protocol = "--text long.txt --context 32 --protocol llama.cpp";
    let compared = desk.json(&format!("compare p.gguf q8_0.gguf {protocol}"));
    let scored = desk.json(&format!("score p.gguf {protocol}"));
    assert_eq!(compared["protocol"], scored["protocol"]);
    let windows = scored["protocol"]["windows"].as_u64().unwrap();
    assert_eq!(scored["positions"].as_u64().unwrap(), windows * 15);
    let (p, q) = (
        &compared["candidates"][0]["perplexity"]["reference"]["value"],
        &scored["perplexity"]["value"],
    );
    assert!((p.as_f64().unwrap() / q.as_f64().unwrap() - 1.0).abs() < 1e-6);
}

#[test]
fn a_model_of_which_nothing_can_be_measured_has_no_result() {
    let desk = Desk::new();
    // NaN in the last norm makes every logit NaN.
    let folder = desk.path("broken");
    fs::create_dir(&folder).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(golden("llama").join(name), folder.join(name)).unwrap();
    }
    let mut weights = fs::read(golden("llama").join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&weights[8..8 + length]).unwrap();
    let at = 8
        + length
        + header["model.norm.weight"]["data_offsets"][0]
            .as_u64()
            .unwrap() as usize;
    weights[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(folder.join("model.safetensors"), weights).unwrap();

    let output = desk.kld("compare p.gguf broken q8_0.gguf --text text.txt --context 32 --json r.json --fail-above mean=1");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("no position could be measured") && table.contains("verdict: FAILED"),
        "{table}"
    );
    let json: Value = serde_json::from_slice(&fs::read(desk.path("r.json")).unwrap()).unwrap();
    assert_eq!(json["candidates"][0]["kl"]["mean"]["value"], Value::Null);
    assert!(
        json["candidates"][1]["kl"]["mean"]["value"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    assert_eq!(
        desk.kld("score broken --text text.txt --context 32")
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn chats_need_a_template() {
    let desk = Desk::new();
    fs::write(
        desk.path("chat.jsonl"),
        r#"{"messages":[{"role":"user","content":"Hello there"}]}"#,
    )
    .unwrap();
    let message = desk.refused("score p.gguf --text chat.jsonl --context 32");
    assert!(
        message.contains("chat.jsonl:1 is a conversation, but p.gguf has no chat template"),
        "{message}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let mut child = desk
        .command("compare p.gguf q8_0.gguf --text text.txt --context 32")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn ctrl_c_prints_what_is_measured_so_far_and_exits_with_3() {
    let desk = Desk::new();
    // Long enough that nobody has done it before the signal comes.
    fs::write(desk.path("long.txt"), TEXT.repeat(20_000)).unwrap();
    let mut command =
        desk.command("compare p.gguf q8_0.gguf --text long.txt --context 32 --json r.json");
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let asked = Instant::now();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(3),
        "after {:?}: {}",
        asked.elapsed(),
        stderr(&output)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("stopped early: the numbers cover "));
    let json: Value = serde_json::from_slice(&fs::read(desk.path("r.json")).unwrap()).unwrap();
    assert_eq!(json["run"]["complete"], false);
}
