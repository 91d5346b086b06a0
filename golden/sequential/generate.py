"""Golden values of the confidence sequence, from the formula as its authors write it.

    pip install numpy scipy
    python golden/sequential/generate.py

writes `boundary.json` beside this file. `kld` writes the boundary in x = t·rho^2 and finds its best x by iteration; here it stands as in Waudby-Smith,
Arbour, Sinha, Kennedy and Ramdas (2024), and rho is found by minimising it. The standard error is that of the ratio of two means by the delta
method, from NumPy's covariance matrix.

`windows.json` is no golden value but a recording: positions and sums of KL per window of SmolLM2-135M-Instruct, F16 against four quantized forms, on
`data/austen-persuasion.txt` in windows of 512; `docs/sequential.md` has the command.
"""

import json
import pathlib

import numpy as np
import scipy.optimize

HERE = pathlib.Path(__file__).parent
RNG = np.random.default_rng(20261126)
ALPHA, FIRST_LOOK = 0.05, 64


def half_width_in_sigmas(t, rho):
    return np.sqrt(2 * (t * rho**2 + 1) / (t**2 * rho**2) * np.log(np.sqrt(t * rho**2 + 1) / ALPHA))


def best_rho():
    at_first_look = lambda log_rho: half_width_in_sigmas(FIRST_LOOK, np.exp(log_rho))
    return float(np.exp(scipy.optimize.minimize_scalar(at_first_look, bounds=(-6, 3), method="bounded", options={"xatol": 1e-12}).x))


def interval(weights, sums, rho):
    """The mean of a ratio, with its error by the delta method."""
    t, w, s = len(weights), np.mean(weights), np.mean(sums)
    gradient = np.array([-s / w**2, 1 / w])
    sigma = np.sqrt(gradient @ np.cov(weights, sums) @ gradient)
    half = sigma * half_width_in_sigmas(t, rho)
    return {"value": s / w, "low": s / w - half, "high": s / w + half}


def case(windows, rho):
    weights = RNG.integers(1, 256, windows).astype(float)
    sums = weights * RNG.lognormal(-5, 0.5, windows)
    return {"weights": weights.tolist(), "sums": sums.tolist()} | interval(weights, sums, rho)


rho = best_rho()
factors = [{"windows": t, "factor": float(half_width_in_sigmas(t, rho) * np.sqrt(t))} for t in (1, 8, 64, 65, 100, 512, 10_000, 10_000_000)]
golden = {"factors": factors, "intervals": [case(t, rho) for t in (64, 65, 200)]}
(HERE / "boundary.json").write_text(json.dumps(golden, indent=1) + "\n")
