"""``certify`` on many random problems: its balls hold the rational truth, and little beside it.

Kernels, targets and outputs are multiples of powers of two, of one to five inputs, so that K^{-1} Y
and what follows from it are fractions that elimination finds. Every one of them has to lie in its
ball, and λ_min above its bound: K − c is positive definite by its leading minors.

A ball may not be wide, either. Solving costs κ = ‖K‖_∞ ‖K^{-1}‖_∞ of the digits, twice where a
residual is put to use, so that without ``radii`` a radius is at most
2^{−bits} ``ROUNDINGS`` n κ times what is in the sums, |f_0(x)| + |K(x, X)| |K^{-1}| (|Y| + |f_0|).
With ``radii`` all data within them have to be enclosed. Of these the corner is taken at which f_∞
at the first new input is, to first order, farthest off, and the ball may be ``SPARE`` times as
wide: Arb takes K_ij and K_ji for two numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq, fmpq_mat
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Check, Measurement, Setting, Strength
from ntklin.validation.theorems.library.models import eighths
from ntklin.validation.theorems.rationals import identity, rows

PARTS = ("coefficients", "interpolator", "initialization", "minimizer")
PRECISIONS = (48, 64, 128, 300)
# Of a radius: roundings of a sum, and by how much a corner may be short of it.
ROUNDINGS, SPARE = 8, 4
# Of the entries, whose size is 1, where they have one.
RADIUS = 2.0**-20
# What the bound of λ_min may be below it, where there are digits enough to prove so much.
GAP = fmpq(1, 2**38)

Ball = Callable[[arb, int], arb]


@dataclass(frozen=True, eq=False, kw_only=True)
class Regression:
    """What ``certify`` is given.

    Attributes
    ----------
    arguments : dict of str to ndarray
        K, Y, K_new, f0 and f0_new.
    precision : int
        Bits.
    radius : float
        Of all entries; 0 for none.
    """

    arguments: dict[str, Any]
    precision: int
    radius: float

    @classmethod
    def random(cls, rng: Generator, n: int, radius: float) -> Regression:
        """Of n inputs, and up to three new ones; λ_min is not small."""
        n_new = int(rng.integers(1, 4))
        while True:
            phi, phi_new = (rng.integers(-8, 9, (k, n + 2)) / 8 for k in (n, n_new))
            values = np.linalg.eigvalsh(phi @ phi.T)
            if values[0] > values[-1] / 100:
                break
        Y, f0, f0_new = (eighths(rng, k) for k in (n, n, n_new))
        given = {"K": phi @ phi.T, "Y": Y, "K_new": phi_new @ phi.T, "f0": f0, "f0_new": f0_new}
        dtype = (np.float64, np.float32)[int(rng.integers(2))]
        arguments = {name: a.astype(dtype) for name, a in given.items()}
        return cls(arguments=arguments, precision=int(rng.choice(PRECISIONS)), radius=radius)

    def certificate(self) -> Any:
        """The library's."""
        radii = dict.fromkeys(self.arguments, self.radius) if self.radius else None
        return ntklin.certify(**self.arguments, radii=radii, precision=self.precision)

    def corners(self) -> Iterator[Mapping[str, fmpq_mat]]:
        """The data themselves; or both corners at which f_∞ of the first new input is extreme."""
        exact = {name: rational(a) for name, a in self.arguments.items()}
        if not self.radius:
            yield exact
            return
        K, Y, k, f0 = (self.arguments[name].astype(float) for name in ("K", "Y", "K_new", "f0"))
        alpha, p = np.linalg.solve(K, Y - f0), np.linalg.solve(K, k[0])
        pulled = np.outer(p, alpha)
        slopes = {"K": -pulled - pulled.T, "Y": p, "f0": -p}
        slopes |= {"K_new": np.tile(alpha, (len(k), 1)), "f0_new": np.ones(len(k))}
        for side in (-1, 1):
            moves = {name: side * self.radius * np.sign(a) for name, a in slopes.items()}
            yield {name: exact[name] + rational(moves[name]) for name in exact}

    def sums(self) -> dict[str, float]:
        """κ n times the largest of what is summed up for each part."""
        K, Y, k, f0, f0_new = (abs(a).astype(float) for a in self.arguments.values())
        inverse = abs(np.linalg.inv(self.arguments["K"].astype(float)))
        kappa = len(K) * float(np.linalg.norm(K, np.inf) * np.linalg.norm(inverse, np.inf))
        alpha, beta = inverse @ Y, inverse @ f0
        found = (alpha, k @ alpha, f0_new + k @ beta, f0_new + k @ (alpha + beta))
        return {name: kappa * float(a.max()) for name, a in zip(PARTS, found, strict=True)}


def rational(A: Array) -> fmpq_mat:
    """A matrix of floats as fractions; a vector as a column."""
    A = A.reshape(len(A), -1)
    n, m = A.shape
    return fmpq_mat(n, m, [fmpq(*float(x).as_integer_ratio()) for x in A.ravel()])


def truth(given: Mapping[str, fmpq_mat]) -> dict[str, list[fmpq]]:
    """α = K^{-1} Y, f_int, f_init and f_∞."""
    K, Y, K_new, f0, f0_new = given.values()
    alpha = K.solve(Y)
    f_int, f_init = K_new * alpha, f0_new - K_new * K.solve(f0)
    found = (alpha, f_int, f_init, f_int + f_init)
    return {name: a.entries() for name, a in zip(PARTS, found, strict=True)}


def is_definite(K: fmpq_mat) -> bool:
    """Whether all leading minors are positive."""
    table = K.tolist()
    return all(rows(*(row[:k] for row in table[:k])).det() > 0 for k in range(1, len(table) + 1))


def bounds_eigenvalue(found: float, problem: Regression, K: fmpq_mat) -> bool:
    """Whether c ≤ λ_min, and not far below it."""
    c, one = fmpq(*found.as_integer_ratio()), identity(K.nrows())
    is_near = problem.radius > 0 or problem.precision < 64
    return is_definite(K - c * one) and (is_near or not is_definite(K - c * (1 + GAP) * one))


def shares(problem: Regression, ball: Ball) -> tuple[bool, float]:
    """Whether all is enclosed; and the largest radius over what it may be."""
    proved, sums = problem.certificate(), problem.sums()
    holds, reached = True, 0.0
    with ctx.workprec(4 * max(PRECISIONS)):
        balls = {
            name: [ball(x, problem.precision) for x in getattr(proved, name).balls]
            for name in PARTS
        }
        for given in problem.corners():
            holds = holds and bounds_eigenvalue(proved.smallest_eigenvalue, problem, given["K"])
            for name, values in truth(given).items():
                pairs = list(zip(balls[name], values, strict=True))
                holds = holds and all(x.contains(arb(y)) for x, y in pairs)
                if name == "minimizer":
                    x, y = pairs[0]
                    reached = max(reached, float(abs(x.mid() - arb(y))))
        radii = {name: max(float(x.rad()) for x in balls[name]) for name in PARTS}
    if problem.radius:
        return holds, float(balls["minimizer"][0].rad()) / (SPARE * reached)
    unit = ROUNDINGS * 2.0**-problem.precision
    return holds, max(radii[name] / (unit * sums[name]) for name in PARTS)


def measure(ball: Ball, rng: Generator, setting: Setting, *, radius: float) -> Measurement:
    """On 40 problems for each number of inputs, in a quick run on 8."""
    found = [
        shares(Regression.random(rng, n, radius), ball)
        for n in range(1, 6)
        for _ in range(8 if setting.quick else 40)
    ]
    n_held, widest = sum(holds for holds, _ in found), max(share for _, share in found)
    return Measurement(
        measured=f"{n_held} of {len(found)} enclosed",
        predicted="all, in balls that are not too wide",
        margin=f"radii up to {widest:.2g} of what is allowed",
        holds=bool(n_held == len(found) and widest <= 1),
    )


def as_it_is(x: arb, precision: int) -> arb:
    """What was proved."""
    return x


def of_last_bit(x: arb, precision: int) -> arb:
    """The midpoint, ± one unit in its last place."""
    return arb(x.mid(), abs(x.mid()) * arb(2) ** (1 - precision))


def halved(x: arb, precision: int) -> arb:
    """Half of the ball."""
    return arb(x.mid(), x.rad() / 2)


ENCLOSURES = tuple(
    Check(
        name=name,
        strength=Strength.LIBRARY,
        hypothesis=f"certify encloses the rational truth of random problems, {hypothesis}",
        measure=partial(measure, radius=radius),
        formula=as_it_is,
        wrong=wrong,
        control=control,
    )
    for name, hypothesis, radius, wrong, control in (
        (
            "enclosures",
            "whose numbers are exact",
            0.0,
            of_last_bit,
            "midpoints that are right to the last bit",
        ),
        (
            "enclosures-of-intervals",
            "of all data within radii",
            RADIUS,
            halved,
            "balls of half the radius",
        ),
    )
)
