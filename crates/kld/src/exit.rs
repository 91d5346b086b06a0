//! Exit codes, as documented in the README.

use std::process::ExitCode;

/// How a run of the program ended, when nothing was wrong with input or usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 0: all fine.
    Fine,
    /// 1: a gate given by the user was exceeded.
    GateExceeded,
    /// 2: of a model not a single position could be measured; the result says so.
    NothingMeasured,
    /// 3: interrupted; what was measured so far has been printed.
    Interrupted,
}

/// 2: the input, a file or the usage is wrong. (It is also clap's code for wrong usage.)
pub(crate) const WRONG_INPUT: u8 = 2;

/// Whether an error only says that the user asked to stop.
pub(crate) fn is_stop(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kld_text::Error::Interrupted))
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Fine => 0,
            Outcome::GateExceeded => 1,
            Outcome::NothingMeasured => WRONG_INPUT,
            Outcome::Interrupted => 3,
        })
    }
}
