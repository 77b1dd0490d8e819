"""Which minimizer training converges to, and what of it is initialization: Thm 1 and Eq. (9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.preconditioners import Constant, as_comfortable, precondition, rank_bound
from ntklin.algebra.solving import KernelSolution, solve_kernel
from ntklin.algebra.spectrum import (
    degenerate_error,
    factorize,
    require_kernel_in_range,
    ridge_in_units,
)
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, freeze, host
from ntklin.edge.checks import advising, require_memory
from ntklin.edge.errors import DegenerateKernelError
from ntklin.edge.ranges import in_range, is_far, largest_exponent, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.networks.features import REMEDY

if TYPE_CHECKING:
    from ntklin.theory.linearization import Evaluation, Linearization, Rescaled


@dataclass(frozen=True, eq=False, kw_only=True)
class Minimizer(Sendable):
    r"""The minimizer that gradient descent converges to, split into its two parts, Thm 1.

    .. math::

        f_\infty &= f_{int} + f_{init} \\
        f_{int}(x) &= K_D(x, X)\, K_D(X, X)^{-1}\, Y \\
        f_{init}(x) &= f_0(x) - K_D(x, X)\, K_D(X, X)^{-1} f_0(X) \\
        \theta_\infty &= \theta_0 + D \varphi(X)^T K_D(X, X)^{-1} (Y - f_0(X))

    with K_D = φ D φ^T. D = 1 is gradient descent, with mini-batches or without; another constant D
    gives the adaptive minimizer of Eq. (9), unchanged when D is multiplied by a number. With a
    ridge λ, (K_D + λ1)^{-1} takes the place of K_D^{-1}, and f_int is for D = 1 App. A's
    regularized minimizer φ(x)(φ(X)^T φ(X) + λ1)^{-1} φ(X)^T Y. On a cut spectrum the inverse is the
    pseudo-inverse. With P < N parameters and ``rank`` = P that gives the one minimizer of App. A,
    f_0 + φ φ(X)^+ (Y − f_0(X)), whatever D > 0. Where ``rank`` < P, as when no training input
    reaches a neuron or all of them reach it in one direction, every D > 0 fits X alike, and all
    agree at inputs x whose φ(x) lies in the row space of φ(X); at others D still decides.
    Made by ``Linearization.minimizer``.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,)
    weights : float, ndarray of shape (P,) or (P, P), LowRank, or None
        D; a number stands for its multiple of 1, None for 1.
    ridge : float
    rcond : float or None
    rank : int
        How many eigenvalues the inverse keeps.
    condition : float
        κ, the condition number of what was inverted: LAPACK's estimate in the 1-norm where Cholesky
        served, exact in the 2-norm on the kept spectrum otherwise.
    error_bounds : tuple of two floats
        What the relative errors ‖Δα‖/‖α‖ of K_D^{-1} Y and of K_D^{-1} f_0(X) are expected to stay
        below: 8 √N κ eps of the kernel's dtype for the rounding of K_D, times 1 + ‖K_D^{-1}‖‖c‖/‖α‖
        where the cut leaves c of the right-hand side, plus ‖K_D^{-1}‖‖Δf_0(X)‖/‖α‖ for the
        rounding of f_0(X). Near 1 no digit is certain, as of K_D^{-1} f_0(X) where f_0(X) is what
        cancellation leaves of large terms.
    """

    linearization: Linearization
    targets: Array
    weights: Constant
    ridge: float
    rcond: float | None
    rank: int
    condition: float
    error_bounds: tuple[float, ...]
    _system: _System

    @property
    def error_bound(self) -> float:
        """The larger one of ``error_bounds``: what the errors of both coefficients stay below."""
        return max(self.error_bounds)

    @cached_property
    def coefficients(self) -> Array:
        """K_D(X, X)^{-1} Y and K_D(X, X)^{-1} f_0(X), (N, 2), float64, read-only."""
        system = self._system
        columns = [
            in_range(a, np.float64, f"K_D^{{-1}} {name}", REMEDY, scale=size - system.exponent)
            for a, size, name in zip(system.solution.T, system.sizes, ("Y", "f_0(X)"), strict=True)
        ]
        return freeze(np.stack(columns, axis=1))

    def interpolator(self, X_new: ArrayLike) -> Array:
        """f_int(X_new), the interpolator of least complexity, Eq. (3).

        Without biases it does not depend on σ, if the activation is homogeneous.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        system, at = self._system, self._at(X_new)
        f_int = at.kernel @ beside(system.solution[:, 0], at.kernel)
        return self._returned(f_int, "f_int", scale=system.sizes[0])

    def initialization(self, X_new: ArrayLike) -> Array:
        """f_init(X_new), what the initialization leaves in the minimizer; 0 on X itself.

        With any activation and biases φ(x)(1 − P_F)E_Lθ_0, E_L keeping the last layer's parameters
        only; with a homogeneous one (relu, leaky_relu, abs) without biases or with zero biases also
        (1/L) φ(x)(1 − P_F)θ_0 (Lemma 4). What is computed is f_0 − K_D K_D^{-1} f_0(X) for all.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        system, at = self._system, self._at(X_new)
        e = system.units.exponent
        alpha = shift(system.solution[:, 1], system.sizes[1] - e)
        f_init = at.outputs - at.kernel @ beside(alpha, at.kernel)
        return self._returned(f_init, "f_init", scale=e, terms=at.outputs)

    def predict(self, X_new: ArrayLike) -> Array:
        """f_∞(X_new) = f_int(X_new) + f_init(X_new).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        system, at = self._system, self._at(X_new)
        moves, size = system.moves
        start = shift(at.outputs.astype(np.float64), system.units.exponent - size)
        return self._returned(start + at.kernel @ beside(moves, at.kernel), "f_∞", scale=size)

    def initialization_size(self, X_new: ArrayLike) -> float:
        """‖f_init(X_new)‖/√(2 N_new), in units of the root of a test loss.

        This is σ^L J(X_new) of Thm 2: J is taken at σ = 1, and f_init scales as σ^L (exactly
        without biases), so J is this size divided by σ^L. Only a homogeneous activation has that
        law: with another, J belongs to its σ, and this size is all there is.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        float
        """
        f_init = host(self.initialization(X_new))
        return norm(f_init) / math.sqrt(2 * len(f_init))

    @property
    def step_norm(self) -> float:
        """‖θ_∞ − θ_0‖_{D^{-1}} = √(r^T K_D^{-1} r), r = Y − f_0(X), a float.

        The least that any step to zero training loss has in this norm (Lemma 2), v^T D^{-1} v being
        ∞ outside the range of D.
        """
        system = self._system
        moves, size = system.moves
        return self._norm(moves, system.residual[0], size)

    @property
    def interpolator_norm(self) -> float:
        """‖f_int‖ = √(Y^T K_D^{-1} Y) in the kernel K_D's Hilbert space, a float.

        The least of all functions in it that interpolate Y (Eq. 3), and equal to the least
        ‖w‖_{D^{-1}} with φ(X)w = Y (Lemma 3). Without a preconditioner it is ‖w‖_2.
        """
        system = self._system
        return self._norm(system.solution[:, 0], system.right[:, 0], system.sizes[0])

    def _norm(self, alpha: Array, right: Array, size: int) -> float:
        """√(α^T K_D α), which is α^T R − ridge |α|² for α = (K_D + ridge·1)^{-1} R, cut or not."""
        system = self._system
        square = float(alpha @ right - system.ridge * (alpha @ alpha))
        scale = size - system.exponent // 2
        return in_range(math.sqrt(max(square, 0.0)), np.float64, "the norm", REMEDY, scale=scale)

    @cached_property
    def parameters(self) -> Array:
        """θ_∞, (P,), read-only."""
        system, given = self._system, self.linearization.features
        phi = system.units.linearization.features
        moves, size = system.moves
        unit = largest_exponent(moves) if is_far(norm(moves), phi.dtype) else 0
        moves = beside(shift(moves, -unit).astype(phi.dtype), phi.inputs)
        moved = precondition(system.weights, phi.T @ moves)
        moved = shift(moved, unit + size - system.units.exponent)
        theta = (given.parameters + moved).astype(given.dtype, copy=False)
        return freeze(in_range(theta, given.dtype, "θ_∞", REMEDY))

    def _at(self, X_new: ArrayLike) -> Evaluation:
        return self._system.units.linearization.at(X_new, self._system.weights)

    def _returned(
        self, outputs: Array, what: str, *, scale: int, terms: Array | None = None
    ) -> Array:
        """2^scale · outputs in the features' dtype; relative to ``terms``, where they are sums."""
        dtype = self.linearization.features.dtype
        return in_range(outputs, dtype, what, REMEDY, scale=scale, terms=terms)


@dataclass(frozen=True, eq=False, kw_only=True)
class _System:
    """(K'_D + ridge'·1) α' = R', the equation in units in which nothing leaves the range.

    Attributes
    ----------
    units : Rescaled
        f = 2^e f', φ = 2^e φ'.
    weights : float, ndarray, LowRank or None
        D'.
    exponent : int
        s with K_D = 2^s K'_D, ridge = 2^s ridge'; even.
    ridge : float
        ridge'.
    right, solution : ndarray, shape (N, 2)
        2^(−y) times Y and f_0(X), and α' for them.
    sizes : tuple of two ints
        Their y.
    """

    units: Rescaled
    weights: Constant
    exponent: int
    ridge: float
    right: Array
    solution: Array
    sizes: tuple[int, int]

    @property
    def moves(self) -> tuple[Array, int]:
        """2^(−y) K'_D^{-1} (Y − f_0(X)) and y."""
        return self._difference(self.solution)

    @property
    def residual(self) -> tuple[Array, int]:
        """2^(−y) (Y − f_0(X)) and the same y."""
        return self._difference(self.right)

    def _difference(self, columns: Array) -> tuple[Array, int]:
        size = max(self.sizes)
        first, second = (shift(a, y - size) for a, y in zip(columns.T, self.sizes, strict=True))
        return first - second, size


def solve_minimizer(
    linearization: Linearization,
    targets: Array,
    *,
    weights: Constant = None,
    rcond: float | None = None,
    ridge: float = 0.0,
) -> Minimizer:
    """Solve (K_D + ridge·1) α = [Y, f_0(X)] and wrap the solution.

    Cholesky where it proves the matrix to be well conditioned; otherwise, and with an explicit rank
    cut, the eigendecomposition.

    Parameters
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,), float64
    weights : float, ndarray or LowRank, optional
        A D that ``as_preconditioner`` returned.
    rcond : float, optional
    ridge : float

    Returns
    -------
    Minimizer

    Raises
    ------
    DegenerateKernelError
        See ``Linearization.minimizer``.
    FloatRangeError
        If the ridge is of another size than the kernel by more than the range.
    """
    n = linearization.n_samples
    require_memory(
        3 * 8 * n * n,
        f"solving with the kernel of {n} training inputs",
        _advice(weights, ridge),
    )
    options = {"weights": weights, "rcond": rcond, "ridge": ridge}
    system, solution = _solve(linearization.in_units(), targets, **options)
    single = linearization.features.dtype != np.float64
    if single and solution.condition > 0.1 / (n * np.finfo(np.float32).eps):
        # No digit would be certain, but a ridge or an explicit cut asks for an answer.
        system, solution = _solve(linearization.in_units(np.float64), targets, **options)
    return Minimizer(
        linearization=linearization,
        targets=targets,
        weights=weights,
        ridge=ridge,
        rcond=rcond,
        rank=solution.rank,
        condition=solution.condition,
        error_bounds=solution.error_bounds,
        _system=system,
    )


def _advice(weights: Constant, ridge: float) -> str:
    """How to come to θ_∞ − θ_0 by products alone."""
    damp = ", damp=ridge**0.5" if ridge else ""
    solved = f"z = scipy.sparse.linalg.lsmr(A, Y - f_0(X){damp})[0]"
    way = f"θ_∞ − θ_0 is {solved} for A = lin.features"
    if weights is not None:
        way = f"θ_∞ − θ_0 is R z with {solved}, where A = lin.features @ R and D = R R^T"
    return f"take fewer inputs, train step by step (ntklin.train), or without a kernel {way}"


def _solve(
    units: Rescaled, targets: Array, *, weights: Constant, rcond: float | None, ridge: float
) -> tuple[_System, KernelSolution]:
    """The equation in these units and its KernelSolution."""
    lin, e = units.linearization, units.exponent
    phi = lin.features
    D, d = as_comfortable(weights, phi.dtype)
    exponent = 2 * e + d
    outputs = host(phi.outputs).astype(np.float64)
    sizes = tuple(
        largest_exponent(a) if is_far(float(abs(a).max()), phi.dtype) else 0
        for a in (targets, outputs)
    )
    right = [shift(a, -y) for a, y in zip((targets, outputs), sizes, strict=True)]
    right = np.stack(right, axis=1)
    ridge = ridge_in_units(ridge, exponent)
    with advising(_advice(weights, ridge)):
        K = lin.weighted_kernel(D)
    require_kernel_in_range(K)
    bound = rank_bound(D, phi.shape[1])
    try:
        solution = solve_kernel(
            K,
            right,
            right_errors=(0.0, shift(norm(phi.output_rounding()), -sizes[1])),
            rank_bound=bound,
            rcond=rcond,
            ridge=ridge,
            spectrum=(lambda: lin.spectrum) if D is None else None,
        )
    except DegenerateKernelError:
        if weights is None:
            raise
        raise degenerate_error(K, factorize(K, bound), unweighted=lin.spectrum) from None
    system = _System(
        units=units,
        weights=D,
        exponent=exponent,
        ridge=ridge,
        right=right,
        solution=solution.coefficients,
        sizes=(sizes[0], sizes[1] + e),
    )
    return system, solution
