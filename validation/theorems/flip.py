"""Vanishing decay flips the initialization term: f_int − (L − 1) f_init.

With L2 decay w > 0 the linearized network ends, whatever the rate, at

    f_∞(x) = f_0(x) − φ(x) θ_0 + K(x, X) (K + N w)^{-1} (Y − f_0(X) + φ(X) θ_0)

For w → 0 that is f_int + f_init − φ(x)(1 − P_F) θ_0, whatever the biases, and the difference is

    −N w K(x, X) K^{-1} (K + N w)^{-1} (Y − f_0(X) + φ(X) θ_0) = O(w)

A network that is homogeneous at θ_0 (Lemma 4: biases that are 0, or none) has f_0 = φ θ_0/L, and so
f_init = φ(x)(1 − P_F) θ_0/L: what is left is f_int − (L − 1) f_init, for two layers the
initialization term with the other sign. On the way there, with c_t = (1 − ηw)^t,

    f_t = f_int + (1 − L (1 − c_t)) f_init + O(w) + what gradient descent has not fitted yet

so that at c_t = 1 − 1/L the linearized network is the interpolator f_int alone.

Networks with rational parameters and their gradients, in rational arithmetic: with the remainders
written out both sides are equal to the last digit. The last check is of the library: f_t at its
``interpolation_step()`` is compared with f_int at decays w and w/10, w = 10⁻⁵ λ_min; the distance
has to be below 0.1 % of ‖f_init‖ and to fall by a factor between 5 and 20.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat
from numpy.random import Generator

import ntklin
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.descents import Descent, share
from ntklin.validation.theorems.experiments import Data, draw_data, network
from ntklin.validation.theorems.rationals import (
    RationalNetwork,
    Regression,
    column,
    equality,
    flat,
    identity,
    random_matrix,
    rows,
)
from ntklin.validation.theorems.statistics import everywhere

WIDTHS = {2: (2, 4, 1), 3: (2, 4, 4, 1), 4: (2, 4, 4, 4, 1)}
N_TRAIN, N_NEW, STEPS = 2, 2, 3


@dataclass(frozen=True, eq=False)
class Problem:
    """A network linearized at its parameters, and decay.

    Attributes
    ----------
    descent : Descent
    depth : int
        L.
    """

    descent: Descent
    depth: int

    @property
    def regression(self) -> Regression:
        """f_0 and φ."""
        return self.descent.regression


def of_depth(depth: int, biases: bool = False) -> Callable[[Generator], Problem]:
    """``draw(rng)``: a random network of L layers whose kernel has an inverse."""

    def draw(rng: Generator) -> Problem:
        while True:
            net = RationalNetwork.random(rng, WIDTHS[depth], biases=biases)
            inputs = [random_matrix(rng, 2, 1) for _ in range(N_TRAIN + N_NEW)]
            phi = [flat(net.gradient(x)) for x in inputs]
            f0 = [net.output(x) for x in inputs]
            regression = Regression(
                rows(*phi[:N_TRAIN]),
                rows(*phi[N_TRAIN:]),
                column(f0[:N_TRAIN]),
                column(f0[N_TRAIN:]),
                random_matrix(rng, N_TRAIN, 1),
                column(flat(net.layers)),
                fmpq(1, 8),
            )
            # Of networks with f_init = 0 on the new inputs any law holds.
            if regression.kernel.det() != 0 and any(parts(regression)[1].entries()):
                rates = (regression.rate,) * STEPS
                descent = Descent(regression=regression, rates=rates, decay=share(rng))
                return Problem(descent, depth)

    return draw


def across(problem: Regression) -> fmpq_mat:
    """K(x, X)."""
    return problem.phi_new * problem.phi.transpose()


def parts(problem: Regression) -> tuple[fmpq_mat, fmpq_mat]:
    """f_int and f_init at the new inputs."""
    pull = across(problem) * problem.kernel.inv()
    return pull * problem.Y, problem.f0_new - pull * problem.f0


def remainder(problem: Problem) -> fmpq_mat:
    """−N w K(x, X) K^{-1} (K + N w)^{-1} (Y − f_0(X) + φ(X) θ_0)."""
    regression, n = problem.regression, problem.regression.n
    shift = n * problem.descent.decay
    inverse = regression.kernel.inv() * (regression.kernel + shift * identity(n)).inv()
    target = regression.residual + regression.phi * regression.theta0
    return -shift * (across(regression) * (inverse * target))


def trained(problem: Problem) -> fmpq_mat:
    """f_∞ at the new inputs, by the minimum of L + (w/2)‖θ‖² over all parameters."""
    regression = problem.regression
    phi, theta0 = regression.phi, regression.theta0
    shift = regression.n * problem.descent.decay
    hessian = phi.transpose() * phi + shift * identity(regression.n_parameters)
    theta = hessian.solve(phi.transpose() * (regression.residual + phi * theta0))
    return regression.predict(theta)


def law(problem: Problem) -> fmpq_mat:
    """f_int − (L − 1) f_init, and the remainder."""
    fitted, start = parts(problem.regression)
    return fitted - (problem.depth - 1) * start + remainder(problem)


def unflipped(problem: Problem) -> fmpq_mat:
    """f_int + f_init, the minimizer without decay, and the remainder."""
    fitted, start = parts(problem.regression)
    return fitted + start + remainder(problem)


def general_law(problem: Problem) -> fmpq_mat:
    """f_int + f_init − φ(x)(1 − P_F) θ_0, and the remainder."""
    regression = problem.regression
    fitted, start = parts(regression)
    phi, theta0 = regression.phi, regression.theta0
    inside = phi.transpose() * (regression.kernel.inv() * (phi * theta0))
    return fitted + start - regression.phi_new * (theta0 - inside) + remainder(problem)


def along(problem: Problem) -> list[fmpq_mat]:
    """f_t by the steps."""
    return [problem.regression.predict(theta) for theta in problem.descent.path()]


def way(problem: Problem, degree: int | None = None) -> list[fmpq_mat]:
    """f_int + (1 − L (1 − c_t)) f_init, and the remainders of fit and decay."""
    regression, descent = problem.regression, problem.descent
    L, n = problem.depth if degree is None else degree, regression.n
    fitted, start = parts(regression)
    shift = n * descent.decay
    inverse, found = regression.kernel.inv(), []
    pulled = regression.phi * regression.theta0
    growths = descent.growth(regression.kernel + shift * identity(n))
    for t, G in enumerate(growths, 1):
        c = (1 - descent.rates[0] * descent.decay) ** t
        rest = (inverse - G) * regression.residual + shift * (G * (inverse * pulled))
        found.append(fitted + (1 - L * (1 - c)) * start - across(regression) * rest)
    return found


def of_one_layer_more(problem: Problem) -> list[fmpq_mat]:
    """The law with L + 1."""
    return way(problem, problem.depth + 1)


Sampled = tuple[Data, Any, int]


def linearized(data: Data, rng: Generator) -> Sampled:
    """A network of two to four layers."""
    depth = int(rng.integers(2, 5))
    net = network(128, depth)
    return data, ntklin.linearize(net, net.init(rng), data.X), depth


def nearness(sampled: Sampled, more: int = 0) -> float:
    """By how much f_t at c_t = 1 − 1/L is nearer to f_int than allowed, and by the right order."""
    data, lin, depth = sampled
    minimizer = lin.minimizer(data.Y)
    fitted = minimizer.interpolator(data.X_test)
    size = np.linalg.norm(minimizer.initialization(data.X_test))
    gaps = []
    for part in (1.0, 0.1):
        decay = 1e-5 * part * float(lin.eigenvalues[0])
        gd = lin.gradient_descent(data.Y, weight_decay=decay)
        t = gd.interpolation_step(depth + more)
        gaps.append(float(np.linalg.norm(gd.predict(data.X_test, t) - fitted) / size))
    falls = gaps[0] / gaps[1]
    return min(1e-3 - gaps[0], falls - 5, 20 - falls)


def too_late(sampled: Sampled) -> float:
    """The moment of a network of one layer more."""
    return nearness(sampled, more=1)


STATEMENT = Statement(
    key="flip",
    title="Vanishing decay",
    claim="vanishing decay turns f_init into −(L − 1) f_init, and on the way there into 0",
    text=__doc__,
    checks=(
        *(
            equality(
                f"layers-{L}",
                f"L = {L}: f_∞ = f_int − {L - 1} f_init + O(w), the remainder written out",
                of_depth(L),
                trained,
                law,
                unflipped,
                "f_int + f_init, as without decay",
                n_draws=8,
            )
            for L in WIDTHS
        ),
        equality(
            "biases",
            "with any biases, f_∞ = f_int + f_init − φ(x)(1 − P_F) θ_0 + O(w)",
            of_depth(3, biases=True),
            trained,
            general_law,
            law,
            "f_int − (L − 1) f_init, which needs biases that are 0",
            n_draws=8,
        ),
        equality(
            "on-the-way",
            "f_t = f_int + (1 − L(1 − c_t)) f_init, the remainders written out",
            of_depth(3),
            along,
            way,
            of_one_layer_more,
            "L + 1 in the place of L",
            n_draws=8,
        ),
        everywhere(
            "moment",
            "at c_t = 1 − 1/L the linearized network is f_int, up to O(w); L = 2 … 4",
            draw_data,
            linearized,
            nearness,
            too_late,
            "c_t = 1 − 1/(L + 1)",
            n_draws=60,
            quick=4,
        ),
    ),
)
