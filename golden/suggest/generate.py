"""Golden values of `kld suggest`: modified Kneser-Ney in exact fractions from its definition, mixture weights by SciPy.

    pip install numpy scipy
    python golden/suggest/generate.py

writes `kneser_ney.json` and `mixture.json` beside this file.
"""

import json
import pathlib
import random
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import scipy.optimize

HERE = pathlib.Path(__file__).parent
START = 0


# --- modified Kneser-Ney: Chen and Goodman (1998), section 3; Heafield and others (2013), section 3 --------------------


def documents(stream):
    found = []
    for symbol in stream:
        if symbol == START:
            found.append([])
        found[-1].append(symbol)
    return found


class KneserNey:
    def __init__(self, stream, order, first_event, base):
        self.order, self.first_event, self.base = order, first_event, base
        raw, before = Counter(), defaultdict(set)
        for document in documents(stream):
            for end in range(1, len(document) + 1):
                for length in range(1, min(order, end) + 1):
                    gram = tuple(document[end - length:end])
                    raw[gram] += 1
                    if end > length:
                        before[gram].add(document[end - length - 1])
        self.adjusted = {
            gram: count if len(gram) == order or gram[0] == START else len(before[gram])
            for gram, count in raw.items()
            if gram[-1] >= first_event
        }
        self.discounts = [self.discounts_of(length) for length in range(1, order + 1)]
        self.followers = defaultdict(dict)
        for gram, count in self.adjusted.items():
            self.followers[gram[:-1]][gram[-1]] = count

    def discounts_of(self, length):
        n = Counter(count for gram, count in self.adjusted.items() if len(gram) == length)
        if n[1] and n[2] and n[3]:
            y = Fraction(n[1], n[1] + 2 * n[2])
            found = [i - (i + 1) * y * Fraction(n[i + 1], n[i]) for i in (1, 2, 3)]
            if all(0 < d <= i for i, d in zip((1, 2, 3), found)):
                return found
        return [Fraction(1, 2), Fraction(1), Fraction(3, 2)]

    def discount(self, length, count):
        return self.discounts[length - 1][min(count, 3) - 1]

    def probability(self, history, symbol):
        history = tuple(history)[max(0, len(history) - self.order + 1):]
        shorter = self.base if not history else None
        followers = self.followers.get(history, {})
        below = shorter if shorter is not None else self.probability(history[1:], symbol)
        if not followers:
            return below
        length, total = len(history) + 1, sum(followers.values())
        kept = sum(self.discount(length, count) for count in followers.values())
        count = followers.get(symbol, 0)
        seen = count - self.discount(length, count) if count else 0
        return (seen + kept * below) / total


def kneser_ney_cases():
    rng = random.Random(20261125)
    # Words are as frequent as in language (Zipf), and each likes to follow some others.
    weights = [1 / (rank + 1) for rank in range(60)]

    def text(words, marks, first_event):
        stream = []
        for _ in range(words):
            if not stream or rng.random() < 0.05:
                stream.append(START)
            if rng.random() < marks:
                stream.append(rng.randrange(1, first_event))
            word = rng.choices(range(60), weights)[0]
            if rng.random() < 0.4:
                word = (stream[-1] * 7 + 3) % 60
            stream.append(first_event + word)
        return stream

    yield "a tiny text", [0, 2, 3, 2, 4, 0, 2, 3], 3, 2, 5
    yield "a text", text(3000, 0.0, 1), 5, 1, 61
    yield "a text with marks", text(3000, 0.15, 4), 4, 4, 64
    yield "pairs", text(400, 0.1, 3), 2, 3, 63
    yield "single words", text(400, 0.1, 3), 1, 3, 63


def kneser_ney():
    rng = random.Random(7)
    cases = []
    for name, stream, order, first_event, symbols in kneser_ney_cases():
        base = Fraction(1, symbols - first_event + 1)
        model = KneserNey(stream, order, first_event, base)
        histories = [[], [START]]
        for _ in range(20):
            end = rng.randrange(1, len(stream))
            begin = max(0, end - order, max(i for i in range(end) if stream[i] == START))
            histories.append(stream[begin:end])
        histories += [[rng.randrange(symbols) for _ in range(order)] for _ in range(10)]
        queries = []
        for history in histories:
            # `symbols` itself stands for one that the text does not have.
            every = {s: model.probability(history, s) for s in range(first_event, symbols + 1)}
            assert sum(every.values()) == 1, name
            for symbol in rng.sample(sorted(every), min(6, len(every))):
                queries.append([history, symbol, float(every[symbol])])
        cases.append({
            "name": name, "stream": stream, "order": order, "first_event": first_event, "symbols": symbols,
            "discounts": [[float(d) for d in of] for of in model.discounts], "queries": queries,
        })
    return cases


# --- weights of a mixture ----------------------------------------------------------------------------------------------


def mixture():
    """The minimum of the cross-entropy over the simplex, by SciPy, with one more position that only the base knows."""
    rng = np.random.default_rng(3)
    cases = []
    for parts in (2, 3, 4):
        positions = rng.gamma(0.3, size=(300, parts))
        positions[rng.random(size=positions.shape) < 0.4] = 0
        positions[:, 0] = rng.gamma(0.5, size=300) * 0.1 + 1e-6
        with_one_more = np.vstack([positions, np.eye(parts)[0]])
        found = scipy.optimize.minimize(
            lambda w: -np.log(with_one_more @ w).mean(),
            np.full(parts, 1 / parts),
            jac=lambda w: -(with_one_more / (with_one_more @ w)[:, None]).mean(axis=0),
            bounds=[(1e-12, 1)] * parts,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(parts)},
            method="SLSQP", options={"ftol": 1e-15, "maxiter": 1000},
        )
        assert found.success, found
        cases.append({"positions": positions.tolist(), "weights": found.x.tolist(), "nll_mean": found.fun})
    return cases


def write(name, values):
    (HERE / name).write_text(json.dumps(values) + "\n")


write("kneser_ney.json", kneser_ney())
write("mixture.json", mixture())
