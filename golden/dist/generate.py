"""Golden values of `kld dist`: divergences to 50 digits (mpmath, checked against SciPy) and estimators from counts (NumPy).

    pip install mpmath numpy scipy
    python golden/dist/generate.py

writes `divergences.json` and `counts.json` beside this file. Infinity is the string "inf"; everything is in nats.
The inputs are the exact 64-bit floats that stand in the JSON; each side is divided by its sum before anything else.
"""

import json
import pathlib

import mpmath as mp
import numpy as np
import scipy.spatial.distance
import scipy.special

HERE = pathlib.Path(__file__).parent
mp.mp.dps = 50
ALPHA, BETA, SKEW = 2.5, 0.3, 0.1


# --- divergences -----------------------------------------------------------------------------------------------------

def kl(p, q):
    if any(a > 0 and b == 0 for a, b in zip(p, q)):
        return mp.inf
    return mp.fsum(a * mp.log(a / b) for a, b in zip(p, q) if a > 0)


def entropy(p):
    return -mp.fsum(a * mp.log(a) for a in p if a > 0)


def mix(p, q, share):
    return [share * a + (1 - share) * b for a, b in zip(p, q)]


def js(p, q, beta):
    beta = mp.mpf(beta)
    m = mix(p, q, beta)
    return beta * kl(p, m) + (1 - beta) * kl(q, m)


def renyi(p, q, alpha):
    alpha = mp.mpf(alpha)
    if alpha > 1 and any(a > 0 and b == 0 for a, b in zip(p, q)):
        return mp.inf
    return mp.log(mp.fsum(a**alpha * b ** (1 - alpha) for a, b in zip(p, q) if a > 0 and b > 0)) / (alpha - 1)


def chi_square(p, q):
    if any(a > 0 and b == 0 for a, b in zip(p, q)):
        return mp.inf
    return mp.fsum((a - b) ** 2 / b for a, b in zip(p, q) if b > 0)


def divergences(p, q):
    return {
        "kl": kl(p, q),
        "reverse_kl": kl(q, p),
        "jeffreys": kl(p, q) + kl(q, p),
        "js": js(p, q, 0.5),
        "js_distance": mp.sqrt(js(p, q, 0.5)),
        "generalized_js": js(p, q, BETA),
        "skew_kl": kl(p, mix(p, q, mp.mpf(SKEW))),
        "reverse_skew_kl": kl(q, mix(q, p, mp.mpf(SKEW))),
        "renyi": renyi(p, q, ALPHA),
        "reverse_renyi": renyi(q, p, ALPHA),
        "total_variation": mp.fsum(abs(a - b) for a, b in zip(p, q)) / 2,
        "hellinger": mp.sqrt(mp.fsum((mp.sqrt(a) - mp.sqrt(b)) ** 2 for a, b in zip(p, q)) / 2),
        "chi_square": chi_square(p, q),
        "reverse_chi_square": chi_square(q, p),
        "cross_entropy": kl(p, q) + entropy(p),
        "reverse_cross_entropy": kl(q, p) + entropy(q),
        "entropy_reference": entropy(p),
        "entropy_candidate": entropy(q),
    }


def generalized(p, q):
    total = mp.fsum(q) - mp.fsum(p)
    return {"kl": kl(p, q) + total, "reverse_kl": kl(q, p) - total}


def check_against_scipy(p, q, expected):
    p, q = np.array(p) / np.sum(p), np.array(q) / np.sum(q)
    for name, value in {
        "kl": scipy.special.rel_entr(p, q).sum(),
        "reverse_kl": scipy.special.rel_entr(q, p).sum(),
        "js_distance": scipy.spatial.distance.jensenshannon(p, q),
        "entropy_reference": scipy.special.entr(p).sum(),
    }.items():
        # SciPy sums terms of both signs, so that a divergence near 0 keeps only its absolute accuracy.
        np.testing.assert_allclose(value, float(expected[name]), rtol=1e-9, atol=2e-8, err_msg=name)


def softmax(logits):
    weights = [mp.exp(mp.mpf(x)) if x != "-inf" else mp.mpf(0) for x in logits]
    return [w / mp.fsum(weights) for w in weights]


def distribution_cases():
    rng = np.random.default_rng(20261123)
    zipf = 1.0 / np.arange(1, 501)
    tiny = 2.0**-30
    return {
        "three entries": ([0.1, 0.2, 0.7], [0.2, 0.2, 0.6]),
        "ten times 0.1 against one heavy entry": ([0.1] * 10, [0.1] * 9 + [0.7]),
        "zeros in P": ([0.5, 0.0, 0.5, 0.0], [0.25, 0.25, 0.25, 0.25]),
        "zeros in Q": ([0.25, 0.25, 0.25, 0.25], [0.5, 0.0, 0.5, 0.0]),
        "a common zero": ([0.5, 0.0, 0.5], [0.125, 0.0, 0.875]),
        "nothing in common": ([1.0, 0.0], [0.0, 1.0]),
        "equal": ([0.3, 0.3, 0.4], [0.3, 0.3, 0.4]),
        "equal but for 2^-30": ([0.25, 0.25, 0.5], [0.25 - tiny, 0.25 + tiny, 0.5]),
        "very small probabilities": ([1.0, 1e-300, 1e-12], [1.0, 1e-12, 1e-300]),
        "Zipf's law against a shuffled one": (zipf.tolist(), rng.permutation(zipf).tolist()),
        "random weights": (rng.gamma(0.3, size=257).tolist(), rng.gamma(0.3, size=257).tolist()),
    }


def logit_cases():
    rng = np.random.default_rng(7)
    return {
        "logits far apart": ([0.0, -1000.0, 3.0], [-1000.0, 0.0, 3.0]),
        "masked entries": (["-inf", 1.0, 2.0], ["-inf", 2.0, 1.0]),
        "a vocabulary": (rng.normal(0, 4, 300).tolist(), rng.normal(0, 4, 300).tolist()),
    }


def written(values):
    return {name: "inf" if value == mp.inf else float(value) for name, value in values.items()}


def golden_divergences():
    cases = []
    for name, (p, q) in distribution_cases().items():
        exact_p, exact_q = [mp.mpf(x) for x in p], [mp.mpf(x) for x in q]
        normal = [[x / mp.fsum(side) for x in side] for side in (exact_p, exact_q)]
        expected = divergences(*normal)
        check_against_scipy(p, q, expected)
        cases.append({"name": name, "scale": "probs", "p": p, "q": q, "expected": written(expected),
                      "generalized": written(generalized(exact_p, exact_q))})
    for name, (p, q) in logit_cases().items():
        expected = divergences(softmax(p), softmax(q))
        cases.append({"name": name, "scale": "logits", "p": p, "q": q, "expected": written(expected)})
    return {"renyi_alpha": ALPHA, "js_beta": BETA, "skew_alpha": SKEW, "cases": cases}


# --- estimators from counts: definitions written out with NumPy, digamma from SciPy -----------------------------------

def plug_in_entropy(p):
    p = p[p > 0]
    return -np.sum(p * np.log(p))


def plug_in_kl(p, q):
    return scipy.special.rel_entr(p, q).sum()


def plug_in_js(p, q):
    m = (p + q) / 2
    return plug_in_entropy(m) - plug_in_entropy(p) / 2 - plug_in_entropy(q) / 2


def miller_madow(a, b):
    n, m = a.sum(), b.sum()
    p, q = a / n, b / m
    bias = lambda c: (np.count_nonzero(c) - 1) / (2 * c.sum())
    with np.errstate(all="ignore"):
        cross = np.sum(np.where((a > 0) & (b > 0), p / q, 0)) - 1
    seen = (a + b) > 0
    middle = (p + q)[seen] / 2
    spread = (p * (1 - p) / n + q * (1 - q) / m)[seen]
    entropy_of_mixture = plug_in_entropy((p + q) / 2) + np.sum(spread / (8 * middle))
    return {
        "kl": plug_in_kl(p, q) - bias(a) - cross / (2 * m),
        "js": entropy_of_mixture - (plug_in_entropy(p) + bias(a)) / 2 - (plug_in_entropy(q) + bias(b)) / 2,
        "entropy_reference": plug_in_entropy(p) + bias(a),
    }


def coverage(c):
    n, singles = c.sum(), np.count_nonzero(c == 1)
    return 1 - (n - 1 if singles == n else singles) / n


def chao_shen(a, b):
    n = a.sum()
    p = coverage(a) * a / n
    q = coverage(b) * b / b.sum()
    unseen = b == 0
    if unseen.any():
        q[unseen] = (1 - coverage(b)) / unseen.sum()
    entropy = kl = 0.0
    for i in np.flatnonzero(a):
        weight = 1 - (1 - p[i]) ** n
        entropy -= p[i] * np.log(p[i]) / weight
        kl += np.inf if q[i] == 0 else p[i] * (np.log(p[i]) - np.log(q[i])) / weight
    return {"kl": kl, "js": None, "entropy_reference": entropy}


def krichevsky_trofimov(a, b):
    p, q = (a + 0.5) / (a + 0.5).sum(), (b + 0.5) / (b + 0.5).sum()
    return {"kl": plug_in_kl(p, q), "js": plug_in_js(p, q), "entropy_reference": plug_in_entropy(p)}


def zhang_grabchak(a, b):
    """The sums over powers as in the paper, not their closed form."""
    n, m = int(a.sum()), int(b.sum())
    cross = entropy = 0.0
    for x, y in zip(a.astype(int), b.astype(int)):
        if x == 0:
            continue
        product, inner = 1.0, 0.0
        for v in range(1, m - y + 1):
            product *= 1 - y / (m - v + 1)
            inner += product / v
        cross += x / n * inner
        product, inner = 1.0, 0.0
        for v in range(1, n - x + 1):
            product *= 1 - (x - 1) / (n - v)
            inner += product / v
        entropy += x / n * inner
    return {"kl": cross - entropy, "js": None, "entropy_reference": entropy}


def plug_in(a, b):
    p, q = a / a.sum(), b / b.sum()
    return {"kl": plug_in_kl(p, q), "js": plug_in_js(p, q), "entropy_reference": plug_in_entropy(p)}


ESTIMATORS = [plug_in, miller_madow, chao_shen, krichevsky_trofimov, zhang_grabchak]


def count_cases():
    rng = np.random.default_rng(3)
    zipf = 1.0 / np.arange(1, 41)
    zipf /= zipf.sum()
    return {
        "two ordinary samples": ([50, 30, 20, 7], [40, 42, 18, 9]),
        "an outcome that Q's sample lacks": ([50, 30, 20, 1], [40, 42, 18, 0]),
        "singletons and unseen outcomes on both sides": ([9, 4, 1, 1, 0, 0, 1], [7, 1, 1, 0, 1, 1, 0]),
        "every draw its own outcome": ([1, 1, 1, 0], [0, 1, 1, 1]),
        "one outcome": ([5], [7]),
        "Zipf's law": (rng.multinomial(300, zipf).tolist(), rng.multinomial(120, zipf).tolist()),
        "outcomes known but never seen": ([3, 0, 5, 0], [4, 0, 2, 0]),
    }


def golden_counts():
    number = lambda x: None if x is None else "inf" if x == np.inf else float(x)
    cases = []
    for name, (a, b) in count_cases().items():
        a, b = np.array(a, float), np.array(b, float)
        expected = {}
        for estimator in ESTIMATORS:
            forward, reverse = estimator(a, b), estimator(b, a)
            forward["reverse_kl"], forward["entropy_candidate"] = reverse["kl"], reverse["entropy_reference"]
            expected[estimator.__name__] = {key: number(value) for key, value in forward.items()}
        cases.append({"name": name, "p": a.astype(int).tolist(), "q": b.astype(int).tolist(), "expected": expected,
                      "coverage": [coverage(a), coverage(b)]})
    return {"cases": cases}


if __name__ == "__main__":
    for name, content in {"divergences": golden_divergences(), "counts": golden_counts()}.items():
        (HERE / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
