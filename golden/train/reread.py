"""Is what `kld train` exports the same model to Transformers? It loads every folder and gives the same logits.

    pip install torch transformers safetensors numpy
    cargo build --release --workspace --bins
    python golden/train/reread.py target/release/kld

Trains tiny students of several families for a few steps, and one that begins with nothing but text, exports them as f32, f16 and
bf16, and compares the logits of Transformers with those that `kld record` keeps, read with the code of `docs/recordings.md`; those of the
bundled models, too, which `kld train` made.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

ROOT = Path(__file__).parent.parent.parent
MODELS = ROOT / "golden/models"
CONTEXT = 24
STUDENTS = {
    "llama": [MODELS / "llama-scaled", "--student", MODELS / "llama"],
    "shortened": [MODELS / "qwen3", "--layers", 1],
    "qwen2": ["--text-only", "--student", MODELS / "qwen2"],
    "mistral": ["--text-only", "--student", MODELS / "mistral"],
    "gpt2": ["--text-only", "--student", MODELS / "gpt2"],
    "new": ["--text-only", "--new", "config.json", "--new-tokenizer"],
}


def page():
    """The Python code of docs/recordings.md, as a module."""
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/recordings.md").read_text(), re.S)
    names = {}
    exec("\n".join(code), names)
    return names


def windows(path):
    """Tokens, scored rows and logits of every window of a recording of logits."""
    (_, opening, _), *rest = page()["frames"](path)
    ends = np.cumsum(opening["windows"][:, 1])
    for (_, length, _, first, end), at, (_, rows, _) in zip(opening["windows"], ends, rest):
        yield opening["tokens"][at - length:at], first, end, rows["logits"]


def runner(kld, folder):
    return lambda *words: subprocess.run([kld, *map(str, words)], check=True, capture_output=True, cwd=folder)


def train(run, name, float_name, folder):
    run("train", *STUDENTS[name], "--text", "text.txt", "--context", CONTEXT, "--steps", 3, "--warmup", 0, "--batch", 2, "--seed", 1,
        "--dtype", float_name, "--run", f"{name}-{float_name}")
    return folder / f"{name}-{float_name}/model"


def check(run, what, float_name, exported, folder):
    run("record", exported, "--text", "text.txt", "--context", CONTEXT, "--score", "all", "--max-windows", 4, "--keep", "logits",
        "-o", "x.kldrec")
    model = AutoModelForCausalLM.from_pretrained(exported, dtype="auto", attn_implementation="eager").eval()
    assert str(model.dtype) == {"f32": "torch.float32", "f16": "torch.float16", "bf16": "torch.bfloat16"}[float_name]
    # The weights as they are in the file; what is computed from them in f32, as kld does.
    model = model.float()
    GenerationConfig.from_pretrained(exported)
    farthest = largest = 0.0
    for tokens, first, end, logits in windows(folder / "x.kldrec"):
        with torch.no_grad():
            expected = model(torch.tensor(tokens.astype(np.int64))[None]).logits[0, first:end].numpy()
        farthest = max(farthest, np.abs(logits - expected).max())
        largest = max(largest, np.abs(expected).max())
    (folder / "x.kldrec").unlink()
    print(f"{what} as {float_name}: kld against Transformers {farthest:.1e}, of logits up to {largest:.1f}")
    assert farthest < 1e-5 * largest


def main():
    kld = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        text = (ROOT / "data/austen-persuasion.txt").read_text()[:3000]
        # The tiny tokenizers know no more.
        (folder / "text.txt").write_text("".join(c for c in text if c == "\n" or " " <= c <= "}"))
        config = json.loads((MODELS / "llama/config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 300}))
        run = runner(kld, folder)
        for bundled in ["austen", "austen-small"]:
            check(run, bundled, "f16", ROOT / "assets" / bundled, folder)
        for name in STUDENTS:
            for float_name in ["f32", "f16", "bf16"]:
                exported = train(run, name, float_name, folder)
                check(run, name, float_name, exported, folder)
        # The last one's tokenizer was made by kld.
        tokenizer = AutoTokenizer.from_pretrained(exported)
        assert tokenizer.decode(tokenizer("Anne Elliot, with all her claims")["input_ids"]) == "Anne Elliot, with all her claims"


if __name__ == "__main__":
    main()
