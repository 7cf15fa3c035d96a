"""The coefficients of passes/Cpu/MathFunctions.cpp: minimax polynomials and
quotients of two, with coefficients that are numbers of float32.

    build/venv/bin/python scripts/minimax.py [NAME...]

Lawson's iteration: least squares at Chebyshev's points, whose weights are
multiplied by the error of the last step until the largest errors are equal.
The coefficients are rounded one after the other, the lowest first, and what
is left is fitted again, so that it makes up for the rounding."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable

import numpy as np
from scipy import special

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Fit:
    """f(x) = P(x) / Q(x) on [low, high], with Q(0) = 1."""

    f: Callable[[Array], Array]
    low: float
    high: float
    degree: int
    below: int = 0
    """The degree of Q."""
    weight: Callable[[Array], Array] = np.ones_like
    """The error counts so much; ones: the error itself."""
    fixed: tuple[float, ...] = ()
    """The lowest coefficients of P, where they are given."""


def solve(fit: Fit, top: dict[int, float], below: dict[int, float]) -> tuple[Array, Array, float]:
    """The best coefficients where some of P's and Q's are given."""
    points = 1200
    x = 0.5 * (fit.low + fit.high) - 0.5 * (fit.high - fit.low) * np.cos(
        np.pi * (np.arange(points) + 0.5) / points
    )
    f, weight = fit.f(x), fit.weight(x)
    scale = max(abs(fit.low), abs(fit.high))
    powers = (x / scale)[:, None] ** np.arange(max(fit.degree, fit.below) + 1)
    free_top = [k for k in range(fit.degree + 1) if k not in top]
    free_below = [k for k in range(1, fit.below + 1) if k not in below]
    lawson, q = np.full(points, 1 / points), np.ones(points)
    best: tuple[Array, Array, float] | None = None
    for _ in range(3000 if fit.below else 1500):
        known = sum((c * x**k for k, c in top.items()), np.zeros(points))
        known -= f * sum((c * x**k for k, c in below.items()), np.ones(points))
        columns = np.hstack([powers[:, free_top], -f[:, None] * powers[:, free_below]])
        rows = np.sqrt(lawson) * weight / q
        c = np.zeros(0)
        if columns.shape[1]:
            c = np.linalg.lstsq(columns * rows[:, None], -known * rows, rcond=None)[0]
        p_all, q_all = np.zeros(fit.degree + 1), np.zeros(fit.below + 1)
        q_all[0] = 1
        for k, v in top.items():
            p_all[k] = v
        for k, v in below.items():
            q_all[k] = v
        for k, v in zip(free_top, c):
            p_all[k] = v / scale**k
        for k, v in zip(free_below, c[len(free_top) :]):
            q_all[k] = v / scale**k
        q = np.polyval(q_all[::-1], x)
        errors = np.abs((np.polyval(p_all[::-1], x) / q - f) * weight)
        if best is None or errors.max() < best[2]:
            best = p_all, q_all, float(errors.max())
        lawson *= errors
        lawson /= lawson.sum()
    assert best is not None
    return best


def find(fit: Fit) -> tuple[list[float], list[float], float]:
    """The coefficients, the lowest first, rounded to float32; and the error."""
    top = dict(enumerate(fit.fixed))
    below: dict[int, float] = {}
    for k in range(max(fit.degree, fit.below) + 1):
        p, q, _ = solve(fit, top, below)
        if k <= fit.degree and k not in top:
            top[k] = float(np.float32(p[k]))
        if 0 < k <= fit.below:
            p, q, _ = solve(fit, top, below)
            below[k] = float(np.float32(q[k]))
    p, q, error = solve(fit, top, below)
    return list(p), list(q), error


def series(coefficients: Callable[[int], float], x: Array, terms: int = 16) -> Array:
    return np.asarray(sum((coefficients(k) * x**k for k in range(terms)), np.zeros_like(x)))


def exp_rest(r: Array) -> Array:
    """(exp(r) - 1 - r) / r^2"""
    return series(lambda k: 1 / special.factorial(k + 2), r)


def erf_exponent(a: Array) -> Array:
    """-log(erfc(a)) / a"""
    a = np.maximum(a, 1e-9)
    return -np.log(special.erfc(a)) / a


def gelu_rest(a: Array) -> Array:
    """What exp(-a^2 / 2) / (2 Phi(-a)) differs by from its asymptote."""
    return 1 / special.erfcx(a / np.sqrt(2)) - float(np.float32(np.sqrt(np.pi / 2))) * a


def gelu_small(t: Array) -> Array:
    """(gelu(x) - x / 2) / t of t = -x^2 / 2"""
    return -2 * series(lambda k: 1 / (special.factorial(k) * (2 * k + 1)), t) / np.sqrt(2 * np.pi)


def sin_rest(s: Array) -> Array:
    """(sin(r) - r) / r^3 of s = r^2"""
    return series(lambda k: (-1) ** (k + 1) / special.factorial(2 * k + 3), s)


def cos_rest(s: Array) -> Array:
    """(cos(r) - 1 + r^2 / 2) / r^4 of s = r^2"""
    return series(lambda k: (-1) ** k / special.factorial(2 * k + 4), s)


HALF_LOG2 = 0.5 * np.log(2) * 1.0001
QUARTER_PI = 0.25 * np.pi * 1.001

FITS = {
    "exp": Fit(exp_rest, -HALF_LOG2, HALF_LOG2, 4, weight=lambda r: r**2 / np.exp(r)),
    "expm1": Fit(exp_rest, -HALF_LOG2, HALF_LOG2, 5, weight=np.abs),
    "erf": Fit(erf_exponent, 0, 3.95, 10, fixed=(2 / np.sqrt(np.pi),),
               weight=lambda a: a * special.erfc(a) / special.erf(np.maximum(a, 1e-9))),
    "gelu rest": Fit(gelu_rest, 0.5, 14.7, 3, 4, weight=lambda a: special.erfcx(a / np.sqrt(2))),
    "gelu small": Fit(gelu_small, -0.18, 0, 3, weight=lambda t: np.sqrt(-t)),
    "sin": Fit(sin_rest, 0, QUARTER_PI**2, 2, weight=lambda s: s),
    "cos": Fit(cos_rest, 0, QUARTER_PI**2, 2, weight=lambda s: s**2),
}  # fmt: skip


def main() -> None:
    for name in sys.argv[1:] or FITS:
        p, q, error = find(FITS[name])
        print(f"{name}: error 2^{np.log2(error):.2f}")
        for label, coefficients in (("P", p), ("Q", q if len(q) > 1 else [])):
            if coefficients:
                print(f"  {label}, the highest first:", ", ".join(f"{c:.9g}" for c in coefficients[::-1]))


if __name__ == "__main__":
    main()
