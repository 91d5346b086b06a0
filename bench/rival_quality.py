"""MAUVE beside mauve-text, self-BLEU beside the NLTK loop: first that they agree, then their times.

    pip install numpy mauve-text nltk
    cargo build --release --workspace --examples
    python bench/rival_quality.py target/release/examples/quality_speed [--rows 5000] [--width 768] [--seeds 5] [--texts 300] [--kind topics]

Features are given: 5,000 rows of 768 on each side, about 100 topics, some of which the candidate prefers; with `--kind flat` noise alone,
with `--kind steep` noise whose coordinates fall in size as 1, 1/2, 1/3 …, both shifted a little on the candidate's side. One time is one call with five starts of
k-means and a bucket for ten rows (500), on all cores; the fastest of `--seeds` calls counts.
"""

import argparse
import pathlib
import subprocess
import tempfile
import time

import mauve
import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

NOVEL = pathlib.Path(__file__).parent.parent / "data" / "austen-persuasion.txt"


def features(rows, width, kind):
    rng = np.random.default_rng(0)
    if kind != "topics":
        scale = np.ones(width) if kind == "flat" else 1 / np.arange(1, width + 1)
        p, q = (rng.standard_normal((2, rows, width)) * scale).astype(np.float32)
        return p, q + (0.2 * scale).astype(np.float32)
    topics = rng.standard_normal((100, width), np.float32)
    noise = lambda: 1.5 * rng.standard_normal((rows, width), np.float32) * np.linspace(2, 0.2, width, dtype=np.float32)
    p = topics[(rng.random(rows) * 100).astype(int)] + noise()
    q = topics[(rng.random(rows) ** 2 * 100).astype(int)] + noise()
    return p, q


def run(*arguments):
    lines = subprocess.run(list(map(str, arguments)), check=True, capture_output=True, text=True).stdout.splitlines()
    return np.array([line.split() for line in lines], float).T


def compare_mauve(program, rows, width, seeds, kind):
    p, q = features(rows, width, kind)
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("p.f32", "q.f32")]
        for path, values in zip(paths, (p, q)):
            values.astype("<f4").tofile(path)
        seconds, score, integral = run(program, "mauve", *paths, width, seeds)
    theirs = []
    for seed in range(seeds):
        started = time.perf_counter()
        result = mauve.compute_mauve(p_features=p, q_features=q, seed=seed)
        theirs.append((time.perf_counter() - started, result.mauve, result.frontier_integral))
    their_seconds, their_score, their_integral = np.array(theirs).T
    for name, a, b in [("MAUVE", score, their_score), ("frontier integral", integral, their_integral)]:
        spread = b.std(ddof=1)
        print(f"{name}: kld {a.mean():.5f}, mauve-text {b.mean():.5f} ± {spread:.5f} from seed to seed")
        # The difference of two means of so many seeds, each with that spread: within three of its errors.
        assert abs(a.mean() - b.mean()) < 3 * spread * (2 / seeds) ** 0.5, "they do not agree"
    print(f"seconds, fastest of {seeds}: kld {seconds.min():.3f}, mauve-text {their_seconds.min():.3f}: {their_seconds.min() / seconds.min():.1f} x")


def compare_bleu(program, count):
    words = "".join(c if c.isalpha() else " " for c in NOVEL.read_text().lower() if c.isascii()).split()
    texts = [words[i * 80 : i * 80 + 80] for i in range(count)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(" ".join(text) for text in texts))
        file.flush()
        seconds, ours = run(program, "self-bleu", file.name)
    smoothing = SmoothingFunction().method1
    started = time.perf_counter()
    scores = [sentence_bleu(texts[:i] + texts[i + 1 :], text, smoothing_function=smoothing) for i, text in enumerate(texts)]
    theirs = time.perf_counter() - started
    assert abs(ours[0] - np.mean(scores)) < 1e-9, (ours, np.mean(scores))
    print(f"self-BLEU of {count} texts of 80 words: both {ours[0]:.6f}; seconds: kld {seconds[0]:.4f}, NLTK {theirs:.2f}: {theirs / seconds[0]:.0f} x")


arguments = argparse.ArgumentParser()
arguments.add_argument("program")
for name, default in [("rows", 5000), ("width", 768), ("seeds", 5), ("texts", 300)]:
    arguments.add_argument(f"--{name}", type=int, default=default)
arguments.add_argument("--kind", choices=["topics", "flat", "steep"], default="topics")
a = arguments.parse_args()
compare_mauve(a.program, a.rows, a.width, a.seeds, a.kind)
compare_bleu(a.program, a.texts)
