//! Laws that hold for any rows, tried on random ones.

use std::f64::consts::LN_2;

use kld_kernels::divergence::{Divergence, from_logits};
use kld_kernels::{Isa, Kernel, PairOptions, RowPair};
use proptest::prelude::*;

use crate::precision::{DIVERGENCE, FLOOR_NATS, NATS, assert_close};

/// Logits, now and then masked, never all of them.
fn row(n: usize) -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![9 => -20.0_f32..20.0, 1 => Just(f32::NEG_INFINITY)];
    prop::collection::vec(logit, n).prop_map(|mut row| {
        row[0] = row[0].max(-20.0);
        row
    })
}

/// Two rows of one length: independent ones, or one near the other with the same mask.
fn rows() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    (1_usize..600).prop_flat_map(|n| {
        let near = (row(n), prop::collection::vec(-1.0_f32..1.0, n), -14_i32..2).prop_map(
            |(p, noise, size)| {
                let q = p
                    .iter()
                    .zip(noise)
                    .map(|(x, d)| x + d * 2_f32.powi(size))
                    .collect();
                (p, q)
            },
        );
        prop_oneof![(row(n), row(n)), near]
    })
}

fn kernels() -> Vec<Kernel> {
    Isa::available()
        .into_iter()
        .filter_map(Kernel::with_isa)
        .collect()
}

fn pair(kernel: &Kernel, p: &[f32], q: &[f32]) -> RowPair {
    kernel.pair(p, q, &PairOptions::default()).unwrap()
}

const FAMILY: &[Divergence] = &[
    Divergence::Kl,
    Divergence::ReverseKl,
    Divergence::Jeffreys,
    Divergence::Js,
    Divergence::GeneralizedJs { beta: 0.3 },
    Divergence::SkewKl { alpha: 0.1 },
    Divergence::ReverseSkewKl { alpha: 0.1 },
    Divergence::Renyi { alpha: 0.5 },
    Divergence::Renyi { alpha: 3.0 },
    Divergence::TotalVariation,
    Divergence::Hellinger,
    Divergence::ChiSquare,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_divergence_is_negative((p, q) in rows()) {
        for kernel in kernels() {
            let row = pair(&kernel, &p, &q);
            prop_assert!(row.kl >= 0.0 && row.reverse_kl >= 0.0 && row.js >= 0.0, "{}: {row:?}", kernel.isa());
        }
        for &d in FAMILY {
            let value = from_logits(d, &p, &q).unwrap();
            prop_assert!(value >= 0.0, "{d:?}: {value:e}");
        }
    }

    #[test]
    fn a_row_does_not_diverge_from_itself(p in (1_usize..3000).prop_flat_map(row)) {
        for kernel in kernels() {
            let row = pair(&kernel, &p, &p);
            prop_assert_eq!((row.kl, row.reverse_kl, row.js), (0.0, 0.0, 0.0));
            prop_assert_eq!((row.entropy_p, row.top1_p), (row.entropy_q, row.top1_q));
        }
        for &d in FAMILY {
            prop_assert_eq!(from_logits(d, &p, &p).unwrap(), 0.0, "{:?}", d);
        }
    }

    #[test]
    fn adding_a_constant_to_a_row_changes_nothing((p, q) in rows(), eighths in -800_i32..800) {
        // Rounded so that the addition is exact.
        let round = |row: &[f32]| row.iter().map(|x| (x * 1024.0).round() / 1024.0).collect::<Vec<_>>();
        let (p, q) = (round(&p), round(&q));
        let moved: Vec<f32> = q.iter().map(|x| x + eighths as f32 / 8.0).collect();
        for kernel in kernels() {
            let (before, after) = (pair(&kernel, &p, &q), pair(&kernel, &p, &moved));
            assert_close("kl", after.kl, before.kl, DIVERGENCE, FLOOR_NATS);
            assert_close("reverse_kl", after.reverse_kl, before.reverse_kl, DIVERGENCE, FLOOR_NATS);
            assert_close("js", after.js, before.js, DIVERGENCE, FLOOR_NATS);
        }
    }

    #[test]
    fn the_order_of_the_vocabulary_does_not_matter((p, q) in rows(), by in 0_usize..600) {
        let turned = |row: &[f32]| {
            let mut row: Vec<f32> = row.iter().rev().copied().collect();
            let by = by % row.len();
            row.rotate_left(by);
            row
        };
        for kernel in kernels() {
            let (before, after) = (pair(&kernel, &p, &q), pair(&kernel, &turned(&p), &turned(&q)));
            assert_close("kl", after.kl, before.kl, DIVERGENCE, FLOOR_NATS);
            assert_close("js", after.js, before.js, DIVERGENCE, FLOOR_NATS);
            assert_close("entropy", after.entropy_p, before.entropy_p, NATS, 1.0);
        }
    }

    #[test]
    fn entries_of_probability_zero_do_not_count((p, q) in rows(), more in 1_usize..5000) {
        let padded = |row: &[f32]| [row, &vec![f32::NEG_INFINITY; more]].concat();
        for kernel in kernels() {
            let (before, after) = (pair(&kernel, &p, &q), pair(&kernel, &padded(&p), &padded(&q)));
            assert_close("kl", after.kl, before.kl, DIVERGENCE, FLOOR_NATS);
            assert_close("js", after.js, before.js, DIVERGENCE, FLOOR_NATS);
            prop_assert_eq!((before.top1_p, before.topk_overlap), (after.top1_p, after.topk_overlap));
        }
    }

    #[test]
    fn exchanging_the_rows_exchanges_the_directions((p, q) in rows()) {
        for kernel in kernels() {
            let (there, back) = (pair(&kernel, &p, &q), pair(&kernel, &q, &p));
            assert_close("kl", back.reverse_kl, there.kl, DIVERGENCE, FLOOR_NATS);
            assert_close("reverse_kl", back.kl, there.reverse_kl, DIVERGENCE, FLOOR_NATS);
            assert_close("js", back.js, there.js, DIVERGENCE, FLOOR_NATS);
            prop_assert!(there.js <= LN_2);
        }
    }

    #[test]
    fn pinskers_and_the_other_inequalities_hold((p, q) in rows()) {
        let of = |d| from_logits(d, &p, &q).unwrap();
        let (kl, tv, h) = (of(Divergence::Kl), of(Divergence::TotalVariation), of(Divergence::Hellinger));
        let slack = 1.0 + 1e-12;
        prop_assert!(2.0 * tv * tv <= kl * slack, "Pinsker: {tv} {kl}");
        prop_assert!(h * h <= tv * slack && tv <= h * (2.0 - h * h).sqrt() * slack, "Le Cam: {h} {tv}");
        let half = of(Divergence::Renyi { alpha: 0.5 });
        prop_assert!(half <= kl * slack, "Rényi rises with its order");
        let second = of(Divergence::Renyi { alpha: 2.0 });
        prop_assert!(kl <= second * slack, "{kl} {second}");
        prop_assert!(kl <= of(Divergence::ChiSquare).ln_1p() * slack, "KL ≤ ln(1 + χ²)");
        prop_assert!(of(Divergence::Js) <= of(Divergence::Jeffreys) / 4.0 * slack, "Lin");
    }

    #[test]
    fn members_of_the_family_agree_where_they_meet((p, q) in rows()) {
        let of = |d| from_logits(d, &p, &q).unwrap();
        let same = |what, a, b| assert_close(what, a, b, 1e-10, 1e-3);
        same("Jeffreys is the sum", of(Divergence::Jeffreys), of(Divergence::Kl) + of(Divergence::ReverseKl));
        same("JS is β = ½", of(Divergence::Js), of(Divergence::GeneralizedJs { beta: 0.5 }));
        same("skew 0 is KL", of(Divergence::SkewKl { alpha: 0.0 }), of(Divergence::Kl));
        same("reverse skew 0", of(Divergence::ReverseSkewKl { alpha: 0.0 }), of(Divergence::ReverseKl));
        same("skew 1 is 0", of(Divergence::SkewKl { alpha: 1.0 }), 0.0);
        same("Rényi 1 is KL", of(Divergence::Renyi { alpha: 1.0 }), of(Divergence::Kl));
        let halves = of(Divergence::SkewKl { alpha: 0.5 }) + of(Divergence::ReverseSkewKl { alpha: 0.5 });
        same("JS is the mean of its halves", of(Divergence::Js), halves / 2.0);
        let entropy = kld_kernels::scalar::single(&p, None).unwrap().entropy;
        same("cross-entropy", of(Divergence::CrossEntropy), of(Divergence::Kl) + entropy);
    }
}
