//! How each family names its tensors and lays out its matrices.
//!
//! Together with a [`Config`](super::config::Config) this is all that tells families apart: to add one, map its
//! configuration (`json_config`, `gguf_config`) and, if its names are new, describe them here.

/// The names of a model's tensors, without `.weight` and `.bias`; those of layer *i* follow `layer` with `{}` replaced by *i*.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) embedding: &'static str,
    pub(crate) positions: &'static str,
    pub(crate) layer: &'static str,
    pub(crate) attention_norm: &'static str,
    /// Queries, keys and values: one matrix, or one for each.
    pub(crate) qkv: &'static [&'static str],
    pub(crate) q_norm: &'static str,
    pub(crate) k_norm: &'static str,
    pub(crate) output: &'static str,
    pub(crate) mlp_norm: &'static str,
    /// Into the perceptron: gate and up, or one matrix.
    pub(crate) expand: &'static [&'static str],
    pub(crate) contract: &'static str,
    pub(crate) final_norm: &'static str,
    pub(crate) head: &'static str,
    /// Whether a layer's matrices are stored with a row per input instead of per output.
    pub(crate) transposed: bool,
    /// Whether the two values of a rotated pair are neighbours in queries and keys, instead of half a head apart.
    pub(crate) neighbouring_pairs: bool,
    /// Ends of names of tensors that files carry and nothing needs: constants, and copies of tied weights.
    pub(crate) needless: &'static [&'static str],
}

/// Llama, Mistral, Qwen2, Qwen3 in safetensors.
pub(crate) const LLAMA: Names = Names {
    embedding: "model.embed_tokens",
    positions: "",
    layer: "model.layers.{}.",
    attention_norm: "input_layernorm",
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    q_norm: "self_attn.q_norm",
    k_norm: "self_attn.k_norm",
    output: "self_attn.o_proj",
    mlp_norm: "post_attention_layernorm",
    expand: &["mlp.gate_proj", "mlp.up_proj"],
    contract: "mlp.down_proj",
    final_norm: "model.norm",
    head: "lm_head",
    transposed: false,
    neighbouring_pairs: false,
    needless: &["rotary_emb.inv_freq"],
};

/// GPT-2 in safetensors, as its language-model class saves it.
pub(crate) const GPT2: Names = Names {
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    layer: "transformer.h.{}.",
    attention_norm: "ln_1",
    qkv: &["attn.c_attn"],
    q_norm: "",
    k_norm: "",
    output: "attn.c_proj",
    mlp_norm: "ln_2",
    expand: &["mlp.c_fc"],
    contract: "mlp.c_proj",
    final_norm: "transformer.ln_f",
    head: "lm_head",
    transposed: true,
    neighbouring_pairs: false,
    needless: &["attn.bias", "attn.masked_bias"],
};

/// GPT-2 in safetensors, as its bare class saved it (the first published files).
pub(crate) const BARE_GPT2: Names = Names {
    embedding: "wte",
    positions: "wpe",
    layer: "h.{}.",
    final_norm: "ln_f",
    ..GPT2
};

/// Qwen2 and Qwen3 in GGUF.
pub(crate) const GGUF_QWEN: Names = Names {
    embedding: "token_embd",
    positions: "position_embd",
    layer: "blk.{}.",
    attention_norm: "attn_norm",
    qkv: &["attn_q", "attn_k", "attn_v"],
    q_norm: "attn_q_norm",
    k_norm: "attn_k_norm",
    output: "attn_output",
    mlp_norm: "ffn_norm",
    expand: &["ffn_gate", "ffn_up"],
    contract: "ffn_down",
    final_norm: "output_norm",
    head: "output",
    transposed: false,
    neighbouring_pairs: false,
    needless: &["rope_freqs.weight"],
};

/// Llama and Mistral in GGUF: the converter reorders the rows of queries and keys.
pub(crate) const GGUF_LLAMA: Names = Names {
    neighbouring_pairs: true,
    ..GGUF_QWEN
};

/// GPT-2 in GGUF: the converter transposes the matrices.
pub(crate) const GGUF_GPT2: Names = Names {
    qkv: &["attn_qkv"],
    expand: &["ffn_up"],
    ..GGUF_QWEN
};

impl Names {
    /// The names in a safetensors folder; `has` tells whether a tensor exists.
    pub(crate) fn of_folder(family: &str, has: impl Fn(&str) -> bool) -> &'static Self {
        match family {
            "gpt2" if has("wte.weight") => &BARE_GPT2,
            "gpt2" => &GPT2,
            _ => &LLAMA,
        }
    }

    /// The names in a GGUF file.
    pub(crate) fn of_gguf(family: &str) -> &'static Self {
        match family {
            "llama" => &GGUF_LLAMA,
            "gpt2" => &GGUF_GPT2,
            _ => &GGUF_QWEN,
        }
    }

    /// The full name of a tensor of a layer, without `.weight`.
    pub(crate) fn in_layer(&self, layer: usize, name: &str) -> String {
        self.layer.replace("{}", &layer.to_string()) + name
    }
}
