"""What an optimizer with a constant D makes of noise in the labels: beyond the paper.

f_int is linear in Y, so that for labels Y + ε with independent ε of variance s²

    Var f_int(x) = s² ‖K_D(x, X) K_D^{-1}‖²

which D decides. The mean of (f_int(x) − E f_int(x))²/s² over draws of normal ε and over x has to
have that value in its confidence interval, and with another D than the minimizer's it must not. In
rational arithmetic the sum of f_int(x; e_n)² over unit vectors e_n, each by a minimizer of its own,
is the norm that is claimed: no tolerance, nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flint import fmpq_mat
from numpy.random import Generator

import ntklin
from ntklin.validation.arrays import Array
from ntklin.validation.theorems.check import Setting, Statement
from ntklin.validation.theorems.experiments import draw_data, network
from ntklin.validation.theorems.rationals import (
    Regression,
    column,
    diagonal,
    equality,
    fraction,
    rows,
)
from ntklin.validation.theorems.statistics import expectation

SCALE = 0.3


@dataclass(frozen=True, eq=False)
class Weighted:
    """A linear model and a diagonal D > 0."""

    regression: Regression
    D: fmpq_mat


def draw(rng: Generator) -> Weighted:
    """Random fractions."""
    regression = Regression.random(rng)
    D = [fraction(rng, positive=True) for _ in range(regression.n_parameters)]
    return Weighted(regression, diagonal(D))


def from_unit_vectors(problem: Weighted) -> fmpq_mat:
    """Σ_n f_int(x; e_n)², each f_int by the parameters of its own minimizer."""
    phi, D, n = problem.regression.phi, problem.D, problem.regression.n
    K = phi * D * phi.transpose()
    totals = [0] * problem.regression.phi_new.nrows()
    for k in range(n):
        labels = column([int(i == k) for i in range(n)])
        w = D * phi.transpose() * K.solve(labels)
        outputs = problem.regression.phi_new * w
        totals = [a + f * f for a, f in zip(totals, outputs.entries(), strict=True)]
    return rows(totals)


def norm_of_the_map(problem: Weighted, weighted: bool = True) -> fmpq_mat:
    """‖K_D(x, X) K_D^{-1}‖²."""
    regression = problem.regression
    right = (problem.D if weighted else 1) * regression.phi.transpose()
    S = regression.phi_new * right * (regression.phi * right).inv()
    return rows([sum(a * a for a in row) for row in S.tolist()])


def without_weights(problem: Weighted) -> fmpq_mat:
    """D = 1."""
    return norm_of_the_map(problem, weighted=False)


@dataclass(frozen=True, eq=False)
class Noisy:
    """The minimizers of unit labels under a D, and two predictions.

    Attributes
    ----------
    outputs : ndarray, shape (N, N_T)
        f_int(X_T; e_n).
    weighted, plain : float
        The mean amplification for D and for 1.
    """

    outputs: Array
    weighted: float
    plain: float


def draw_noisy(rng: Generator, setting: Setting) -> Noisy:
    """A network whose last layer learns a hundred times as fast."""
    data, net = draw_data(rng, setting), network(256)
    lin = ntklin.linearize(net, net.init(rng), data.X)
    D = net.layer_weights({1: 0.01, 2: 1.0})
    unit = [lin.minimizer(e, weights=D).interpolator(data.X_test) for e in np.eye(len(data.Y))]
    found = [
        float(lin.minimizer(data.Y, weights=weights).noise_amplification(data.X_test).mean())
        for weights in (D, None)
    ]
    return Noisy(np.array(unit), *found)


def sampled(drawn: Noisy, rng: Generator) -> float:
    """(f_int(x; Y + ε) − f_int(x; Y))²/s², the mean over x and over 20 draws of ε."""
    noise = SCALE * rng.standard_normal((20, len(drawn.outputs)))
    return float(((noise @ drawn.outputs / SCALE) ** 2).mean())


def of_its_weights(drawn: Noisy) -> float:
    """That of D."""
    return drawn.weighted


def of_no_weights(drawn: Noisy) -> float:
    """That of 1."""
    return drawn.plain


STATEMENT = Statement(
    key="label-noise",
    title="Label noise",
    claim="Var f_int(x) = s² ‖K_D(x, X) K_D^{-1}‖², for any constant D",
    text=__doc__,
    checks=(
        equality(
            "norm",
            "the amplification is the sum over unit labels",
            draw,
            from_unit_vectors,
            norm_of_the_map,
            without_weights,
            "that of D = 1",
        ),
        expectation(
            "sampling",
            "labels with noise have outputs of that variance",
            draw_noisy,
            sampled,
            of_its_weights,
            of_no_weights,
            "that of D = 1",
            n_draws=2000,
            quick=200,
            quantity="mean square",
        ),
    ),
)
