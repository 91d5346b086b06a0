//! Divergences between two rows of logits: slices in, numbers out.
//!
//! P = softmax(reference) comes first, Q = softmax(candidate) second, and every result is in nats. One call of
//! [`Kernel::pair`] reads both rows and gives all that `kld` reports of one position: D(P‖Q), D(Q‖P), the
//! Jensen–Shannon divergence, both entropies and log-sum-exps, both most likely tokens, top-k overlap, and the
//! negative log-likelihood and rank of the observed token. [`divergence`] holds the wider family with its gradients.
//!
//! ```
//! use kld_kernels::{Kernel, PairOptions};
//!
//! let kernel = Kernel::detect();
//! let row = kernel.pair(&[0.0_f32, 1.0, 2.0], &[2.0_f32, 1.0, 0.0], &PairOptions::default())?;
//! assert!((row.kl - 1.150_420_8).abs() < 1e-6);
//! assert_eq!((row.top1_p, row.top1_q), (2, 0));
//! # Ok::<(), kld_kernels::RowFault>(())
//! ```
//!
//! # Conventions
//!
//! - A logit of −∞ is legal: its probability is exactly 0. `0·ln 0 = 0`; Q = 0 < P makes D(P‖Q) = +∞.
//! - NaN, +∞, an empty row and a row of only −∞ are a [`RowFault`], which names the row and the entry.
//! - No ε is added anywhere, nothing is clipped.
//! - [`scalar`] is the meaning of every function: plain f64 loops. The vector paths are measured against it;
//!   how each number is computed and how far it may be off is written in `docs/numerics.md`.
//!
//! This crate knows slices only: no tensors, tokens, files or threads.

#![expect(
    unsafe_code,
    reason = "calls of loops compiled for detected instruction sets, all in `lanes`"
)]

pub mod divergence;
mod fast;
mod fault;
mod isa;
mod kernel;
mod lanes;
mod logit;
mod moments;
mod near;
mod one_pass;
mod row;
pub mod scalar;
mod top;

pub use divergence::Divergence;
pub use fault::{FaultKind, RowFault, Side};
pub use isa::{Isa, UnknownIsa};
pub use kernel::Kernel;
pub use logit::Logit;
pub use one_pass::OnePass;
pub use row::{Likely, NAMED, Observed, ObservedSingle, PairOptions, RowPair, RowSingle};
pub use top::MAX_TOP_K;
