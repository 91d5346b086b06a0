"""What NumPy, SciPy and PyTorch need for D(P‖Q) of pairs of logit rows, beside the kernels' own bench.

Needs numpy, scipy and torch. GB/s of logits read, one direction of KL only (`kld` gives both, JS, entropies and more in the
same time; `torch all` computes those too). The working set is streamed row by row; the fastest segment counts, as in crates/kld-kernels/benches/pair.rs.

    python bench/rivals.py [--megabytes 640] [--rounds 3] [--threads 1]
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, rel_entr

VOCABULARIES = (32_000, 49_152, 151_936, 262_144)


def by_numpy(x, y):
    a, b = x - x.max(), y - y.max()
    p = np.exp(a)
    s = p.sum()
    return float((p * (a - b)).sum() / s - np.log(s) + np.log(np.exp(b).sum()))


def by_scipy(x, y):
    return float(rel_entr(np.exp(log_softmax(x)), np.exp(log_softmax(y))).sum())


def by_torch(x, y):
    p, q = F.log_softmax(torch.from_numpy(x), -1), F.log_softmax(torch.from_numpy(y), -1)
    return float(F.kl_div(q, p, reduction="sum", log_target=True))


def all_by_torch(x, y):
    """All that `Kernel::pair` gives of a row pair."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    lse_p, lse_q = torch.logsumexp(x, -1), torch.logsumexp(y, -1)
    p, q = x - lse_p, y - lse_q
    prob_p, prob_q = p.exp(), q.exp()
    d = p - q
    kl, reverse_kl = (prob_p * d).sum(), -(prob_q * d).sum()
    m = torch.logaddexp(p, q) - np.log(2)
    js = 0.5 * ((prob_p * (p - m)).sum() + (prob_q * (q - m)).sum())
    entropies = -(prob_p * p).sum(), -(prob_q * q).sum()
    top_p, top_q = torch.topk(p, 10).indices, torch.topk(q, 10).indices
    overlap = torch.isin(top_p, top_q).sum()
    token = int(top_p[3])
    ranks = (x > x[token]).sum(), (y > y[token]).sum()
    return float(kl), float(reverse_kl), float(js), entropies, overlap, ranks


RIVALS = (("numpy", by_numpy), ("scipy", by_scipy), ("torch", by_torch), ("torch all", all_by_torch))


def exact(x, y):
    a, b = x.astype(np.float64), y.astype(np.float64)
    return by_numpy(a, b)


def fastest(run, x, y, rounds):
    best = float("inf")
    for _ in range(rounds):
        for p, q in zip(x, y):
            start = time.perf_counter()
            run(p, q)
            best = min(best, time.perf_counter() - start)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(1)
    print(f"{'V':9} {'':9} {'GB/s':>7} {'error':>7}")
    for vocabulary in VOCABULARIES:
        rows = max(2, args.megabytes * 1_000_000 // (8 * vocabulary))
        x = rng.standard_normal((rows, vocabulary), dtype=np.float32) * 3
        y = x + rng.standard_normal((rows, vocabulary), dtype=np.float32) * np.float32(0.3)
        for name, run in RIVALS:
            got = run(x[0], y[0])
            error = abs((got[0] if isinstance(got, tuple) else got) / exact(x[0], y[0]) - 1)
            speed = 8e-9 * vocabulary / fastest(run, x, y, args.rounds)
            print(f"{vocabulary:<9} {name:9} {speed:7.2f} {error:7.0e}")


if __name__ == "__main__":
    main()
