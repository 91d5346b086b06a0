//! From a model's name to its files: folders, GGUF files, the local Hugging Face cache, download.
