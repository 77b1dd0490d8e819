"""The correctness gate: nothing is timed before its result agrees with the plain computation.

The tolerance is c · eps · √n · scale, n being the length of the longest chain of sums and scale the
largest true entry; c = 16 leaves room for the few rounded quantities in each entry. Where a
preactivation is within rounding of 0, its ReLU may switch either way and move an entry by far more
than eps, which is no error: such inputs are left out and counted. In float64 there are none.
"""

from dataclasses import dataclass

import numpy as np

from ntklin.validation.benchmarks.plain import linearized_outputs

C = 16
GATE_STEPS = 5
DOUBLINGS = 12


@dataclass(frozen=True)
class Check:
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
    def passed(self):
        """Whether the error is within the tolerance; NaN is not."""
        return bool(self.error <= self.tolerance)


def rounding(dtype, n):
    """c · eps · √n."""
    return C * float(np.finfo(dtype).eps) * float(np.sqrt(n))


def relative_error(actual, expected, scale=None):
    """The largest difference, relative to the largest true entry; infinite for a wrong shape."""
    actual = np.asarray(actual, dtype=float)
    if actual.shape != expected.shape or expected.size == 0:
        return float("inf")
    scale = np.abs(expected).max() if scale is None else scale
    return float(np.abs(actual - expected).max() / scale)


def chain(reference):
    """The number of terms that all layers together sum up in one entry."""
    return sum(reference.problem.case.widths)


def check_kernel(reference, actual, expected):
    """K(X, X) or K_D(X, X) against the truth."""
    clear = reference.clear
    tolerance = rounding(reference.problem.dtype, chain(reference))
    left_out = int((~clear).sum())
    if np.shape(actual) != expected.shape:
        return Check(float("inf"), tolerance, left_out)
    both = np.ix_(clear, clear)
    return Check(relative_error(actual[both], expected[both]), tolerance, left_out)


def check_jacobian(reference, actual):
    """J, every entry of it, one row of the truth at a time."""
    problem, clear = reference.problem, reference.clear
    tolerance = rounding(problem.dtype, chain(reference))
    left_out = int((~clear).sum())
    if actual.shape != (problem.n, len(problem.theta)) or not clear.any():
        return Check(float("inf"), tolerance, left_out)
    largest = worst = 0.0
    for n in np.flatnonzero(clear):
        row = reference.passes.jacobian_row(n)
        largest = max(largest, float(row.max()), -float(row.min()))
        row -= actual[n]
        # np.maximum and not max, which would lose a NaN.
        worst = float(np.maximum(worst, np.abs(row, out=row).max()))
    return Check(worst / largest, tolerance, left_out)


def check_jacobian_probe(reference, actual):
    """J v for the problem's probe v, from a peer that cannot pass J itself."""
    clear = reference.clear
    tolerance = rounding(reference.problem.dtype, len(reference.problem.theta))
    left_out = int((~clear).sum())
    if np.shape(actual) != clear.shape:
        return Check(float("inf"), tolerance, left_out)
    return Check(
        relative_error(actual[clear], reference.jacobian_probe[clear]), tolerance, left_out
    )


def check_training(reference, actual, outputs=None):
    """What ``GATE_STEPS`` steps change of the outputs on training and test inputs.

    The outputs are continuous in θ, so a ReLU that switches late costs one part in N m of a step.

    Parameters
    ----------
    outputs : ndarray, shape (2, N + N'), optional
        The true ones before and after; those of gradient descent when not given.
    """
    problem = reference.problem
    before, after = reference.trained_outputs(GATE_STEPS) if outputs is None else outputs
    change = np.abs(after - before).max()
    switched = int((~reference.clear).sum())
    per_step = rounding(problem.dtype, chain(reference)) * np.abs(after).max() / change
    per_step += switched / (problem.n * min(problem.case.widths[1:-1]) / 2)
    return Check(relative_error(actual, after, change), float(GATE_STEPS * per_step))


def check_split(reference, actual):
    """K_D^{-1} r against the plain solution, given D and r.

    Parameters
    ----------
    actual : tuple
        D, r and the coefficients.
    """
    D, r, coefficients = actual
    K = reference.gram_with(D)
    tolerance = rounding(reference.problem.dtype, chain(reference)) * np.linalg.cond(K)
    return Check(relative_error(coefficients, np.linalg.solve(K, r)), float(tolerance))


def check_eigenvalues(reference, actual):
    """λ of K(X, X) against those of the true kernel, absolutely: they are known to eps λ_max."""
    expected = np.linalg.eigvalsh(reference.gram)
    left_out = int((~reference.clear).sum())
    tolerance = rounding(reference.problem.dtype, chain(reference))
    # A perturbation of K moves an eigenvalue by at most its norm (Weyl), and an input whose ReLU
    # switches moves its row and column by some neuron's share.
    share = 4 / min(reference.problem.case.widths[1:-1])
    tolerance += share * float(np.sqrt(left_out / reference.problem.n))
    return Check(relative_error(actual, expected), tolerance, left_out)


def check_closed_form(reference, actual):
    """f_t(X_test) − f_0(X_test) at t = 1, 2, 4, …, given the kernels that were used.

    Parameters
    ----------
    actual : tuple
        K(X, X), K(X_test, X) and the changes, (DOUBLINGS + 1, N').
    """
    K, K_new, changes = (np.asarray(a, dtype=float) for a in actual)
    kernels = check_kernel(reference, K, reference.gram)
    problem, rows = reference.problem, reference.test_clear
    cross = relative_error(
        K_new[np.ix_(rows, reference.clear)], reference.test_gram[np.ix_(rows, reference.clear)]
    )
    residual = reference.Y - reference.passes.outputs
    rate = 0.5 / np.linalg.eigvalsh(K)[-1]
    expected = linearized_outputs(K, K_new, residual, rate, DOUBLINGS)
    error = relative_error(changes, expected)
    # λ is known to eps λ_max, of which t steps make t eps.
    tolerance = rounding(problem.dtype, chain(reference))
    tolerance += rounding(np.float64, problem.n) * 2**DOUBLINGS
    worst = float(np.max([kernels.error, cross, error]))
    return Check(worst, tolerance, kernels.left_out)


def check_infinite(reference, actual):
    """Θ(X, X): arccos has an absolute error of eps/sin θ, which the smallest angle decides."""
    problem = reference.problem
    tolerance = rounding(problem.dtype, problem.X.shape[1])
    tolerance /= min(1.0, float(np.sin(reference.infinite_angle)))
    return Check(relative_error(actual, reference.infinite_ntk), tolerance)
