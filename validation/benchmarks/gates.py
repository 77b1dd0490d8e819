"""The correctness gate: nothing is timed before its result agrees with the plain computation.

The tolerance is c · eps · √n · scale, n being the length of the longest chain of sums and scale the
largest true entry; c = 16 leaves room for the few rounded quantities in each entry. Where a
preactivation is within rounding of 0, its ReLU may switch either way and move an entry by far more
than eps, which is no error: such inputs are left out and counted. In float64 there are none.

A gate is a function of the reference and of what came, and returns their agreement.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks.plain import Reference, linearized_outputs

C = 16
GATE_STEPS = 5
DOUBLINGS = 12


@dataclass(frozen=True)
class Agreement:
    """How far a result is from the truth.

    Attributes
    ----------
    error, tolerance : float
        Relative to the largest true entry.
    left_out : int
        Inputs with a ReLU within rounding of its kink, which were not compared.
    """

    error: float
    tolerance: float
    left_out: int = 0

    @property
    def failure(self) -> str:
        """Why it is none; empty where the error is within the tolerance, which NaN is not."""
        if self.error <= self.tolerance:
            return ""
        return f"relative error {self.error:.2g} exceeds {self.tolerance:.2g}"


def rounding(dtype: DTypeLike, n: int) -> float:
    """c · eps · √n."""
    return C * float(np.finfo(dtype).eps) * float(np.sqrt(n))


def of_chain(reference: Reference) -> float:
    """The same for the number of terms that all layers together sum up in one entry."""
    return rounding(reference.problem.dtype, sum(reference.problem.case.widths))


def relative_error(
    actual: ArrayLike, expected: Array, scale: float | None = None, kept: Any = ...
) -> float:
    """The largest difference, relative to the largest true entry; infinite for a wrong shape.

    Parameters
    ----------
    actual, expected : array_like and ndarray
    scale : float, optional
        In place of the largest true entry.
    kept : index, optional
        Of the entries that are compared.

    Returns
    -------
    float
    """
    actual = np.asarray(actual, dtype=float)
    if actual.shape != expected.shape or expected[kept].size == 0:
        return float("inf")
    actual, expected = actual[kept], expected[kept]
    scale = np.abs(expected).max() if scale is None else scale
    return float(np.abs(actual - expected).max() / scale)


def switched(reference: Reference) -> int:
    """How many training inputs are left out."""
    return int((~reference.clear).sum())


def gram(reference: Reference, actual: Array, name: str = "gram") -> Agreement:
    """K(X, X), or what the reference calls otherwise: K_D(X, X), against the truth."""
    kept = np.repeat(reference.clear, reference.problem.case.n_outputs)
    error = relative_error(actual, getattr(reference, name), kept=np.ix_(kept, kept))
    return Agreement(error, of_chain(reference), switched(reference))


def weighted_gram(reference: Reference, actual: Array) -> Agreement:
    """K_D(X, X) against the truth."""
    return gram(reference, actual, "weighted_gram")


def jacobian(reference: Reference, actual: Array) -> Agreement:
    """J, every entry of it, one row of the truth at a time."""
    problem, clear = reference.problem, reference.clear
    tolerance, left_out = of_chain(reference), switched(reference)
    if actual.shape != (problem.n, len(problem.theta)) or not clear.any():
        return Agreement(float("inf"), tolerance, left_out)
    largest = worst = 0.0
    for n in map(int, np.flatnonzero(clear)):
        row = reference.passes.jacobian_row(n)
        largest = max(largest, float(row.max()), -float(row.min()))
        row -= actual[n]
        # np.maximum and not max, which would lose a NaN.
        worst = float(np.maximum(worst, np.abs(row, out=row).max()))
    return Agreement(worst / largest, tolerance, left_out)


def jacobian_probe(reference: Reference, actual: Array) -> Agreement:
    """J v for the problem's probe v, from a peer that cannot pass J itself."""
    error = relative_error(actual, reference.jacobian_probe, kept=reference.clear)
    tolerance = rounding(reference.problem.dtype, len(reference.problem.theta))
    return Agreement(error, tolerance, switched(reference))


def training(
    reference: Reference, actual: Array, rule: str = "descent", network: str = "real"
) -> Agreement:
    """What ``GATE_STEPS`` steps change of the outputs on training and test inputs.

    The outputs are continuous in θ, so a ReLU that switches late costs one part in N m of a step.

    Parameters
    ----------
    rule : {"descent", "adagrad", "adam"}
    network : {"real", "linearized"}

    Returns
    -------
    Agreement
    """
    problem = reference.problem
    outputs = reference.trained_outputs if network == "real" else reference.linearized_outputs
    before, after = outputs(GATE_STEPS, rule)
    change = np.abs(after - before).max()
    per_step = of_chain(reference) * np.abs(after).max() / change
    per_step += switched(reference) / (problem.n * min(problem.case.widths[1:-1]) / 2)
    return Agreement(relative_error(actual, after, change), float(GATE_STEPS * per_step))


def split(reference: Reference, actual: tuple[Array, Array, Array]) -> Agreement:
    """K_D^{-1} r against the plain solution; ``actual`` is D, r and the coefficients."""
    D, r, coefficients = actual
    K = reference.gram_with(D)
    tolerance = of_chain(reference) * np.linalg.cond(K)
    return Agreement(relative_error(coefficients, np.linalg.solve(K, r)), float(tolerance))


def eigenvalues(reference: Reference, actual: Array) -> Agreement:
    """λ of K(X, X) against those of the true kernel, absolutely: they are known to eps λ_max."""
    left_out = switched(reference)
    # A perturbation of K moves an eigenvalue by at most its norm (Weyl), and an input whose ReLU
    # switches moves its row and column by some neuron's share.
    share = 4 / min(reference.problem.case.widths[1:-1])
    tolerance = of_chain(reference) + share * float(np.sqrt(left_out / reference.problem.n))
    error = relative_error(actual, np.linalg.eigvalsh(reference.gram))
    return Agreement(error, tolerance, left_out)


def closed_form(reference: Reference, actual: tuple[Array, Array, Array]) -> Agreement:
    """f_t(X_test) − f_0(X_test) at t = 1, 2, 4, …, given the kernels that were used.

    Parameters
    ----------
    actual : tuple
        K(X, X), K(X_test, X) and the changes, (DOUBLINGS + 1, N').

    Returns
    -------
    Agreement
    """
    K, K_new, changes = (np.asarray(a, dtype=float) for a in actual)
    kept = np.ix_(reference.test_clear, reference.clear)
    rate = 0.5 / np.linalg.eigvalsh(K)[-1]
    residual = reference.Y - reference.passes.outputs
    errors = (
        gram(reference, K).error,
        relative_error(K_new, reference.test_gram, kept=kept),
        relative_error(changes, linearized_outputs(K, K_new, residual, rate, DOUBLINGS)),
    )
    # λ is known to eps λ_max, of which t steps make t eps.
    tolerance = of_chain(reference) + rounding(np.float64, reference.problem.n) * 2**DOUBLINGS
    return Agreement(float(np.max(errors)), tolerance, switched(reference))


def infinite(reference: Reference, actual: Array) -> Agreement:
    """Θ(X, X): arccos has an absolute error of eps/sin θ, which the smallest angle decides."""
    tolerance = rounding(reference.problem.dtype, reference.problem.X.shape[1])
    tolerance /= min(1.0, float(np.sin(reference.infinite_angle)))
    return Agreement(relative_error(actual, reference.infinite_ntk), tolerance)
