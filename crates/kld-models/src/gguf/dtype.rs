//! The types of blocks that tensors of a GGUF file are stored in.

use candle_core::quantized::GgmlDType;

/// A storage type of GGUF: its number in the file, its name, and how many bytes hold how many values.
///
/// Covers types that this crate cannot compute with, too, so that an error can name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockType {
    id: u32,
    name: &'static str,
    values: u64,
    bytes: u64,
    readable: Option<GgmlDType>,
}

/// Every type that ggml has given a number and not taken back.
const TYPES: &[BlockType] = &[
    BlockType::F32,
    BlockType::F16,
    readable(2, "Q4_0", 32, 18, GgmlDType::Q4_0),
    readable(3, "Q4_1", 32, 20, GgmlDType::Q4_1),
    readable(6, "Q5_0", 32, 22, GgmlDType::Q5_0),
    readable(7, "Q5_1", 32, 24, GgmlDType::Q5_1),
    BlockType::Q8_0,
    readable(9, "Q8_1", 32, 36, GgmlDType::Q8_1),
    readable(10, "Q2_K", 256, 84, GgmlDType::Q2K),
    readable(11, "Q3_K", 256, 110, GgmlDType::Q3K),
    readable(12, "Q4_K", 256, 144, GgmlDType::Q4K),
    readable(13, "Q5_K", 256, 176, GgmlDType::Q5K),
    readable(14, "Q6_K", 256, 210, GgmlDType::Q6K),
    readable(15, "Q8_K", 256, 292, GgmlDType::Q8K),
    named(16, "IQ2_XXS", 256, 66),
    named(17, "IQ2_XS", 256, 74),
    named(18, "IQ3_XXS", 256, 98),
    named(19, "IQ1_S", 256, 50),
    named(20, "IQ4_NL", 32, 18),
    named(21, "IQ3_S", 256, 110),
    named(22, "IQ2_S", 256, 82),
    named(23, "IQ4_XS", 256, 136),
    named(24, "I8", 1, 1),
    named(25, "I16", 1, 2),
    named(26, "I32", 1, 4),
    named(27, "I64", 1, 8),
    named(28, "F64", 1, 8),
    named(29, "IQ1_M", 256, 56),
    BlockType::BF16,
    named(34, "TQ1_0", 256, 54),
    named(35, "TQ2_0", 256, 66),
    named(39, "MXFP4", 32, 17),
    named(40, "NVFP4", 64, 36),
];

impl BlockType {
    /// 32-bit floating point.
    pub const F32: Self = readable(0, "F32", 1, 4, GgmlDType::F32);
    /// 16-bit floating point (binary16).
    pub const F16: Self = readable(1, "F16", 1, 2, GgmlDType::F16);
    /// 16-bit floating point with the exponent of `F32`.
    pub const BF16: Self = readable(30, "BF16", 1, 2, GgmlDType::BF16);
    /// Blocks of 32 8-bit integers with a scale.
    pub const Q8_0: Self = readable(8, "Q8_0", 32, 34, GgmlDType::Q8_0);

    /// The type with this number in a GGUF file.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        TYPES.iter().find(|t| t.id == id).copied()
    }

    /// The type with this name, in upper or lower case, e.g. `Q8_0` or `q4_k`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TYPES
            .iter()
            .find(|t| t.name.eq_ignore_ascii_case(name))
            .copied()
    }

    /// The number that stands for it in a file.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }

    /// Its name as ggml writes it, e.g. `Q4_K`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Values in a block; a row of a tensor is whole blocks.
    #[must_use]
    pub fn block_values(self) -> u64 {
        self.values
    }

    /// Bytes that hold so many values, `None` if they are not whole blocks or the count overflows.
    #[must_use]
    pub fn bytes_for(self, values: u64) -> Option<u64> {
        values
            .is_multiple_of(self.values)
            .then(|| (values / self.values).checked_mul(self.bytes))?
    }

    /// A type that only other formats have, and that nothing here can turn into numbers.
    pub(crate) const fn foreign(name: &'static str) -> Self {
        named(u32::MAX, name, 1, 0)
    }

    /// Whether GGUF has the type.
    pub(crate) fn is_of_gguf(self) -> bool {
        self.id != u32::MAX
    }

    /// The same type in candle's words, where candle can turn it into numbers.
    pub(crate) fn readable(self) -> Option<GgmlDType> {
        self.readable
    }
}

impl std::fmt::Display for BlockType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn readable(
    id: u32,
    name: &'static str,
    values: u64,
    bytes: u64,
    dtype: GgmlDType,
) -> BlockType {
    BlockType {
        id,
        name,
        values,
        bytes,
        readable: Some(dtype),
    }
}

const fn named(id: u32, name: &'static str, values: u64, bytes: u64) -> BlockType {
    BlockType {
        id,
        name,
        values,
        bytes,
        readable: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_sizes_are_those_of_candle() {
        for block in TYPES {
            if let Some(dtype) = block.readable {
                assert_eq!(block.values, dtype.block_size() as u64, "{block}");
                assert_eq!(block.bytes, dtype.type_size() as u64, "{block}");
            }
        }
    }

    #[test]
    fn numbers_and_names_find_the_same_type() {
        for block in TYPES {
            assert_eq!(BlockType::from_id(block.id), Some(*block));
            assert_eq!(
                BlockType::from_name(&block.name.to_lowercase()),
                Some(*block)
            );
        }
        assert_eq!(BlockType::from_id(4), None);
    }

    #[test]
    fn only_whole_blocks_have_a_size() {
        let q4 = BlockType::from_name("q4_0").unwrap();
        assert_eq!(q4.bytes_for(64), Some(36));
        assert_eq!(q4.bytes_for(33), None);
        assert_eq!(q4.bytes_for(u64::MAX - 31), Some((u64::MAX - 31) / 32 * 18));
        assert_eq!(
            BlockType::from_name("F64").unwrap().bytes_for(u64::MAX),
            None
        );
    }
}
