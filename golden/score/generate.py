"""Golden values of the errors of `kld score` and `kld text --expected`: the delete-a-group jackknife, written out with NumPy.

    pip install numpy scipy
    python golden/score/generate.py

writes `groups.json` beside this file: windows of positions, each with the logits of a small vocabulary and the token that came, and what
D(P‖Q), JS and the tokens' parts of D(P‖Q) are, with errors and intervals; everything is in nats. One text has 23 fragments of unequal length, one
a single fragment.
"""

import json
import pathlib

import numpy as np
import scipy.spatial.distance
import scipy.special
import scipy.stats

HERE = pathlib.Path(__file__).parent
VOCABULARY = 7
MOST = 20
rng = np.random.default_rng(51)


def windows(fragments):
    made = []
    for fragment in fragments:
        positions = []
        for _ in range(rng.integers(3, 9)):
            # Quarters are exact in every format.
            logits = rng.integers(-8, 9, VOCABULARY) / 4
            positions.append((logits, int(rng.choice(VOCABULARY, p=scipy.special.softmax(logits + 0.5 * rng.standard_normal(VOCABULARY))))))
        made.append((fragment, positions))
    return made


def groups(fragments):
    different = sorted(set(fragments))
    if len(different) > 1:
        return [different.index(fragment) % MOST for fragment in fragments]
    return [i * min(MOST, len(fragments)) // len(fragments) for i in range(len(fragments))]


def statistics(positions):
    p = np.bincount([observed for _, observed in positions], minlength=VOCABULARY) / len(positions)
    q = np.mean([scipy.special.softmax(logits) for logits, _ in positions], axis=0)
    return np.array([scipy.stats.entropy(p, q), scipy.spatial.distance.jensenshannon(p, q) ** 2, *(scipy.special.kl_div(p, q))])


def jackknife(made):
    of = np.array(groups([fragment for fragment, _ in made]))
    flat = lambda keep: [position for (_, positions), kept in zip(made, keep) if kept for position in positions]
    whole = statistics(flat(np.full(len(made), True)))
    left_out = np.array([statistics(flat(of != group)) for group in np.unique(of)])
    g = len(left_out)
    error = np.sqrt((g - 1) / g * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    half = scipy.stats.t.ppf(0.975, g - 1) * error
    estimates = [dict(value=v, standard_error=e, low=max(v - h, 0.0), high=v + h) for v, e, h in zip(whole, error, half)]
    return {"groups": g, "kl": estimates[0], "js": estimates[1], "parts": estimates[2:]}


def case(fragments):
    made = windows(fragments)
    told = [
        {"fragment": fragment, "positions": [{"logits": logits.tolist(), "observed": observed} for logits, observed in positions]}
        for fragment, positions in made
    ]
    return {"windows": told, **jackknife(made)}


several = sorted([*range(23), *rng.choice(23, 22).tolist()])
result = {"fragments": case(several), "windows": case([0] * 31)}
(HERE / "groups.json").write_text(json.dumps(result) + "\n")
