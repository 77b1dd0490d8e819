"""Which minimizer training converges to, and what of it is initialization: Thm 1 and Eq. (9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.preconditioners import Constant, precondition
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, freeze, host
from ntklin.edge.faces import pictures
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.edge.ranges import in_range, is_far, largest_exponent, norm, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.covariance import Prior
from ntklin.theory.kernel_equation import KernelEquation
from ntklin.theory.split_pictures import Split, split_against, split_along

if TYPE_CHECKING:
    from ntklin.edge.faces.pictures import Axes
    from ntklin.theory.linearization import Linearization

# Inputs whose covariance is computed at once where only its diagonal is asked for.
_ROWS = 256


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Minimizer(Shown, Sendable):
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
    targets : ndarray, shape (N,), or (N, C) for several outputs
        Whatever is (N_new,) below then is (N_new, C), and K_D of features has N·C rows.
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
    _equation: KernelEquation

    @property
    def solver(self) -> str:
        """What solved: "cholesky", "eigh", "packed", "mixed" or "pcg"; what ``"auto"`` took."""
        return self._equation.answer.solver

    def _facts(self) -> Facts:
        own = facts(
            "",
            weights=self.weights,
            ridge=self.ridge or None,
            rcond=self.rcond,
            solver=self.solver,
            iterations=self.iterations or None,
            rank=self.rank,
            condition=float(self.condition),
            residual=float(self.residual),
            error_bound=float(self.error_bound),
        )
        return Facts("Minimizer", (*self.linearization.source.in_words.rows, *own.rows))

    @property
    def iterations(self) -> int:
        """Of conjugate gradients; 0 where a factor was enough."""
        return self._equation.answer.iterations

    @property
    def residual(self) -> float:
        """‖R − (K_D + ridge·1)α‖/‖R‖ in float64, the largest one over the columns of Y and f_0(X).

        Computed from α, by products that no factor enters. What a cut of the spectrum leaves of R
        is part of it.
        """
        return max(self._equation.answer.residuals)

    def residual_bound(self) -> float:
        """What ‖R − (K_D + ridge·1)α‖/‖R‖ does not exceed, whatever rounding did: a proved bound.

        For the kernel as it is computed, its entries taken for exact numbers, as
        :func:`ntklin.certify` takes them; their own rounding is in ``error_bounds``. A kernel that
        is not kept is computed anew, a run of rows at a time.

        Returns
        -------
        float
        """
        return max(self._equation.residual_bounds())

    @property
    def error_bound(self) -> float:
        """The larger one of ``error_bounds``: what the errors of both coefficients stay below."""
        return max(self.error_bounds)

    @cached_property
    def coefficients(self) -> Array:
        """K_D(X, X)^{-1} Y and K_D(X, X)^{-1} f_0(X), (N, 2), float64, read-only.

        For several outputs (N, C, 2); beside X.
        """
        equation, names = self._equation, ("K_D^{-1} Y", "K_D^{-1} f_0(X)")
        parts = zip(equation.solution, equation.sizes, names, strict=True)
        found = [
            in_range(self._shown(a), np.float64, name, self._remedy, scale=y - equation.exponent)
            for a, y, name in parts
        ]
        return freeze(beside(np.stack(found, axis=-1), self.linearization.source.anchor))

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
        equation = self._equation
        at = equation.evaluate(X_new, equation.solution[0], "f_int")
        return self._returned(at.product, "f_int", scale=equation.sizes[0])

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
        equation = self._equation
        e = equation.units.exponent
        alpha = shift(equation.solution[1], equation.sizes[1] - e)
        at = equation.evaluate(X_new, alpha, "f_init")
        start = equation.columns.of(at.outputs)
        f_init = start - at.product
        return self._returned(f_init, "f_init", scale=e, terms=start)

    def predict(self, X_new: ArrayLike) -> Array:
        """f_∞(X_new) = f_int(X_new) + f_init(X_new).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        equation = self._equation
        moves, size = equation.moves
        at = equation.evaluate(X_new, moves, "f_∞")
        start = equation.columns.of(at.outputs).astype(np.float64)
        start = shift(start, equation.units.exponent - size)
        return self._returned(start + at.product, "f_∞", scale=size)

    def decayed(self, X_new: ArrayLike) -> Array:
        """Where gradient descent with vanishing L2 decay ends: f_∞ − φ(x)(1 − P_F)θ_0.

        The limit for w → 0 of the minimum of L + (w/2)‖θ‖²; with a constant D that of decoupled
        decay, P_F = D φ(X)^T K_D^{-1} φ(X). With a homogeneous activation without biases or with
        zero biases it is f_int − (L − 1) f_init: what was f_init has flipped.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)

        Raises
        ------
        NoParametersError
            For a kernel, which has no θ that could decay.
        ValueError
            With a ridge, which holds θ at θ_0 whatever the decay.
        """
        if self.ridge:
            raise ValueError("a ridge holds θ near θ_0, so that vanishing decay changes nothing")
        equation = self._equation
        lin = equation.units.linearization
        X_new = lin.source.new_inputs(X_new)
        here, there = (
            host(phi.along_parameters()).astype(np.float64)[:, None]
            for phi in (lin.features, lin.features.at(X_new))
        )
        inside = equation.evaluate(X_new, equation.solve(here).coefficients, "").product
        start = beside(there, inside) - inside
        outputs = self._returned(start, "φ(x)(1 − P_F)θ_0", scale=equation.units.exponent)
        return self.predict(X_new) - outputs

    def initialization_size(self, X_new: ArrayLike) -> float:
        """‖f_init(X_new)‖/√(2 N_new), in units of the root of a test loss, summed over outputs.

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

    def covariance(self, X_new: ArrayLike | None = None, X2: ArrayLike | None = None) -> Array:
        """The covariance of f_∞(X_new) over initializations, whatever Y.

        Σ(x, x') − S(x) Σ(X, x') − Σ(x, X) S(x')^T + S(x) Σ(X, X) S(x')^T with Σ that of f_0 and
        S(x) = K_D(x, X) (K_D(X, X) + λ1)^{-1}: that of f_init, whose mean is 0 where that of f_0
        is. Of several outputs each has this covariance, and they are independent.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d), optional
            The training inputs X when not given.
        X2 : array_like, shape (N_2, d), optional
            x', where these are other inputs than x.

        Returns
        -------
        ndarray, shape (N_new, N_2)

        Raises
        ------
        ValueError
            If Σ is not known; see ``LinearizedGradientDescent.covariance``.
        """
        equation = self._equation
        prior = Prior(equation.units.linearization.source, X_new, X2)
        maps = [self._map(inputs) for inputs in prior.inputs]
        covariance, source = prior.propagated(*maps), self.linearization.source
        scale = 2 * equation.units.exponent
        covariance = in_range(covariance, source.dtype, "the covariance", self._remedy, scale=scale)
        return beside(covariance, source.anchor)

    def expected_initialization_loss(self, X_new: ArrayLike) -> float:
        """E ‖f_init(X_new)‖²/(2 N_new) over initializations, for f_0 of mean 0.

        Half the mean over x of the covariance's diagonal, summed over outputs: σ^{2L} E J(X_new)²
        of Thm 2 in closed form, in the units of a test loss, and E L_T(f_∞) = L_T(f_int) + that.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the covariance of f_0 is not known.
        """
        X_new = self.linearization.source.new_inputs(X_new)
        rows = [slice(i, i + _ROWS) for i in range(0, len(X_new), _ROWS)]
        total = sum(float(host(self.covariance(X_new[i])).trace()) for i in rows)
        n_outputs = 1 if self.targets.ndim == 1 else self.targets.shape[1]
        return n_outputs * total / (2 * len(X_new))

    def noise_amplification(self, X_new: ArrayLike) -> Array:
        """Var f_∞(x)/s² for labels Y + ε with independent ε of variance s²: ‖K_D(x, X) K_D^{-1}‖².

        What of label noise reaches the output at x, for this D; that of f_int, as f_init does not
        depend on labels. It is 1 on X itself, and less with a ridge λ, where (K_D + λ1)^{-1} takes
        the place of K_D^{-1}. Label noise of one output reaches others through features with
        several, where the sum is over all labels.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        source = self.linearization.source
        k = source.columns.of(self.targets).shape[1]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            S = self._map(X_new)
            squares = np.repeat((S * S).sum(axis=1)[:, None], k, axis=1)
        squares = in_range(squares, source.dtype, "the amplification of noise", self._remedy)
        return beside(self._shown(squares), source.anchor)

    def plot(self, X_new: ArrayLike, ax: Axes | None = None) -> Axes:
        """Draw f_∞ and its two parts: along x for inputs of one dimension, else against f_∞.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
            For d = 1 lines along x, with the training data where their inputs are known; otherwise
            a point for each input and output, f_int and f_init above f_∞, whose sum is on the
            diagonal.
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure of pyplot's when not given.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        TypeError
            For what is no axes.
        """
        pictures.require_axes(ax)
        source = self.linearization.source
        X_new = source.new_inputs(X_new)
        found = self.predict(X_new), self.interpolator(X_new), self.initialization(X_new)
        split, ax = Split(*map(host, found)), pictures.axes_or_new(ax)
        X, known = host(X_new), source.known_inputs
        if known is not None and X.shape[1] == 1:
            data = host(known)[:, 0], host(self.targets)
            split_along(ax, X[:, 0], split, data)
        else:
            split_against(ax, split)
        pictures.tidy(ax)
        return ax

    def _map(self, X_new: ArrayLike | None) -> Array:
        """K'_D(x, X) (K'_D(X, X) + λ'1)^{-1}, (N_new, N), float64."""
        equation = self._equation
        lin = equation.units.linearization
        rows = equation.kernel if X_new is None else lin.at(X_new, equation.weights).kernel
        return equation.solve(host(rows).astype(np.float64).T).coefficients.T

    @property
    def step_norm(self) -> float:
        """‖θ_∞ − θ_0‖_{D^{-1}} = √(r^T K_D^{-1} r), r = Y − f_0(X), a float.

        The least that any step to zero training loss has in this norm (Lemma 2), v^T D^{-1} v being
        ∞ outside the range of D.
        """
        equation = self._equation
        moves, size = equation.moves
        return self._norm(moves, equation.residual[0], size)

    @property
    def interpolator_norm(self) -> float:
        """‖f_int‖ = √(Y^T K_D^{-1} Y) in the kernel K_D's Hilbert space, a float.

        The least of all functions in it that interpolate Y (Eq. 3), and equal to the least
        ‖w‖_{D^{-1}} with φ(X)w = Y (Lemma 3). Without a preconditioner it is ‖w‖_2.
        """
        equation = self._equation
        return self._norm(equation.solution[0], equation.right[0], equation.sizes[0])

    def _norm(self, alpha: Array, right: Array, size: int) -> float:
        """√(α^T K_D α), which is α^T R − ridge |α|² for α = (K_D + ridge·1)^{-1} R, cut or not."""
        equation = self._equation
        square = float(np.vdot(alpha, right) - equation.ridge * np.vdot(alpha, alpha))
        scale = size - equation.exponent // 2
        return in_range(
            math.sqrt(max(square, 0.0)), np.float64, "the norm", self._remedy, scale=scale
        )

    @cached_property
    def parameters(self) -> Array:
        """θ_∞, (P,), read-only."""
        equation, given = self._equation, self.linearization.features
        phi = equation.units.linearization.features
        moves, size = equation.moves
        unit = largest_exponent(moves) if is_far(norm(moves), phi.dtype) else 0
        moves = beside(shift(moves[:, 0], -unit).astype(phi.dtype), phi.inputs)
        moved = precondition(equation.weights, phi.T @ moves)
        moved = shift(moved, unit + size - equation.units.exponent)
        theta = (given.parameters + moved).astype(given.dtype, copy=False)
        return freeze(in_range(theta, given.dtype, "θ_∞", self._remedy))

    def _returned(
        self, outputs: Array, what: str, *, scale: int, terms: Array | None = None
    ) -> Array:
        """2^scale · outputs in the source's dtype; relative to ``terms``, where they are sums."""
        dtype = self.linearization.source.dtype
        outputs = in_range(outputs, dtype, what, self._remedy, scale=scale, terms=terms)
        return self._shown(outputs)

    def _shown(self, columns: Array) -> Array:
        """Columns (M_new, k) as outputs (N_new,) or (N_new, C)."""
        return self._equation.columns.shown(columns, self.targets)

    @property
    def _remedy(self) -> str:
        return self.linearization.source.remedy
