"""Random problems for ``certify``, whose rational truth has to lie in every ball.

Numbers are binary with few digits or many, of very different size; kernels are Gram matrices, up to
nearly singular ones. Where there are radii, the truth is that of a problem within them. λ_min is
bounded by a rational Cholesky factor: all pivots of K − c1 are positive.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import rational
from flint import ctx

import ntklin
from fuzz.outcomes import DEPTHS, NAMED, RESULT, WRONG, Verdict, is_named, told

NAMES = ("K", "Y", "K_new", "f0", "f0_new")
PRECISIONS = (32, 53, 64, 128, 200, 300)


def problem(rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Arrays by name, radii by name, and bits."""
    n, n_new = int(rng.integers(1, 7)), int(rng.integers(1, 4))
    dtype = rng.choice([np.float64, np.float32])
    digits = int(rng.integers(1, 12 if dtype == np.float32 else 24))

    def draw(*shape: int) -> Any:
        return rng.integers(-(2**digits), 2**digits + 1, shape) / 2.0**digits

    rank = int(rng.integers(n, n + 4))
    phi, phi_new = draw(n, rank), draw(n_new, rank)
    if rng.random() < 0.3:  # two rows that are nearly the same
        phi[-1] = phi[0] + draw(rank) * 2.0 ** -int(rng.integers(1, 12))
    # Products of such numbers are sums of few binary digits, and symmetric to the last one.
    arrays = {"K": phi @ phi.T, "Y": draw(n), "K_new": phi_new @ phi.T}
    if rng.random() < 0.7:
        arrays |= {"f0": draw(n), "f0_new": draw(n_new)}
    if rng.random() < 0.3:
        arrays["K"] = arrays["K"] + np.eye(n) * 2.0 ** -int(rng.integers(0, 40))
    size = 100 if dtype == np.float64 else 20
    scales = {name: int(rng.integers(-size, size)) for name in ("K", "Y")}
    of = {"K": "K", "K_new": "K", "Y": "Y", "f0": "Y", "f0_new": "Y"}
    with np.errstate(over="ignore", under="ignore"):
        arrays = {name: np.ldexp(a, scales[of[name]]).astype(dtype) for name, a in arrays.items()}
    arrays["K"] = np.tril(arrays["K"]) + np.tril(arrays["K"], -1).T
    radii = {}
    for name in arrays:
        if rng.random() < 0.2:
            radii[name] = 2.0 ** (scales[of[name]] - int(rng.integers(8, 50)))
    return arrays, radii, int(rng.choice(PRECISIONS))


def within(
    rng: np.random.Generator, arrays: dict[str, Any], radii: dict[str, Any]
) -> dict[str, Any]:
    """A problem within the radii, in fractions: at their ends, or anywhere between."""
    found = {}
    for name, a in arrays.items():
        exact = rational.exact(a.astype(np.float64))
        if name in radii:
            parts = (
                rng.integers(-8, 9, a.shape)
                if rng.random() < 0.5
                else 8 * rng.choice([-1, 1], a.shape)
            )
            if name == "K":
                parts = np.tril(parts) + np.tril(parts, -1).T
            exact = exact + rational.exact(parts) * (Fraction(float(radii[name])) / 8)
        found[name] = exact
    return found


def contains(ball: Any, x: Fraction) -> bool:
    """Whether a fraction lies in a ball, in exact arithmetic."""
    middle, exponent = ball.mid().man_exp()
    radius, radius_exponent = ball.rad().man_exp()
    return abs(x - _binary(middle, exponent)) <= _binary(radius, radius_exponent)


def _binary(mantissa: Any, exponent: Any) -> Fraction:
    mantissa, exponent = int(mantissa), int(exponent)
    return Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)


def is_definite(K: Any, c: Fraction) -> bool:
    """Whether all eigenvalues of K are above c, in fractions."""
    n, K = len(K), K - c * rational.identity(len(K))
    for k in range(n):
        if K[k, k] <= 0:
            return False
        K[k + 1 :, k + 1 :] = K[k + 1 :, k + 1 :] - np.outer(K[k + 1 :, k], K[k, k + 1 :]) / K[k, k]
    return True


def judged(seed: int) -> Verdict:
    """What comes of the problem of this number."""
    rng = np.random.default_rng(seed)
    arrays, radii, precision = problem(rng)
    before = ctx.prec
    try:
        found = ntklin.certify(**arrays, radii=radii, precision=precision)
    except Exception as e:
        return Verdict(NAMED if is_named(e) else DEPTHS, told(e))
    if ctx.prec != before:
        return Verdict(DEPTHS, f"the global precision is left at {ctx.prec}")
    for _ in range(3 if radii else 1):
        if fault := _outside(found, within(rng, arrays, radii)):
            return Verdict(WRONG, f"{fault} does not hold: precision {precision}, radii {radii}")
    return Verdict(RESULT)


def _outside(found: Any, true: dict[str, Any]) -> str:
    """What does not hold of a certificate; "" where all does."""
    if not is_definite(true["K"], Fraction(found.smallest_eigenvalue) * (1 - Fraction(1, 1 << 80))):
        return f"λ_min ≥ {found.smallest_eigenvalue}"
    alpha = rational.solve(true["K"], true["Y"])
    f_int = true["K_new"] @ alpha
    f_init = 0 * f_int
    if "f0" in true:
        f_init = true["f0_new"] - true["K_new"] @ rational.solve(true["K"], true["f0"])
    truths = {
        "coefficients": alpha,
        "interpolator": f_int,
        "initialization": f_init,
        "minimizer": f_int + f_init,
    }
    for name, values in truths.items():
        enclosure = getattr(found, name)
        for ball, lower, upper, x in zip(
            enclosure.balls, enclosure.lower, enclosure.upper, values, strict=True
        ):
            if not contains(ball, x):
                return f"a ball of {name}"
            if not (_at_most(lower, x) and _at_most(-upper, -x)):
                return f"an end of {name}"
    square = sum((x * x for x in f_init), Fraction(0)) / (2 * len(f_init))
    [size] = found.initialization_size.balls
    low, high = (_binary(*end.man_exp()) for end in (size.lower(), size.upper()))
    # A root lies in an interval if the square lies between the squares of the ends.
    if not (low <= 0 or low * low <= square) or not (high >= 0 and square <= high * high):
        return "the initialization's size"
    return ""


def _at_most(end: float, x: Fraction) -> bool:
    return end == -np.inf or (np.isfinite(end) and Fraction(float(end)) <= x)
