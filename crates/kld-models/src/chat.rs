//! Chat messages to text through the model's chat template.
