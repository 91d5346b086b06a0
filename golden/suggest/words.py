"""Words from tokens, by trying every string: golden values of `kld suggest MODEL` for a language model.

    pip install numpy
    python golden/suggest/words.py

writes `words.json` beside this file. The model is `golden/models/llama`, computed here in f64 from its definition. Its tokens are
printable ASCII characters and ` t`, so that a word that begins with `t` can be spelt in two ways.
"""

import json
import pathlib
import string

import numpy as np

HERE = pathlib.Path(__file__).parent
MODEL = HERE.parent / "models" / "llama"
BEFORE = "To be, or not "
DEEP = 2  # Letters behind the prefix.


def safetensors(path):
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8:8 + length]).items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32", entry
            begin, end = (8 + length + at for at in entry["data_offsets"])
            tensors[name] = np.frombuffer(raw[begin:end], "<f4").reshape(entry["shape"]).astype(np.float64)
    return tensors


CONFIG = json.loads((MODEL / "config.json").read_text())
W = safetensors(MODEL / "model.safetensors")
VOCABULARY = json.loads((MODEL / "tokenizer.json").read_text())["model"]["vocab"]
TEXT = {token: piece.replace("Ġ", " ").replace("Ċ", "\n") for piece, token in VOCABULARY.items()}


def norm(x, weight):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + CONFIG["rms_norm_eps"]) * weight


def rotated(x):
    """[position, head, width], the halves of a head's width turned against each other."""
    half = x.shape[-1] // 2
    rope = CONFIG.get("rope_parameters") or {}
    theta = rope.get("rope_theta", CONFIG.get("rope_theta"))
    angles = np.arange(x.shape[0])[:, None] * theta ** (-np.arange(half) / half)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def next_token(tokens):
    """Probabilities of the token behind these."""
    heads, kv_heads = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
    x = W["model.embed_tokens.weight"][tokens]
    n = len(tokens)
    for layer in range(CONFIG["num_hidden_layers"]):
        of = lambda name: W[f"model.layers.{layer}.{name}.weight"]
        h = norm(x, of("input_layernorm"))
        q = rotated((h @ of("self_attn.q_proj").T).reshape(n, heads, -1))
        k = rotated((h @ of("self_attn.k_proj").T).reshape(n, kv_heads, -1)).repeat(heads // kv_heads, axis=1)
        v = (h @ of("self_attn.v_proj").T).reshape(n, kv_heads, -1).repeat(heads // kv_heads, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
        scores[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", weights, v).reshape(n, -1) @ of("self_attn.o_proj").T
        h = norm(x, of("post_attention_layernorm"))
        gate = h @ of("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ of("mlp.up_proj").T)) @ of("mlp.down_proj").T
    head = W["model.embed_tokens.weight"] if CONFIG.get("tie_word_embeddings") else W["lm_head.weight"]
    logits = norm(x[-1], W["model.norm.weight"]) @ head.T
    logits = logits[:len(VOCABULARY)]
    p = np.exp(logits - logits.max())
    return p / p.sum()


WORD = set(string.ascii_letters + string.digits)
LETTERS = [token for token, text in TEXT.items() if text in WORD]
ENDS = [token for token, text in TEXT.items() if text[0] not in WORD and text != "'"]


def tokens_of(text):
    """Characters, save that ` t` is one token."""
    tokens = []
    while text:
        piece = " t" if text.startswith(" t") else text[0]
        tokens.append(next(token for token, known in TEXT.items() if known == piece))
        text = text[len(piece):]
    return tokens


CONTEXT = tokens_of(BEFORE.rstrip())
SPACE, SPACE_T = (next(token for token, text in TEXT.items() if text == piece) for piece in (" ", " t"))


def mass_of_words(tokens, word, mass, deep, found):
    """Adds the mass of `word`, spelt by `tokens`, and of all that go on with it."""
    p = next_token(tokens)
    found[word] = found.get(word, 0.0) + mass * p[ENDS].sum()
    if deep:
        for letter in LETTERS:
            mass_of_words(tokens + [letter], word + TEXT[letter], mass * p[letter], deep - 1, found)


def spellings(prefix):
    """Every way to spell the space and the prefix, with its mass."""
    ways = [[SPACE] + tokens_of(prefix)]
    if prefix[0] == "t":
        ways.append([SPACE_T] + tokens_of(prefix[1:]))
    for way in ways:
        mass = 1.0
        for at, token in enumerate(way):
            mass *= next_token(CONTEXT + way[:at])[token]
        yield way, mass


def case(prefix):
    first = next_token(CONTEXT)
    any_word = first[SPACE] + first[SPACE_T]
    found = {}
    for way, mass in spellings(prefix):
        mass_of_words(CONTEXT + way, prefix, mass, DEEP, found)
    words = sorted(((word, mass / any_word) for word, mass in found.items()), key=lambda of: -of[1])[:12]
    return {"before": BEFORE, "prefix": prefix, "words": words}


(HERE / "words.json").write_text(json.dumps([case("Q"), case("to")]) + "\n")
