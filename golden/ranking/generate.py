"""Golden values of the ranking: p-values by SciPy, Holm by statsmodels, letters by brute force.

    pip install numpy scipy statsmodels
    python golden/ranking/generate.py

writes `paired.json`, `holm.json` and `letters.json` beside this file.

The paired tests are made by other means than `kld`'s: where every window has as many positions as the others, the p-value is SciPy's paired
t-test; where they have not, the clustered error is that of a least-squares line without slope, fitted by statsmodels with clusters.
The letters are the maximal cliques of the graph "do not differ", found by trying every subset.
"""

import itertools
import json
import pathlib

import numpy as np
import scipy.stats
import statsmodels.api as sm
from statsmodels.stats.multitest import multipletests

HERE = pathlib.Path(__file__).parent
RNG = np.random.default_rng(20261125)


def write(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


# --- paired differences: sums per window of two candidates -------------------------------------------------------------

def equal_windows(windows, effect):
    """A t-test of the differences, by SciPy."""
    level = RNG.lognormal(-4, 0.3, windows)
    a = level * RNG.lognormal(0, 0.05, windows)
    b = level * RNG.lognormal(effect, 0.05, windows)
    count = 255
    test = scipy.stats.ttest_rel(b, a)
    return {
        "fragment": [0] * windows, "count": [count] * windows,
        "better": (a * count).tolist(), "worse": (b * count).tolist(),
        "difference": float(np.mean(b - a)), "standard_error": float(np.std(b - a, ddof=1) / np.sqrt(windows)),
        "p_value": float(test.pvalue),
    }


def many_fragments(fragments, effect):
    """Fragments of several windows of unequal size: the mean over positions with errors clustered by fragment, by statsmodels."""
    fragment, count, better, worse, differences, groups = [], [], [], [], [], []
    for index in range(fragments):
        own = RNG.normal(effect, 0.002)
        for _ in range(RNG.integers(1, 5)):
            positions = int(RNG.integers(20, 60))
            d = own + RNG.normal(0, 0.01, positions)
            base = float(RNG.lognormal(-3, 0.2) * positions)
            fragment.append(index), count.append(positions), better.append(base), worse.append(base + float(d.sum()))
            differences.extend(d), groups.extend([index] * positions)
    d, ones = np.array(differences), np.ones((len(differences), 1))
    # G/(G-1) alone: without the further factor (N-1)/(N-K) that statsmodels puts by default.
    fit = sm.OLS(d, ones).fit(cov_type="cluster", cov_kwds={"groups": np.array(groups), "use_correction": False})
    se = float(fit.bse[0]) * np.sqrt(fragments / (fragments - 1))
    t = float(fit.params[0]) / se
    return {
        "fragment": fragment, "count": count, "better": better, "worse": worse,
        "difference": float(fit.params[0]), "standard_error": se,
        "p_value": float(2 * scipy.stats.t.sf(abs(t), fragments - 1)),
    }


# --- letters -----------------------------------------------------------------------------------------------------------

def letters(count, differ):
    differ = {frozenset(pair) for pair in differ}
    clique = lambda s: all(frozenset(pair) not in differ for pair in itertools.combinations(s, 2))
    cliques = [set(s) for size in range(1, count + 1) for s in itertools.combinations(range(count), size) if clique(s)]
    largest = [s for s in cliques if not any(s < other for other in cliques)]
    # The set with the better candidates first: compare membership from rank 0 on.
    largest.sort(key=lambda s: [c not in s for c in range(count)])
    return ["".join(chr(ord("a") + i) for i, s in enumerate(largest) if c in s) for c in range(count)]


def letter_cases():
    for count in range(1, 8):
        pairs = list(itertools.combinations(range(count), 2))
        for share in (0.2, 0.5, 0.8):
            for _ in range(3):
                differ = [pair for pair in pairs if RNG.random() < share]
                yield {"count": count, "differ": differ, "letters": letters(count, differ)}


def holm_cases():
    for m in (1, 2, 3, 6, 45, 190):
        p = RNG.uniform(0, 1, m) ** 4
        if m > 5:
            p[3] = p[1]
        yield {"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist()}


write("paired.json", [equal_windows(n, e) for n, e in [(2, 0.1), (3, 0.0), (8, 0.02), (64, 0.01), (64, 0.2), (120, 0.0)]]
      + [many_fragments(n, e) for n, e in [(30, 0.0), (30, 0.001), (60, 0.003)]])
write("holm.json", list(holm_cases()))
write("letters.json", list(letter_cases()))
