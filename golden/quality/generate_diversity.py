"""Golden values of diversity: NLTK, sacreBLEU, lexicalrichness, SciPy and zstandard on passages of a novel.

    pip install numpy scipy nltk sacrebleu lexicalrichness zstandard
    python golden/quality/generate_diversity.py

writes `diversity.json` beside this file. Texts are words of a to z with single spaces, so that there is one way only to cut them.
"""

import json
import logging
import math
import pathlib
import re
from collections import Counter

import numpy as np
import sacrebleu
import zstandard
from lexicalrichness import LexicalRichness
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from scipy import stats

logging.disable(logging.WARNING)
HERE = pathlib.Path(__file__).parent
NOVEL = HERE.parent.parent / "data" / "austen-persuasion.txt"


def grams(words, n):
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def of_expected(body, both, n):
    total = [g for words in body for g in grams(words, n)]
    known = len({g for words in both for g in grams(words, n)})
    return len(set(total)) / (known * (1 - ((known - 1) / known) ** len(total)))


def self_bleu(body):
    scores = []
    for i, words in enumerate(body):
        others = body[:i] + body[i + 1 :]
        by_nltk = sentence_bleu(others, words, smoothing_function=SmoothingFunction().method1)
        by_sacrebleu = sacrebleu.sentence_bleu(
            " ".join(words), [" ".join(o) for o in others], smooth_method="floor", smooth_value=0.1, tokenize="none", use_effective_order=False)
        if len(words) >= 4 and len(set(words) & {w for o in others for w in o}):
            assert math.isclose(by_nltk, by_sacrebleu.score / 100, rel_tol=1e-9), (by_nltk, by_sacrebleu)
        scores.append(by_nltk)
    return float(np.mean(scores))


def measures(body, both):
    words = [w for text in body for w in text]
    counts = Counter(words)
    frequencies = np.array(list(counts.values()))
    entropy = float(stats.entropy(frequencies))
    rich = LexicalRichness(" ".join(words), preprocessor=None, tokenizer=str.split)
    ranked = np.sort(frequencies)[::-1][:5000]
    text = "\n".join(" ".join(t) for t in body).encode()
    rep = lambda n: float(np.mean([1 - len(set(g)) / len(g) for t in body if (g := grams(t, n))]))
    shared = []
    for i, t in enumerate(body):
        others = {g for j, o in enumerate(body) if j != i for g in grams(o, 4)}
        if g := grams(t, 4):
            shared.append(np.mean([x in others for x in g]))
    return {
        **{f"distinct{n}": len({g for t in body for g in grams(t, n)}) / sum(len(grams(t, n)) for t in body) for n in (1, 2, 3)},
        **{f"expected_distinct{n}": of_expected(body, both, n) for n in (1, 2, 3)},
        "entropy": entropy,
        "entropy_corrected": entropy + (len(counts) - 1) / (2 * len(words)),
        "mattr": rich.mattr(window_size=100),
        "hd_d": rich.hdd(draws=42),
        "self_bleu": self_bleu(body),
        **{f"rep{n}": rep(n) for n in (2, 3, 4)},
        "shared4": float(np.mean(shared)),
        "zipf": -float(stats.linregress(np.log(np.arange(1, len(ranked) + 1)), np.log(ranked)).slope),
        "compression_ratio": len(text) / len(zstandard.ZstdCompressor(level=3).compress(text)),
    }


words = re.findall("[a-z]+", NOVEL.read_text().lower())
passages = [words[s : s + length] for s, length in zip(range(500, 20_500, 500), [30, 25, 40, 3, 55, 30, 41, 29] * 5)]
# Texts that repeat: each says a part of itself twice, and every third begins with the same words.
repetitive = [(passages[0][:8] if i % 3 == 0 else []) + here[:22] + here[6:16] for i, here in enumerate(passages)]
bodies = {"human": passages, "machine": repetitive}
both = passages + repetitive
first = [round(20 + 300 * ((i * 7919) % 101) / 101, 3) for i in range(40)]
second = [round(15 + 200 * ((i * 104729) % 97) / 97, 3) for i in range(29)] + first[:4]
at = [5, 25, 50, 75, 95]
golden = {
    "perplexities": {
        "reference": first,
        "candidate": second,
        "overlap": 1 - float(stats.ks_2samp(first, second).statistic),
        "candidate_higher": float(stats.mannwhitneyu(second, first).statistic) / len(first) / len(second),
        "quantiles": [np.percentile(side, at).tolist() for side in (first, second)],
    },
    "texts": {name: [" ".join(t) for t in body] for name, body in bodies.items()},
    "measures": {name: measures(body, both) for name, body in bodies.items()},
}
(HERE / "diversity.json").write_text(json.dumps(golden, indent=1) + "\n")
print(json.dumps(golden["measures"], indent=1))
