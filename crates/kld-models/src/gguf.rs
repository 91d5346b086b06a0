//! GGUF files: reading weights and metadata, writing quantized copies.
