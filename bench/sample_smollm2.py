"""Text sampled from SmolLM2-135M-Instruct, beside what a human wrote: the bodies that docs/quality.md compares.

    pip install numpy gguf tokenizers
    python bench/sample_smollm2.py MODEL.gguf BOOK.txt FOLDER [--documents 120] [--tokens 80]

Passages are taken from the book at even distances. The first tokens of each are a prompt; what the author wrote next goes to
`human.jsonl`, what the model writes next at each temperature to `machine-T.jsonl`. Sampling is plain (no top-k, no top-p) and seeded.
The decoder is a few lines of NumPy with a key-value cache, all documents and temperatures in one batch. What it thinks of the prompts is printed and
must be what `kld score MODEL.gguf --text FOLDER/prompts.jsonl` says.
"""

import argparse
import json
import pathlib

import gguf
import numpy as np
from gguf.quants import dequantize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPERATURES = [0.5, 1.0, 1.6]


def load(path):
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields[key].contents()
    weights = {t.name: dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    config = {key: field(f"llama.{key}") for key in [
        "block_count", "attention.head_count", "attention.head_count_kv", "rope.freq_base", "attention.layer_norm_rms_epsilon"]}
    tokens, merges = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.merges")
    bpe = models.BPE({t: i for i, t in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges])
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)])
    tokenizer.decoder = decoders.ByteLevel()
    return weights, config, tokenizer


class Decoder:
    def __init__(self, weights, config, batch, length):
        self.w, self.epsilon = weights, config["attention.layer_norm_rms_epsilon"]
        self.layers, self.heads, self.kv_heads = config["block_count"], config["attention.head_count"], config["attention.head_count_kv"]
        self.size = weights["token_embd.weight"].shape[1] // self.heads
        self.frequencies = config["rope.freq_base"] ** (-np.arange(0, self.size, 2, dtype=np.float32) / self.size)
        self.cache = np.zeros((self.layers, 2, batch, self.kv_heads, length, self.size), np.float32)
        self.position = 0

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon) * self.w[name]

    def rotated(self, x):
        # GGUF stores the rows of these matrices so that neighbours turn together.
        angle = self.position * self.frequencies
        even, odd = x[..., 0::2], x[..., 1::2]
        return np.stack([even * np.cos(angle) - odd * np.sin(angle), even * np.sin(angle) + odd * np.cos(angle)], -1).reshape(x.shape)

    def step(self, tokens):
        """Logits of the next token."""
        batch = len(tokens)
        x = self.w["token_embd.weight"][tokens]
        for layer in range(self.layers):
            matrix = lambda y, name: y @ self.w[f"blk.{layer}.{name}.weight"].T
            y = self.norm(x, f"blk.{layer}.attn_norm.weight")
            query = self.rotated(matrix(y, "attn_q").reshape(batch, self.kv_heads, -1, self.size))
            keys, values = self.cache[layer]
            keys[:, :, self.position] = self.rotated(matrix(y, "attn_k").reshape(batch, self.kv_heads, self.size))
            values[:, :, self.position] = matrix(y, "attn_v").reshape(batch, self.kv_heads, self.size)
            keys, values = keys[:, :, : self.position + 1], values[:, :, : self.position + 1]
            scores = query @ keys.swapaxes(-1, -2) / np.sqrt(self.size)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            x = x + matrix((weights @ values).reshape(batch, -1), "attn_output")
            y = self.norm(x, f"blk.{layer}.ffn_norm.weight")
            gate = matrix(y, "ffn_gate")
            x = x + matrix(gate / (1 + np.exp(-gate)) * matrix(y, "ffn_up"), "ffn_down")
        self.position += 1
        return self.norm(x, "output_norm.weight") @ self.w["token_embd.weight"].T


def sample(logits, temperatures, rng):
    # Gumbel's way: the largest of logits/T plus noise has the probabilities of softmax(logits/T).
    noise = -np.log(-np.log(rng.random(logits.shape, dtype=np.float32) * (1 - 2e-7) + 1e-7))
    return (logits / temperatures[:, None] + noise).argmax(1)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model")
    arguments.add_argument("book", type=pathlib.Path)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--documents", type=int, default=120)
    arguments.add_argument("--prompt", type=int, default=32)
    arguments.add_argument("--tokens", type=int, default=80)
    a = arguments.parse_args()

    weights, config, tokenizer = load(a.model)
    # Lines of the book are joined, as the model would write them.
    book = tokenizer.encode(" ".join(a.book.read_text().split())).ids
    length = a.prompt + a.tokens
    starts = np.linspace(0, len(book) - length, a.documents).astype(int)
    passages = np.array([book[s : s + length] for s in starts])
    prompts = np.tile(passages[:, : a.prompt], (len(TEMPERATURES), 1))
    temperatures = np.repeat(np.array(TEMPERATURES, np.float32), a.documents)

    decoder, rng = Decoder(weights, config, len(prompts), length), np.random.default_rng(0)
    nll = []
    for token, following in zip(prompts.T, [*prompts.T[1:], None]):
        logits = decoder.step(token)
        if following is not None:
            top = logits.max(1)
            nll.append(top + np.log(np.exp(logits - top[:, None]).sum(1)) - np.take_along_axis(logits, following[:, None], 1)[:, 0])
    print(f"the prompts cost {np.mean(nll):.5f} nats per token")
    drawn = []
    for _ in range(a.tokens):
        drawn.append(sample(logits, temperatures, rng))
        logits = decoder.step(drawn[-1])
    drawn = np.array(drawn).T.reshape(len(TEMPERATURES), a.documents, a.tokens)

    a.folder.mkdir(parents=True, exist_ok=True)
    bodies = {"prompts": passages[:, : a.prompt], "human": passages[:, a.prompt :]} | {f"machine-{t}": d for t, d in zip(TEMPERATURES, drawn)}
    for name, body in bodies.items():
        with open(a.folder / f"{name}.jsonl", "w") as file:
            for tokens in body:
                file.write(json.dumps({"text": tokenizer.decode(tokens)}, ensure_ascii=False) + "\n")


main()
