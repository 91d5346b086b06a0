//! The instruction sets a kernel is compiled for, detected once at run time.

use std::fmt;
use std::str::FromStr;

/// An instruction set, slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// The plain f64 loops of [`crate::scalar`]: the definition, not a fast path.
    Scalar,
    /// What every machine of the target has: SSE2 on x86-64, NEON on aarch64.
    Baseline,
    /// AVX2 with fused multiply-add (x86-64 since about 2013).
    Avx2,
    /// AVX-512 F, BW, DQ and VL (x86-64 servers since 2017).
    Avx512,
}

impl Isa {
    /// Every instruction set this build knows, whether or not this machine has it.
    pub const ALL: &[Isa] = &[Isa::Scalar, Isa::Baseline, Isa::Avx2, Isa::Avx512];

    /// What this machine can run, slowest first; never empty.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        Isa::ALL
            .iter()
            .copied()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// The fastest instruction set of this machine.
    #[must_use]
    pub fn detect() -> Isa {
        Isa::available().pop().unwrap_or(Isa::Scalar)
    }

    /// Whether this machine can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar | Isa::Baseline => true,
            Isa::Avx2 => has_avx2(),
            Isa::Avx512 => has_avx512(),
        }
    }

    /// The name by which a user asks for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Baseline => "baseline",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }
}

/// Whether the machine has all that the AVX2 loops are compiled with.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

/// Whether the machine has all that the AVX-512 loops are compiled with.
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

/// A name that is no instruction set known to `kld`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIsa(pub String);

impl std::error::Error for UnknownIsa {}

impl fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Isa::ALL.iter().map(|isa| isa.name()).collect();
        write!(
            f,
            "unknown instruction set {:?}: expected one of {}",
            self.0,
            names.join(", ")
        )
    }
}

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        let known = Isa::ALL.iter().copied().find(|isa| isa.name() == name);
        known.ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
