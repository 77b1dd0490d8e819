"""Gradient descent on the linearized network in closed form, at any number of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike

from ntklin.algebra.spectrum import fade, refuse_degenerate
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside, host, namespace
from ntklin.edge.checks import as_positive, require_memory
from ntklin.edge.errors import DivergenceError, FloatRangeError
from ntklin.edge.ranges import in_range, shift
from ntklin.edge.sendable import Sendable
from ntklin.theory.covariance import Prior
from ntklin.theory.descent_modes import DescentModes
from ntklin.theory.discrete_time import Steps, as_steps, decay_time
from ntklin.theory.first_passage import first_below
from ntklin.theory.source import Source

if TYPE_CHECKING:
    from ntklin.theory.linearization import Linearization

_BLOCK = 1 << 21  # entries of one (T, N) block of filters: 16 MB


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearizedGradientDescent(Sendable):
    r"""f_t and θ_t of gradient descent on the linearized network, Eqs. (18), (19).

    .. math::

        f_t(x) &= f_0(x) + K(x, X) V \operatorname{diag}(g_i(t)) V^T (Y - f_0(X)) \\
        \theta_t &= \theta_0 + \varphi(X)^T V \operatorname{diag}(g_i(t)) V^T (Y - f_0(X)) \\
        g_i(t) &= \frac{1 - (1 - \eta(\lambda_i + \lambda)/N)^t}{\lambda_i + \lambda},
        \qquad K(X, X) = V \operatorname{diag}(\lambda_i) V^T

    with λ the ridge. These are the steps of discrete gradient descent on

    .. math:: \frac{1}{2N} \|f(X) - Y\|^2 + \frac{\lambda}{2N} \|\theta - \theta_0\|^2,

    whose limit is f_0(x) + φ(x) (φ(X)^T φ(X) + λ1)^{-1} φ(X)^T (Y − f_0(X)), App. A's regularized
    minimizer of what f_0 leaves of Y. Made by ``Linearization.gradient_descent``.

    Throughout, t is an integer ≥ 0 of any size, an array of them (whose shape leads the result's),
    or None for t → ∞, where g_i = 1/(λ_i + λ) on the kept spectrum and 0 below the rank cut.
    Finite t needs no rank cut: a direction whose λ_i cannot be told from 0 has g_i = ηt/N, held at
    the reciprocal of the smallest eigenvalue that can, and fading where all of it may be rounding.
    Everything is computed in double precision and in units in which no kernel leaves the range,
    whatever the dtype of the features and of the results.

    Attributes
    ----------
    linearization : Linearization
    targets : ndarray, shape (N,), or (N, C) for several outputs
    learning_rate, ridge : float
    rcond : float or None
    """

    linearization: Linearization
    targets: Array
    learning_rate: float
    ridge: float = 0.0
    rcond: float | None = None

    @property
    def max_learning_rate(self) -> float:
        """2N/(λ_max + ridge): gradient descent converges for learning rates below it."""
        return self.linearization.rate_bound(2.0, self.ridge)

    @property
    def converges(self) -> bool:
        """Whether the learning rate is below ``max_learning_rate``."""
        return self._modes.converges

    @property
    def _source(self) -> Source:
        return self.linearization.source

    @cached_property
    def _modes(self) -> DescentModes:
        return DescentModes(
            linearization=self.linearization,
            targets=self.targets,
            learning_rate=self.learning_rate,
            ridge=self.ridge,
            rcond=self.rcond,
        )

    def predict(self, X_new: ArrayLike, t: ArrayLike | None = None) -> Array:
        """The outputs f_t(X_new).

        Parameters
        ----------
        X_new : array_like, shape (N_new, d)
        t : int, array_like of int or None

        Returns
        -------
        ndarray, shape (N_new,) or t.shape + (N_new,)
            For targets (N, C): (N_new, C) or t.shape + (N_new, C).

        Raises
        ------
        DivergenceError
            For t = None when the learning rate is too large, and for a finite t at which the
            diverging outputs have outgrown floating point.
        DegenerateKernelError
            For t = None when K(X, X) is singular to working precision, P ≥ N, and neither ridge nor
            rcond was given.
        MemoryLimitError
            If so many outputs do not fit.
        """
        source, modes, residual = self._source, self._modes, self._modes.initial_residual
        lin, exponent = modes.units.linearization, modes.units.exponent
        certain, doubtful = lin.modes_at(X_new)
        columns, insignificant = source.columns, modes.insignificant
        start = shift(host(columns.of(lin.at(X_new).outputs)), exponent)
        if t is None:
            growth = self._limiting_growth()
            outputs = start + certain @ (growth[:, None] * residual)
            if self.ridge:
                faded = modes.faded(growth)[:, None]
                outputs += doubtful @ (faded * residual[insignificant])
            outputs = in_range(outputs, source.dtype, "f_∞(X_new)", source.remedy)
            return beside(columns.shown(outputs, self.targets), source.anchor)
        steps, shape = as_steps(t), (len(start), residual.shape[1])
        start = np.broadcast_to(start, shape)
        require_memory(
            len(steps) * shape[0] * shape[1] * source.dtype.itemsize,
            f"outputs at {len(steps)} steps for {shape[0] // columns.rows} inputs",
            "ask for fewer t or fewer inputs at a time",
        )
        outputs = np.empty((len(steps), *shape), source.dtype)
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                growth = modes.growth(steps[block])
                faded = modes.faded(growth)
                exact = np.empty((len(growth), *shape))
                for c, r in enumerate(residual.T):
                    exact[..., c] = start[:, c] + (growth * r) @ certain.T
                    if insignificant.any():
                        exact[..., c] += (faded * r[insignificant]) @ doubtful.T
                outputs[block] = exact
            self._refuse_underflow(exact, outputs[block])
        self._refuse_overflow(outputs, steps)
        outputs = outputs.reshape(*steps.shape, *shape)
        return beside(columns.shown(outputs, self.targets), source.anchor)

    def parameters(self, t: ArrayLike | None = None) -> Array:
        """The parameters θ_t.

        Parameters
        ----------
        t : int, array_like of int or None

        Returns
        -------
        ndarray, shape (P,) or t.shape + (P,)

        Raises
        ------
        DivergenceError, DegenerateKernelError
            As ``predict``.
        MemoryLimitError
            If so many θ_t do not fit.
        """
        given, modes = self.linearization.features, self._modes
        V, residual = modes.spectrum.vectors, modes.initial_residual[:, 0]
        if t is None:
            coefficients = V @ (self._limiting_growth() * residual)
            theta = given.parameters + modes.move(coefficients)
            return in_range(theta, given.dtype, "θ_∞", self._source.remedy)
        steps = as_steps(t)
        P = len(given.parameters)
        require_memory(
            len(steps) * P * given.dtype.itemsize,
            f"{len(steps)} parameter vectors of length {P}",
            "ask for fewer t at a time, or for predict(X_new, t)",
            beside=given.inputs,
        )
        start = given.parameters.astype(given.dtype, copy=False)
        parameters = namespace(start).tile(start, (len(steps), 1))
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                coefficients = modes.growth(steps[block]) * residual
                coefficients[:, modes.null] = 0.0
                for theta, c in zip(parameters[block], coefficients @ V.T, strict=True):
                    theta += modes.move(c)
            if modes.null.any():
                direction, certain = modes.null_direction
                growths = modes.null_growth(steps[block])
                growths = growths if certain else fade(growths, modes.spectrum)
                for theta, growth in zip(parameters[block], growths.tolist(), strict=True):
                    theta += growth * direction
        self._refuse_overflow(parameters, steps)
        return parameters.reshape(*steps.shape, P)

    def covariance(
        self,
        X_new: ArrayLike | None = None,
        t: ArrayLike | None = None,
        X2: ArrayLike | None = None,
    ) -> Array:
        r"""The covariance of the outputs f_t(X_new) over initializations.

        f_0 is a Gaussian process with covariance Σ, and f_t = f_0 + S_t (Y − f_0(X)) is linear in
        it, with S_t(x) = K(x, X) V diag(g_i(t)) V^T, so that for every Y

        .. math::

            \operatorname{cov}(f_t(x), f_t(x')) = \Sigma(x, x') - S_t(x) \Sigma(X, x')
                - \Sigma(x, X) S_t(x')^T + S_t(x) \Sigma(X, X) S_t(x')^T

        The mean is what ``predict`` returns with the mean of f_0 for f_0, such as 0. Of several
        outputs each has this covariance, and they are independent.

        Parameters
        ----------
        X_new : array_like, shape (N_new, d), optional
            The training inputs X when not given.
        t : int, array_like of int or None
            None for t → ∞, where without ridge the diagonal is E f_init(x)².
        X2 : array_like, shape (N_2, d), optional
            x', where these are other inputs than x.

        Returns
        -------
        ndarray, shape (N_new, N_2) or t.shape + (N_new, N_2)

        Raises
        ------
        ValueError
            If Σ is not known, as of a network at one θ_0; see :class:`ntklin.InfiniteMLP` and
            :func:`ntklin.linearize_kernel`.
        DivergenceError, DegenerateKernelError, MemoryLimitError
            As ``predict``.
        """
        source, modes = self._source, self._modes
        lin, scale = modes.units.linearization, 2 * modes.units.exponent
        steps = as_steps(0 if t is None else t)
        prior = Prior(lin.source, X_new, X2)
        require_memory(
            8 * len(steps) * (math.prod(prior.shape) + 2 * source.n_rows),
            f"covariances of shape {prior.shape} at {len(steps)} steps",
            "ask for fewer t or fewer inputs at a time",
        )
        if t is None:
            growths = self._limiting_growth()[None]
            faded = modes.faded(growths) * bool(self.ridge)
        else:
            growths = modes.growth(steps)
            faded = modes.faded(growths)
        parts = [lin.modes_at(inputs) for inputs in ([X_new] if X2 is None else [X_new, X2])]
        covariances = np.empty((len(steps), *prior.shape))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for step, (growth, fading) in enumerate(zip(growths, faded, strict=True)):
                maps = [modes.response(sure, rest, growth, fading) for sure, rest in parts]
                covariances[step] = prior.propagated(*maps)
            covariances = shift(covariances, scale).astype(source.dtype, copy=False)
        self._refuse_overflow(covariances, steps)
        return beside(covariances.reshape(*steps.shape, *prior.shape), source.anchor)

    @overload
    def loss(self, t: int | None = None) -> float: ...
    @overload
    def loss(self, t: ArrayLike) -> Array: ...
    def loss(self, t: ArrayLike | None = None) -> float | Array:
        """The training loss ‖f_t(X) − Y‖²/(2N), summed over outputs, without the ridge's own term.

        Parameters
        ----------
        t : int, array_like of int or None

        Returns
        -------
        float or ndarray, shape t.shape

        Raises
        ------
        DivergenceError, DegenerateKernelError
            As ``predict``.
        """
        modes = self._modes
        if t is None:
            self._require_limit()
            kept = modes.spectrum.kept(self.rcond, self.ridge)
            shares = np.where(kept, modes.floors, 1.0)
            return shift(float(shares**2 @ modes.initial_losses), modes.loss_exponent)
        steps = as_steps(t)
        losses = np.empty(len(steps))
        for block in self._blocks(steps):
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                losses[block] = modes.residuals(steps[block]) ** 2 @ modes.initial_losses
        losses = shift(losses, modes.loss_exponent)
        self._refuse_overflow(losses, steps)
        return losses.reshape(steps.shape) if steps.shape else float(losses[0])

    def steps_to(self, loss: float) -> int:
        """The number of steps after which the training loss first drops below ``loss``.

        The smallest t with L(f_t) < ``loss``, exact up to the rounding of L.

        Parameters
        ----------
        loss : float
            The target, > 0.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If the loss never gets there; the message names the floor that it approaches.
        DivergenceError
            If the learning rate is too large.
        """
        target, modes = as_positive(loss, name="loss"), self._modes
        self._require_convergence("the loss has no limit")
        moving = modes.values[modes.values > 0] + modes.scaled_ridge
        t = first_below(
            lambda t: modes.residuals(as_steps(t))[0],
            modes.initial_losses,
            shift(target, -modes.loss_exponent),
            decay_time(moving, modes.rate),
        )
        if t is None:
            raise ValueError(self._unreachable(target))
        return t

    def _unreachable(self, target: float) -> str:
        modes = self._modes
        floor = shift(float(modes.floors**2 @ modes.initial_losses), modes.loss_exponent)
        reasons = [f"ridge={self.ridge:g} holds θ near θ_0"] if self.ridge else []
        n_null = int((modes.values == 0).sum())
        if n_null:
            reasons.append(f"no step moves the {n_null}-dimensional null space of K(X, X)")
        because = f", since {' and '.join(reasons)}" if reasons else ""
        return (
            f"the training loss never drops below {target:.6g}: it approaches {floor:.6g}{because}"
        )

    # Guards

    def _require_convergence(self, consequence: str) -> None:
        if not self.converges:
            raise DivergenceError(
                f"gradient descent diverges: learning_rate={self.learning_rate:.6g} is not below "
                f"2N/(λ_max + ridge) = {self.max_learning_rate:.6g}, so {consequence}; "
                "lower it, or ask for a finite t",
                learning_rate=self.learning_rate,
                bound=self.max_learning_rate,
            )

    def _require_limit(self) -> None:
        self._require_convergence("there is no limit t = None")
        kernel = self._modes.units.linearization.kernel
        refuse_degenerate(kernel, self._modes.spectrum, rcond=self.rcond, ridge=self.ridge)

    def _limiting_growth(self) -> Array:
        """1/(λ_i + λ) on the kept spectrum, (M,)."""
        self._require_limit()
        return self._modes.limiting_growth()

    def _refuse_underflow(self, exact: Array, outputs: Array) -> None:
        """Outputs in a narrower dtype than they were computed in, all of which it takes for 0."""
        if exact.size and exact.any() and not outputs.any():
            raise FloatRangeError(f"f_t(X_new) underflows {outputs.dtype}; {self._source.remedy}")

    def _refuse_overflow(self, values: Array, steps: Steps) -> None:
        """A diverging run outgrows floating point; then no digit of it is left."""
        finite = host(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if not finite.all() and self.converges:
            raise FloatRangeError(
                f"f_t, θ_t or its loss overflows {values.dtype}; {self._source.remedy}"
            )
        if not finite.all():
            first = int(steps.count[~finite].min())
            raise DivergenceError(
                f"gradient descent at learning_rate={self.learning_rate:.6g}, not below "
                f"2N/(λ_max + ridge) = {self.max_learning_rate:.6g}, has outgrown "
                f"{values.dtype} at t = {first:.6g}",
                learning_rate=self.learning_rate,
                bound=self.max_learning_rate,
                step=first,
            )

    def _blocks(self, steps: Steps) -> list[slice]:
        size = max(1, _BLOCK // self._source.n_rows)
        return [slice(i, i + size) for i in range(0, len(steps), size)]
