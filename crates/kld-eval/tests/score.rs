//! `score` end to end on models whose logits are chosen, so that every number can be worked out by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot run has failed")]

use kld_core::{observer::Silent, result::Score};
use kld_eval::{Cut, Fragment, Scored, Work, score::score, text::Content};
use kld_kernels::Kernel;
use kld_testkit::{RuleModel, arbitrary_logits};

const V: usize = 256;

/// The logit of the token that the model of [`knowing`] expects; all others have 0.
const SURE: f32 = 6.0;

fn text(name: &str, text: &str) -> Fragment {
    Fragment {
        name: name.to_owned(),
        content: Content::Text(text.to_owned()),
    }
}

fn run_on(model: &RuleModel, fragments: &[Fragment], threads: usize) -> Score {
    let cut = Cut {
        context: 32,
        scored: Scored::All,
        ..Cut::default()
    };
    score(
        model,
        fragments,
        &cut,
        Work {
            threads,
            kernel: Kernel::detect(),
        },
        &Silent,
    )
    .unwrap()
}

/// A model that expects "abcabc…"; the bytes `a`, `b`, `c` are tokens 64, 65, 66.
fn knowing() -> RuleModel {
    RuleModel::new("knowing", V, |tokens| {
        let mut row = vec![0.0; V];
        row[match tokens.last() {
            Some(64) => 65,
            Some(65) => 66,
            _ => 64,
        }] = SURE;
        row
    })
}

/// The probability of the expected token, and of each other one.
fn probabilities() -> (f64, f64) {
    let sum = f64::from(SURE).exp() + (V - 1) as f64;
    (f64::from(SURE).exp() / sum, 1.0 / sum)
}

fn close(value: f64, expected: f64) {
    assert!(
        (value - expected).abs() <= 1e-6 * expected.abs().max(1e-3),
        "{value} instead of {expected}"
    );
}

#[test]
fn a_model_that_knows_the_text_has_the_numbers_that_follow() {
    let (sure, other) = probabilities();
    let s = run_on(&knowing(), &[text("abc", &"abc".repeat(100))], 2);
    assert_eq!((s.positions, s.bytes, s.not_finite), (299, 299, 0));
    close(s.cross_entropy.value, -sure.ln());
    close(s.perplexity.value, 1.0 / sure);
    close(s.bits_per_byte.value, -sure.log2());
    close(
        s.entropy.value,
        -sure * sure.ln() - (V - 1) as f64 * other * other.ln(),
    );
    close(s.top1_hit_rate.value, 1.0);
    // Always right, but only `sure` sure of it: under-confident by the rest.
    close(s.calibration.expected_calibration_error, 1.0 - sure);
    close(s.calibration.overconfidence.value, sure - 1.0);
    assert_eq!(s.calibration.bins.len(), 1);
}

#[test]
fn the_frequencies_of_a_text_are_held_against_the_mean_prediction() {
    let (sure, other) = probabilities();
    let s = run_on(&knowing(), &[text("abc", &"abc".repeat(100))], 2);
    // Observed are tokens 1 … 299: 99 times `a`, 100 times `b` and `c`; expected as often.
    let q = |share: f64| share * sure + (1.0 - share) * other;
    let kl: f64 = [99.0, 100.0, 100.0]
        .iter()
        .map(|n| n / 299.0)
        .map(|p: f64| p * (p / q(p)).ln())
        .sum();
    close(s.frequency.kl, kl);
    assert_eq!(s.frequency.reverse_kl, f64::INFINITY);
    let parts: f64 = s
        .frequency
        .under_predicted
        .iter()
        .map(|t| t.contribution)
        .sum();
    assert_eq!(s.frequency.under_predicted.len(), 3);
    assert_eq!(
        (
            s.frequency.under_predicted[0].count,
            s.frequency.over_predicted[0].count
        ),
        (100, 0)
    );
    // The tokens that never came carry the rest: Σ q over them.
    close(parts + 253.0 * other, kl);
}

#[test]
fn a_text_drawn_from_the_model_reaches_the_sampling_floor() {
    // A model whose rows are all the same, and a text that has its frequencies exactly: far below what sampling would give.
    let model = RuleModel::new("flat", V, |_| {
        (0..V)
            .map(|i| {
                if (64..68).contains(&i) {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
            .collect()
    });
    let s = run_on(&model, &[text("abcd", &"dcba".repeat(50))], 1);
    assert!(s.frequency.kl < 1e-4, "{}", s.frequency.kl);
    // E[D(P̂‖Q)] ≈ (K − 1) / 2n = 3 / 398.
    assert!(
        (0.002..0.02).contains(&s.frequency.sampling_floor),
        "{}",
        s.frequency.sampling_floor
    );
}

#[test]
fn fragments_are_pooled_by_their_tokens_never_averaged() {
    let model = RuleModel::new("arbitrary", V, |tokens| arbitrary_logits(tokens, V, 3));
    let (long, short) = (
        text("long", &"the long one ".repeat(20)),
        text("short", "a short one"),
    );
    let both = run_on(&model, &[long.clone(), short.clone()], 2);
    let of = |f: &Fragment| run_on(&model, std::slice::from_ref(f), 2);
    let (a, b) = (of(&long), of(&short));
    let n = |s: &Score| s.positions as f64;
    close(
        both.cross_entropy.value,
        (a.cross_entropy.value * n(&a) + b.cross_entropy.value * n(&b)) / (n(&a) + n(&b)),
    );
    assert_eq!(both.positions, a.positions + b.positions);
    let found = |name: &str| both.fragments.iter().find(|f| f.name == name).unwrap();
    close(found("short").frequency.kl, b.frequency.kl);
    close(found("long").cross_entropy.value, a.cross_entropy.value);
}

#[test]
fn results_have_the_same_bits_for_1_2_and_8_threads() {
    let model = RuleModel::new("arbitrary", V, |tokens| arbitrary_logits(tokens, V, 3));
    let fragments = [
        text("a", &"some text or other ".repeat(60)),
        text("b", &"and more of it ".repeat(20)),
    ];
    let json = |threads| {
        let mut result = run_on(&model, &fragments, threads);
        (result.run.threads, result.run.elapsed_s) = (0, 0.0);
        serde_json::to_string(&result).unwrap()
    };
    let one = json(1);
    assert_eq!(one, json(2));
    assert_eq!(one, json(8));
}

#[test]
fn padding_and_rows_that_are_not_finite_are_told() {
    let columns = 300;
    let model = RuleModel::new("padded", columns, move |tokens| {
        let mut row = arbitrary_logits(tokens, V, 3);
        row.resize(columns, 2.0);
        if tokens.last() == Some(&80) {
            row[9] = f32::NAN;
        }
        row
    });
    let s = run_on(&model, &[text("q", &"a quick question ".repeat(10))], 2);
    assert_eq!((s.positions, s.not_finite), (169 - 20, 20));
    assert!(s.padding_mass > 0.01);
    let warnings = s.warnings.join("; ");
    assert!(
        warnings.contains("20 of 169 positions were not finite") && warnings.contains("padding"),
        "{warnings}"
    );
}
