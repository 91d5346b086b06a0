"""What recordings cost and save: bytes per row, time of a comparison, what lossy ones lose, what compression would save.

    pip install numpy zstandard
    python bench/recordings.py target/release/kld P.gguf Q.gguf TEXT.txt [WINDOWS] [THREADS]

Checks first that the comparison against the recording has the bits of the live one, and fails where it has not. Times are CPU seconds
of whole processes, the least of three runs taken in turns, so that a busy machine disturbs them little. Formats of hundreds of
kilobytes a row are written of the first 8 windows only: all their rows have the same size. The last table projects to other models,
whose vocabulary and width it names.
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
FEW = 8
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
        live = ["compare", p, q, "--text", text, *CUT, "--max-windows", windows]
        replay = ["compare", "p.kldrec", q]
        assert numbers(bench.result(*live)) == numbers(bench.result(*replay)), "the recording does not have the bits of the model"
        print("the comparison with the recording has the bits of the live one")
        sizes(bench, p, text, windows)
        times(bench, live, replay, ["score", q, "--text", text, *CUT, "--max-windows", windows], ["score", "p.kldrec"])
        losses(bench, p, q, text)
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


def sizes(bench, p, text, windows):
    print(f"\n| kept of {p.stem}, {windows} windows | a row | once: head, and text, tokens, tokenizer | all |\n|---|---|---|---|")
    whole = bench.info("p.kldrec")
    rows = whole["rows"]
    kinds = [("hidden", []), ("hidden, head referenced", ["--head", "referenced"]), ("logits", ["--keep", "logits"])]
    kinds += [(f"top-k:{k}", ["--keep", f"top-k:{k}"]) for k in (16, 128, 1024)]
    for name, how in kinds:
        bench.record(p, text, FEW, "few.kldrec", *how)
        info = bench.info("few.kldrec")
        a_row, head, opening = info["bytes_rows"] / info["rows"], info["bytes_head"], whole["bytes_opening"]
        every = a_row * rows + head + opening
        print(f"| {name} | {a_row:,.0f} B | {head / 1e6:.1f} MB, {opening / 1e6:.1f} MB | {every / 1e6:,.1f} MB |")
        if name == "hidden":
            assert abs(every / whole["bytes"] - 1) < 1e-3, (every, whole["bytes"])
        os.remove("few.kldrec")
    bench.record(p, text, FEW, "few.kld", "--format", "llama.cpp")
    tokens = 512 * FEW
    a_row = (os.path.getsize("few.kld") - 20 - 4 * tokens) / (FEW * rows / windows)
    print(f"| --format llama.cpp | {a_row:,.0f} B | 0 MB, {4 * 512 * windows / 1e6:.1f} MB | {a_row * rows / 1e6:,.1f} MB |")


def times(bench, live, replay, own_pass, head):
    runs = {"compare P Q": live, "compare P.kldrec Q": replay, "score Q": own_pass, "score P.kldrec": head}
    spent = {name: [] for name in runs}
    for _ in range(3):
        for name, arguments in runs.items():
            spent[name].append(bench.run(*arguments))
    least = {name: min(seconds) for name, seconds in spent.items()}
    print("\n| | CPU-s, least of " + " |\n|---|---|\n| ".join(["three |"[:-2]] + [f"`{n}` | {s:.1f}" for n, s in least.items()]) + " |")
    ratio = least["compare P.kldrec Q"] / (least["score Q"] + least["score P.kldrec"])
    print(f"against the recording: {ratio:.3f} of Q's own pass and P's head; {least['compare P.kldrec Q'] / least['compare P Q']:.3f} of the live comparison")


def losses(bench, p, q, text):
    print(f"\n| kept of P, {FEW} windows | KL of P from what is given back | KL(P‖Q) | and its relative error |\n|---|---|---|---|")
    mean = lambda estimate: estimate["value"]
    bench.record(p, text, FEW, "few.kldrec")
    exact = mean(bench.result("compare", "few.kldrec", q)["candidates"][0]["kl"]["mean"])
    print(f"| hidden | 0 | {exact:.5f} | 0 |")
    for k in (16, 128, 1024, 8192):
        bench.record(p, text, FEW, f"{k}.kldrec", "--keep", f"top-k:{k}")
        result = bench.result("compare", f"{k}.kldrec", q)
        loss, kl = mean(result["reference"]["recorded"]["loss"]["kl"]), mean(result["candidates"][0]["kl"]["mean"])
        print(f"| top-k:{k} | {loss:.5f} | {kl:.5f} | {kl / exact - 1:+.1%} |")
    bench.record(p, text, FEW, "few.kld", "--format", "llama.cpp")
    result = bench.result("compare", "few.kld", q)
    floor, kl = result["reference"]["recorded"]["floor"], mean(result["candidates"][0]["kl"]["mean"])
    note = f"{floor['share_at_floor']:.1%} of entries at the floor; rows sum to {floor['mass_mean']:.4f} on average, {floor['mass_max']:.4f} at most"
    print(f"| --format llama.cpp | {note} | {kl:.5f} | {kl / exact - 1:+.2%} |")


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
