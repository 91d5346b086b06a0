"""Tiny random-weight models of every family, with the logits that Transformers computes for them.

    pip install torch transformers safetensors gguf numpy
    python golden/models/generate.py

Writes beside this file, for each model, a Hugging Face folder (`config.json`, safetensors) and `expected.json`:
the tokens and the logits of every position, in f32 on the CPU. Some models are also written as GGUF, with the names
and row orders that llama.cpp's converter uses. Weights are rounded to bf16 and stored so where that is the point of
a fixture. The values are checked in; the tests need no Python.
"""

import copy
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

HERE = Path(__file__).parent
POSITIONS = 24
SIZES = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2)

MODELS = {
    "llama": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama-scaled": LlamaConfig(**SIZES, tie_word_embeddings=False, rope_parameters={
        "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32}),
    "llama-linear": LlamaConfig(**SIZES, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, rope_parameters={
        "rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
    "mistral": MistralConfig(**SIZES, head_dim=8, sliding_window=7, tie_word_embeddings=False),
    "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SIZES, head_dim=16, tie_word_embeddings=False),
    "gpt2": GPT2Config(vocab_size=96, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2),
}
SHARDED = {"llama-scaled"}
BF16 = {"llama-linear"}
AS_GGUF = ["llama", "llama-scaled", "qwen2", "qwen3", "gpt2"]

# A byte-level BPE for printable ASCII without `~`, and line feeds: 93 characters, space, line feed, one merge.
TOKENS = [chr(c) for c in range(33, 126)] + ["\u0120", "\u010a", "\u0120t"]
MERGES = ["\u0120 t"]
TOKENIZER = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
              "fuse_unk": False, "byte_fallback": False, "vocab": {token: i for i, token in enumerate(TOKENS)},
              "merges": [merge.split(" ") for merge in MERGES]},
}


def randomize(model):
    """Random norms and biases too: ones and zeros would hide a weight that is not applied."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                start = 1.0 if "norm" in name or "ln_" in name else 0.0
                start = 0.0 if name.endswith("bias") else start
                weight.copy_(start + 0.3 * torch.randn(weight.shape, generator=generator))


def build(name, config):
    torch.manual_seed(11)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    randomize(model)
    if name in BF16:
        # The parameters alone: rounding the whole module would round the rotation's angles, too.
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.bfloat16())
    return model.eval()


def write_folder(name, model):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    stored = copy.deepcopy(model).bfloat16() if name in BF16 else model
    stored.save_pretrained(folder, max_shard_size="16KB" if name in SHARDED else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(TOKENIZER, indent=1, ensure_ascii=False) + "\n")


def write_expected(name, model):
    tokens = np.random.default_rng(3).integers(0, 96, POSITIONS)
    with torch.no_grad():
        logits = model(torch.tensor(tokens)[None]).logits[0]
    rows = [[float(f"{x:.8g}") for x in row] for row in logits.tolist()]
    expected = {"tokens": tokens.tolist(), "vocabulary": logits.shape[1], "logits": rows}
    (HERE / name / "expected.json").write_text(json.dumps(expected) + "\n")


def permuted(weight, heads):
    """The row order of queries and keys in a llama GGUF: the halves of each head interleaved."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


LLAMA_NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
GPT2_NAMES = {
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm", "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
}


def gguf_name(name, names):
    stem, end = name.rsplit(".", 1)
    for prefix in ("model.layers.", "transformer.h."):
        if stem.startswith(prefix):
            layer, rest = stem[len(prefix):].split(".", 1)
            return f"blk.{layer}.{names[rest]}.{end}"
    return f"{names[stem]}.{end}"


def write_gguf(name, config):
    family = config.model_type
    writer = gguf.GGUFWriter(HERE / name / "model.gguf", family)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if family == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if family == "llama":
        writer.add_rope_dimension_count(config.head_dim)
    if family == "qwen3":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(TOKENS))
    writer.add_token_merges(MERGES)
    tensors = {}
    for path in sorted((HERE / name).glob("*.safetensors")):
        tensors.update(load_file(path))
    for tensor_name, tensor in sorted(tensors.items()):
        array = tensor.float().numpy()
        if family == "gpt2" and any(part in tensor_name for part in ("c_attn.w", "c_proj.w", "c_fc.w")):
            array = np.ascontiguousarray(array.T)
        if family == "llama" and "q_proj" in tensor_name:
            array = permuted(array, config.num_attention_heads)
        if family == "llama" and "k_proj" in tensor_name:
            array = permuted(array, config.num_key_value_heads)
        writer.add_tensor(gguf_name(tensor_name, GPT2_NAMES if family == "gpt2" else LLAMA_NAMES), np.ascontiguousarray(array))
    if config.to_dict().get("rope_parameters", {}).get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rope_factors(config):
    """By how much each pair is slowed down (Llama 3.1), as the converter writes it."""
    rope = config.rope_parameters
    speeds = 1.0 / rope["rope_theta"] ** (np.arange(0, config.head_dim, 2) / config.head_dim)
    lengths = 2 * np.pi / speeds
    old = rope["original_max_position_embeddings"]
    low, high = old / rope["low_freq_factor"], old / rope["high_freq_factor"]
    smooth = (old / lengths - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])
    between = 1.0 / ((1 - smooth) / rope["factor"] + smooth)
    return np.where(lengths < high, 1.0, np.where(lengths > low, rope["factor"], between)).astype(np.float32)


def main():
    for name, config in MODELS.items():
        model = build(name, config)
        write_folder(name, model)
        write_expected(name, model)
        if name in AS_GGUF:
            write_gguf(name, config)
        print(name, sum(p.stat().st_size for p in (HERE / name).iterdir()) // 1024, "KiB")


if __name__ == "__main__":
    main()
