"""Texts drawn from the bundled model `austen` at three temperatures, beside what Jane Austen wrote there: the bodies that docs/quality.md compares.

    pip install numpy tokenizers
    python data/sampled/generate.py

Passages are taken at even distances from the half of *Persuasion* that the model was not trained on. The first tokens of each are a prompt; what the
author wrote next goes to `human.jsonl`, what the model writes next at each temperature to `machine-T.jsonl`. Sampling is plain (no top-k, no top-p) and
seeded; another machine's rounding may draw another token here and there. The decoder is a few lines of NumPy that know nothing of kld: what it thinks of the prompts is
printed and must be what `kld score assets/austen --text data/sampled/prompts.jsonl` says.
"""

import json
import pathlib

import numpy as np
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
ASSETS = HERE.parent.parent / "assets"
TEMPERATURES = [0.5, 1.0, 1.6]
DOCUMENTS, PROMPT, TOKENS = 120, 32, 80


def load(folder):
    """Tensors of a .safetensors file: a length, a JSON of names with their places, and the numbers."""
    raw = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    entries = json.loads(raw[8:start])
    types = {"F16": np.float16, "F32": np.float32}
    return {
        name: np.frombuffer(raw, types[e["dtype"]], np.prod(e["shape"]), start + e["data_offsets"][0]).reshape(e["shape"]).astype(np.float32)
        for name, e in entries.items() if name != "__metadata__"
    }


class Decoder:
    def __init__(self, folder, batch, length):
        self.w, self.c = load(folder), json.loads((folder / "config.json").read_text())
        self.size, self.kv_heads = self.c["head_dim"], self.c["num_key_value_heads"]
        self.frequencies = self.c["rope_theta"] ** (-np.arange(0, self.size, 2, dtype=np.float32) / self.size)
        self.cache = np.zeros((self.c["num_hidden_layers"], 2, batch, self.kv_heads, length, self.size), np.float32)
        self.position = 0

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.c["rms_norm_eps"]) * self.w[f"model.{name}.weight"]

    def rotated(self, x):
        # A value of the first half turns with the one as far into the second half.
        angle = self.position * self.frequencies
        first, second = np.split(x, 2, -1)
        return np.concatenate([first * np.cos(angle) - second * np.sin(angle), first * np.sin(angle) + second * np.cos(angle)], -1)

    def step(self, tokens):
        """Logits of the next token."""
        embedding, batch = self.w["model.embed_tokens.weight"], len(tokens)
        x = embedding[tokens]
        for layer in range(self.c["num_hidden_layers"]):
            matrix = lambda y, name: y @ self.w[f"model.layers.{layer}.{name}_proj.weight"].T
            y = self.norm(x, f"layers.{layer}.input_layernorm")
            query = self.rotated(matrix(y, "self_attn.q").reshape(batch, self.kv_heads, -1, self.size))
            keys, values = self.cache[layer]
            keys[:, :, self.position] = self.rotated(matrix(y, "self_attn.k").reshape(batch, self.kv_heads, self.size))
            values[:, :, self.position] = matrix(y, "self_attn.v").reshape(batch, self.kv_heads, self.size)
            keys, values = keys[:, :, : self.position + 1], values[:, :, : self.position + 1]
            scores = query @ keys.swapaxes(-1, -2) / np.sqrt(self.size)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            x = x + matrix((weights @ values).reshape(batch, -1), "self_attn.o")
            y = self.norm(x, f"layers.{layer}.post_attention_layernorm")
            gate = matrix(y, "mlp.gate")
            x = x + matrix(gate / (1 + np.exp(-gate)) * matrix(y, "mlp.up"), "mlp.down")
        self.position += 1
        return self.norm(x, "norm") @ embedding.T


def nll(logits, tokens):
    top = logits.max(1)
    return top + np.log(np.exp(logits - top[:, None]).sum(1)) - np.take_along_axis(logits, tokens[:, None], 1)[:, 0]


def sample(logits, temperatures, rng):
    # Gumbel's way: the largest of logits/T plus noise has the probabilities of softmax(logits/T).
    return (logits / temperatures[:, None] + rng.gumbel(size=logits.shape)).argmax(1)


tokenizer = Tokenizer.from_file(str(ASSETS / "austen" / "tokenizer.json"))
book = np.array(tokenizer.encode((ASSETS / "persuasion.txt").read_text()).ids)
starts = np.linspace(0, len(book) - PROMPT - TOKENS, DOCUMENTS).astype(int)
passages = np.array([book[s : s + PROMPT + TOKENS] for s in starts])
prompts = np.tile(passages[:, :PROMPT], (len(TEMPERATURES), 1))
temperatures = np.repeat(TEMPERATURES, DOCUMENTS)

decoder, rng = Decoder(ASSETS / "austen", len(prompts), PROMPT + TOKENS), np.random.default_rng(0)
logits, thought = decoder.step(prompts[:, 0]), []
for tokens in prompts.T[1:]:
    thought.append(nll(logits, tokens).mean())
    logits = decoder.step(tokens)
print(f"the prompts cost {np.mean(thought):.5f} nats per token")
drawn = []
for _ in range(TOKENS):
    drawn.append(sample(logits, temperatures, rng))
    logits = decoder.step(drawn[-1])
drawn = np.array(drawn).T.reshape(len(TEMPERATURES), DOCUMENTS, TOKENS)

bodies = {"prompts": passages[:, :PROMPT], "human": passages[:, PROMPT:]} | {f"machine-{t}": d for t, d in zip(TEMPERATURES, drawn)}
for name, body in bodies.items():
    records = [json.dumps({"text": tokenizer.decode(tokens)}, ensure_ascii=False) for tokens in body.tolist()]
    (HERE / f"{name}.jsonl").write_text("".join(record + "\n" for record in records))
