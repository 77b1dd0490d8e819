"""Which minimizer training converges to, and what of it is initialization: Thm 1 and Eq. (9)."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ntklin._validate import advising, require_memory
from ntklin.backends import beside, freeze, host
from ntklin.errors import DegenerateKernelError
from ntklin.preconditioners import precondition, rank_bound
from ntklin.sendable import Sendable
from ntklin.solving import solve_kernel
from ntklin.spectral import degenerate_error, factorize, require_finite_kernel


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
    pseudo-inverse; with P < N parameters that gives the one minimizer of App. A,
    f_0 + φ φ(X)^+ (Y − f_0(X)), whatever D. Made by ``Linearization.minimizer``.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,)
    weights : float, ndarray of shape (P,) or (P, P), LowRank, or None
        D; a number stands for its multiple of 1, None for 1.
    ridge : float
    rcond : float or None
    coefficients : ndarray, shape (N, 2), float64
        K_D(X, X)^{-1} Y and K_D(X, X)^{-1} f_0(X).
    rank : int
        How many eigenvalues the inverse keeps.
    condition : float
        κ, the condition number of what was inverted: LAPACK's estimate in the 1-norm where Cholesky
        served, exact in the 2-norm on the kept spectrum otherwise.
    error_bound : float
        8 √N κ eps of the kernel's dtype: what the coefficients' relative error ‖Δα‖/‖α‖ is expected
        to stay below. Near 1 no digit is certain.
    """

    linearization: object
    targets: np.ndarray
    weights: np.ndarray | None
    ridge: float
    rcond: float | None
    coefficients: np.ndarray
    rank: int
    condition: float
    error_bound: float

    def interpolator(self, X_new):
        """f_int(X_new), the interpolator of least complexity, Eq. (3).

        Without biases it does not depend on σ.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        at = self._at(X_new)
        return self._returned(at.kernel @ beside(self.coefficients[:, 0], at.kernel))

    def initialization(self, X_new):
        """f_init(X_new), what the initialization leaves in the minimizer; 0 on X itself.

        Without biases or with zero biases (1/L) φ(x)(1 − P_F)θ_0; with any biases
        φ(x)(1 − P_F)E_Lθ_0, E_L keeping the last layer's parameters only.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        at = self._at(X_new)
        return self._returned(at.outputs - at.kernel @ beside(self.coefficients[:, 1], at.kernel))

    def predict(self, X_new):
        """f_∞(X_new) = f_int(X_new) + f_init(X_new).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        at = self._at(X_new)
        return self._returned(at.outputs + at.kernel @ beside(self._moves, at.kernel))

    def initialization_size(self, X_new):
        """‖f_init(X_new)‖/√(2 N_new), in units of the root of a test loss.

        This is σ^L J(X_new) of Thm 2: J is taken at σ = 1, and f_init scales as σ^L (exactly
        without biases), so J is this size divided by σ^L.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        float
        """
        f_init = host(self.initialization(X_new)).astype(np.float64)
        return float(np.linalg.norm(f_init)) / math.sqrt(2 * len(f_init))

    @property
    def step_norm(self):
        """‖θ_∞ − θ_0‖_{D^{-1}} = √(r^T K_D^{-1} r), r = Y − f_0(X), a float.

        The least that any step to zero training loss has in this norm (Lemma 2), v^T D^{-1} v being
        ∞ outside the range of D.
        """
        residual = self.targets - self._initial_outputs
        return self._norm(self._moves, residual)

    @property
    def interpolator_norm(self):
        """‖f_int‖ = √(Y^T K_D^{-1} Y) in the kernel K_D's Hilbert space, a float.

        The least of all functions in it that interpolate Y (Eq. 3), and equal to the least
        ‖w‖_{D^{-1}} with φ(X)w = Y (Lemma 3). Without a preconditioner it is ‖w‖_2.
        """
        return self._norm(self.coefficients[:, 0], self.targets)

    def _norm(self, alpha, right):
        """√(α^T K_D α), which is α^T R − ridge |α|² for α = (K_D + ridge·1)^{-1} R, cut or not."""
        return math.sqrt(max(float(alpha @ right - self.ridge * (alpha @ alpha)), 0.0))

    @cached_property
    def parameters(self):
        """θ_∞, (P,), read-only."""
        phi = self.linearization.features
        moves = beside(self._moves.astype(phi.dtype), phi.inputs)
        moved = precondition(self.weights, phi.T @ moves)
        return freeze((phi.parameters + moved).astype(phi.dtype, copy=False))

    @property
    def _initial_outputs(self):
        """f_0(X), float64."""
        return host(self.linearization.initial_outputs).astype(np.float64, copy=False)

    @property
    def _moves(self):
        """K_D^{-1} (Y − f_0(X))."""
        return self.coefficients[:, 0] - self.coefficients[:, 1]

    def _at(self, X_new):
        return self.linearization.at(X_new, self.weights)

    def _returned(self, outputs):
        return outputs.astype(self.linearization.features.dtype, copy=False)


def solve_minimizer(linearization, targets, *, weights=None, rcond=None, ridge=0.0):
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
    """
    phi = linearization.features
    n, P = phi.shape
    require_memory(
        3 * 8 * n * n,
        f"solving with the kernel of {n} training inputs",
        _advice(weights, ridge),
    )
    right = np.stack([targets, host(phi.outputs).astype(np.float64)], axis=1)
    with advising(_advice(weights, ridge)):
        K = linearization.weighted_kernel(weights)
    require_finite_kernel(K)
    bound = rank_bound(weights, P)
    try:
        solution = solve_kernel(
            K,
            right,
            rank_bound=bound,
            rcond=rcond,
            ridge=ridge,
            spectrum=(lambda: linearization.spectrum) if weights is None else None,
        )
    except DegenerateKernelError:
        if weights is None:
            raise
        unweighted = linearization.spectrum
        raise degenerate_error(K, factorize(K, bound), unweighted=unweighted) from None
    return Minimizer(
        linearization=linearization,
        targets=targets,
        weights=weights,
        ridge=ridge,
        rcond=rcond,
        coefficients=solution.coefficients,
        rank=solution.rank,
        condition=solution.condition,
        error_bound=solution.error_bound,
    )


def _advice(weights, ridge):
    """How to come to θ_∞ − θ_0 by products alone."""
    damp = ", damp=ridge**0.5" if ridge else ""
    solved = f"z = scipy.sparse.linalg.lsmr(A, Y - f_0(X){damp})[0]"
    way = f"θ_∞ − θ_0 is {solved} for A = lin.features"
    if weights is not None:
        way = f"θ_∞ − θ_0 is R z with {solved}, where A = lin.features @ R and D = R R^T"
    return f"take fewer inputs, train step by step (ntklin.train), or without a kernel {way}"
