//! The tests of `kld-kernels`, in one binary.
#![expect(
    clippy::print_stderr,
    reason = "a skipped instruction set is said aloud"
)]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]
#![expect(
    clippy::float_cmp,
    reason = "exact zeros, infinities and equal bits are meant"
)]

mod definition;
mod faults;
mod golden;
mod gradient;
mod known_bugs;
mod laws;
mod precision;
mod rows;
