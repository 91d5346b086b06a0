//! Rows that are no distributions, and calls that break a contract.

use half::f16;
use kld_kernels::divergence::{Divergence, from_log_probs};
use kld_kernels::{FaultKind, Isa, Kernel, PairOptions, RowFault, Side};

use crate::rows::noise;

fn kernels() -> impl Iterator<Item = Kernel> {
    Isa::available().into_iter().filter_map(Kernel::with_isa)
}

fn fault(side: Side, entry: usize, kind: FaultKind) -> Result<kld_kernels::RowPair, RowFault> {
    Err(RowFault { side, entry, kind })
}

#[test]
fn nan_and_infinity_are_named_with_row_and_entry() {
    let options = PairOptions::default();
    // A NaN with a payload whose bits could be mistaken for an exponent, one with a sign, and the plain one.
    let nans = [
        f32::NAN,
        -f32::NAN,
        f32::from_bits(0x7fc0_0001),
        f32::from_bits(0xff80_0001),
    ];
    for kernel in kernels() {
        for entry in [0, 5, 15, 16, 2047, 2048, 4999] {
            let good = noise(5000, 1, 2.0);
            for nan in nans {
                let mut bad = good.clone();
                bad[entry] = nan;
                let expected = fault(Side::Reference, entry, FaultKind::Nan);
                assert_eq!(
                    kernel.pair(&bad, &good, &options),
                    expected,
                    "{}",
                    kernel.isa()
                );
                let expected = fault(Side::Candidate, entry, FaultKind::Nan);
                assert_eq!(
                    kernel.pair(&good, &bad, &options),
                    expected,
                    "{}",
                    kernel.isa()
                );
            }
            let mut bad = good.clone();
            bad[entry] = f32::INFINITY;
            let expected = fault(Side::Candidate, entry, FaultKind::PositiveInfinity);
            assert_eq!(
                kernel.pair(&good, &bad, &options),
                expected,
                "{}",
                kernel.isa()
            );
            assert_eq!(
                kernel.log_sum_exp(&bad),
                Err(RowFault {
                    side: Side::Only,
                    entry,
                    kind: FaultKind::PositiveInfinity
                })
            );
        }
    }
}

#[test]
fn a_nan_among_masked_entries_is_found() {
    for kernel in kernels() {
        for entry in [0, 3, 2047, 2049, 4999] {
            let mut bad = vec![f32::NEG_INFINITY; 5000];
            bad[4998] = 1.0;
            bad[entry] = f32::NAN;
            let expected = fault(Side::Reference, entry, FaultKind::Nan);
            assert_eq!(
                kernel.pair(&bad, &noise(5000, 1, 1.0), &PairOptions::default()),
                expected
            );
        }
    }
}

#[test]
fn empty_rows_and_rows_without_a_token_are_faults() {
    let options = PairOptions::default();
    for kernel in kernels() {
        let none: [f32; 0] = [];
        assert_eq!(
            kernel.pair(&none, &none, &options),
            fault(Side::Reference, 0, FaultKind::Empty)
        );
        let all = vec![f32::NEG_INFINITY; 3000];
        let expected = fault(Side::Candidate, 0, FaultKind::AllNegativeInfinity);
        assert_eq!(kernel.pair(&noise(3000, 1, 1.0), &all, &options), expected);
        let nan = [f16::NAN; 40];
        let single = kernel.single(&nan, None);
        assert_eq!(
            single,
            Err(RowFault {
                side: Side::Only,
                entry: 0,
                kind: FaultKind::Nan
            })
        );
    }
}

#[test]
fn messages_say_which_row_and_entry() {
    let message = |side, kind| {
        RowFault {
            side,
            entry: 17,
            kind,
        }
        .to_string()
    };
    assert_eq!(
        message(Side::Reference, FaultKind::Nan),
        "reference row: entry 17 is NaN"
    );
    assert_eq!(
        message(Side::Candidate, FaultKind::PositiveInfinity),
        "candidate row: entry 17 is +∞"
    );
    assert_eq!(
        message(Side::Only, FaultKind::AllNegativeInfinity),
        "row: every entry is −∞"
    );
    assert_eq!(
        message(Side::Candidate, FaultKind::Empty),
        "candidate row has no entries"
    );
    let total = FaultKind::NotNormalized { total: 1.5 };
    assert_eq!(
        message(Side::Candidate, total),
        "candidate row: the probabilities sum to 1.5, not to 1"
    );
}

#[test]
fn log_probs_that_are_none_are_refused() {
    let good = [0.5_f64.ln(), 0.5_f64.ln()];
    let kind = |row: &[f64]| from_log_probs(Divergence::Kl, &good[..row.len()], row).unwrap_err();
    assert_eq!(kind(&[f64::NAN, 0.0]).kind, FaultKind::Nan);
    assert_eq!(
        kind(&[-1.0, 2.0]),
        RowFault {
            side: Side::Candidate,
            entry: 1,
            kind: FaultKind::AboveZero
        }
    );
    assert!(matches!(
        kind(&[-3.0, -4.0]).kind,
        FaultKind::NotNormalized { .. }
    ));
    assert_eq!(
        from_log_probs::<f64>(Divergence::Kl, &[], &[])
            .unwrap_err()
            .kind,
        FaultKind::Empty
    );
}

#[test]
#[should_panic(expected = "the rows differ in length")]
fn rows_of_different_length_are_a_bug_of_the_caller() {
    let _ = Kernel::detect().pair(&[0.0_f32; 3], &[0.0_f32; 4], &PairOptions::default());
}

#[test]
#[should_panic(expected = "the temperature is 0")]
fn a_temperature_of_zero_is_a_bug_of_the_caller() {
    let options = PairOptions {
        temperature: 0.0,
        ..Default::default()
    };
    let _ = Kernel::detect().pair(&[0.0_f32; 3], &[0.0_f32; 3], &options);
}

#[test]
#[should_panic(expected = "alpha is 1.5")]
fn a_mixture_of_more_than_all_is_a_bug_of_the_caller() {
    let _ = kld_kernels::divergence::from_probs(Divergence::SkewKl { alpha: 1.5 }, &[1.0], &[1.0]);
}
