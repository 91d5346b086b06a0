//! Values to blocks: the one way in which this program quantizes, for files and for candidates in memory.
//!
//! Blocks are made by candle without an importance matrix. What cannot be made of whole blocks falls back as
//! `llama-quantize` lets it fall back (see [`BlockType::or_instead`]).

use std::path::Path;

use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};

use super::BlockType;
use crate::{Error, Result};

impl BlockType {
    /// The types that matrices can be turned into, as messages list them.
    pub const MADE: &str =
        "f32, f16, bf16, q8_0, q6_k, q5_k, q5_1, q5_0, q4_k, q4_1, q4_0, q3_k, q2_k";

    /// Whether matrices can be turned into this type.
    #[must_use]
    pub fn can_be_made(self) -> bool {
        self.file_type().is_some()
    }

    /// The type that a matrix with rows of so many values gets when this one is asked for: this one, or where its rows are not
    /// whole blocks of it the one that `llama-quantize` falls back to (`Q4_K` to `Q5_0`, `Q5_K` to `Q5_1`, `Q6_K` to `Q8_0`;
    /// `Q2_K` and `Q3_K` to `Q4_0`, where `llama-quantize` takes `IQ4_NL`, which is as large), or else `F16`.
    #[must_use]
    pub fn or_instead(self, columns: usize) -> Self {
        let fits = |dtype: &Self| (columns as u64).is_multiple_of(dtype.block_values());
        let name = match self.name() {
            "Q2_K" | "Q3_K" => "Q4_0",
            "Q4_K" => "Q5_0",
            "Q5_K" => "Q5_1",
            "Q6_K" => "Q8_0",
            _ => "F16",
        };
        let instead = || Self::from_name(name).filter(fits);
        let fitting = Some(self).filter(fits).or_else(instead);
        fitting.unwrap_or(Self::F16)
    }

    /// The number that `general.file_type` has for a model of mostly this type; `None` for types that are not made.
    pub(crate) fn file_type(self) -> Option<u32> {
        Some(match self.name() {
            "F32" => 0,
            "F16" => 1,
            "Q4_0" => 2,
            "Q4_1" => 3,
            "Q8_0" => 7,
            "Q5_0" => 8,
            "Q5_1" => 9,
            "Q2_K" => 10,
            "Q3_K" => 11,
            "Q4_K" => 14,
            "Q5_K" => 16,
            "Q6_K" => 18,
            "BF16" => 32,
            _ => return None,
        })
    }

    /// Refuses types that cannot be made; `path` is the file that it is asked for.
    pub(crate) fn check_made(self, path: &Path) -> Result<()> {
        if self.can_be_made() {
            return Ok(());
        }
        Err(Error::unsupported(
            path,
            format!("making matrices of {self}"),
            format!("types that can be made: {}", Self::MADE),
        ))
    }
}

/// Whole rows of a tensor's values as bytes of a type; `tensor` and `path` are for the message where they do not fit it.
pub(crate) fn narrow(
    values: &[f32],
    columns: usize,
    dtype: BlockType,
    tensor: &str,
    path: &Path,
) -> Result<Vec<u8>> {
    let beyond = |limit: f32| values.iter().any(|x| x.is_finite() && x.abs() > limit);
    if dtype == BlockType::F16 && beyond(half::f16::MAX.to_f32()) {
        let what = format!("tensor '{tensor}' has values beyond the range of F16");
        return Err(Error::unsupported(path, what, "use BF16 or F32"));
    }
    Ok(match dtype {
        BlockType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        BlockType::F16 => values
            .iter()
            .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
            .collect(),
        BlockType::BF16 => values
            .iter()
            .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
            .collect(),
        _ => blocks(values, columns, dtype)?,
    })
}

fn blocks(values: &[f32], columns: usize, dtype: BlockType) -> Result<Vec<u8>> {
    let unknown = || candle_core::Error::Msg(format!("{dtype} cannot be made"));
    let known = dtype.readable().ok_or_else(unknown)?;
    let rows = Tensor::from_slice(values, (values.len() / columns, columns), &Device::Cpu)?;
    Ok(QTensor::quantize(&rows, known)?.data()?.into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::native::store::widen;

    /// What llama.cpp's Python package makes and reads; bytes in hexadecimal.
    fn golden() -> Value {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../golden/quantize/blocks.json"
        );
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn bytes(hex: &Value) -> Vec<u8> {
        let digits = hex.as_str().unwrap().as_bytes().chunks(2);
        let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    fn floats(hex: &Value) -> Vec<f32> {
        let bytes = bytes(hex);
        let four = bytes.chunks(4).map(|four| four.try_into().unwrap());
        four.map(f32::from_le_bytes).collect()
    }

    fn read(blocks: &[u8], dtype: BlockType) -> Vec<f32> {
        let mut values = Vec::new();
        widen(blocks, dtype, &mut values).unwrap();
        values
    }

    #[test]
    fn blocks_are_those_of_llama_cpp() {
        let golden = golden();
        let values = floats(&golden["values"]);
        let columns = golden["columns"].as_u64().unwrap() as usize;
        for (name, expected) in golden["made"].as_object().unwrap() {
            let dtype = BlockType::from_name(name).unwrap();
            let blocks = narrow(&values, columns, dtype, "w", Path::new("golden")).unwrap();
            assert_eq!(blocks, bytes(&expected["blocks"]), "{name}");
            assert_eq!(read(&blocks, dtype), floats(&expected["values"]), "{name}");
        }
    }

    #[test]
    fn blocks_of_k_types_are_read_as_llama_cpp_reads_them() {
        for (name, expected) in golden()["read"].as_object().unwrap() {
            let dtype = BlockType::from_name(name).unwrap();
            let values = read(&bytes(&expected["blocks"]), dtype);
            assert_eq!(values, floats(&expected["values"]), "{name}");
        }
    }

    fn instead(dtype: &str, columns: usize) -> &'static str {
        let dtype = BlockType::from_name(dtype).unwrap();
        dtype.or_instead(columns).name()
    }

    #[test]
    fn what_is_listed_is_what_can_be_made() {
        let listed: Vec<&str> = BlockType::MADE.split(", ").collect();
        assert!(
            listed
                .iter()
                .all(|name| BlockType::from_name(name).unwrap().can_be_made())
        );
        let made = (0..64)
            .filter_map(BlockType::from_id)
            .filter(|dtype| dtype.can_be_made());
        assert_eq!(made.count(), listed.len());
    }

    #[test]
    fn rows_that_are_not_whole_blocks_fall_back_as_in_common_tools() {
        for dtype in ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q4_0", "BF16"] {
            assert_eq!(instead(dtype, 1536), dtype);
        }
        let fallen = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"].map(|dtype| instead(dtype, 576));
        assert_eq!(fallen, ["Q4_0", "Q4_0", "Q5_0", "Q5_1", "Q8_0"]);
        assert_eq!(["Q2_K", "Q8_0"].map(|dtype| instead(dtype, 48)), ["F16"; 2]);
    }
}
