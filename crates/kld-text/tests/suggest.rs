//! The n-gram model and the mixture against values made elsewhere, and their laws.

use kld_core::observer::Silent;
use kld_text::suggest::{
    History, Session, State, Trainer,
    mixture::Mixture,
    ngram::{NGram, START, Symbol},
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct KneserNey {
    name: String,
    stream: Vec<Symbol>,
    order: usize,
    first_event: Symbol,
    symbols: usize,
    discounts: Vec<[f64; 3]>,
    queries: Vec<(Vec<Symbol>, Symbol, f64)>,
}

#[derive(Deserialize)]
struct Fitting {
    positions: Vec<Vec<f64>>,
    weights: Vec<f64>,
    nll_mean: f64,
}

/// G that is even over all symbols that are predicted and one that is not known.
fn even(symbols: usize, first_event: Symbol) -> Vec<f64> {
    let share = 1.0 / (symbols - first_event as usize + 1) as f64;
    (0..symbols as Symbol)
        .map(|symbol| if symbol < first_event { 0.0 } else { share })
        .collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

#[test]
fn kneser_ney_agrees_with_exact_fractions() {
    let cases: Vec<KneserNey> =
        serde_json::from_str(include_str!("../../../golden/suggest/kneser_ney.json")).unwrap();
    let mut estimated = 0;
    for case in cases {
        let base = even(case.symbols, case.first_event);
        let g = base[case.symbols - 1];
        let model = NGram::train(&case.stream, case.order, case.first_event, &base).unwrap();
        for (found, expected) in model.discounts().iter().zip(&case.discounts) {
            estimated += usize::from(found.estimated);
            let equal = found.of.iter().zip(expected).all(|(a, b)| close(*a, *b));
            assert!(equal, "{}: {found:?}", case.name);
        }
        let mut all = Vec::new();
        for (history, symbol, expected) in case.queries {
            let about = format!("{}: {history:?} {symbol}", case.name);
            let found = model.probability(&history, symbol, g);
            assert!(close(found, expected), "{about}: {found} {expected}");
            let of_unknown = model.distribution(&history, &mut all) * g;
            let of_all = all.get(symbol as usize).copied().unwrap_or(of_unknown);
            assert!(close(of_all, expected), "{about}: {of_all} {expected}");
        }
    }
    // Both ways to come to discounts are tried.
    assert!((5..15).contains(&estimated), "{estimated}");
}

#[test]
fn mixture_weights_agree_with_scipy() {
    let cases: Vec<Fitting> =
        serde_json::from_str(include_str!("../../../golden/suggest/mixture.json")).unwrap();
    for case in cases {
        let fitted = Mixture::fitted(&case.positions);
        let orders = case.weights.len() - 1;
        for (found, expected) in fitted.weights(orders).iter().zip(&case.weights) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        let with_one_more = fitted.nll(&case.positions) - fitted.weights(orders)[0].ln();
        let mean = with_one_more / (case.positions.len() + 1) as f64;
        assert!(mean - case.nll_mean < 1e-8, "{mean} {}", case.nll_mean);
    }
}

proptest! {
    #[test]
    fn probabilities_sum_to_one_over_all_symbols_and_the_unknown_one(
        text in prop::collection::vec(0_u32..12, 0..200),
        order in 1_usize..=5,
        first_event in 1_u32..4,
        history in prop::collection::vec(0_u32..14, 0..6),
    ) {
        let stream: Vec<Symbol> = [START].into_iter().chain(text).collect();
        let base = even(12, first_event);
        let model = NGram::train(&stream, order, first_event, &base).unwrap();
        let mut all = Vec::new();
        let unknown = model.distribution(&history, &mut all) * base[11];
        prop_assert!(all[..first_event as usize].iter().all(|p| *p == 0.0));
        prop_assert!(all[first_event as usize..].iter().all(|p| *p > 0.0) && unknown > 0.0);
        let total = all.iter().sum::<f64>() + unknown;
        prop_assert!((total - 1.0).abs() < 1e-12, "{}", total);
    }

    #[test]
    fn suggestions_are_a_distribution_and_their_parts_agree_with_it(
        words in prop::collection::vec("[abc]{1,2}", 1..60),
        history in prop::collection::vec("[abcd]{1,2}[.,]?", 0..60),
        context in "[abcd]{1,2} [abcd]{1,2}",
    ) {
        let mut trainer = Trainer::default();
        trainer.read(&words.join(" "));
        let model = trainer.finish(3).unwrap();
        let mut session = Session::new(&model, State::default());
        let mut at = session.context("");
        session.learn_text(&mut at, &history.join(" "), "2026-11-25T20:00:00Z");
        let context = session.context(&context);
        let (mut base, mut mixed) = (Vec::new(), Vec::new());
        session.distributions(&context, &mut base, &mut mixed);
        for all in [&base, &mixed] {
            let total: f64 = all.iter().sum();
            prop_assert!(total > 0.0 && total < 1.0 + 1e-12, "{}", total);
        }
        for word in words.iter().chain(&["new".to_owned()]) {
            let parts = session.parts(&context, word);
            let p = session.mixture().probability(&parts);
            prop_assert!(p > 0.0 && p <= 1.0);
            if let Some(number) = session.vocabulary().number(word) {
                prop_assert!((p - mixed[number as usize]).abs() < 1e-12);
                prop_assert!((parts[0] - base[number as usize]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_session_read_from_its_state_suggests_the_same(history in "([abcd]{1,2}[., ]{1,2}){0,600}") {
        let mut trainer = Trainer::default();
        trainer.read("a b c ab bc ca");
        let model = trainer.finish(3).unwrap();
        let mut session = Session::new(&model, State::default());
        let mut context = session.context("");
        session.learn_text(&mut context, &history, "2026-11-25T20:00:00Z");
        let again = session.with_state(session.state().clone());
        for text in ["", "a ", "b c ", "a b. ", "d"] {
            let (live, read) = (session.suggest(text, 1000), again.suggest(text, 1000));
            prop_assert_eq!(live.len(), read.len());
            for live in live {
                let read = read.iter().find(|read| read.word == live.word).unwrap();
                prop_assert!((live.probability - read.probability).abs() < 1e-12);
            }
        }
    }
}

/// Somebody who always writes the same.
const REFRAIN: &str = "the quick brown fox jumps over the lazy dog. ";

#[test]
fn a_history_that_repeats_itself_is_soon_followed() {
    let mut trainer = Trainer::default();
    trainer.read("the dog and the fox were lazy, and the quick one was brown too.");
    let model = trainer.finish(3).unwrap();
    let text = REFRAIN.repeat(60);
    let history = History::cut(&[&text], 0.2);
    assert_eq!((history.learnt_words(), history.tail_words()), (432, 108));
    let fitted = history.fit(&model, &State::default(), &Silent).unwrap();
    let state = State {
        fitted,
        ..State::default()
    };
    let mut session = Session::new(&model, state.clone());
    history
        .learn(&mut session, "2026-11-25T20:00:00Z", &Silent)
        .unwrap();
    let followed = history
        .judge(
            &mut session,
            Some("2026-11-25T20:00:00Z"),
            usize::MAX,
            &Silent,
        )
        .unwrap();
    assert!(
        followed.kl.after.value < 0.5 && followed.kl.before.value > 2.0,
        "{:?}",
        followed.kl
    );
    assert!(followed.top1.after.value > 0.95 && followed.top1.before.value < 0.6);
    assert!(followed.keystrokes_saved.after.value > 0.7);
    let change = followed.kl.after.value - followed.kl.before.value;
    assert!((followed.kl.change.value - change).abs() < 1e-12);
    assert_eq!(session.state().words(), 540);
    // Of every fourth word much the same is found, and the others are learnt all the same.
    let mut again = Session::new(&model, state);
    history
        .learn(&mut again, "2026-11-25T20:00:00Z", &Silent)
        .unwrap();
    let few = history
        .judge(&mut again, Some("2026-11-25T20:00:00Z"), 27, &Silent)
        .unwrap();
    assert_eq!(again.state().words(), 540);
    assert!((few.kl.after.value - followed.kl.after.value).abs() < 0.2);
    assert_eq!(session.suggest("the quick br", 1)[0].word, "brown");
}
