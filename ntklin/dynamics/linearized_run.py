"""A run on the linearized network and its split into interpolating and path-dependent part."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ntklin._arrays import as_array
from ntklin._validate import as_count, as_new_inputs, as_vector, require_memory
from ntklin.backends import beside, freeze, host, refuse_mixed
from ntklin.dynamics.concentration import concentration, kernel_drift
from ntklin.dynamics.snapshots import Snapshot
from ntklin.errors import DegenerateKernelError
from ntklin.features import REMEDY
from ntklin.monotone import Measured, Yardstick
from ntklin.preconditioners import as_preconditioner, precondition, rank_bound
from ntklin.ranges import in_range
from ntklin.sendable import Sendable
from ntklin.solving import solve_kernel
from ntklin.spectral import degenerate_error, factorize, require_kernel_in_range


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearizedRun(Sendable, Measured):
    r"""The linearized network after t steps of training, split as in Thms 3 and 6, Eqs. (7), (17).

    .. math::

        f_t(x) &= \underbrace{f_0(x) + \varphi(x) A_t (f_t(X) - f_0(X))}_{\text{interpolating}}
            + \underbrace{\varphi(x) B_t}_{\text{path-dependent}} \\
        A_t &= D_{t-1} \varphi(X)^T K_{D_{t-1}}^{-1}, \qquad
        B_t = \theta_t - \theta_0 - A_t (f_t(X) - f_0(X)), \qquad K_D = \varphi(X) D \varphi(X)^T

    φ(X) A_t = 1, so that the interpolating part fits the training data as f_t does, and
    φ(X) B_t = 0; a constant D has B_t = 0. For optimizers with θ_{t+1} = θ_t − η D_t ∇L (Eq. 6)
    and the squared loss, A_t and B_t are those of the theorems, whose product formulas
    ``Linearization.theorem3`` and ``theorem6`` evaluate to the letter. Momentum and Adam carry a
    velocity, and other losses are not quadratic: the formulas do not hold then, but the split
    above, defined by the end state alone, does. Momentum has D = 1, so that its A_t is that of
    gradient descent.

    Where D_{t−1} trains fewer directions than there are samples, as with P < N (App. A), A_t has
    the pseudo-inverse of K_D. Made by ``Linearization.train``.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,)
    optimizer : Optimizer
        With the learning rate that was used.
    loss : str
    batches : Batches, iterable of index arrays, or None
        In a copy, () stands for an iterator.
    method : str
        The engine that took the steps.
    losses : ndarray, shape (steps + 1,)
        L(f_0), …, L(f_t), on all training samples whatever the batches.
    yardstick : Yardstick
        What ``losses`` are measured by.
    converged : bool
        Whether the loss fell below ``until``.
    displacement : ndarray, shape (P,)
        θ_t − θ_0, read-only.
    outputs : ndarray, shape (N,)
        f_t(X), read-only.
    weights : float, or ndarray, shape (P,) or (P, P)
        D_{t−1}, the preconditioner of the latest step, 0 where no gradient came so far; 1 for
        t = 0.
    snapshots : tuple of Snapshot
        What was recorded.
    first_weights : float, ndarray, shape (P,) or (P, P), or None
        D_0 of a run that was recorded.
    """

    linearization: object
    targets: np.ndarray
    optimizer: object
    loss: str
    batches: object
    method: str
    losses: np.ndarray
    yardstick: Yardstick = field(repr=False)
    converged: bool
    displacement: np.ndarray
    outputs: np.ndarray
    weights: object
    snapshots: tuple = ()
    first_weights: object = None

    def _sent(self):
        used_up = isinstance(self.batches, Iterator)
        return super()._sent() | ({"batches": ()} if used_up else {})

    @property
    def steps(self):
        """The number of steps taken, t."""
        return len(self.losses) - 1

    @cached_property
    def parameters(self):
        """θ_t, (P,), read-only."""
        phi = self.linearization.features
        return freeze((phi.parameters + self.displacement).astype(phi.dtype, copy=False))

    def predict(self, X_new, t=None):
        """The outputs f_t(X_new) = f_0(X_new) + φ(X_new)(θ_t − θ_0).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int, optional
            0 or a recorded step; the end when not given.

        Returns
        -------
        ndarray, shape (N_new,)
        """
        phi = self.linearization.features
        X_new = as_new_inputs(X_new, phi)
        refuse_mixed(phi.inputs, X_new)
        new = phi.network.features(phi.parameters, X_new)
        displacement = self.displacement if t is None else self.at(t).displacement
        with np.errstate(over="ignore", under="ignore"):
            outputs = new.outputs + new @ displacement
        return in_range(outputs, phi.dtype, "f_t(X_new)", REMEDY)

    def at(self, t):
        """The same run as it was at step t: a LinearizedRun of its own, with its split.

        Parameters
        ----------
        t : int
            0, a recorded step, or the last one.

        Returns
        -------
        LinearizedRun
        """
        t = as_count(t, name="t", minimum=0)
        if t == self.steps:
            return self
        known = {s.step: s for s in (self._start(), *self.snapshots)}
        if t not in known:
            steps = ", ".join(str(s) for s in sorted({*known, self.steps}))
            raise ValueError(
                f"step {t} was not recorded; known are {steps}: pass record= to train()"
            )
        return replace(
            self,
            displacement=known[t].displacement,
            outputs=known[t].outputs,
            weights=known[t].weights,
            losses=self.losses[: t + 1],
            converged=False,
            snapshots=tuple(s for s in self.snapshots if s.step <= t),
            first_weights=self.first_weights if t else None,
        )

    def _start(self):
        return Snapshot(
            step=0,
            displacement=freeze(np.zeros_like(self.displacement)),
            outputs=freeze(self.linearization.initial_outputs.copy()),
            weights=1.0,
        )

    @cached_property
    def split(self):
        """K_{D_{t−1}}^{-1} (f_t(X) − f_0(X)), and what its digits are worth.

        One weighted Gram matrix and one Cholesky factorization.

        Returns
        -------
        KernelSolution

        Raises
        ------
        DegenerateKernelError
            If K_{D_{t−1}} is singular to working precision although D_{t−1} trains N directions.
        ValueError
            If D_{t−1} is a matrix that is not symmetric and positive semidefinite;
            ``Linearization.theorem3`` and ``theorem6`` take those.
        MemoryLimitError
            If the kernel, or for a matrix D_{t−1} the dense J, does not fit.
        """
        lin, D = self.linearization, self._direction
        n, P = lin.features.shape
        require_memory(
            3 * 8 * n * n,
            f"solving with the kernel of {n} training inputs",
            "take fewer inputs; predict() and parameters need no kernel",
        )
        if np.ndim(D) == 2:
            D = as_preconditioner(D, P, name=f"D_{self.steps - 1}")
        K, bound = lin.weighted_kernel(D), rank_bound(D, P)
        require_kernel_in_range(K)
        moved = host(self.outputs).astype(np.float64) - host(lin.initial_outputs)
        spectrum = None if D is not None else lambda: lin.spectrum
        try:
            return solve_kernel(K, moved, rank_bound=bound, spectrum=spectrum)
        except DegenerateKernelError:
            remedy = "A_t needs its inverse: remove the cause; predict() and parameters do not"
            unweighted = None if D is None else lin.spectrum
            raise degenerate_error(K, factorize(K, bound), remedy, unweighted=unweighted) from None

    @property
    def _direction(self):
        """D_{t−1}; None for a multiple of 1, whatever the multiple: A_t does not depend on it."""
        D = self.weights
        if np.ndim(D):
            return D
        if not D:
            raise DegenerateKernelError(
                f"D_{self.steps - 1} = 0: K_D = 0 has no inverse, so there is no A_t. The step had "
                "no effect; ask for the split at another one"
            )
        return None

    def interpolating(self, X_new):
        """The interpolating part, f_0(X_new) + φ(X_new) A_t (f_t(X) − f_0(X)); f_t(X) on X itself.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)

        Raises
        ------
        DegenerateKernelError, ValueError, MemoryLimitError
            As ``split``.
        """
        solution = self.split
        at = self.linearization.at(X_new, self._direction)
        outputs = at.outputs + at.kernel @ beside(solution.coefficients, at.kernel)
        return in_range(outputs, self.outputs.dtype, "the interpolating part", REMEDY)

    def path_dependent(self, X_new):
        """The path-dependent part φ(X_new) B_t = f_t − interpolating part; 0 on X itself.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)

        Raises
        ------
        DegenerateKernelError, ValueError, MemoryLimitError
            As ``split``.
        """
        return self.predict(X_new) - self.interpolating(X_new)

    @cached_property
    def interpolating_displacement(self):
        """A_t (f_t(X) − f_0(X)), (P,), read-only; raises what ``split`` raises."""
        phi = self.linearization.features
        moves = beside(self.split.coefficients.astype(phi.dtype), phi.inputs)
        return freeze(precondition(self._direction, phi.T @ moves))

    @property
    def path_dependent_displacement(self):
        """B_t = θ_t − θ_0 − A_t (f_t(X) − f_0(X)), (P,); raises what ``split`` raises."""
        return self.displacement - self.interpolating_displacement

    def concentration(self, D=None):
        """How closely D_t stays around D at the recorded steps: the assumption under Eq. (6).

        Parameters
        ----------
        D : float, or array_like, shape (P,) or (P, P), optional
            The last D_t when not given.

        Returns
        -------
        Concentration

        Raises
        ------
        ValueError
            If nothing was recorded.
        """
        center = self.weights if D is None else self._as_center(D)
        lin = self.linearization
        return concentration(self._preconditioners(), center, self.optimizer, lin.features.network)

    def kernel_drift(self):
        """How far K_{D_t}(X, X) moved away from K_{D_0} at the recorded steps.

        Returns
        -------
        KernelDrift

        Raises
        ------
        ValueError
            If nothing was recorded.
        """
        return kernel_drift(self._preconditioners(), self.linearization)

    def _preconditioners(self):
        """D_{t−1} by t: at the first step, at the recorded ones and at the last."""
        if self.first_weights is None:
            raise ValueError("D_t was not recorded: pass record= to train(), and take a step")
        recorded = {s.step: s.weights for s in self.snapshots if s.step > 0}
        return {1: self.first_weights, **recorded, self.steps: self.weights}

    def _as_center(self, D):
        P, D = len(self.displacement), as_array(D, "D")
        shape = D.shape
        if shape not in ((), (P,), (P, P)):
            raise ValueError(
                f"D must be a number or an array of shape ({P},) or ({P}, {P}), got shape {shape}"
            )
        return as_vector(D.reshape(-1), math.prod(shape), name="D").reshape(shape)
