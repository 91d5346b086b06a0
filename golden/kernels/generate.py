"""Golden values of every divergence in kld-kernels, to 50 digits, from the formulas written out.

Needs mpmath. Rewrites golden/kernels/values.txt:

    python golden/kernels/generate.py

Each case is a name, two rows of logits and the values. A row is listed, or follows the rule
`((a*i + b) mod m)/d + o` for i = 0 … n-1, whose numbers are all exact in f32.
"""

import pathlib

from mpmath import exp, inf, log, mp, mpf, nstr, sqrt

mp.dps = 60
DIGITS = 50


def rule(n, a, b, m, d, o):
    return ("rule", (n, a, b, m, d, o), [mpf((a * i + b) % m) / d + o for i in range(n)])


def listed(*values):
    return ("list", values, [mpf(v) for v in values])


def log_sum_exp(row):
    return log(sum(exp(x) for x in row))


def xlog(p, q):
    """p·ln(p/q) with 0·ln 0 = 0."""
    if p == 0:
        return mpf(0)
    return inf if q == 0 else p * log(p / q)


def kl(p, q):
    return sum(xlog(a, b) for a, b in zip(p, q))


def mix(weight, p, q):
    return [weight * a + (1 - weight) * b for a, b in zip(p, q)]


def generalized_js(beta, p, q):
    m = mix(beta, p, q)
    return beta * kl(p, m) + (1 - beta) * kl(q, m)


def renyi(alpha, p, q):
    if alpha > 1 and any(a > 0 and b == 0 for a, b in zip(p, q)):
        return inf
    return log(sum(a**alpha * b ** (1 - alpha) for a, b in zip(p, q) if a > 0 and b > 0)) / (alpha - 1)


def chi_square(p, q):
    if any(a > 0 and b == 0 for a, b in zip(p, q)):
        return inf
    return sum((a - b) ** 2 / b for a, b in zip(p, q) if b > 0)


def entropy(p):
    return -sum(xlog(a, mpf(1)) for a in p)


def values(x, y):
    lse_x, lse_y = log_sum_exp(x), log_sum_exp(y)
    p, q = [exp(v - lse_x) for v in x], [exp(v - lse_y) for v in y]
    quarter, tenth = mpf(1) / 4, mpf(0.1)
    return {
        "log_sum_exp_p": lse_x,
        "log_sum_exp_q": lse_y,
        "entropy_p": entropy(p),
        "entropy_q": entropy(q),
        "kl": kl(p, q),
        "reverse_kl": kl(q, p),
        "jeffreys": kl(p, q) + kl(q, p),
        "js": generalized_js(mpf(1) / 2, p, q),
        "generalized_js_0.25": generalized_js(quarter, p, q),
        "skew_kl_0.1": kl(p, mix(tenth, p, q)),
        "reverse_skew_kl_0.1": kl(q, mix(tenth, q, p)),
        "renyi_0.5": renyi(mpf(1) / 2, p, q),
        "renyi_2": renyi(mpf(2), p, q),
        "total_variation": sum(abs(a - b) for a, b in zip(p, q)) / 2,
        "hellinger": sqrt(sum((sqrt(a) - sqrt(b)) ** 2 for a, b in zip(p, q)) / 2),
        "chi_square": chi_square(p, q),
        "cross_entropy": inf if kl(p, q) == inf else kl(p, q) + entropy(p),
    }


CASES = {
    "three tokens reversed": (listed(0, 1, 2), listed(2, 1, 0)),
    "two tokens far apart": (listed(0, 30), listed(30, 0)),
    "nearly equal": (listed(1, 2, 3, 4), listed(1, 2, 3, "4.0009765625")),
    "one masked on both sides": (listed(1, "-inf", 3), listed(2, "-inf", 1)),
    "candidate has a zero": (listed(1, 2, 3), listed(1, "-inf", 3)),
    "reference has a zero": (listed(1, "-inf", 3), listed(1, 2, 3)),
    "disjoint": (listed(0, "-inf"), listed("-inf", 0)),
    "certain against uniform": (listed(100, 0, 0, 0), listed(0, 0, 0, 0)),
    "uniform against certain": (listed(0, 0, 0, 0), listed(100, 0, 0, 0)),
    "one token": (listed(5), listed(-7)),
    "large shift": (listed(1, 2, 3, 5), listed(1001, 1002, "1003.5", 1005)),
    "a long row with small noise": (rule(4099, 7919, 13, 1009, 64, 0), rule(4099, 7919, 14, 1009, 64, 0)),
    "a long row with large noise": (rule(4099, 7919, 13, 1009, 64, 0), rule(4099, 104729, 7, 997, 128, 3)),
    "a long row shifted": (rule(5000, 31, 5, 2003, 256, 0), rule(5000, 31, 6, 2003, 256, 4096)),
    "a very long row": (rule(70001, 7919, 13, 10007, 1024, -4), rule(70001, 7919, 30, 10007, 1024, -4)),
}


def spelled(row):
    kind, arguments, _ = row
    return kind + " " + " ".join(str(a) for a in arguments)


if __name__ == "__main__":
    lines = ["# Written by generate.py beside this file; do not edit."]
    for name, (p, q) in CASES.items():
        lines += ["", f"case {name}", f"p {spelled(p)}", f"q {spelled(q)}"]
        lines += [f"{key} {nstr(value, DIGITS)}".replace("+inf", "inf") for key, value in values(p[2], q[2]).items()]
    target = pathlib.Path(__file__).with_name("values.txt")
    target.write_text("\n".join(lines) + "\n")
