"""Lemma 3: least norm of the parameters and least norm in the kernel's function space agree.

A function f = Σ_i α_i K(z_i, ·) over the training inputs and new ones has ‖f‖²_H = α^T K(Z, Z) α.
Of those with f(X) = Y the one of least norm solves

    [ K(Z, Z)   K(Z, X) ] [ α ]   [ 0 ]
    [ K(X, Z)   0       ] [ μ ] = [ Y ],

by elimination in rational arithmetic; its values at all z must be φ(z) θ_∞ of Lemma 2. Random
functions outside this span could only add norm (representer theorem). No tolerance.
"""

from flint import fmpq_mat
from numpy.random import Generator

from ntklin.validation.theorems import lemma2
from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import (
    Regression,
    equality,
    identity,
    selected,
    stacked,
    zeros,
)


def smallest_function(problem: Regression) -> fmpq_mat:
    """The values at the new inputs of the interpolant of least norm in the function space."""
    centers = stacked((problem.phi,), (problem.phi_new,))
    K = centers * centers.transpose()
    cross = centers * problem.phi.transpose()
    n, total = problem.n, centers.nrows()
    conditions = stacked((K, cross), (cross.transpose(), zeros(n, n)))
    right = stacked((zeros(total, 1),), (problem.Y,))
    alpha = selected(conditions.solve(right), range(total))
    return selected(K * alpha, range(n, total))


def smallest_parameters(problem: Regression) -> fmpq_mat:
    """φ(X_new) θ_∞."""
    return problem.phi_new * lemma2.formula(problem)


def ridge(problem: Regression) -> fmpq_mat:
    """The minimizer of ‖f(X) − Y‖² + ‖f‖²_H, which does not interpolate."""
    K = problem.kernel + identity(problem.n)
    return problem.phi_new * problem.phi.transpose() * K.inv() * problem.Y


def draw(rng: Generator) -> Regression:
    """A problem whose training and new features are linearly independent."""
    while True:
        problem = Regression.random(rng, n=3, p=7, m=2)
        if stacked((problem.phi,), (problem.phi_new,)).rank() == 5:
            return problem


STATEMENT = Statement(
    key="lemma3",
    title="Lemma 3",
    claim="the interpolant of least norm in the kernel's function space is that of Lemma 2",
    text=__doc__,
    checks=(
        equality(
            "function-space",
            "both interpolants of least norm have the same values at new inputs",
            draw,
            smallest_function,
            smallest_parameters,
            ridge,
            "ridge regression, which does not interpolate",
        ),
    ),
)
