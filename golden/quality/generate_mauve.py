"""Golden values of MAUVE: the Python package mauve-text on features that a formula makes.

    pip install numpy mauve-text
    python golden/quality/generate_mauve.py

writes `mauve.json` beside this file. Every case has the parameters of its features (the test makes the same bits from them), the scores of 20
seeds, and the histograms of the first seed with what belongs to them.
"""

import json
import pathlib

import mauve
import numpy as np

HERE = pathlib.Path(__file__).parent
SCORES = ["mauve", "frontier_integral", "mauve_star", "frontier_integral_star"]
SEEDS = 20


def uniform(stream, count):
    """Numbers in [0, 1) by SplitMix64, in steps of 2⁻²⁴: exact in 32 bits."""
    with np.errstate(over="ignore"):
        z = (np.uint64(stream) << np.uint64(32)) + np.arange(1, count + 1, dtype=np.uint64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(2**24)


def features(stream, rows, width, topics, skew):
    """Rows about topics; the higher the skew, the more of them are about the first topics."""
    centres = uniform(1, topics * width).reshape(topics, width) - np.float32(0.5)
    place = uniform(stream, rows)
    share = place.copy()
    for _ in range(skew):
        share *= place
    topic = (share * np.float32(topics)).astype(int)
    noise = uniform(stream + 1, rows * width).reshape(rows, width) - np.float32(0.5)
    return centres[topic] + noise


def case(name, rows, width, topics, skew, buckets="auto"):
    p = features(10, rows[0], width, topics, 0)
    q = features(20, rows[1], width, topics, skew)
    runs = [mauve.compute_mauve(p_features=p, q_features=q, num_buckets=buckets, seed=seed) for seed in range(SEEDS)]
    first = runs[0]
    return {
        "name": name,
        "rows": rows,
        "width": width,
        "topics": topics,
        "skew": skew,
        "buckets": first.num_buckets,
        "given_buckets": None if buckets == "auto" else buckets,
        "scores": {score: [float(getattr(run, score)) for run in runs] for score in SCORES},
        "first": {
            "reference": np.rint(first.p_hist * rows[0]).astype(int).tolist(),
            "candidate": np.rint(first.q_hist * rows[1]).astype(int).tolist(),
            "curve": first.divergence_curve.tolist(),
        },
    }


cases = [
    case("the same topics", [600, 600], 24, 30, 0),
    case("other topics are preferred", [600, 600], 24, 30, 1),
    case("a smaller candidate", [500, 240], 40, 12, 2),
    case("few buckets", [300, 300], 16, 40, 3, buckets=8),
]
(HERE / "mauve.json").write_text(json.dumps(cases, indent=1) + "\n")
for c in cases:
    print(c["name"], {k: (round(float(np.mean(v)), 4), round(float(np.std(v)), 4)) for k, v in c["scores"].items()})
