//! What-if candidates: P itself with its weights quantized in memory.

use anyhow::{Context, ensure};
use clap::Args;
use kld_models::{
    gguf::BlockType,
    native::{NativeModel, Selection},
};

use crate::models::{Opener, Source};

/// Which candidates to make of P.
#[derive(Debug, Args)]
#[command(next_help_heading = "Candidates made of P")]
pub(crate) struct QuantizeArgs {
    /// Quantize P's matrices in memory, a candidate for each type, e.g. `q8_0,q6_k,q4_0`: exactly what a file of that type written by
    /// this program would be, without an importance matrix
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', value_parser = made_type)]
    quantize: Vec<BlockType>,

    /// Quantize only the matrices whose names (see `kld info P --tensors`) are like this, e.g. `'blk.*.ffn_down.*'`; * stands for any
    /// text; may be given several times
    #[arg(long, value_name = "PATTERN", requires = "quantize")]
    only: Vec<String>,
}

impl QuantizeArgs {
    /// Makes the candidates.
    pub(crate) fn candidates(
        &self,
        reference: &Source,
        opener: &mut Opener<'_>,
    ) -> anyhow::Result<Vec<NativeModel>> {
        if self.quantize.is_empty() {
            return Ok(Vec::new());
        }
        let reference = reference.model("--quantize")?;
        let selection = Selection::new(self.only.clone());
        let mut made = Vec::new();
        for (index, &dtype) in self.quantize.iter().enumerate() {
            ensure!(
                !self.quantize[..index].contains(&dtype),
                "--quantize names {dtype} twice"
            );
            let candidate = opener.quantized(reference, dtype, &selection);
            made.push(candidate.with_context(|| format!("cannot quantize P to {dtype}"))?);
        }
        Ok(made)
    }
}

/// Reads the name of a type that matrices can be turned into.
pub(crate) fn made_type(name: &str) -> Result<BlockType, String> {
    BlockType::from_name(name.trim())
        .filter(|dtype| dtype.can_be_made())
        .ok_or_else(|| format!("expected one of {}", BlockType::MADE))
}
