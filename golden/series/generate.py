"""Golden values of a series' trend: Theil-Sen by SciPy, the noise and its error written out with matrices by NumPy.

    pip install numpy scipy
    python golden/series/generate.py

writes `trend.json` beside this file. `kld` reckons the quadratic forms of the autoregression by a sum that goes along and the line's residuals from
centred steps; here they stand as their matrices, the hat matrix and the inverse of X'X.
"""

import json
import pathlib

import numpy as np
import scipy.stats

HERE = pathlib.Path(__file__).parent
RNG = np.random.default_rng(20261126)
FAR, STRONGEST = 3.0, 0.9


def autoregression(n, rho, sigma):
    noise = RNG.normal(0, sigma, n)
    noise[1:] *= np.sqrt(1 - rho**2)
    for i in range(1, n):
        noise[i] += rho * noise[i - 1]
    return noise


def trend(steps, values):
    n = len(steps)
    fit = scipy.stats.theilslopes(values, steps)
    level = np.median(values - fit.slope * (steps - steps[-1]))
    left = values - level - fit.slope * (steps - steps[-1])
    deviation = scipy.stats.median_abs_deviation(left) * 1.4826
    left = np.clip(left, np.median(left) - FAR * deviation, np.median(left) + FAR * deviation)

    x = np.column_stack([np.ones(n), steps - steps.mean()])
    inverse = np.linalg.inv(x.T @ x)
    hat = x @ inverse @ x.T
    left = left - hat @ left
    lag = np.sum(left[1:] * left[:-1]) / np.sum(left**2)
    rho = float(np.clip((n * lag + 2) / (n - 4), 0, STRONGEST))
    r = rho ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    variance = np.sum(left**2) / (n - np.trace(hat @ r))
    covariance = inverse @ x.T @ (variance * r) @ x @ inverse
    error = np.sqrt(np.pi / 3 * covariance[1, 1])
    half = scipy.stats.t.ppf(0.975, n - 3) * error
    return {
        "slope": float(fit.slope), "slope_error": float(error), "level": float(level), "noise": float(np.sqrt(variance)),
        "correlation": rho, "low": float(fit.slope - half), "high": float(fit.slope + half),
    }


def case(n, rho, sigma, shape, spikes=0, even=True):
    steps = np.arange(n) * 100.0 if even else np.cumsum(RNG.integers(1, 200, n)).astype(float)
    values = shape(np.arange(n)) + autoregression(n, rho, sigma)
    values[RNG.choice(n, spikes, replace=False)] += 1.0
    return {"steps": steps.tolist(), "values": values.tolist()} | trend(steps, values)


golden = [
    case(6, 0.0, 0.01, lambda i: 0.5 - 0.01 * i),
    case(10, 0.0, 0.01, lambda i: 0.5 + 0 * i),
    case(25, 0.5, 0.01, lambda i: 0.1 + 0.4 * np.exp(-i / 8)),
    case(50, 0.9, 0.05, lambda i: 0.4 * (i + 1.0) ** -0.3),
    case(51, -0.5, 0.02, lambda i: 0.3 + 0.002 * i),
    case(40, 0.3, 0.01, lambda i: 0.5 - 0.005 * i, spikes=5),
    case(33, 0.6, 0.02, lambda i: 0.5 - 0.005 * i, even=False),
]
(HERE / "trend.json").write_text(json.dumps(golden, indent=1) + "\n")
