"""Golden values of `kld text`: counts by collections.Counter, divergences by SciPy, estimators written out with NumPy.

    pip install numpy scipy
    python golden/text/generate.py

writes `compare.json` beside this file: two bodies of documents and what is to be found of them. Infinity is the string "inf"; everything is
in nats.
"""

import collections
import json
import math
import pathlib

import numpy as np
import scipy.spatial.distance
import scipy.special
import scipy.stats

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20)

WORDS = "the of and to a in is it you that he was for on are with as I his they be at one have this 42 don't".split()


def body(documents, weights):
    p = weights / weights.sum()
    return [" ".join(rng.choice(WORDS, size=rng.integers(20, 60), p=p)) for _ in range(documents)]


def count(texts, n):
    counts = collections.Counter()
    for text in texts:
        words = text.lower().split()
        counts.update(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    return counts


def finite(x):
    return "inf" if x == math.inf else float(x)


def divergences(p, q):
    return {
        "kl": finite(scipy.stats.entropy(p, q)),
        "reverse_kl": finite(scipy.stats.entropy(q, p)),
        "js": float(scipy.spatial.distance.jensenshannon(p, q) ** 2),
    }


def smoothed(a, b, method):
    name, _, strength = method.partition(":")
    strength = float(strength or 0)
    p, q = a / a.sum(), b / b.sum()
    pool = (p + q) / 2
    if name == "laplace":
        return (a + strength) / (a + strength).sum(), (b + strength) / (b + strength).sum()
    if name == "krichevsky-trofimov":
        return smoothed(a, b, "laplace:0.5")
    if name == "jelinek-mercer":
        return (1 - strength) * p + strength * pool, (1 - strength) * q + strength * pool
    if name == "absolute":
        less = lambda c: np.maximum(c - strength, 0) / c.sum() + np.minimum(c, strength).sum() / c.sum() * pool
        return less(a), less(b)
    raise ValueError(method)


def miller_madow(a, b):
    n, m = a.sum(), b.sum()
    p, q = a / n, b / m
    entropy = lambda c: scipy.stats.entropy(c) + (np.count_nonzero(c) - 1) / (2 * c.sum())
    middle = (p + q) / 2
    mixture = scipy.stats.entropy(middle) + ((p * (1 - p) / n + q * (1 - q) / m) / (8 * middle)).sum()
    return mixture - (entropy(a) + entropy(b)) / 2


def zhang_grabchak(a, b):
    """As the two series of the paper, summed term by term."""
    n, m = int(a.sum()), int(b.sum())
    total = 0.0
    for x, y in zip(a.astype(int), b.astype(int)):
        if x == 0:
            continue
        product, cross = 1.0, 0.0
        for v in range(1, m - y + 1):
            product *= 1 - y / (m - v + 1)
            cross += product / v
        product, own = 1.0, 0.0
        for v in range(1, n - x + 1):
            product *= 1 - (x - 1) / (n - v)
            own += product / v
        total += x / n * (cross - own)
    return total


def parts(p, q):
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.where(p > 0, p * np.log(p / q), 0.0)
    return [float(part) for part in kl]


def case(a_texts, b_texts, n):
    a_counts, b_counts = count(a_texts, n), count(b_texts, n)
    terms = sorted(set(a_counts) | set(b_counts), key=lambda term: term.encode())
    a = np.array([a_counts[term] for term in terms], float)
    b = np.array([b_counts[term] for term in terms], float)
    found = {}
    for method in ["laplace:1", "krichevsky-trofimov", "jelinek-mercer:0.1", "absolute:0.5"]:
        p, q = smoothed(a, b, method)
        found[method] = divergences(p, q) | {"parts": parts(p, q)}
    return {
        "ngram": n,
        "terms": terms,
        "reference": [int(x) for x in a],
        "candidate": [int(x) for x in b],
        "plug_in": divergences(a / a.sum(), b / b.sum()),
        "miller_madow_js": miller_madow(a, b),
        "zhang_grabchak": {"kl": zhang_grabchak(a, b), "reverse_kl": zhang_grabchak(b, a)},
        "smoothed": found,
    }


def exact_floor(counts, n):
    """Mean of Zhang and Grabchak's estimate of D(n draws from the counts || the counts), every power summed."""
    m = counts.sum()
    p = counts / m
    cross = (p * (scipy.special.digamma(m + 1) - scipy.special.digamma(counts + 1))).sum()
    v = np.arange(1, n)
    return cross - ((p[:, None] * (1 - p[:, None]) ** v).sum(0) / v).sum()


def fragments(a_texts, b_texts):
    a_counts = [count([text], 1) for text in a_texts]
    whole = sum(a_counts, collections.Counter())
    terms = sorted(set(whole) | set(count(b_texts, 1)))
    array = lambda counts: np.array([counts[term] for term in terms], float)
    reference = array(whole)
    floor = lambda fragment: exact_floor(reference[reference > 0], int(fragment.sum()))
    own = [array(counts) for counts in a_counts]
    own = np.array([zhang_grabchak(one, reference - one) - floor(one) for one in own])
    found = []
    for text in b_texts:
        fragment = array(count([text], 1))
        found.append({"kl": zhang_grabchak(fragment, reference), "floor": floor(fragment)})
    excess = np.array([one["kl"] - one["floor"] for one in found])
    p = (1 + (own[None, :] >= excess[:, None]).sum(1)) / (1 + len(own))
    adjusted = scipy.stats.false_discovery_control(p)
    for one, p, adjusted in zip(found, p, adjusted):
        one |= {"p": float(p), "adjusted_p": float(adjusted)}
    return {"reference": a_texts, "candidate": b_texts, "found": found}


def main():
    zipf = 1 / np.arange(1, len(WORDS) + 1)
    a = body(12, zipf)
    b = body(9, np.where(np.arange(len(WORDS)) % 5 == 0, 0.02, zipf))
    value = {"reference": a, "candidate": b, "cases": [case(a, b, n) for n in (1, 2)]}
    strange = np.where(np.arange(len(WORDS)) % 3 == 0, 0.01, zipf)
    value["fragments"] = fragments(body(24, zipf), body(5, zipf) + body(5, strange))
    (HERE / "compare.json").write_text(json.dumps(value, indent=1) + "\n")


main()
