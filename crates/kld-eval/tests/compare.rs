//! `compare` end to end on models whose logits are chosen, so that every number can be worked out by hand.

use std::sync::atomic::{AtomicUsize, Ordering};

use kld_core::{Observer, estimate::ClusterUnit, observer::Silent, result::Comparison};
use kld_eval::{Cut, Error, Fragment, Protocol, Scored, Work, compare::compare, text::Content};
use kld_kernels::Kernel;
use kld_models::LogitSource;
use kld_testkit::{RuleModel, arbitrary_logits, byte_tokenizer, byte_tokenizer_with_bos};

const V: usize = 256;

fn text(name: &str, text: &str) -> Fragment {
    Fragment {
        name: name.to_owned(),
        content: Content::Text(text.to_owned()),
    }
}

fn sample(length: usize) -> Vec<Fragment> {
    let words = "the quick brown fox jumps over the lazy dog and runs away from it all "
        .repeat(length / 70 + 1);
    vec![
        text("a", &words[..length]),
        text("b", &words[7..7 + length / 2]),
        text("c", &words[3..length / 3]),
    ]
}

fn cut(context: usize, scored: Scored) -> Cut {
    Cut {
        context,
        scored,
        ..Cut::default()
    }
}

fn work(threads: usize) -> Work {
    Work {
        threads,
        kernel: Kernel::detect(),
    }
}

fn run(
    p: &RuleModel,
    q: &[&RuleModel],
    fragments: &[Fragment],
    cut: &Cut,
) -> Result<Comparison, Error> {
    let candidates: Vec<&dyn LogitSource> = q.iter().map(|q| *q as &dyn LogitSource).collect();
    compare(p, &candidates, fragments, cut, work(2), &Silent)
}

fn arbitrary(name: &str, salt: u64) -> RuleModel {
    RuleModel::new(name, V, move |tokens| arbitrary_logits(tokens, V, salt))
}

/// `p` with every logit moved a little, differently at every position.
fn near(name: &str, salt: u64, by: f32) -> RuleModel {
    RuleModel::new(name, V, move |tokens| {
        let noise = arbitrary_logits(tokens, V, !salt);
        arbitrary_logits(tokens, V, salt)
            .iter()
            .zip(noise)
            .map(|(x, n)| x + by * n)
            .collect()
    })
}

/// D(P‖Q) of one row, written out plainly.
fn kl(p: &[f32], q: &[f32]) -> f64 {
    let log_probs = |row: &[f32]| {
        let lse = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        row.iter()
            .map(|x| f64::from(*x) - lse)
            .collect::<Vec<f64>>()
    };
    log_probs(p)
        .iter()
        .zip(log_probs(q))
        .map(|(p, q)| p.exp() * (p - q))
        .sum()
}

#[test]
fn the_mean_is_the_sum_over_all_scored_positions_over_their_number() {
    let (p, q) = (arbitrary("p", 1), near("q", 1, 0.1));
    let fragments = sample(900);
    let result = run(&p, &[&q], &fragments, &cut(64, Scored::All)).unwrap();
    // Every token of every fragment but the first is scored once; the rule sees two tokens back, which no cut hides for long.
    let (mut sum, mut count) = (0.0, 0);
    for fragment in &fragments {
        let Content::Text(text) = &fragment.content else {
            unreachable!()
        };
        let tokens = p
            .tokenizer()
            .encode(text, kld_models::tokenizer::SpecialTokens::None)
            .unwrap();
        let mut begin = 0;
        while begin + 1 < tokens.len() {
            let window = &tokens[begin..tokens.len().min(begin + 64)];
            for row in 0..window.len() - 1 {
                sum += kl(&arbitrary_logits(&window[..=row], V, 1), &{
                    let noise = arbitrary_logits(&window[..=row], V, !1);
                    arbitrary_logits(&window[..=row], V, 1)
                        .iter()
                        .zip(noise)
                        .map(|(x, n)| x + 0.1 * n)
                        .collect::<Vec<_>>()
                });
                count += 1;
            }
            begin += window.len() - 1;
        }
    }
    let c = &result.candidates[0];
    assert_eq!(
        (c.positions, c.errors_clustered_by, c.clusters),
        (count, ClusterUnit::Fragment, 3)
    );
    let relative = c.kl.mean.value / (sum / count as f64) - 1.0;
    assert!(relative.abs() < 1e-6, "off by {relative:e}");
}

#[test]
fn results_have_the_same_bits_for_1_2_and_8_threads() {
    let (p, q) = (arbitrary("p", 1), near("q", 1, 0.1));
    let fragments = sample(2000);
    let json = |threads| {
        let mut result = compare(
            &p,
            &[&q],
            &fragments,
            &cut(64, Scored::SecondHalf),
            work(threads),
            &Silent,
        )
        .unwrap();
        (result.run.threads, result.run.elapsed_s) = (0, 0.0);
        serde_json::to_string(&result).unwrap()
    };
    let one = json(1);
    assert_eq!(one, json(2));
    assert_eq!(one, json(8));
}

#[test]
fn the_forward_direction_is_from_the_reference() {
    // P sharp, Q flat: D(P‖Q) = ln V − H(P); swapped it would be the reverse.
    let p = RuleModel::new("p", V, |_| {
        (0..V).map(|i| if i == 65 { 8.0 } else { 0.0 }).collect()
    });
    let q = RuleModel::new("q", V, |_| vec![0.0; V]);
    let result = run(&p, &[&q], &sample(500), &cut(64, Scored::All)).unwrap();
    let c = &result.candidates[0];
    let expected = (V as f64).ln() - c.entropy_reference.value;
    assert!(
        (c.kl.mean.value / expected - 1.0).abs() < 1e-6,
        "{} instead of {expected}",
        c.kl.mean.value
    );
    assert!((c.reverse_kl.mean.value - expected).abs() > 0.1);
    // Cross-entropy minus entropy, not cross-entropy.
    assert!(c.kl.mean.value < (V as f64).ln());
}

#[test]
fn rows_belong_to_the_token_right_after_them() {
    // A model that knows the text "abcabc…": row i gives all probability to token i + 1. Shifted by one it would never hit.
    let next = |tokens: &[u32]| {
        let mut row = vec![-20.0; V];
        row[match tokens.last() {
            Some(64) => 65,
            Some(65) => 66,
            _ => 64,
        }] = 20.0;
        row
    };
    let p = RuleModel::new("p", V, next);
    let q = RuleModel::new("q", V, move |tokens| {
        next(tokens).iter().map(|x| x * 0.5).collect()
    });
    let fragments = [text("abc", &"abc".repeat(100))];
    for protocol in [Protocol::Kld, Protocol::LlamaCpp] {
        let cut = Cut {
            protocol,
            ..cut(32, Scored::SecondHalf)
        };
        let result = run(&p, &[&q], &fragments, &cut).unwrap();
        assert!((result.candidates[0].perplexity.reference.value - 1.0).abs() < 1e-6);
    }
}

#[test]
fn not_finite_positions_are_counted_and_told() {
    let p = arbitrary("p", 1);
    // NaN after every `q`, and probability 0 for everything but one token after every `z`.
    let q = RuleModel::new("q", V, |tokens| {
        let mut row = arbitrary_logits(tokens, V, 1);
        match tokens.last() {
            Some(80) => row[7] = f32::NAN,
            Some(89) => row[1..].fill(f32::NEG_INFINITY),
            _ => row[3] += 0.5,
        }
        row
    });
    let fragments = [text("t", &"the quick lazy fox ".repeat(20))];
    let result = run(&p, &[&q], &fragments, &cut(64, Scored::All)).unwrap();
    let c = &result.candidates[0];
    assert_eq!((c.positions, c.not_finite), (379 - 40, 40));
    assert!(c.kl.mean.value.is_finite() && c.kl.max.is_finite());
    assert!(
        c.warnings
            .iter()
            .any(|w| w.contains("40 of 379 positions were not finite")),
        "{:?}",
        c.warnings
    );
    let gate: kld_core::gate::Gate = "mean=100".parse().unwrap();
    assert!(
        !gate.judge(c, true).passed,
        "leaving positions out must not pass a gate"
    );
}

#[test]
fn masked_tokens_in_both_are_legal() {
    let masked = |salt| {
        RuleModel::new(if salt == 1 { "p" } else { "q" }, V, move |tokens| {
            let mut row = arbitrary_logits(tokens, V, salt);
            row[100..180].fill(f32::NEG_INFINITY); // Bytes that plain English does not have.
            row
        })
    };
    let result = run(
        &masked(1),
        &[&masked(2)],
        &sample(500),
        &cut(64, Scored::All),
    )
    .unwrap();
    let c = &result.candidates[0];
    assert!(
        c.not_finite == 0 && c.kl.mean.value.is_finite() && c.reverse_kl.mean.value.is_finite()
    );
}

#[test]
fn padded_heads_are_sliced_and_their_mass_is_told() {
    let padded = |name, columns, salt| {
        RuleModel::new(name, columns, move |tokens| {
            let mut row = arbitrary_logits(tokens, V, salt);
            row.resize(columns, 3.0);
            row
        })
    };
    let (p, q) = (arbitrary("p", 1), arbitrary("q", 2));
    let plain = run(&p, &[&q], &sample(500), &cut(64, Scored::All)).unwrap();
    let sliced = run(
        &padded("p", 300, 1),
        &[&padded("q", 260, 2)],
        &sample(500),
        &cut(64, Scored::All),
    )
    .unwrap();
    let (plain, sliced) = (&plain.candidates[0], &sliced.candidates[0]);
    assert_eq!(plain.kl, sliced.kl);
    assert_eq!(
        (plain.padding_mass_reference, plain.padding_mass_candidate),
        (0.0, 0.0)
    );
    assert!(
        sliced.padding_mass_reference > sliced.padding_mass_candidate
            && sliced.padding_mass_candidate > 0.01
    );
    assert!(
        sliced.warnings.iter().any(|w| w.contains("padding")),
        "{:?}",
        sliced.warnings
    );
}

#[test]
fn an_exact_zero_between_different_files_is_a_warning() {
    let result = run(
        &arbitrary("p", 1),
        &[&arbitrary("q", 1)],
        &sample(500),
        &cut(64, Scored::All),
    )
    .unwrap();
    let c = &result.candidates[0];
    assert_eq!(
        (c.kl.mean.value, c.kl.max, c.top1_agreement.value),
        (0.0, 0.0, 1.0)
    );
    assert!(
        c.warnings.iter().any(|w| w.contains("exactly zero")),
        "{:?}",
        c.warnings
    );
}

#[test]
fn tokenizers_that_disagree_are_refused_with_the_first_difference() {
    let q = arbitrary("q", 2).with_tokenizer(byte_tokenizer(&[("t", "h")]));
    let error = run(
        &arbitrary("p", 1),
        &[&q],
        &[text("note", "on the way")],
        &cut(64, Scored::All),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "tokenizers disagree on this text: in note, token 3 is 83 \"t\" in the reference and 256 \"th\" in q"
    );
    // On a text that both cut alike the vocabularies still differ.
    let error = run(
        &arbitrary("p", 1),
        &[&q],
        &[text("note", "in a bag")],
        &cut(64, Scored::All),
    )
    .unwrap_err();
    assert!(matches!(error, Error::VocabularyDiffers { .. }), "{error}");
}

#[test]
fn windows_that_do_not_suit_are_refused() {
    let (p, q) = (arbitrary("p", 1), arbitrary("q", 2));
    let refused =
        |fragments: &[Fragment], cut: &Cut| run(&p, &[&q], fragments, cut).unwrap_err().to_string();
    assert_eq!(
        refused(&sample(100), &cut(8192, Scored::All)),
        "a window of 8192 tokens was asked for, but p was made for at most 4096"
    );
    assert_eq!(
        refused(&sample(100), &cut(2, Scored::All)),
        "a window of 2 tokens was asked for, expected at least 4"
    );
    let llama = Cut {
        protocol: Protocol::LlamaCpp,
        ..Cut::default()
    };
    let message = refused(&[text("t", "short")], &llama);
    assert!(
        message.starts_with(
            "nothing to score: the text has 5 tokens (fragments: 1); protocol llama.cpp needs"
        ),
        "{message}"
    );
}

/// Stops after a number of windows.
struct StopAfter(usize, AtomicUsize);

impl Observer for StopAfter {
    fn interrupted(&self) -> bool {
        self.1.fetch_add(1, Ordering::SeqCst) + 1 >= self.0
    }
}

#[test]
fn an_interrupted_run_gives_what_the_windows_done_say() {
    let (p, q) = (arbitrary("p", 1), near("q", 1, 0.1));
    let fragments = sample(20_000);
    let observer = StopAfter(5, 0.into());
    let partial = compare(
        &p,
        &[&q],
        &fragments,
        &cut(64, Scored::All),
        work(2),
        &observer,
    )
    .unwrap();
    assert!(!partial.run.complete);
    let windows = partial.candidates[0].positions.div_ceil(63) as usize;
    assert!((5..100).contains(&windows));
    let same = Cut {
        max_windows: Some(windows),
        ..cut(64, Scored::All)
    };
    let whole = run(&p, &[&q], &fragments, &same).unwrap();
    assert_eq!(partial.candidates[0].kl, whole.candidates[0].kl);
}

#[test]
fn several_candidates_get_what_each_would_get_alone() {
    let (p, q, r) = (arbitrary("p", 1), near("q", 1, 0.1), near("r", 1, 0.3));
    let together = run(&p, &[&q, &r], &sample(900), &cut(64, Scored::All)).unwrap();
    for (index, alone) in [&q, &r].into_iter().enumerate() {
        let alone = run(&p, &[alone], &sample(900), &cut(64, Scored::All)).unwrap();
        assert_eq!(together.candidates[index], alone.candidates[0]);
    }
}

/// Mean and clustered standard error of values by cluster, written out plainly.
fn clustered(of: &[Vec<f64>]) -> (f64, f64) {
    let n: f64 = of.iter().map(|v| v.len() as f64).sum();
    let mean = of.iter().flatten().sum::<f64>() / n;
    let squares: f64 = of
        .iter()
        .map(|v| v.iter().map(|x| x - mean).sum::<f64>().powi(2))
        .sum();
    let g = of.len() as f64;
    (mean, (g / (g - 1.0) * squares).sqrt() / n)
}

#[test]
fn errors_are_clustered_by_fragment_and_by_window_where_there_is_one() {
    let (p, q) = (arbitrary("p", 1), near("q", 1, 0.2));
    let row_kl = |window: &[u32], row: usize| {
        let noise = arbitrary_logits(&window[..=row], V, !1);
        let p = arbitrary_logits(&window[..=row], V, 1);
        let q: Vec<f32> = p.iter().zip(noise).map(|(x, n)| x + 0.2 * n).collect();
        kl(&p, &q)
    };
    let fragments: Vec<Fragment> = (0..15)
        .map(|i| {
            text(
                &format!("f{i}"),
                &format!("{i} bottles of beer on the wall ").repeat(i + 1),
            )
        })
        .collect();
    let encode = |f: &Fragment| {
        let Content::Text(text) = &f.content else {
            unreachable!()
        };
        p.tokenizer()
            .encode(text, kld_models::tokenizer::SpecialTokens::None)
            .unwrap()
    };
    // Short enough for one window each: one cluster per fragment.
    let by_fragment: Vec<Vec<f64>> = fragments
        .iter()
        .map(|f| {
            let tokens = encode(f);
            (0..tokens.len() - 1)
                .map(|row| row_kl(&tokens, row))
                .collect()
        })
        .collect();
    let result = run(&p, &[&q], &fragments, &cut(4096, Scored::All)).unwrap();
    let (mean, error) = clustered(&by_fragment);
    let estimate = result.candidates[0].kl.mean;
    assert!(
        (estimate.value / mean - 1.0).abs() < 1e-6
            && (estimate.standard_error.unwrap() / error - 1.0).abs() < 1e-4
    );
    assert_eq!(
        (
            result.candidates[0].errors_clustered_by,
            result.candidates[0].clusters
        ),
        (ClusterUnit::Fragment, 15)
    );

    // One fragment: its windows are the clusters.
    let tokens = encode(&fragments[14]);
    let by_window: Vec<Vec<f64>> = (0..tokens.len() - 1)
        .step_by(31)
        .map(|begin| {
            let window = &tokens[begin..tokens.len().min(begin + 32)];
            (0..window.len() - 1)
                .map(|row| row_kl(window, row))
                .collect()
        })
        .collect();
    let result = run(&p, &[&q], &fragments[14..], &cut(32, Scored::All)).unwrap();
    let (_, error) = clustered(&by_window);
    assert!((result.candidates[0].kl.mean.standard_error.unwrap() / error - 1.0).abs() < 1e-4);
    assert_eq!(
        (
            result.candidates[0].errors_clustered_by,
            result.candidates[0].clusters
        ),
        (ClusterUnit::Window, by_window.len())
    );
}

#[test]
fn bos_on_one_side_only_is_refused() {
    let columns = 257;
    let model = |name, bos: Option<&str>| {
        let model = RuleModel::new(name, columns, move |tokens| {
            arbitrary_logits(tokens, columns, 1)
        });
        match bos {
            Some(bos) => model.with_tokenizer(byte_tokenizer_with_bos(bos)),
            None => model,
        }
    };
    let error = run(
        &model("p", Some("<s>")),
        &[&model("q", None)],
        &sample(100),
        &cut(64, Scored::All),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "before a text the reference's tokenizer puts 256 \"<s>\", that of q puts nothing"
    );
    // With BOS on both sides every window begins with it, and the very first token of a fragment is scored.
    let result = run(
        &model("p", Some("<s>")),
        &[&model("q", Some("<s>"))],
        &[text("t", &"x".repeat(100))],
        &cut(64, Scored::All),
    )
    .unwrap();
    assert_eq!(
        (
            result.candidates[0].positions,
            result.protocol.windows,
            result.protocol.tokens
        ),
        (100, 2, 102)
    );
}

#[test]
fn equal_weights_with_other_settings_are_told_apart_from_the_same_file() {
    let warnings = |salt| {
        let result = run(
            &arbitrary("same", 1),
            &[&arbitrary("same", salt)],
            &sample(500),
            &cut(64, Scored::All),
        )
        .unwrap();
        result.candidates[0].warnings.join("; ")
    };
    assert!(warnings(1).contains("are the same file: this measures nothing"));
    assert!(warnings(2).contains("the weights are the same: what differs is the configuration"));
}
