//! GGUF files: their metadata and tensors, read with suspicion, and quantized copies of them.
//!
//! A GGUF file is a header (magic, version, two counts), key–value metadata, a directory of tensors, and the
//! tensors' bytes. [`Header::read`] looks at everything but the bytes and believes nothing: every count and
//! length is held against the size of the file before anything is allocated, every tensor must lie inside the
//! file, on its alignment, and apart from the others.
//!
//! Source: the format's description in the ggml repository (`docs/gguf.md`).

mod dtype;
mod header;
mod metadata;
pub(crate) mod quantize;
mod requantize;
mod write;

pub use dtype::BlockType;
pub use header::{Header, TensorInfo};
pub use metadata::{Array, Metadata, Value};
pub use requantize::{Requantized, requantize};
