//! Scenarios of `kld dist`, run through the program itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own data has failed"
)]

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// What a run left behind.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `kld dist` with arguments separated by spaces.
fn dist(arguments: &str) -> Run {
    dist_with(arguments, b"", Path::new("."))
}

/// The same with standard input, in a folder.
fn dist_with(arguments: &str, stdin: &[u8], folder: &Path) -> Run {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kld"))
        .arg("dist")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read its input.
    let _ = program.stdin.take().unwrap().write_all(stdin);
    let output = program.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// What is said to somebody whose input is refused.
fn refused(arguments: &str) -> String {
    let run = dist(arguments);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
    run.stderr
}

fn printed(arguments: &str) -> String {
    let run = dist(arguments);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    run.stdout
}

fn result(arguments: &str) -> Value {
    serde_json::from_str(&printed(&format!("{arguments} --json -"))).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

const TEN: &str = "0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1";
const HEAVY: &str = "0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.7";

#[test]
fn a_table_at_a_glance() {
    insta::assert_snapshot!(printed("0.1,0.2,0.7 0.2,0.2,0.6"), @r#"
    P  0.1,0.2,0.7  3 entries
    Q  0.2,0.2,0.6  3 entries

                                       P → Q     Q → P
        KL divergence               0.038591  0.046139   nats
        cross-entropy               0.840409  0.996410   nats
        Rényi divergence, α = 2     0.064539  0.108214   nats
        skew KL, α = 0.1            0.032150  0.035710   nats
        χ²                          0.066667  0.114286
                                           P         Q
        entropy                     0.801819  0.950271   nats
                                   both ways
        Jeffreys divergence         0.084730             nats
        Jensen-Shannon divergence   0.010420             nats
        Jensen-Shannon distance     0.102078            √nats
        total variation             0.100000
        Hellinger distance          0.102492

    most of KL(P‖Q) lies in
        entry         P         Q  P ln(P/Q)
        [2]    0.700000  0.600000   0.107905  nats
        [0]    0.100000  0.200000  −0.069315  nats
    "#);
}

#[test]
fn a_divergence_below_zero_is_explained_instead_of_printed() {
    insta::assert_snapshot!(refused(&format!("{TEN} {HEAVY}")), @r#"
    error: Q sums to 1.6, not 1 (off by 0.6; 1e-6 would be rounding)
        the bare sum Σ P ln(P/Q) would be -0.194591 nats: below 0, which no divergence is
        hint: --normalize to divide each side by its sum: KL(P‖Q) = 0.275413 nats
        hint: --generalized if they are meant so: Σ P ln(P/Q) − ΣP + ΣQ = 0.405409 nats
    "#);
}

#[test]
fn the_same_with_normalize_or_generalized_is_what_it_should_be() {
    let normalized = result(&format!("{TEN} {HEAVY} --normalize"));
    assert!(
        (number(&normalized["kl"]) - (0.9 * 1.6_f64.ln() + 0.1 * (0.1_f64 / 0.4375).ln())).abs()
            < 1e-12,
        "{normalized}"
    );
    assert_eq!(normalized["candidate"]["normalized"], json!(true));
    let generalized = result(&format!("{TEN} {HEAVY} --generalized"));
    assert!(
        (number(&generalized["kl"]) - (0.6 - 0.1 * 7.0_f64.ln())).abs() < 1e-12,
        "{generalized}"
    );
    assert_eq!(generalized["js"], Value::Null);
    insta::assert_snapshot!(printed(&format!("{TEN} {HEAVY} --generalized")), @r#"
    P  0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1  10 entries    sum 1
    Q  0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.7  10 entries  sum 1.6

                           P → Q     Q → P
        generalized KL  0.405409  0.762137  nats
        both together   1.167546            nats
        entropies, JS and the others need distributions and are left out; --normalize makes such

    most of KL(P‖Q) lies in
        entry         P         Q  P ln(P/Q) − P + Q
        [9]    0.100000  0.700000           0.405409  nats
    "#);
}

#[test]
fn bits_are_nats_over_ln_2_in_the_table_and_json_stays_in_nats() {
    assert!(printed("0.5,0.5 0.25,0.75 --bits").contains("0.207519"));
    let json = result("0.5,0.5 0.25,0.75 --bits");
    assert!((number(&json["kl"]) - 0.143_841_036_225_890_46).abs() < 1e-15);
}

#[test]
fn the_json_is_as_documented() {
    let text = printed("0.5,0.25,0.25,0 0.5,0.5,0,0 --json -")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(text, @r#"
    {
      "schema": "kld.dist/1",
      "version": "VERSION",
      "kind": "distributions",
      "reference": {
        "name": "0.5,0.25,0.25,0",
        "scale": "probs",
        "entries": 4,
        "positive": 3,
        "sum": 1.0,
        "normalized": false
      },
      "candidate": {
        "name": "0.5,0.5,0,0",
        "scale": "probs",
        "entries": 4,
        "positive": 2,
        "sum": 1.0,
        "normalized": false
      },
      "smoothing": null,
      "kl": "inf",
      "reverse_kl": 0.34657359027997264,
      "jeffreys": "inf",
      "js": 0.10788077716941785,
      "js_distance": 0.328452092654953,
      "generalized_js": {
        "beta": 0.5,
        "value": 0.10788077716941785
      },
      "skew_kl": {
        "alpha": 0.1,
        "value": 0.4151828017054128,
        "reverse": 0.2989185003778102
      },
      "renyi": {
        "alpha": 2.0,
        "value": "inf",
        "reverse": 0.4054651081081644
      },
      "total_variation": 0.25,
      "hellinger": 0.3826834323650898,
      "chi_square": "inf",
      "reverse_chi_square": 0.5,
      "cross_entropy": "inf",
      "reverse_cross_entropy": 1.0397207708399179,
      "entropy_reference": 1.0397207708399179,
      "entropy_candidate": 0.6931471805599453,
      "contributions": [
        {
          "index": 2,
          "name": null,
          "p": 0.25,
          "q": 0.0,
          "kl": "inf"
        },
        {
          "index": 1,
          "name": null,
          "p": 0.25,
          "q": 0.5,
          "kl": -0.17328679513998632
        }
      ],
      "only_in_reference": {
        "entries": 1,
        "mass": 0.25,
        "heaviest": [
          {
            "index": 2,
            "name": null,
            "mass": 0.25
          }
        ]
      },
      "only_in_candidate": {
        "entries": 0,
        "mass": 0.0,
        "heaviest": []
      },
      "estimates": null,
      "warnings": []
    }
    "#);
}

#[test]
fn counts_give_estimates_with_intervals_and_a_word_on_their_size() {
    insta::assert_snapshot!(printed("50,30,20,1 40,42,18,0 --counts --top 0"), @r#"
    P  50,30,20,1                  4 entries  101 draws
    Q  40,42,18,0  4 entries, 1 without mass  100 draws

    estimated, in nats, with bootstrap intervals from 1 000 redrawn pairs (seed 0)
                              KL(P‖Q)          95 % interval   KL(Q‖P)          95 % interval        JS          95 % interval
        plug-in                     ∞                         0.043046  [−0.004037, 0.157768]  0.011473  [−0.001253, 0.038259]
        Miller-Madow                ∞                         0.022497  [−0.023834, 0.134291]  0.006446  [−0.006226, 0.033097]
        Chao-Shen                   ∞                         0.052997   [0.002277, 0.169910]         -
        Krichevsky-Trofimov  0.036623  [−0.008115, 0.142621]  0.036373  [−0.005424, 0.144306]  0.009034  [−0.001583, 0.034832]
        Zhang-Grabchak       0.001318  [−0.041860, 0.109166]  0.022500  [−0.023807, 0.134348]         -
                             entropy of P         95 % interval  entropy of Q         95 % interval
        plug-in                  1.075005  [0.970948, 1.175097]      1.039530  [0.957466, 1.090045]
        Miller-Madow             1.089856  [0.982071, 1.191038]      1.049530  [0.967466, 1.100045]
        Chao-Shen                1.100810  [0.982709, 1.196438]      1.039530  [0.957467, 1.090045]
        Krichevsky-Trofimov      1.092717  [0.991605, 1.182982]      1.067239  [0.988213, 1.115880]
        Zhang-Grabchak           1.090698  [0.982337, 1.191559]      1.049609  [0.967565, 1.100112]
        P: 101 draws, 4 outcomes seen, 1 of them once; coverage 0.990099
        Q: 100 draws, 3 outcomes seen, 0 of them once; coverage 1.000000
    warning: 1 outcome occurs in P's sample (1.0 % of it) and never in the other: the plug-in is infinite, whatever lies behind
    warning: KL(P‖Q) is uncertain: the interval is 0.151026 wide about 0.001318

    the relative frequencies themselves
                                       P → Q     Q → P
        KL divergence                      ∞  0.043046   nats
        cross-entropy                      ∞  1.082577   nats
        Rényi divergence, α = 2            ∞  0.077609   nats
        skew KL, α = 0.1            0.039562  0.035409   nats
        χ²                                 ∞  0.080700
                                           P         Q
        entropy                     1.075005  1.039530   nats
                                   both ways
        Jeffreys divergence                ∞             nats
        Jensen-Shannon divergence   0.011473             nats
        Jensen-Shannon distance     0.107112            √nats
        total variation             0.122970
        Hellinger distance          0.114051

    KL(P‖Q) is infinite: 1 entry has mass under P (0.00990099 in all) and none under Q
        hint: Krichevsky-Trofimov and Zhang-Grabchak stay finite: not seen is not impossible
    "#);
    let (once, again) = (
        result("50,30,20 40,42,18 --counts"),
        result("50,30,20 40,42,18 --counts"),
    );
    assert_eq!(once, again);
    assert_ne!(
        once["estimates"],
        result("50,30,20 40,42,18 --counts --seed 1")["estimates"]
    );
    assert_eq!(once["estimates"]["estimators"].as_array().unwrap().len(), 5);
}

#[test]
fn smoothing_without_sense_is_refused_and_does_not_panic() {
    for strength in ["epsilon:1e308", "laplace:1e308", "epsilon:inf", "epsilon:0"] {
        let said = refused(&format!("0.5,0.5 0.5,0.5 --smooth {strength}"));
        assert!(
            said.contains("its strength must be above 0 and at most 1e9"),
            "{said}"
        );
    }
    assert!(number(&result("0.5,0.5 1,0 --smooth epsilon:1e9")["kl"]) < 1e-15);
}

#[test]
fn laplace_smooths_counts_and_nothing_else() {
    for flag in ["--logits", "--log-probs", "--normalize"] {
        let said = refused(&format!("3,2,1 1,2,3 --smooth laplace:1 {flag}"));
        assert!(
            said.contains(&format!("laplace:1 is for counts, and {flag} says")),
            "{said}"
        );
    }
}

#[test]
fn smoothing_is_done_on_request_and_said() {
    for (arguments, said) in [
        (
            "0.5,0.5 1,0 --smooth epsilon:1e-10",
            "1e-10 added to every probability of both sides (2e-10 in all)",
        ),
        (
            "1,2,3 3,2,0 --smooth laplace:1",
            "1 added to every count of both sides (3 in all)",
        ),
        (
            "0.5,0.5 1,0 --smooth jelinek-mercer:0.1",
            "a share 0.1 of each side replaced by the mean of both",
        ),
        (
            "1,2,3 3,2,0 --smooth krichevsky-trofimov",
            "0.5 added to every count of both sides (1.5 in all)",
        ),
        (
            "1,2,3 3,2,0 --smooth absolute:0.5",
            "0.5 taken from every count above 0 and given to the mean of both",
        ),
    ] {
        assert!(printed(arguments).contains(said), "{arguments}");
        assert!(result(arguments)["kl"].is_number(), "{arguments}");
    }
    // (1+1)/9 against (3+1)/8 and so on, by hand.
    let expected = 2.0 / 9.0 * (16.0_f64 / 36.0).ln()
        + 3.0 / 9.0 * (24.0_f64 / 27.0).ln()
        + 4.0 / 9.0 * (32.0_f64 / 9.0).ln();
    let laplace = result("1,2,3 3,2,0 --smooth laplace:1");
    assert!(
        (number(&laplace["kl"]) - expected).abs() < 1e-14,
        "{laplace}"
    );
    assert_eq!(
        laplace["smoothing"],
        json!({"method": "laplace", "strength": 1.0})
    );
    assert!(refused("0.5,0.5 1,0 --smooth laplace:1").contains("no count"));
    assert!(refused("0.5,0.5 1,0 --smooth epsilon:0").contains("above 0"));
}

#[test]
fn what_is_refused_says_what_is_wrong_and_what_would_mean_it() {
    let all: String = [
        "0.5,-0.5,1 0.5,0.5,0",
        "nan,1 0.5,0.5",
        "0,0 1,0",
        "0.5,0.5 0.2,0.3,0.5",
        "20,30,50 25,25,50",
        "0.3,0.7 3,4",
        "-1.6,-1.2,-0.69 -1.2,-1.6,-0.69",
        "-2.321928,-1.736966,-1 -1,-1.736966,-2.321928",
        "0.3,0.7 0.4,0.6 --log-probs",
        "2,-1,0 1,1,1",
        "0.3,0.7 0.4,0.6 --counts",
        "0.5,0.5 nothing",
        "missing.json 1",
        "- -",
    ]
    .map(|arguments| format!("$ kld dist {arguments}\n{}", refused(arguments)))
    .concat();
    insta::assert_snapshot!(all, @r#"
    $ kld dist 0.5,-0.5,1 0.5,0.5,0
    error: P has 1 negative entry: [1] is -0.5
        hint: P looks like logits, if it is no mistake: pass --logits
    $ kld dist nan,1 0.5,0.5
    error: P has an entry that is not finite: [0] is NaN
    $ kld dist 0,0 1,0
    error: P is zero everywhere: there is no mass to compare
    $ kld dist 0.5,0.5 0.2,0.3,0.5
    error: P has 2 entries and Q has 3: without names they cannot be matched
    $ kld dist 20,30,50 25,25,50
    error: P sums to 100, not 1 (off by 99; 1e-6 would be rounding); Q sums to 100, not 1 (off by 99; 1e-6 would be rounding)
        hint: P and Q look like counts: pass --counts for estimates with intervals, or --normalize for the relative frequencies
        the bare sum Σ P ln(P/Q) would be 1.00678 nats: and that is no divergence
        hint: --normalize to divide each side by its sum: KL(P‖Q) = 0.0100678 nats
        hint: --generalized if they are meant so: Σ P ln(P/Q) − ΣP + ΣQ = 1.00678 nats
    $ kld dist 0.3,0.7 3,4
    error: Q sums to 7, not 1 (off by 6; 1e-6 would be rounding)
        hint: Q looks like counts: pass --counts for estimates with intervals, or --normalize for the relative frequencies
        the bare sum Σ P ln(P/Q) would be -1.91085 nats: below 0, which no divergence is
        hint: --normalize to divide each side by its sum: KL(P‖Q) = 0.0350561 nats
        hint: --generalized if they are meant so: Σ P ln(P/Q) − ΣP + ΣQ = 4.08915 nats
    $ kld dist -1.6,-1.2,-0.69 -1.2,-1.6,-0.69
    error: P has 3 negative entries: [0] is -1.6; Q has 3 negative entries: [0] is -1.2
        hint: P and Q look like log-probabilities: pass --log-probs
    $ kld dist -2.321928,-1.736966,-1 -1,-1.736966,-2.321928
    error: P has 3 negative entries: [0] is -2.32193; Q has 3 negative entries: [0] is -1
        hint: P and Q look like log-probabilities to base 2: multiply by ln 2 = 0.693147 and pass --log-probs
    $ kld dist 0.3,0.7 0.4,0.6 --log-probs
    error: P sums to 3.36361, not 1 (off by 2.36361; 1e-5 would be rounding); Q sums to 3.31394, not 1 (off by 2.31394; 1e-5 would be rounding)
        hint: P and Q look like probabilities: leave out --log-probs
    $ kld dist 2,-1,0 1,1,1
    error: P has 1 negative entry: [1] is -1; Q sums to 3, not 1 (off by 2; 1e-6 would be rounding)
        hint: P looks like logits, if it is no mistake: pass --logits
        hint: Q looks like counts: pass --counts for estimates with intervals, or --normalize for the relative frequencies
    $ kld dist 0.3,0.7 0.4,0.6 --counts
    error: P has an entry that is no count: [0] is 0.3, not a whole number up to 2^53; Q has an entry that is no count: [0] is 0.4, not a whole number up to 2^53
        hint: P and Q look like probabilities: leave out --counts
    $ kld dist 0.5,0.5 nothing
    error: Q: `nothing` is neither numbers nor a file, expected numbers (0.1,0.2,0.7), `-`, or a file .json .csv .tsv .txt .npy .safetensors[#TENSOR]
    $ kld dist missing.json 1
    error: P: missing.json: cannot be read: No such file or directory (os error 2)
    $ kld dist - -
    error: only one of P and Q can be `-`
    "#);
}

#[test]
fn names_are_matched_whatever_their_order_and_missing_ones_have_no_mass() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.json"), r#"{"the": 0.5, "a": 0.5}"#).unwrap();
    fs::write(
        folder.path().join("q.csv"),
        "token,p\nan,0.25\na,0.25\nthe,0.5\n",
    )
    .unwrap();
    let run = dist_with("p.json q.csv", b"", folder.path());
    insta::assert_snapshot!(run.stdout, @r#"
    P  p.json  3 entries, 1 without mass
    Q  q.csv                   3 entries

                                       P → Q     Q → P
        KL divergence               0.346574         ∞   nats
        cross-entropy               1.039721         ∞   nats
        Rényi divergence, α = 2     0.405465         ∞   nats
        skew KL, α = 0.1            0.298919  0.415183   nats
        χ²                          0.500000         ∞
                                           P         Q
        entropy                     0.693147  1.039721   nats
                                   both ways
        Jeffreys divergence                ∞             nats
        Jensen-Shannon divergence   0.107881             nats
        Jensen-Shannon distance     0.328452            √nats
        total variation             0.250000
        Hellinger distance          0.382683

    most of KL(P‖Q) lies in
        entry         P         Q  P ln(P/Q)
        a      0.500000  0.250000   0.346574  nats

    KL(Q‖P) is infinite: 1 entry has mass under Q (0.25 in all) and none under P: an 0.25
        hint: JS, total variation and Hellinger stay finite; --smooth epsilon:1e-10 gives every entry some mass
    "#);
    let mixed = dist_with("p.json 0.5,0.5", b"", folder.path());
    assert!(
        mixed.code == 2 && mixed.stderr.contains("P has names and Q has not"),
        "{}",
        mixed.stderr
    );
    fs::write(folder.path().join("twice.csv"), "a,0.5\nb,0.25\na,0.25\n").unwrap();
    let twice = dist_with("p.json twice.csv", b"", folder.path());
    assert!(
        twice.code == 2
            && twice
                .stderr
                .contains("Q: twice.csv: the name `a` stands twice"),
        "{}",
        twice.stderr
    );
}

#[test]
fn standard_input_may_be_either_side_in_any_form() {
    for stdin in [
        "0.25 0.75",
        "0.25\n0.75\n",
        "[0.25, 0.75]",
        "p\n0.25\n0.75\n",
    ] {
        let run = dist_with("- 0.5,0.5 --json -", stdin.as_bytes(), Path::new("."));
        let json: Value = serde_json::from_str(&run.stdout).unwrap();
        assert!(
            (number(&json["kl"]) - 0.130_812_035_941_137_27).abs() < 1e-15,
            "{stdin:?}"
        );
        assert_eq!(json["reference"]["name"], json!("-"));
    }
    let run = dist_with(r#"{"a":1} -"#, br#"{"a": 0.5, "b": 0.5}"#, Path::new("."));
    assert!(
        run.code == 0 && run.stdout.contains("KL(Q‖P) is infinite"),
        "{}",
        run.stderr
    );
}

#[test]
fn json_goes_to_a_file_beside_the_table_and_nothing_is_left_when_input_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = dist_with("0.5,0.5 0.25,0.75 --json out.json", b"", folder.path());
    assert!(run.code == 0 && run.stdout.contains("KL divergence"));
    let json: Value =
        serde_json::from_slice(&fs::read(folder.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(json["schema"], json!("kld.dist/1"));
    let wrong = dist_with("0.5,0.5 0.25,0.5 --json wrong.json", b"", folder.path());
    assert_eq!(wrong.code, 2);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "only out.json"
    );
}

/// A `.npy` file of 64-bit floats.
fn npy(numbers: &[f64]) -> Vec<u8> {
    let header = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({},), }}\n",
        numbers.len()
    );
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    let data = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    [
        b"\x93NUMPY\x01\x00".to_vec(),
        length.to_vec(),
        header.into_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn every_kind_of_file_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let (p, q) = ([0.1_f64, 0.2, 0.7], [0.3_f64, 0.3, 0.4]);
    let expected = result("0.1,0.2,0.7 0.3,0.3,0.4")["kl"].clone();
    for (name, numbers) in [("p", p), ("q", q)] {
        let write = |kind: &str, bytes: &[u8]| {
            fs::write(folder.path().join(format!("{name}.{kind}")), bytes).unwrap();
        };
        let lines = numbers.map(|x| format!("{x}\n")).concat();
        write("json", serde_json::to_string(&numbers).unwrap().as_bytes());
        write("txt", lines.as_bytes());
        write("csv", lines.as_bytes());
        write("tsv", lines.as_bytes());
        write("npy", &npy(&numbers));
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensor =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![3], &bytes).unwrap();
        write(
            "safetensors",
            &safetensors::serialize([("row", tensor)], None).unwrap(),
        );
    }
    for kind in [
        "json",
        "txt",
        "csv",
        "tsv",
        "npy",
        "safetensors",
        "safetensors#row",
    ] {
        let run = dist_with(&format!("p.{kind} q.{kind} --json -"), b"", folder.path());
        let json: Value =
            serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{kind}: {}", run.stderr));
        assert_eq!(json["kl"], expected, "{kind}");
    }
}

#[test]
fn hostile_files_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let whole = npy(&[0.5, 0.5]);
    let huge = String::from_utf8_lossy(&whole[10..whole.len() - 16])
        .replace("(2,)", "(9223372036854775807,)");
    let huge = [
        b"\x93NUMPY\x01\x00".to_vec(),
        u16::try_from(huge.len()).unwrap().to_le_bytes().to_vec(),
        huge.into_bytes(),
    ]
    .concat();
    let files: [(&str, &[u8]); 8] = [
        ("cut.npy", &whole[..whole.len() - 1]),
        ("huge.npy", &huge),
        ("empty.npy", b""),
        ("deep.json", "[".repeat(1 << 20).leak().as_bytes()),
        ("twice.json", br#"{"a":0.5,"a":0.5}"#),
        ("wide.csv", b"a,0.5,0.5\n"),
        ("lying.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
        ("empty.txt", b""),
    ];
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
        let run = dist_with(&format!("{name} 0.5,0.5"), b"", folder.path());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{name}");
        assert!(run.stderr.starts_with("error: P"), "{name}: {}", run.stderr);
        assert!(
            name == "empty.txt" || run.stderr.contains(name),
            "{name}: {}",
            run.stderr
        );
    }
}

#[test]
fn half_precision_rows_are_distributions_within_their_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let thirds: Vec<u8> = [0x3555_u16; 3]
        .iter()
        .flat_map(|half| half.to_le_bytes())
        .collect();
    let tensor =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F16, vec![1, 3], &thirds).unwrap();
    fs::write(
        folder.path().join("thirds.safetensors"),
        safetensors::serialize([("p", tensor)], None).unwrap(),
    )
    .unwrap();
    let run = dist_with(
        "thirds.safetensors 1/3,1/3,1/3 --json -",
        b"",
        folder.path(),
    );
    let json: Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{}", run.stderr));
    assert_eq!(
        (number(&json["reference"]["sum"]), number(&json["kl"])),
        (0.999_755_859_375, 0.0)
    );
    assert!(
        refused("0.3332,0.3333,0.3333 1/3,1/3,1/3")
            .contains("P sums to 0.9998, not 1 (off by 0.0002")
    );
}

// The bugs that divergence tools have had, by their number in the project's list.

#[test]
fn bug_1_no_negative_kl_from_rounding() {
    for arguments in [
        "0.3000001,0.6999999 0.3,0.7",
        "0.333333,0.333333,0.333334 1/3,1/3,1/3",
        "0.1,0.2,0.7 0.1,0.2,0.7",
    ] {
        let json = result(arguments);
        assert!(
            number(&json["kl"]) >= 0.0 && number(&json["reverse_kl"]) >= 0.0,
            "{arguments}"
        );
    }
    // Series by hand: ½ Σ δ²/p with δ = 1e-7.
    let close = number(&result("0.3000001,0.6999999 0.3,0.7")["kl"]);
    assert!(
        (close / (0.5e-14 * (1.0 / 0.3 + 1.0 / 0.7)) - 1.0).abs() < 1e-6,
        "{close:e}"
    );
}

#[test]
fn bug_2_the_reference_is_the_first_argument() {
    let json = result("0.5,0.5 0.25,0.75");
    let forward = 0.5 * 2.0_f64.ln() + 0.5 * (2.0_f64 / 3.0).ln();
    assert!((number(&json["kl"]) - forward).abs() < 1e-15, "{json}");
    assert_eq!(json["kl"], result("0.25,0.75 0.5,0.5")["reverse_kl"]);
}

#[test]
fn bug_3_zeros_give_neither_nan_nor_a_finite_number_where_infinity_is_right() {
    let zero_in_p = result("0,1 0.5,0.5");
    assert!((number(&zero_in_p["kl"]) - std::f64::consts::LN_2).abs() < 1e-15);
    let json = result("0.5,0.5 0,1");
    for name in ["kl", "jeffreys", "chi_square", "cross_entropy"] {
        assert_eq!(json[name], json!("inf"), "{name}");
    }
    assert!(number(&json["js"]) < std::f64::consts::LN_2 && json["reverse_kl"].is_number());
    assert_eq!(
        json["only_in_reference"]["heaviest"][0],
        json!({"index": 0, "name": null, "mass": 0.5})
    );
    let nothing_shared = result("1,0 0,1");
    assert_eq!(nothing_shared["js"], json!(std::f64::consts::LN_2));
}

#[test]
fn bug_4_nothing_invalid_is_clipped_silently() {
    for arguments in [
        "0.6,-0.1,0.5 0.5,0.5,0",
        "0.6,0.6 0.5,0.5",
        "0.5,0.4 0.5,0.5",
        "0.5,inf 0.5,0.5",
    ] {
        assert!(refused(arguments).starts_with("error: P "), "{arguments}");
    }
}

#[test]
fn bug_5_probabilities_log_probs_and_logits_are_not_mistaken_for_each_other() {
    assert!(
        refused("-1.609438,-0.223144 0.5,0.5")
            .contains("P looks like log-probabilities: pass --log-probs")
    );
    assert!(
        refused("0.2,0.8 0.5,0.5 --log-probs")
            .contains("P and Q look like probabilities: leave out --log-probs")
    );
    assert!(refused("3,-1 1,2 --log-probs").contains("logits: pass --logits"));
    let logits = result("0.2,0.8 0.5,0.5 --logits");
    assert_eq!(logits["warnings"].as_array().unwrap().len(), 2, "{logits}");
    let (logs, probs) = (
        result("-1.6094379124341003,-0.2231435513142097 0,0 --logits"),
        result("0.2,0.8 0.5,0.5"),
    );
    assert!((number(&logs["kl"]) - number(&probs["kl"])).abs() < 1e-15);
}

#[test]
fn bug_13_kl_is_not_cross_entropy() {
    let json = result("0.1,0.2,0.7 0.2,0.2,0.6");
    let difference = number(&json["cross_entropy"]) - number(&json["entropy_reference"]);
    assert!((number(&json["kl"]) - difference).abs() < 1e-15);
    assert!(number(&json["cross_entropy"]) > 20.0 * number(&json["kl"]));
}
