"""What recordings cost and save: bytes per row, time of a comparison, what lossy ones lose, what compression would save.

    pip install numpy zstandard
    python bench/recordings.py target/release/kld P.gguf Q.gguf TEXT.txt [WINDOWS] [THREADS]

Checks first that the comparison against the recording has the bits of the live one, and fails where it has not. Times are CPU seconds
of whole processes, the least of two runs taken in turns, so that a busy machine disturbs them little. The ways of keeping are compared
on the first 4 windows: a row takes the same in all. The last table projects to other models by their vocabulary and width. Windows are
of 512 tokens, their second half is scored.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zstandard

CUT = ["--protocol", "llama.cpp"]
FEW, TIMED, ROUNDS = 4, 8, 2
MODELS = [  # name, vocabulary, width, bytes of a value of the head
    ("SmolLM2-135M", 49_152, 576, 2),
    ("Qwen2.5-0.5B", 151_936, 896, 2),
    ("Qwen2.5-7B", 152_064, 3_584, 2),
]


def main():
    kld, p, q, text = (Path(argument).resolve() for argument in sys.argv[1:5])
    windows, threads = (int(v) for v in (sys.argv[5:7] + ["64", "2"][len(sys.argv) - 5:])[:2])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        bench = Bench(kld, threads)
        bench.record(p, text, windows, "p.kldrec")
        live = bench.result("compare", p, q, "--text", text, *CUT, "--max-windows", windows)
        replayed = bench.result("compare", "p.kldrec", q)
        assert numbers(live) == numbers(replayed), "the recording does not have the bits of the model"
        print("the comparison with the recording has the bits of the live one")
        times(bench, p, q, text)
        sizes(bench, p, q, text, windows)
        compression(Path("p.kldrec"))
    projection()


class Bench:
    """Runs the program."""

    def __init__(self, kld, threads):
        self.kld, self.threads = kld, ["--threads", threads]

    def run(self, *arguments):
        """CPU seconds of the run."""
        before = os.times()
        subprocess.run(list(map(str, [self.kld, *arguments, *self.threads])), check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    def result(self, *arguments):
        self.run(*arguments, "--json", "result.json")
        return json.loads(Path("result.json").read_text())

    def record(self, model, text, windows, file, *how):
        self.run("record", model, "--text", text, *CUT, "--max-windows", windows, "-o", file, *how)

    def info(self, file):
        output = subprocess.run([self.kld, "info", file, "--json", "-"], check=True, capture_output=True)
        return json.loads(output.stdout)


def numbers(result):
    """A result, but for how it came to be and how its models are called."""
    result = {key: value for key, value in result.items() if key != "run"}
    for card in [result["reference"], *(candidate["model"] for candidate in result["candidates"])]:
        card.pop("name")
        card.pop("recorded", None)
    return result


def sizes(bench, p, q, text, windows):
    """What every way of keeping takes, and what it does to KL(P‖Q)."""
    whole = bench.info("p.kldrec")
    rows, shared = whole["rows"], whole["bytes_opening"]
    print(f"\n| kept of P | a row | head | {windows} windows, {rows:,} rows | KL(P‖Q) of {FEW} windows | measured loss |\n|---|---|---|---|---|---|")
    kinds = [["hidden"], ["hidden", "--head", "referenced"], ["logits"], *([f"top-k:{k}"] for k in (128, 1024, 8192))]
    exact = None
    for kind in kinds:
        bench.record(p, text, FEW, "few.kldrec", "--keep", *kind)
        info, result = bench.info("few.kldrec"), bench.result("compare", "few.kldrec", q)
        a_row, head = info["bytes_rows"] / info["rows"], info["bytes_head"]
        exact = exact or mean_kl(result)
        loss = result["reference"]["recorded"]["loss"]
        lost = f"KL {loss['kl']['value']:.5f} nats" if loss else "none"
        line(" ".join(kind), a_row, head, a_row * rows + head + shared, result, exact, lost)
        os.remove("few.kldrec")
    bench.record(p, text, FEW, "few.kld", "--format", "llama.cpp")
    result = bench.result("compare", "few.kld", q)
    floor = result["reference"]["recorded"]["floor"]
    lost = f"{floor['share_at_floor']:.1%} of entries at the floor, rows sum to {floor['mass_mean']:.5f}, at most {floor['mass_max']:.5f}"
    tokens = 20 + 4 * 512 * FEW
    a_row = (os.path.getsize("few.kld") - tokens) / (rows / windows * FEW)
    line("--format llama.cpp", a_row, 0, a_row * rows + tokens, result, exact, lost)
    os.remove("few.kld")


def line(name, a_row, head, every, result, exact, lost):
    kl = mean_kl(result)
    print(f"| `{name}` | {a_row:,.0f} B | {head / 1e6:.1f} MB | {every / 1e6:,.1f} MB | {kl:.6f} ({kl / exact - 1:+.2%}) | {lost} |")


def mean_kl(result):
    return result["candidates"][0]["kl"]["mean"]["value"]


def times(bench, p, q, text):
    """CPU seconds of whole processes on some windows; each is given the text, so that each tokenizes it."""
    cut = ["--text", text, *CUT, "--max-windows", TIMED]
    runs = {
        "compare P Q": ["compare", p, q],
        "compare P.kldrec Q": ["compare", "p.kldrec", q],
        "score Q": ["score", q],
        "score P.kldrec": ["score", "p.kldrec"],
    }
    spent = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            spent[name].append(bench.run(*run, *cut))
    least = {name: min(seconds) for name, seconds in spent.items()}
    print(f"\n| {TIMED} windows | CPU-s |\n|---|---|")
    for name, seconds in least.items():
        print(f"| `kld {name}` | {seconds:.1f} |")
    replay = least["compare P.kldrec Q"]
    print(f"against the recording: {replay / (least['score Q'] + least['score P.kldrec']):.3f} of Q's pass and P's head, {replay / least['compare P Q']:.3f} of the live comparison")


def compression(path):
    """zstd of a recording's frames, as they are and with the bytes of each value's place put together."""
    data, at = path.read_bytes(), 16
    frames = {1: [], 2: [], 3: []}
    while at < len(data):
        kind, length = int.from_bytes(data[at:at + 4], "little"), int.from_bytes(data[at + 8:at + 16], "little")
        frames[kind].append(data[at + 48:at + 48 + length])
        at += 48 + length + -length % 8
    print("\n| | bytes | zstd -1 | zstd -1 after byte-shuffle | speed of that |\n|---|---|---|---|---|")
    for name, kind, width in [("manifest, text, tokenizer", 1, 1), ("head", 2, 2), ("hidden states", 3, 4)]:
        whole = sum(map(len, frames[kind]))
        plain, _ = compressed(frames[kind], 1)
        shuffled, seconds = compressed(frames[kind], width)
        print(f"| {name} | {whole:,} | {plain / whole:.1%} | {shuffled / whole:.1%} | {whole / seconds / 1e6:.0f} MB/s |")


def compressed(payloads, width):
    """Bytes after compression, and the seconds it took."""
    compressor = zstandard.ZstdCompressor(level=1)
    begun, total = time.process_time(), 0
    for payload in payloads:
        values = np.frombuffer(payload[:len(payload) // width * width], np.uint8).reshape(-1, width)
        total += len(compressor.compress(np.ascontiguousarray(values.T).tobytes())) + len(payload) % width
    return total, time.process_time() - begun


def projection():
    print("\n| model | vocabulary | width | a row: kld, llama.cpp | 64 windows, 16,320 rows | head, once | 1,000 windows, 255,000 rows |\n|---|---|---|---|---|---|---|")
    for name, vocabulary, width, size in MODELS:
        ours, theirs, head = 4 * width, 2 * (vocabulary + vocabulary % 2) + 8, vocabulary * width * size
        cells = [f"{(ours * rows + head) / 1e6:,.0f} MB, {theirs * rows / 1e9:,.1f} GB" for rows in (16_320, 255_000)]
        print(f"| {name} | {vocabulary:,} | {width:,} | {ours:,} B, {theirs:,} B ({theirs / ours:.0f}×) | {cells[0]} | {head / 1e6:,.0f} MB | {cells[1]} |")


if __name__ == "__main__":
    main()
