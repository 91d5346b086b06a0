"""The polynomials of crates/kld-kernels/src/lanes/math.rs: least maximal relative error, by Remez exchange.

Needs mpmath. Prints Rust constants, lowest power first, rounded to f32, with the error that is left after rounding.

    python golden/kernels/polynomials.py
"""

import struct

from mpmath import cosh, exp, linspace, log, lu_solve, matrix, mp, mpf, sinh, sqrt

mp.dps = 40


def f32(x):
    return struct.unpack("f", struct.pack("f", float(x)))[0]


def horner(coefficients, x):
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def remez(f, low, high, degree):
    """The polynomial of `degree` that is nearest to f on [low, high], counting relative error."""
    count = degree + 2
    points = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * k / (count - 1)) for k in range(count)]
    grid = linspace(low, high, 4001)
    values = [f(x) for x in grid]
    for _ in range(12):
        rows = [[x**k for k in range(degree + 1)] + [(-1) ** i * f(x)] for i, x in enumerate(points)]
        solution = lu_solve(matrix(rows), matrix([f(x) for x in points]))
        coefficients = list(solution[: degree + 1])
        errors = [horner(coefficients, x) / v - 1 for x, v in zip(grid, values)]
        points = extremes(grid, errors, count)
    return coefficients


def extremes(grid, errors, count):
    """The largest error of every run of one sign, `count` of them."""
    best, found = None, []
    for x, error in zip(grid, errors):
        if best is not None and (error > 0) != (best[1] > 0):
            found.append(best)
            best = None
        if best is None or abs(error) > abs(best[1]):
            best = (x, error)
    found.append(best)
    while len(found) > count:
        found.pop(0 if abs(found[0][1]) < abs(found[-1][1]) else -1)
    return [x for x, _ in found]


def near_zero(f, series_terms, radius=mpf("0.05")):
    """f, but by its Taylor series where the closed form would divide by zero."""
    series = taylor_by_fit(f, series_terms, radius)
    return lambda x: horner(series, x) if abs(x) < radius / 4 else f(x)


def taylor_by_fit(f, terms, radius):
    points = [radius * mp.cos(mp.pi * (2 * k + 1) / (2 * terms)) for k in range(terms)]
    rows = matrix([[x**k for k in range(terms)] for x in points])
    return list(lu_solve(rows, matrix([f(x) for x in points])))


def show(name, meaning, f, low, high, degree):
    rounded = [f32(c) for c in remez(f, low, high, degree)]
    left = max(abs(horner([mpf(c) for c in rounded], x) / f(x) - 1) for x in linspace(low, high, 2001))
    print(f"/// {meaning}: relative error {float(left):.1e}.")
    print(f"const {name}: [f32; {degree + 1}] = {rounded};")


def js_over_u2(v):
    """(u·sinh u − cosh u·ln cosh u)/u² as a function of v = u²."""
    u = mp.sqrt(v) if v >= 0 else mp.sqrt(-v) * 1j
    value = (u * sinh(u) - cosh(u) * log(cosh(u))) / v
    return value.real


if __name__ == "__main__":
    exp2_tail = near_zero(lambda r: (2**r - 1) / r, 20)
    exp_tail = near_zero(lambda r: (exp(r) - 1 - r) / r**2, 20)
    js_even = near_zero(js_over_u2, 16)
    log_quotient = near_zero(lambda s: log(1 + s) / s, 20)
    half = mpf("0.50001")
    for degree in (4, 5):
        show("EXP2", "(2ʳ − 1)/r on |r| ≤ ½", exp2_tail, -half, half, degree)
    show("PHI", "2·(eᵘ − 1 − u)/u² on |u| ≤ 1", lambda u: 2 * exp_tail(u), mpf(-1), mpf(1), 6)
    for degree in (4, 5):
        show("JS", "(u·sinh u − cosh u·ln cosh u)/u² in u² on |u| ≤ 1", js_even, mpf(0), mpf(1), degree)
    show("COSH", "cosh u in u² on |u| ≤ 1", lambda v: cosh(sqrt(v)), mpf(0), mpf(1), 4)
    sinh_over = near_zero(lambda v: (sinh(sqrt(v)) / sqrt(v)).real, 16)
    show("SINH", "(sinh u)/u in u² on |u| ≤ 1", sinh_over, mpf(0), mpf(1), 3)
    show("LN_1P", "ln(1 + s)/s on 0 ≤ s ≤ e⁻²", log_quotient, mpf(0), exp(mpf(-2)), 4)
