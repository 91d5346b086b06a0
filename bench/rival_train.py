"""Distillation beside PyTorch: tokens per second with two threads, and the memory of the loss.

    pip install torch transformers
    cargo build --release --workspace --bins --examples
    python bench/rival_train.py [STEPS]

Both sides draw the same fresh Llama of 1.05 M parameters (width 128, 4 layers, vocabulary 2,048) towards the same teacher of 3.67 M
(width 256) by forward KL with AdamW, 16 windows of 256 tokens a step, in f32. First the KL before the first step must agree, then the
time of the steps is compared. Memory: one window of 1,024 tokens, forward and back, at a vocabulary of 49,152; KL and the norm of the
gradient must agree first. PyTorch runs Transformers' Llama with its default attention.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).parent.parent
TEXT = ROOT / "data/austen-persuasion.txt"
TOKENIZER = ROOT / "assets/austen/tokenizer.json"
PROGRAMS = ROOT / "target/release"
THREADS, BATCH, CONTEXT = 2, 16, 256


def model(folder, width, vocabulary, layers=4):
    config = LlamaConfig(vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
                         num_attention_heads=width // 64, num_key_value_heads=width // 128, head_dim=64,
                         max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=None, eos_token_id=0)
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(TOKENIZER.read_text())
    return model


def loss(student, teacher, tokens):
    with torch.no_grad():
        p = torch.log_softmax(teacher(tokens).logits[:, :-1], -1)
    q = torch.log_softmax(student(tokens).logits[:, :-1], -1)
    return torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum") / p.shape[:-1].numel()


def train(student, teacher, windows, steps):
    """KL before the first step, and tokens per second from the second on."""
    rule = torch.optim.AdamW(student.parameters(), lr=1e-3, weight_decay=0.0)
    first = None
    for step in range(steps + 1):
        at = step * BATCH % (len(windows) - BATCH)
        value = loss(student, teacher, windows[at:at + BATCH])
        rule.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        rule.step()
        if step == 0:
            first, begun = value.item(), time.perf_counter()
    return first, steps * BATCH * (CONTEXT - 1) / (time.perf_counter() - begun)


def kld(folder, text, steps):
    """The same by `kld train`, its evaluations aside."""
    command = [PROGRAMS / "kld", "train", folder / "teacher", "--student", folder / "student", "--text", text, "--run", folder / "run",
               "--context", CONTEXT, "--batch", BATCH, "--steps", steps + 1, "--evaluate-every", steps + 1, "--schedule", "constant",
               "--warmup", 0, "--held-out-text", folder / "held-out.txt", "--evaluation-windows", BATCH, "--threads", THREADS]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    seconds = sum(BATCH * (CONTEXT - 1) / line["tokens_per_s"] for line in lines if line.get("tokens_per_s") and line["step"] > 1)
    first = next(line["evaluation"]["held_out"]["value"] for line in lines if "evaluation" in line)
    return first, steps * BATCH * (CONTEXT - 1) / seconds


def resident(name):
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(name)))


def memory(folder, text):
    vocabulary, length = 49_152, 1024
    student, teacher = (model(folder / name, 256, vocabulary, layers=2) for name in ("wide-student", "wide-teacher"))
    tokens = Tokenizer.from_file(str(TOKENIZER)).encode(text).ids[:length]
    (folder / "tokens").write_text(" ".join(map(str, tokens)))
    told = subprocess.run([PROGRAMS / "examples/loss_memory", folder / "wide-student", folder / "wide-teacher", folder / "tokens"],
                          check=True, capture_output=True, text=True).stdout.split()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    value = loss(student, teacher, torch.tensor([tokens]))
    value.backward()
    peak = resident("VmHWM")
    norm = torch.nn.utils.clip_grad_norm_(student.parameters(), 1e9).item()
    agree("KL of a window", float(told[0]), value.item())
    agree("norm of the gradient", float(told[1]), norm)
    print(f"memory of a window of {length} at V = {vocabulary}: kld {int(told[2]) / 1e6:.0f} MB, PyTorch {(peak - before) / 1e6:.0f} MB: "
          f"{int(told[2]) / (peak - before):.3f}")


def agree(what, ours, theirs):
    # PyTorch sums f32 logarithms of tens of thousands of small probabilities.
    assert abs(ours - theirs) <= 1e-3 * abs(theirs), f"{what}: {ours} and {theirs}"
    print(f"{what}: kld {ours:.6f}, PyTorch {theirs:.6f}")


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    torch.manual_seed(1)
    torch.set_num_threads(THREADS)
    text = TEXT.read_text()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        memory(folder, text)
        student, teacher = model(folder / "student", 128, 2048), model(folder / "teacher", 256, 2048).eval()
        ids = Tokenizer.from_file(str(TOKENIZER)).encode(text).ids
        # The last token of a window is the first of the next, so that each is predicted once.
        windows = torch.tensor(ids).unfold(0, CONTEXT, CONTEXT - 1)
        (folder / "held-out.txt").write_text(text[:CONTEXT * BATCH * 8])
        first, theirs = train(student, teacher, windows, steps)
        ours_first, ours = kld(folder, TEXT, steps)
        agree("KL before the first step", ours_first, first)
        print(f"{steps} steps: kld {ours:.0f} tokens/s, PyTorch {torch.__version__} {theirs:.0f} tokens/s: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
