"""Theorem 1 on real images, certified: Eq. (4) of a network on MNIST in ball arithmetic.

The forward and backward passes, the kernel and the solutions are computed with 128 bits and with
all rounding errors enclosed, for parameters and images that are taken as exact binary numbers.

Errors of the library's own results are differences to these enclosures. What they may be: roundings
are independent, and sums of n terms are made in blocks, so that they are off by some √(log₂ n) eps
times the root of their terms' squares. That is s s' for a kernel entry, s = √K(x, x), and w s for
an output f_0 = ⟨W^L, ∂f/∂W^L⟩, w the root mean square of W^L. Cholesky's backward error is of the
first form, too. With α = K^{-1} Y or K^{-1} (Y − f_0(X)) and p = K^{-1} K(X, x), to first order
Δf = Δk·α − p·ΔK α, sums of independent errors whose squares add. Two of each, of features and of
sums, and as much again for the largest of N_new results make it

    |Δf(x)| ≤ 4 √(log₂ n) eps (√(Σ_i s_i² α_i²) + w) √(s² + Σ_i s_i² p_i²)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from flint import arb, arb_mat, ctx
from numpy.random import Generator
from numpy.typing import DTypeLike

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.balls import PRECISION, Problem, at_least, at_most, known, mnist
from ntklin.validation.theorems.check import Check, Measurement, Setting, Strength

if TYPE_CHECKING:
    from ntklin.theory.minimizer import Minimizer

# Enclosures that agree to fewer digits than this would not tell anything about float64.
ENOUGH_DIGITS = 20
# What float64's λ_min is certainly right to, some N eps ‖K‖ being 10⁻¹¹ of it.
LITTLE = 1e-9
# What takes f_int and f_∞ from a minimizer, at new inputs.
Formula = Callable[["Minimizer", Array], tuple[Array, Array]]


# λ_min


def eigenvalue(beyond: float, rng: Generator, setting: Setting) -> Measurement:
    """Whether λ_min is above (1 + ``beyond``) times what float64 has: K less that is definite."""
    problem = mnist(setting.seed, setting.quick)
    K, n = problem.enclosed.K, len(problem.X)
    computed = float(problem.linearized(np.float64).eigenvalues[0])
    bound = computed * (1 + beyond)
    with ctx.workprec(PRECISION):
        less = K - arb_mat(n, n, [bound if i == j else 0 for i in range(n) for j in range(n)])
    try:
        problem.certificate(K=less, K_new=None, f0=None, f0_new=None)
    except ntklin.DegenerateKernelError:
        holds = False
    else:
        holds = bound > 0
    return Measurement(
        measured=f"λ_min {'>' if holds else '≯'} {at_least(bound, 12)}",
        predicted="λ_min > 0",
        margin=f"float64 computed λ_min = {computed:.12g}",
        holds=holds,
    )


# The decomposition


def decomposition(factor: Callable[[int], arb], rng: Generator, setting: Setting) -> Measurement:
    """Eq. (19) against f_int + factor · φ(x) (1 − P_F) θ_0."""
    problem = mnist(setting.seed, setting.quick)
    e = problem.enclosed
    with ctx.workprec(PRECISION):
        c = factor(problem.net.depth)
        parts = known(problem.certificate(f0=e.g * c, f0_new=e.g_new * c).minimizer)
        true = known(problem.certificate().minimizer)
        apart = [a - b for a, b in zip(parts.balls, true.balls, strict=True)]
    largest = max(abs(x).upper() for x in apart)
    digits = min(parts.digits, true.digits)
    holds = all(x.contains(0) for x in apart) and digits >= ENOUGH_DIGITS
    return Measurement(
        measured=f"|difference| ≤ {at_most(largest)}",
        predicted="0 in all enclosures",
        margin=f"{digits} digits are certain",
        holds=holds,
    )


def divided(depth: int) -> arb:
    """1/L."""
    return arb(1) / depth


def undivided(depth: int) -> arb:
    """1."""
    return arb(1)


# Floating point


def true_errors(dtype: DTypeLike) -> Callable[[Formula, Generator, Setting], Measurement]:
    """A measure of how far the library's f_int and f_∞ in this precision are from the truth."""

    def measure(formula: Formula, rng: Generator, setting: Setting) -> Measurement:
        problem = mnist(setting.seed, setting.quick)
        certificate = problem.certificate()
        m = problem.linearized(dtype).minimizer(problem.Y)
        results = formula(m, problem.X_new.astype(dtype))
        truths = known(certificate.interpolator), known(certificate.minimizer)
        errors = [
            true.distance(result).upper.max() for true, result in zip(truths, results, strict=True)
        ]
        allowed = rounding(problem, dtype)
        digits = min(true.digits for true in truths)
        return Measurement(
            measured=f"error of f_int ≤ {at_most(errors[0])}, of f_∞ ≤ {at_most(errors[1])}",
            predicted=f"≤ {allowed:.2g}",
            margin=f"{max(errors) / allowed:.2g} of it; {digits} digits are certain",
            holds=bool(max(errors) <= allowed) and digits >= ENOUGH_DIGITS,
        )

    return measure


def rounding(problem: Problem, dtype: DTypeLike) -> float:
    """The largest error that the bound above allows; float64 is enough for it."""
    lin = problem.linearized(np.float64)
    theta, X_new = lin.features.parameters, problem.X_new.astype(np.float64)
    size = np.sqrt(lin.kernel.diagonal())
    size_new = np.sqrt(ntklin.ntk(problem.net, theta, X_new).diagonal())
    alpha = lin.minimizer(problem.Y).coefficients
    moves = np.stack([alpha[:, 0], alpha[:, 0] - alpha[:, 1]])
    pull = np.linalg.solve(lin.kernel, lin.at(X_new).kernel.T)
    last = np.sqrt(np.mean(problem.net.unpack(theta)[-1][0] ** 2))
    unit = np.sqrt(np.log2(problem.longest)) * np.finfo(dtype).eps
    amplified = np.sqrt(size_new**2 + size**2 @ pull**2).max()
    return float(4 * unit * (np.linalg.norm(moves * size, axis=1).max() + last) * amplified)


def both(m: Minimizer, X_new: Array) -> tuple[Array, Array]:
    """f_int and f_∞."""
    return m.interpolator(X_new), m.predict(X_new)


def without_initialization(m: Minimizer, X_new: Array) -> tuple[Array, Array]:
    """f_int in place of f_∞."""
    return m.interpolator(X_new), m.interpolator(X_new)


def errors_of(name: str) -> Check:
    """The check for one precision."""
    return Check(
        name=f"mnist-{name}",
        strength=Strength.CERTIFIED,
        hypothesis=f"f_int and f_∞ as computed in {name} are true up to rounding, on MNIST 0/1",
        measure=true_errors(np.dtype(name).type),
        formula=both,
        wrong=without_initialization,
        control="f_init is left out of f_∞",
    )


CHECKS = (
    Check(
        name="mnist-eigenvalue",
        strength=Strength.CERTIFIED,
        hypothesis="K(X, X) is positive definite on MNIST 0/1, as the theorem supposes: λ_min is "
        "not 10⁻⁹ below what float64 has for it",
        measure=eigenvalue,
        formula=-LITTLE,
        wrong=LITTLE,
        control="that it is 10⁻⁹ above",
    ),
    Check(
        name="mnist-decomposition",
        strength=Strength.CERTIFIED,
        hypothesis="Eq. (19) is f_int + (1/L) φ(x) (1 − P_F) θ_0 on MNIST 0/1, biases starting at "
        "0",
        measure=decomposition,
        formula=divided,
        wrong=undivided,
        control="the factor 1/L is missing",
    ),
    errors_of("float64"),
    errors_of("float32"),
)
