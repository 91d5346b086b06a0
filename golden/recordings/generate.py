"""A recording and a llama.cpp file written by Python, with what must be read from them; and files of `kld` read by Python.

    pip install numpy safetensors
    cargo build --release --workspace --bin kld
    python golden/recordings/generate.py target/release/kld

Writes beside this file `python.kldrec` (by the page docs/recordings.md and the package safetensors), `llama-cpp.kld` (by llama.cpp's
layout of --kl-divergence-base) and `values.json`: the logits and the KL that they stand for, in f64. Then it runs `kld record` and reads
both formats with the code that the page shows, and fails where a row is not that of `golden/models/llama/expected.json`. The tests
need no Python.
"""

import hashlib
import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODEL = ROOT / "golden/models/llama"
EXPECTED = json.loads((MODEL / "expected.json").read_text())
TOKENS, LOGITS = EXPECTED["tokens"], np.array(EXPECTED["logits"])
COLUMNS, WIDTH, CONTEXT = 96, 5, 24
RNG = np.random.default_rng(20261126)


def log_softmax(rows):
    rows = rows - rows.max(-1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(-1, keepdims=True))


def kl(p, q):
    return (np.exp(p) * (p - q)).sum(-1)


def frame(kind, payload):
    head = struct.pack("<IIQ", kind, 0, len(payload))
    return head + hashlib.sha256(head + payload).digest() + payload + b"\0" * (-len(payload) % 8)


def recording():
    """One window of the tiny Llama's tokens: hidden states and a head out of thin air, with scale and soft cap."""
    text = "a recording made by Python"
    manifest = {
        "kld": "python",
        "model": {
            "name": "by Python", "revision": None, "sha256": "0" * 64, "config_sha256": "1" * 64, "format": "none", "family": "none",
            "weights": "F32", "compute": "numpy", "parameters": 0, "bytes": 0, "vocabulary": COLUMNS, "context_length": CONTEXT},
        "protocol": {
            "name": "kld", "context": CONTEXT, "scored": "second-half", "fragments": 1, "windows": 1, "tokens": CONTEXT,
            "token_stream_sha256": "2" * 64, "windows_left_out": 0, "seed": None},
        "keep": "hidden",
        "columns": COLUMNS,
        "head": {"type": "F16", "width": WIDTH, "file": None, "transform": {"scale": 0.5, "soft_cap": 3.0}},
        "texts": [{"name": "a.txt", "bytes": len(text), "marked_up": False}],
        "tokenizer": {"origin": "tokenizer.json", "kind": "byte-level BPE", "bos": None, "eos": None, "chat_template": None,
                      "tokens": COLUMNS},
    }
    first, end = CONTEXT // 2, CONTEXT - 1
    as_bytes = lambda s: np.frombuffer(s, np.uint8)
    opening = save({
        "windows": np.array([[0, CONTEXT, 2**32 - 1, first, end]], np.uint32),
        "tokens": np.array(TOKENS, np.uint32),
        "text": as_bytes(text.encode()),
        "tokenizer": as_bytes((MODEL / "tokenizer.json").read_bytes()),
    }, {"manifest": json.dumps(manifest)})
    head = RNG.normal(0, 2, (COLUMNS, WIDTH)).astype(np.float16)
    hidden = RNG.normal(0, 2, (end - first, WIDTH)).astype(np.float32)
    file = b"KLDREC\r\n" + struct.pack("<II", 1, 0)
    file += frame(1, opening) + frame(2, save({"head.weight": head}, {"type": "F16"}))
    file += frame(3, save({"hidden": hidden}, {"window": "0"}))
    (HERE / "python.kldrec").write_bytes(file)
    logits = hidden.astype(float) @ head.astype(float).T * 0.5
    logits = 3 * np.tanh(logits / 3)
    return {"tokens": TOKENS, "rows": [first, end], "logits": logits.round(6).tolist()}


def llama_cpp():
    """Two windows of 24 tokens; log-probs that reach deeper than 16 nats below the top."""
    windows = np.array([TOKENS, TOKENS[::-1]], np.int32)
    scored = range(CONTEXT // 2, CONTEXT - 1)
    rows = RNG.normal(0, 6, (2, len(scored), COLUMNS)).astype(np.float32)
    file = b"_logits_" + struct.pack("<Iii", CONTEXT, COLUMNS, 2) + windows.tobytes()
    stored = []
    for row in rows.reshape(-1, COLUMNS):
        top = row.max()
        low = max(row.min(), np.float32(top - 16))
        scale = np.float32((top - low) / 65535)
        steps = np.where(row > low, np.rint((row - low) / scale), 0).astype(np.uint16)
        lowest = np.float32(low - top - np.log(np.exp((row - top).astype(float)).sum()))
        file += struct.pack("<ff", scale, lowest) + steps.tobytes()
        stored.append(float(scale) * steps + float(lowest))
    (HERE / "llama-cpp.kld").write_bytes(file)
    stored = np.array(stored)
    mass = np.exp(stored).sum(-1)
    floor = (stored == stored.min(-1, keepdims=True)).mean()
    # The first window is the one whose logits Transformers computed.
    q = log_softmax(LOGITS[scored.start:scored.stop])
    first = kl(log_softmax(stored[:len(scored)]), q)
    return {"tokens": windows.tolist(), "share_at_floor": floor, "mass_mean": mass.mean(), "mass_max": mass.max(),
            "log_probs": stored.round(6).tolist(), "kl_of_first_window": first.tolist()}


def page():
    """The Python code of docs/recordings.md, as a module."""
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/recordings.md").read_text(), re.S)
    names = {}
    exec("\n".join(code), names)
    return names


def read_back(kld):
    names = page()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        spelled = json.loads((MODEL / "tokenizer.json").read_text())["model"]["vocab"]
        spelling = {i: token.replace("\u0120", " ").replace("\u010a", "\n") for token, i in spelled.items()}
        text = "".join(spelling[token] for token in TOKENS)
        (folder / "text.txt").write_text(text)
        record = [kld, "record", MODEL, "--text", folder / "text.txt", "--context", str(CONTEXT)]
        run = lambda *more: subprocess.run([*map(str, record), *map(str, more)], check=True, capture_output=True)

        run("-o", folder / "x.kldrec")
        (tokens, scored, logits), = names["windows"](folder / "x.kldrec")
        close(logits, LOGITS[scored[0]:scored[1]], tokens)
        run("-o", folder / "x.kld", "--format", "llama.cpp", "--protocol", "llama.cpp")
        (tokens, scored, log_probs), = names["llama_cpp"](folder / "x.kld")
        exact = log_softmax(LOGITS[scored[0]:scored[1]])
        close(log_probs, np.maximum(exact, exact.max(-1, keepdims=True) - 16), tokens, 3e-4)


def close(found, expected, tokens, tolerance=1e-4):
    assert list(tokens) == TOKENS, tokens
    difference = np.abs(found - expected).max()
    print(f"kld against Transformers: {difference:.1e}")
    assert found.shape == expected.shape and difference < tolerance, difference


if __name__ == "__main__":
    values = {"recording": recording(), "llama_cpp": llama_cpp()}
    (HERE / "values.json").write_text(json.dumps(values) + "\n")
    read_back(Path(sys.argv[1]).resolve())
